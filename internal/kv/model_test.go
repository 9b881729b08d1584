package kv_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// A model is a store as plain as it can be.
type model struct {
	jobs    map[jobs.ID]*jobs.Job
	records map[string]string // of one space
	last    jobs.ID
}

func (m *model) clone() *model {
	c := &model{jobs: make(map[jobs.ID]*jobs.Job), records: maps.Clone(m.records), last: m.last}
	for id, job := range m.jobs {
		c.jobs[id] = job.Clone()
	}
	return c
}

func (m *model) query(q jobs.Query) (list []jobs.ID) {
	for _, id := range slices.Sorted(maps.Keys(m.jobs)) {
		if q.Match(m.jobs[id]) {
			list = append(list, id)
		}
	}
	by := func(compare func(a, b *jobs.Job) int) {
		slices.SortStableFunc(list, func(a, b jobs.ID) int { return compare(m.jobs[a], m.jobs[b]) })
	}
	past := func(jobs.ID) bool { return false }
	switch q.Order {
	case jobs.Newest:
		slices.Reverse(list)
		past = func(id jobs.ID) bool { return q.After != 0 && id >= q.After }
	case jobs.Oldest:
		past = func(id jobs.ID) bool { return id <= q.After }
	case jobs.InLine:
		by(func(a, b *jobs.Job) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Stamp, b.Stamp))
		})
	case jobs.Due:
		by(func(a, b *jobs.Job) int { return a.RunAt.Compare(b.RunAt) })
	}
	list = slices.DeleteFunc(list, past)
	if q.Limit > 0 && len(list) > q.Limit {
		list = list[:q.Limit]
	}
	return list
}

func (m *model) counts(by jobs.Dimension) map[jobs.Labels]jobs.Counts {
	rows := make(map[jobs.Labels]jobs.Counts)
	for _, job := range m.jobs {
		l := jobs.Labels{Group: job.Group, Batch: job.Batch, Queue: job.Queue, Task: job.Task}
		switch by {
		case jobs.ByTotal:
			l = jobs.Labels{}
		case jobs.ByQueue:
			l = jobs.Labels{Queue: l.Queue}
		case jobs.ByTask:
			l = jobs.Labels{Task: l.Task}
		case jobs.ByGroup:
			l = jobs.Labels{Group: l.Group}
		case jobs.ByBatch:
			l = jobs.Labels{Group: l.Group, Batch: l.Batch}
		case jobs.ByLabels:
		}
		c := rows[l]
		c.Add(job.State, 1)
		rows[l] = c
	}
	return rows
}

// A step is something done in a transaction, the same on every store. It returns what was seen.
type step func(tx jobs.Tx) string

func pick(t *rapid.T, name string, from ...string) string {
	return rapid.SampledFrom(from).Draw(t, name)
}

// shuffle changes what has happened to a job, or all of it.
func shuffle(t *rapid.T, job *jobs.Job, all bool) {
	job.State = rapid.SampledFrom(jobs.States()).Draw(t, "state")
	job.Line = pick(t, "line", "a", "aa", "b")
	job.Stamp = rapid.Uint64Range(0, 3).Draw(t, "stamp")
	job.RunAt = time.Unix(rapid.Int64Range(-2, 2).Draw(t, "run at"), 0).UTC()
	job.UpdatedAt = time.Unix(rapid.Int64Range(1, 1000).Draw(t, "updated at"), 0).UTC()
	job.Message = pick(t, "message", "", "m")
	if !all {
		return
	}
	job.Task, job.Queue = pick(t, "task", "t", "u"), pick(t, "queue", "q", "r")
	job.Group, job.Batch = pick(t, "group", "", "g", "gg"), pick(t, "batch", "", "b")
	job.Tags = slices.Clone(rapid.SampledFrom([][]string{nil, {"x"}, {"y", "x"}, {"x", "x"}}).Draw(t, "tags"))
	job.Definition = pick(t, "definition", "", "d")
	job.Parent = jobs.ID(rapid.IntRange(0, 2).Draw(t, "parent"))
	job.Args = make([]byte, rapid.SampledFrom([]int{1, 600}).Draw(t, "size of args"))
	job.Title = strings.Repeat("t", rapid.SampledFrom([]int{0, 500, 600}).Draw(t, "size of title"))
	job.Priority = rapid.IntRange(-1, 1).Draw(t, "priority")
	job.CreatedAt = time.Unix(rapid.Int64Range(1, 9).Draw(t, "created at"), 0).UTC()
}

// draw draws a step, and does it to the model.
func (m *model) draw(t *rapid.T) step {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2:
		job := new(jobs.Job)
		shuffle(t, job, true)
		m.last++
		stored := job.Clone()
		stored.ID, stored.Version = m.last, 1
		m.jobs[m.last] = stored
		return func(tx jobs.Tx) string { c := job.Clone(); return fmt.Sprint(tx.Save(c), c.ID, c.Version) }
	case 3, 4, 5:
		id := jobs.ID(rapid.Uint64Range(1, uint64(m.last)+1).Draw(t, "id"))
		stored := m.jobs[id]
		if stored == nil {
			return func(tx jobs.Tx) string {
				_, err := tx.Job(id)
				return fmt.Sprint(errors.Is(err, jobs.ErrNotFound))
			}
		}
		if rapid.IntRange(0, 4).Draw(t, "conflict") == 0 {
			job := stored.Clone()
			job.Version++
			return func(tx jobs.Tx) string { return fmt.Sprint(errors.Is(tx.Save(job.Clone()), jobs.ErrConflict)) }
		}
		job := stored.Clone()
		edit := rapid.Bool().Draw(t, "edit")
		if shuffle(t, job, edit); edit {
			job.Generation++
		}
		m.jobs[id] = job.Clone()
		m.jobs[id].Version++
		return func(tx jobs.Tx) string { c := job.Clone(); return fmt.Sprint(tx.Save(c), c.Version) }
	case 6:
		id := jobs.ID(rapid.Uint64Range(1, uint64(m.last)+1).Draw(t, "id"))
		delete(m.jobs, id)
		return func(tx jobs.Tx) string { return fmt.Sprint(tx.Remove(id)) }
	case 7:
		key := pick(t, "key", "", "k", "kk", "\xff")
		if rapid.Bool().Draw(t, "remove") {
			delete(m.records, key)
			return func(tx jobs.Tx) string { return fmt.Sprint(tx.SetRecord("space", key, nil)) }
		}
		value := pick(t, "value", "", "v")
		m.records[key] = value
		return func(tx jobs.Tx) string { return fmt.Sprint(tx.SetRecord("space", key, []byte(value))) }
	default:
		want := m.clone()
		q := drawQuery(t, m.last)
		return func(tx jobs.Tx) string { return want.differs(tx, q) }
	}
}

