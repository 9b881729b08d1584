//go:build linux

package reliability_test

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

// A model is what package jobs should do, in simple words: a list of jobs, the settings of queues, the
// handlers' answers, and what a crash does. It knows nothing of commits, indexes and wake-ups.
type model struct {
	now    time.Duration // since the beginning
	jobs   []*modelJob
	queues map[string]*modelQueue

	// Fair lines. A line is a queue and a priority.
	clock map[string]uint64 // just after the greatest stamp of the line that was claimed
	turn  map[string]uint64 // line and group → the latest stamp

	// Jobs that were there at too many crashes run one by one before all others, at the next start.
	marked map[jobs.ID]bool
	trials []*modelJob // of this start
	trial  *modelJob   // runs
	active bool        // the trials are over
}

type modelQueue struct {
	paused              bool
	workers, groupLimit int
	every               time.Duration // between two starts; 0 is no limit
	startAt             time.Duration // of the next one
}

// A modelJob is a job of the model. What its handler does at each attempt is written in plan.
type modelJob struct {
	id       jobs.ID
	plan     string // one letter for each attempt: s, e, f, z, k, w or h
	queue    string
	group    string
	unique   string
	title    string
	state    jobs.State
	attempt  int
	runs     int           // how often the handler was called
	at       time.Duration // when it is due, or its handler returns; 0 if it does not
	stamp    uint64
	priority int
	limit    int // of attempts
	crashes  int
	errors   int
	gone     bool
}

const modelRate = 0.0211361

var modelQueues = []jobs.Queue{
	{Name: "default", Workers: 1000},
	{Name: "other", Workers: 1000, GroupLimit: 1000},
	{Name: "narrow", Workers: 3, GroupLimit: 2}, // the only one with handlers that do not return at once
	{Name: "rated", Workers: 1000, Rate: modelRate, Burst: 1},
}

func newModel() *model {
	m := &model{
		queues: make(map[string]*modelQueue), clock: make(map[string]uint64), turn: make(map[string]uint64),
		marked: make(map[jobs.ID]bool), active: true,
	}
	for _, q := range modelQueues {
		m.queues[q.Name] = &modelQueue{workers: q.Workers, groupLimit: q.GroupLimit}
		if q.Rate > 0 {
			m.queues[q.Name].every = time.Duration(float64(time.Second) / q.Rate)
		}
	}
	return m
}

// after returns how long a job waits or works. The times of two jobs are never the same, so that what
// happens at one time has an order.
func after(d time.Duration, id jobs.ID) time.Duration { return d + time.Duration(id)*1_000_003 }

// settle lets everything happen that happens by itself, while d passes.
func (m *model) settle(d time.Duration) {
	end := m.now + d
	for {
		m.react()
		next := end + 1
		for _, j := range m.jobs {
			if !j.gone && j.at > m.now && (j.state == jobs.Running || m.active && !j.state.Final() && j.state != jobs.Queued) {
				next = min(next, j.at)
			}
		}
		for _, q := range m.queues {
			if m.active && q.startAt > m.now {
				next = min(next, q.startAt)
			}
		}
		if next > end {
			m.now = end
			return
		}
		m.now = next
		for _, j := range m.jobs {
			if !j.gone && j.state == jobs.Running && j.at == m.now {
				j.state, j.at, j.crashes = jobs.Succeeded, 0, 0
			}
		}
	}
}

// react does what is to be done now.
func (m *model) react() {
	if !m.active && !m.try() {
		return
	}
	var due []*modelJob
	for _, j := range m.jobs {
		if !j.gone && (j.state == jobs.Scheduled || j.state == jobs.Retrying) && j.at <= m.now {
			due = append(due, j)
		}
	}
	slices.SortStableFunc(due, func(a, b *modelJob) int { return cmp.Compare(a.at, b.at) })
	for _, j := range due {
		m.enqueue(j)
	}
	for claimed := true; claimed; {
		claimed = false
		for name, q := range m.queues {
			for _, j := range m.claim(name, q) {
				claimed = true
				m.run(j)
			}
		}
	}
}

// enqueue gives a job its place in line: the groups take turns.
func (m *model) enqueue(j *modelJob) {
	j.state, j.at = jobs.Queued, 0
	j.stamp = m.clock[j.line()]
	if last, ok := m.turn[j.line()+j.group]; ok {
		j.stamp = max(j.stamp, last+1)
	}
	m.turn[j.line()+j.group] = j.stamp
}

func (j *modelJob) line() string { return fmt.Sprint(j.queue, " ", j.priority, " ") }

