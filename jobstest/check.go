package jobstest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

// The spaces of records in which package jobs keeps what belongs to jobs and is not one.
const (
	spaceQueue  = "queue"
	spaceClock  = "clock"
	spaceTurn   = "turn"
	spaceHeld   = "held"
	spaceUnique = "unique"
	spaceLast   = "last"
	spaceMeta   = "meta"
	spaceLog    = "log"
	spaceLogAge = "logage"
	spaceEvent  = "event"
)

// maxFindings bounds what Check reports.
const maxFindings = 100

// Check reads everything that a store keeps and returns an error that names each disagreement: of
// jobs with the indexes by which they are found, with the counts, with their logs, with the records
// of unique keys, of lines and of events. It returns nil if all agree.
//
// Check sees one snapshot and blocks no writer of a store of this module. It reads each job several
// times, so it takes a while with a large store. If the store has a method Check(context.Context)
// error, as those of this module have, that is called as well.
func Check(ctx context.Context, s jobs.Store) error {
	var a audit
	if err := s.View(ctx, func(tx jobs.Tx) error { return a.run(ctx, tx) }); err != nil {
		return fmt.Errorf("jobstest: reading the store: %w", err)
	}
	err := errors.Join(a.findings...)
	if k, ok := s.(checker); ok {
		err = errors.Join(err, k.Check(ctx))
	}
	return err
}

// An audit collects disagreements of one snapshot.
type audit struct {
	tx       jobs.Tx
	findings []error
	known    map[jobs.ID]*known
	newest   jobs.ID
	clocks   map[string]uint64
	turns    map[string]uint64
}

// known is what an audit remembers of a job.
type known struct {
	labels           jobs.Labels
	state            jobs.State
	line             string
	priority, logged int
	stamp            uint64
	unique           string
	runAt            time.Time
	created, updated time.Time
}

func (a *audit) report(format string, args ...any) {
	switch {
	case len(a.findings) < maxFindings:
		a.findings = append(a.findings, fmt.Errorf(format, args...))
	case len(a.findings) == maxFindings:
		a.findings = append(a.findings, errors.New("there are more disagreements"))
	}
}