func drawQuery(t *rapid.T, last jobs.ID) jobs.Query {
	q := jobs.Query{
		Order: jobs.Order(rapid.IntRange(0, 3).Draw(t, "order")),
		Line:  pick(t, "query's line", "a", "aa", "b"),
		Limit: rapid.IntRange(0, 3).Draw(t, "limit"),
	}
	if q.Order <= jobs.Oldest && rapid.Bool().Draw(t, "cursor") {
		q.After = jobs.ID(rapid.Uint64Range(0, uint64(last)+1).Draw(t, "after"))
	}
	q.States = rapid.SliceOfN(rapid.SampledFrom(jobs.States()), 0, 3).Draw(t, "states")
	q.Task, q.Queue = pick(t, "query's task", "", "", "t"), pick(t, "query's queue", "", "", "r")
	q.Group, q.Batch = pick(t, "query's group", "", "", "g", "gg"), pick(t, "query's batch", "", "", "b")
	q.Tag, q.Definition = pick(t, "query's tag", "", "", "x"), pick(t, "query's definition", "", "", "d")
	q.Parent = jobs.ID(rapid.SampledFrom([]uint64{0, 0, 1}).Draw(t, "query's parent"))
	return q
}

// differs compares what a transaction sees with the model.
func (m *model) differs(tx jobs.Tx, queries ...jobs.Query) string {
	for _, q := range queries {
		var got []jobs.ID
		for job, err := range tx.Jobs(q) {
			if err != nil {
				return err.Error()
			}
			got = append(got, job.ID)
			if want := m.jobs[job.ID]; !reflect.DeepEqual(job, want) {
				return fmt.Sprintf("got\n\t%#v, want\n\t%#v", job, want)
			}
		}
		if want := m.query(q); !slices.Equal(got, want) {
			return fmt.Sprintf("query %+v selects %v, want %v", q, got, want)
		}
	}
	for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
		got := make(map[jobs.Labels]jobs.Counts)
		for row, err := range tx.Tallies(by, jobs.Labels{}) {
			if err != nil {
				return err.Error()
			}
			got[row.Labels] = row.Counts
		}
		if want := m.counts(by); !maps.Equal(got, want) {
			return fmt.Sprintf("dimension %d counts %+v, want %+v", by, got, want)
		}
	}
	records := make(map[string]string)
	for r, err := range tx.Records("space", "", "") {
		if err != nil {
			return err.Error()
		}
		records[r.Key] = string(r.Value)
	}
	if !maps.Equal(records, m.records) {
		return fmt.Sprintf("the records are %q, want %q", records, m.records)
	}
	return ""
}

// TestModel does the same random things to both stores and to a model.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		file, err := bolt.Open(path, &bolt.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		mem := memory.New()
		defer func() {
			if err := errors.Join(file.Close(), mem.Close(), os.Remove(path)); err != nil {
				t.Fatal(err)
			}
		}()
		m := &model{jobs: make(map[jobs.ID]*jobs.Job), records: make(map[string]string)}
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			next := m.clone()
			var steps []step
			for range rapid.IntRange(1, 8).Draw(t, "steps") {
				steps = append(steps, next.draw(t))
			}
			var fail error
			if rapid.IntRange(0, 3).Draw(t, "rolled back") == 0 {
				fail = errors.New("roll back")
			} else {
				m = next
			}
			seen := transact(t, file, fail, steps)
			if other := transact(t, mem, fail, steps); seen != other {
				t.Fatalf("bolt saw\n%s\nmemory saw\n%s", seen, other)
			}
			if strings.Contains(seen, "query") || strings.Contains(seen, "want") {
				t.Fatal(seen)
			}
		}
		q := drawQuery(t, m.last)
		for _, s := range []checked{file, mem} {
			err := s.View(context.Background(), func(tx jobs.Tx) error {
				if d := m.differs(tx, q, jobs.Query{}); d != "" {
					return errors.New(d)
				}
				return nil
			})
			if err := errors.Join(err, s.Check(context.Background())); err != nil {
				t.Fatalf("%T: %v", s, err)
			}
		}
	})
}

type checked interface {
	jobs.Store
	Check(ctx context.Context) error
}

// transact does the steps in one transaction and returns what they saw.
func transact(t *rapid.T, s jobs.Store, fail error, steps []step) (seen string) {
	err := s.Update(context.Background(), func(tx jobs.Tx) error {
		var b strings.Builder
		for _, step := range steps {
			b.WriteString(step(tx) + "\n")
		}
		seen = b.String()
		return fail
	})
	if !errors.Is(err, fail) {
		t.Fatal(err)
	}
	return seen
}