// claim returns the jobs of a queue that start now.
func (m *model) claim(name string, q *modelQueue) (claimed []*modelJob) {
	n, suspect, groups := q.workers, false, make(map[string]int)
	var line []*modelJob
	for _, j := range m.jobs {
		switch {
		case j.gone:
		case j.state == jobs.Running:
			suspect = suspect || j.crashes >= 2
			if j.queue == name {
				n--
				groups[j.group]++
			}
		case j.state == jobs.Queued && j.queue == name:
			line = append(line, j)
		}
	}
	if q.every > 0 && n > 0 {
		n = 1
		if q.startAt > m.now {
			n = 0
		}
	}
	if q.paused {
		return nil
	}
	slices.SortStableFunc(line, func(a, b *modelJob) int {
		return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.stamp, b.stamp), cmp.Compare(a.id, b.id))
	})
	for _, j := range line {
		switch {
		case len(claimed) >= n:
		case j.crashes >= 2 && suspect:
		case q.groupLimit > 0 && j.group != "" && groups[j.group] >= q.groupLimit:
		default:
			claimed = append(claimed, j)
			groups[j.group]++
			suspect = suspect || j.crashes >= 2
			m.clock[j.line()] = max(m.clock[j.line()], j.stamp+1)
		}
	}
	if len(claimed) > 0 {
		q.startAt = m.now + q.every
	}
	return claimed
}

// run has the handler of a job called once.
func (m *model) run(j *modelJob) {
	j.attempt++
	j.runs++
	step := j.plan[min(j.runs, len(j.plan))-1]
	if step != 'w' && step != 'h' {
		j.crashes = 0
	}
	switch step {
	case 's':
		j.state = jobs.Succeeded
	case 'k':
		j.state = jobs.Skipped
	case 'f':
		j.state = jobs.Failed
		j.errors++
	case 'e':
		j.state, j.at = jobs.Retrying, m.now+after(time.Minute, j.id)
		j.errors++
		if j.attempt >= j.limit {
			j.state, j.at = jobs.Failed, 0
		}
	case 'z':
		j.state, j.at = jobs.Scheduled, m.now+after(time.Hour, j.id)
		j.attempt--
	case 'w':
		j.state = jobs.Running
	case 'h':
		j.state, j.at = jobs.Running, m.now+after(holdFor, j.id)
	}
}

// try runs the jobs on trial, and reports whether all others may run.
func (m *model) try() bool {
	for m.trial == nil || m.trial.gone || m.trial.state != jobs.Running {
		m.trial = nil
		if len(m.trials) == 0 {
			m.active = true
			return true
		}
		j := m.trials[0]
		m.trials = m.trials[1:]
		switch {
		case j.gone || j.state != jobs.Queued || j.crashes < 4:
			delete(m.marked, j.id)
		case !m.queues[j.queue].paused:
			delete(m.marked, j.id)
			m.trial = j
			m.run(j)
		}
	}
	return false
}

// stop is an orderly end. What ran is queued again, and that attempt does not count.
func (m *model) stop() {
	for _, j := range m.running() {
		j.state, j.at = jobs.Queued, 0
		j.attempt--
	}
}

// crash is the end of a process. What ran is queued again, and that attempt counts; a job that alone
// can have been to blame fails when it was its last one.
func (m *model) crash() {
	running := m.running()
	fresh := 0
	for _, j := range running {
		if j.crashes < 2 {
			fresh++
		}
	}
	for _, j := range running {
		blamed := len(running) == 1 || j.crashes >= 2 && fresh == 0
		j.crashes++
		j.errors++
		j.at = 0
		if blamed && j.attempt >= j.limit {
			j.state = jobs.Failed
			continue
		}
		j.state = jobs.Queued
		if j.crashes >= 4 {
			m.marked[j.id] = true
		}
	}
}

// start is the start of a process.
func (m *model) start() {
	m.active, m.trial, m.trials = false, nil, nil
	for _, j := range m.jobs {
		if m.marked[j.id] {
			m.trials = append(m.trials, j)
		}
	}
	for _, q := range m.queues {
		q.startAt = 0
	}
}

func (m *model) running() (all []*modelJob) {
	for _, j := range m.jobs {
		if !j.gone && j.state == jobs.Running {
			all = append(all, j)
		}
	}
	return all
}

func (m *model) find(id jobs.ID) *modelJob {
	for _, j := range m.jobs {
		if j.id == id && !j.gone {
			return j
		}
	}
	return nil
}

// holder returns the job that stands for a unique key.
func (m *model) holder(key string) *modelJob {
	for _, j := range m.jobs {
		if key != "" && j.unique == key && !j.gone && !j.state.Final() {
			return j
		}
	}
	return nil
}