func (a *audit) run(ctx context.Context, tx jobs.Tx) error {
	*a = audit{tx: tx, known: make(map[jobs.ID]*known)}
	for _, step := range [...]func() error{
		a.jobs, a.states, a.lines, a.due, a.labels, a.tallies, a.clocksAndTurns, a.places, a.unique, a.last, a.logs, a.queues, a.events, a.waiting, a.schedules,
	} {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// jobs reads all jobs, and checks each by itself.
func (a *audit) jobs() error {
	for job, err := range a.tx.Jobs(jobs.Query{Order: jobs.Oldest}) {
		if err != nil {
			return err
		}
		if job.ID <= a.newest {
			a.report("job %d comes after job %d", job.ID, a.newest)
		}
		a.newest = max(a.newest, job.ID)
		a.known[job.ID] = &known{
			labels: jobs.Labels{Group: job.Group, Batch: job.Batch, Queue: job.Queue, Task: job.Task},
			state:  job.State, line: job.Line, priority: job.Priority, stamp: job.Stamp, logged: job.Logged,
			unique: job.Unique, runAt: job.RunAt, created: job.CreatedAt, updated: job.UpdatedAt,
		}
		a.job(job)
	}
	return nil
}

func (a *audit) job(job *jobs.Job) {
	for _, rule := range [...]struct {
		broken bool
		text   string
	}{
		{!job.State.Valid(), "its state is none"},
		{job.Task == "" || job.Queue == "", "it has no task or no queue"},
		{job.CreatedAt.IsZero() || job.UpdatedAt.IsZero(), "it has no time of creation or of its last change"},
		{(job.State == jobs.Queued) != (job.Line != ""), "queued jobs stand in a line, and no others"},
		{job.State.Final() == job.FinishedAt.IsZero(), "jobs that have ended have a time of that, and no others"},
		{job.Cancelling && job.State != jobs.Running, "it is being cancelled, and does not run"},
		{job.Result != nil && job.State != jobs.Succeeded, "it has a result, and has not succeeded"},
		{job.State == jobs.Running && (job.Claims == 0 || job.Attempt == 0 || job.StartedAt.IsZero()), "it runs, and was not claimed"},
		{job.Attempt < 0 || job.Attempt > job.Claims, "it has more attempts than claims"},
		{job.Crashes < 0 || job.Snoozes < 0 || job.Snoozes > job.Claims, "its numbers of crashes and snoozes cannot be"},
		{(job.State == jobs.Scheduled || job.State == jobs.Retrying) && job.RunAt.IsZero(), "it waits for a time, and has none"},
	} {
		if rule.broken {
			a.report("%v: %s", job, rule.text)
		}
	}
}

// found checks that a query returns the jobs for which is holds, all and once, in order.
func (a *audit) found(what string, q jobs.Query, is func(*known) bool, before func(id, next jobs.ID) bool) error {
	left := make(map[jobs.ID]bool)
	for id, k := range a.known {
		if is(k) {
			left[id] = true
		}
	}
	var last jobs.ID
	for job, err := range a.tx.Jobs(q) {
		if err != nil {
			return err
		}
		if !left[job.ID] {
			a.report("%v: it is found %s, where it does not belong or has been", job, what)
			continue
		}
		if last != 0 && !before(last, job.ID) {
			a.report("%v: %s it is found after job %d", job, what, last)
		}
		delete(left, job.ID)
		last = job.ID
	}
	for _, id := range sorted(left) {
		a.report("job %d: it is not found %s", id, what)
	}
	return nil
}

func sorted(ids map[jobs.ID]bool) []jobs.ID {
	all := make([]jobs.ID, 0, len(ids))
	for id := range ids {
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

func descending(id, next jobs.ID) bool { return id > next }

func (a *audit) states() error {
	for _, state := range jobs.States() {
		err := a.found("by its state "+string(state), jobs.Query{States: []jobs.State{state}},
			func(k *known) bool { return k.state == state }, descending)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) lines() error {
	lines := make(map[string]bool)
	for _, k := range a.known {
		if k.line != "" {
			lines[k.line] = true
		}
		lines[k.labels.Queue] = true
	}
	for line := range lines {
		err := a.found(fmt.Sprintf("in line %q", line), jobs.Query{Order: jobs.InLine, Line: line},
			func(k *known) bool { return k.state == jobs.Queued && k.line == line },
			func(id, next jobs.ID) bool {
				one, two := a.known[id], a.known[next]
				if one.priority != two.priority {
					return one.priority > two.priority
				}
				return one.stamp < two.stamp || one.stamp == two.stamp && id < next
			})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) due() error {
	return a.found("among those that are due", jobs.Query{Order: jobs.Due},
		func(k *known) bool { return k.state == jobs.Scheduled || k.state == jobs.Retrying },
		func(id, next jobs.ID) bool {
			one, two := a.known[id].runAt, a.known[next].runAt
			return one.Before(two) || one.Equal(two) && id < next
		})
}

// labels checks that jobs are found by task, queue, group and unique key.
func (a *audit) labels() error {
	for _, label := range [...]struct {
		name string
		of   func(*known) string
		set  func(*jobs.Query, string)
	}{
		{"task", func(k *known) string { return k.labels.Task }, func(q *jobs.Query, v string) { q.Task = v }},
		{"queue", func(k *known) string { return k.labels.Queue }, func(q *jobs.Query, v string) { q.Queue = v }},
		{"group", func(k *known) string { return k.labels.Group }, func(q *jobs.Query, v string) { q.Group = v }},
		{"unique key", func(k *known) string { return k.unique }, func(q *jobs.Query, v string) { q.Unique = v }},
	} {
		counts := make(map[string]int)
		for _, k := range a.known {
			counts[label.of(k)]++
		}
		delete(counts, "")
		for value, want := range counts {
			var q jobs.Query
			label.set(&q, value)
			got := 0
			for job, err := range a.tx.Jobs(q) {
				if err != nil {
					return err
				}
				if k := a.known[job.ID]; k == nil || label.of(k) != value {
					a.report("%v: it is found by the %s %q, which is not its own", job, label.name, value)
				}
				got++
			}
			if got != want {
				a.report("by the %s %q %d jobs are found, and there are %d", label.name, value, got, want)
			}
		}
	}
	return nil
}

func (a *audit) tallies() error {
	for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
		want := make(map[jobs.Labels]*jobs.Tally)
		for _, k := range a.known {
			labels := along(by, k.labels)
			t := want[labels]
			if t == nil {
				t = &jobs.Tally{Labels: labels, First: k.created, Last: k.updated}
				want[labels] = t
			}
			t.Add(k.state, 1)
			if k.created.Before(t.First) {
				t.First = k.created
			}
			if k.updated.After(t.Last) {
				t.Last = k.updated
			}
		}
		for got, err := range a.tx.Tallies(by, jobs.Labels{}) {
			if err != nil {
				return err
			}
			t := want[got.Labels]
			switch delete(want, got.Labels); {
			case t == nil:
				a.report("dimension %d has a tally of %+v, and there are no such jobs", by, got.Labels)
			case t.Counts != got.Counts:
				a.report("dimension %d counts %+v as %+v, and there are %+v", by, got.Labels, got.Counts, t.Counts)
			case got.First.After(t.First) || got.Last.Before(t.Last):
				a.report("dimension %d has %+v from %v to %v, and there are jobs from %v to %v",
					by, got.Labels, got.First, got.Last, t.First, t.Last)
			}
		}
		for labels := range want {
			a.report("dimension %d has no tally of %+v", by, labels)
		}
	}
	return nil
}

// along leaves the labels of a dimension.
func along(by jobs.Dimension, l jobs.Labels) jobs.Labels {
	switch by {
	case jobs.ByTotal:
		return jobs.Labels{}
	case jobs.ByQueue:
		return jobs.Labels{Queue: l.Queue}
	case jobs.ByTask:
		return jobs.Labels{Task: l.Task}
	case jobs.ByGroup:
		return jobs.Labels{Group: l.Group}
	case jobs.ByBatch:
		return jobs.Labels{Group: l.Group, Batch: l.Batch}
	case jobs.ByLabels:
	}
	return l
}

// each calls fn with all records of a space.
func (a *audit) each(space string, fn func(key string, value []byte)) error {
	for rec, err := range a.tx.Records(space, "", "") {
		if err != nil {
			return err
		}
		fn(rec.Key, rec.Value)
	}
	return nil
}

// number reads a record that is a number, and reports one that is none.
func (a *audit) number(space, key string, value []byte) uint64 {
	if len(value) != 8 {
		a.report("record %s %q has %d bytes, and should be a number of 8", space, key, len(value))
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func (a *audit) clocksAndTurns() error {
	a.clocks, a.turns = make(map[string]uint64), make(map[string]uint64)
	if err := a.each(spaceClock, func(key string, value []byte) {
		a.clocks[key] = a.number(spaceClock, key, value)
	}); err != nil {
		return err
	}
	return a.each(spaceTurn, func(key string, value []byte) {
		a.turns[key] = a.number(spaceTurn, key, value)
	})
}

// places checks that each queued job stands in a line that claims look at, at a place that those
// who come after it know of.
func (a *audit) places() error {
	held := make(map[string]bool)
	if err := a.each(spaceHeld, func(key string, _ []byte) { held[key] = true }); err != nil {
		return err
	}
	for id, k := range a.known {
		if k.state != jobs.Queued {
			continue
		}
		if k.line != k.labels.Queue {
			if k.line != k.labels.Queue+"\x01"+k.labels.Group {
				a.report("job %d: it stands in line %q, which is neither that of queue %q nor that of group %q", id, k.line, k.labels.Queue, k.labels.Group)
			} else if !held[k.labels.Queue+"\x00"+k.labels.Group] {
				a.report("job %d: it stands in the line of group %q of queue %q, and no claim will look there", id, k.labels.Group, k.labels.Queue)
			}
		}
		line := k.labels.Queue + "\x00" + string(rune('Ā'+k.priority))
		if clock, turn := a.clocks[line], a.turns[line+k.labels.Group]; k.stamp > max(clock, turn) {
			a.report("job %d: its stamp is %d, and its queue has come to %d and its group to %d only", id, k.stamp, clock, turn)
		}
	}
	return nil
}

func (a *audit) unique() error {
	return a.each(spaceUnique, func(key string, value []byte) {
		id := jobs.ID(a.number(spaceUnique, key, value))
		if k := a.known[id]; k == nil {
			a.report("the unique key %q is that of job %d, which does not exist", key, id)
		} else if k.unique != key {
			a.report("the unique key %q is that of job %d, which has %q", key, id, k.unique)
		}
	})
}

// last checks the records of the latest successes. A job that was deleted since may be named.
func (a *audit) last() error {
	return a.each(spaceLast, func(task string, value []byte) {
		id := jobs.ID(a.number(spaceLast, task, value))
		if k := a.known[id]; k != nil && k.labels.Task != task {
			a.report("the latest success of task %q is said to be job %d, which is of task %q", task, id, k.labels.Task)
		}
	})
}

// logs checks that each chunk of a log belongs to a job, and that retention will find it.
func (a *audit) logs() error {
	aged := make(map[string]bool)
	err := a.each(spaceLogAge, func(key string, _ []byte) {
		if len(key) != 1+8+16 {
			a.report("record %s %q has an impossible key", spaceLogAge, key)
			return
		}
		aged[key[9:]] = true
	})
	if err != nil {
		return err
	}
	return a.each(spaceLog, func(key string, value []byte) {
		if len(key) != 16 || len(value) == 0 {
			a.report("record %s %q has an impossible key or no value", spaceLog, key)
			return
		}
		id, first := jobs.ID(binary.BigEndian.Uint64([]byte(key))), binary.BigEndian.Uint64([]byte(key[8:]))
		k := a.known[id]
		switch {
		case k == nil:
			a.report("there is a log of job %d, which does not exist", id)
		case first == 0 || first > uint64(k.logged):
			a.report("job %d: its log has a record %d, and it has logged %d", id, first, k.logged)
		case !aged[key]:
			a.report("job %d: retention will not find its log from record %d on", id, first)
		}
	})
}

func (a *audit) queues() error {
	return a.each(spaceQueue, func(name string, value []byte) {
		var q jobs.Queue
		if err := json.Unmarshal(value, &q); err != nil {
			a.report("the settings of queue %q: %w", name, err)
		} else if q.Name != name {
			a.report("the settings of queue %q are those of %q", name, q.Name)
		}
	})
}

// events checks that no number is missing, and that the counter has come to the last one.
func (a *audit) events() error {
	var last, next uint64
	err := a.each(spaceEvent, func(key string, value []byte) {
		last = a.number(spaceEvent, "key", []byte(key))
		if next != 0 && last != next {
			a.report("event %d comes where %d should be", last, next)
		}
		next = last + 1
		var e jobs.Event
		if err := json.NewDecoder(strings.NewReader(string(value))).Decode(&e); err != nil {
			a.report("event %d: %w", last, err)
		} else if e.Seq != last {
			a.report("event %d says that it is %d", last, e.Seq)
		}
	})
	if err != nil {
		return err
	}
	value, err := a.tx.Record(spaceMeta, "event")
	if err != nil {
		return err
	}
	if value != nil || last != 0 {
		if n := a.number(spaceMeta, "event", value); n < last || last != 0 && n != last {
			a.report("events were counted to %d, and there is event %d", n, last)
		}
	}
	return nil
}
