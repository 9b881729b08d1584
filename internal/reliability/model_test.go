//go:build linux

package reliability_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

// A model is what package jobs should do, in the simplest words: a list of jobs, a set of paused
// queues, and the handlers' answers. It knows nothing of commits, indexes, lines and clocks.
type model struct {
	jobs   []*modelJob
	paused map[string]bool
}

// A modelJob is a job of the model. What its handler does at each attempt is written in plan.
type modelJob struct {
	id       jobs.ID
	plan     string // one letter for each attempt: s, e, f, z, k or w
	queue    string
	group    string
	unique   string
	title    string
	state    jobs.State
	attempt  int
	runs     int // how often the handler was called since Retry
	dueIn    time.Duration
	max      int
	gone     bool
	priority int
}

const modelAttempts = 3

// settle lets everything happen that happens by itself, while d passes.
func (m *model) settle(d time.Duration) {
	for _, j := range m.jobs {
		left := d
		for !j.gone && !j.state.Final() && j.state != jobs.Running {
			if j.state != jobs.Queued {
				if j.dueIn > left {
					j.dueIn -= left
					break
				}
				left -= j.dueIn
				j.state, j.dueIn = jobs.Queued, 0
			}
			if m.paused[j.queue] {
				break
			}
			m.run(j)
		}
	}
}

// run has the handler of a job called once.
func (m *model) run(j *modelJob) {
	j.attempt++
	j.runs++
	switch step := j.plan[min(j.runs, len(j.plan))-1]; step {
	case 's':
		j.state = jobs.Succeeded
	case 'k':
		j.state = jobs.Skipped
	case 'f':
		j.state = jobs.Failed
	case 'e':
		j.state, j.dueIn = jobs.Retrying, time.Minute
		if j.attempt >= j.max {
			j.state = jobs.Failed
		}
	case 'z':
		j.state, j.dueIn = jobs.Scheduled, time.Hour
		j.attempt--
	case 'w':
		j.state = jobs.Running
	}
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

// An implementation is compared with the model.
type implementation struct {
	name   string
	open   func() jobs.Store
	lasts  bool // what is stored outlives a crash
	store  jobs.Store
	runner *jobs.Runner
	stop   func() error
}

// planned is what the handler of the model's task does.
func planned(ctx context.Context, job *jobs.Job, runs map[jobs.ID]int) error {
	runs[job.ID]++
	plan := job.Meta["plan"]
	switch plan[min(runs[job.ID], len(plan))-1] {
	case 'k':
		return jobs.Skip("nothing to do")
	case 'f':
		return jobs.Fail(errors.New("no"))
	case 'e':
		return jobs.RetryIn(time.Minute, errors.New("not now"))
	case 'z':
		return jobs.Snooze(time.Hour, "later")
	case 'w':
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (s *implementation) start(t *rapid.T, runs func(ctx context.Context, job *jobs.Job) error) {
	s.store = s.open()
	var reg jobs.Registry
	reg.Handle(jobs.Task{Name: "task", MaxAttempts: modelAttempts}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		return nil, runs(ctx, jobs.Current(ctx))
	})
	var err error
	s.runner, err = jobs.NewRunner(s.store, &reg, &jobs.Options{
		Workers: 1000, Logger: slog.New(slog.DiscardHandler), Grace: -1, KeepEvents: 1000 * time.Hour,
		Queues: []jobs.Queue{{Name: "limited", Workers: 1000, GroupLimit: 1000}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.runner.Run(ctx) }()
	s.stop = func() error {
		cancel()
		return <-done
	}
}

// TestModel drives both stores and a model with the same random operations and compares every
// answer. Stops and starts between them are those of an orderly shutdown and of memory's only
// store; crashes are TestPowerCut's and TestKill's.
func TestModel(t *testing.T) {
	t.Parallel()
	dir := memoryDir(t)
	n := 0
	setRapid(t, "checks", fmt.Sprint(scale(25, 400, 4_000)))
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n, ".db"))
		var failed any // rapid stops a test by a panic, which must not get past the bubble
		synctest.Test(t, func(*testing.T) {
			defer func() { failed = recover() }()
			compare(rt, path)
		})
		switch text := fmt.Sprintf("%T", failed); {
		case text == "rapid.stopTest":
			rt.Fatal(failed)
		case failed != nil:
			panic(failed)
		}
	})
}

// setRapid sets a flag of rapid, unless it was given.
func setRapid(t *testing.T, name, value string) {
	t.Helper()
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "rapid."+name {
			value = f.Value.String()
		}
	})
	if err := flag.Set("rapid."+name, value); err != nil {
		t.Fatal(err)
	}
}

// compare is one sequence of operations.
func compare(t *rapid.T, path string) {
	inMemory := memory.New()
	subjects := []*implementation{
		{name: "memory", open: func() jobs.Store { return inMemory }},
		{name: "bolt", lasts: true, open: func() jobs.Store {
			s, err := bolt.Open(path, &bolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}},
	}
	c := &comparison{t: t, subjects: subjects, model: model{paused: make(map[string]bool)}}
	for _, s := range subjects {
		runs := make(map[jobs.ID]int)
		c.runs = append(c.runs, runs)
		c.start(s, runs)
	}
	defer func() {
		for _, s := range subjects {
			if err := errors.Join(s.stop(), s.store.Close()); err != nil {
				t.Errorf("%s: %v", s.name, err)
			}
		}
	}()
	t.Repeat(map[string]func(*rapid.T){
		"enqueue": c.enqueue,
		"cancel":  c.cancel,
		"retry":   c.retry,
		"edit":    c.edit,
		"delete":  c.remove,
		"pause":   c.pause,
		"wait":    c.wait,
		"reopen":  c.reopen,
		"":        c.agree,
	})
}

type comparison struct {
	t        *rapid.T
	subjects []*implementation
	runs     []map[jobs.ID]int
	model    model
}

func (c *comparison) start(s *implementation, runs map[jobs.ID]int) {
	lock := make(chan struct{}, 1)
	s.start(c.t, func(ctx context.Context, job *jobs.Job) error {
		lock <- struct{}{}
		mine := maps.Clone(runs)
		runs[job.ID]++
		<-lock
		return planned(ctx, job, mine)
	})
	synctest.Wait()
}

// same has all subjects do something, and compares whether they fail with what the model says.
func (c *comparison) same(t *rapid.T, what string, want error, do func(r *jobs.Runner) error) {
	t.Helper()
	for _, s := range c.subjects {
		if err := do(s.runner); !errors.Is(err, want) {
			t.Fatalf("%s: %s returned %v, want %v", s.name, what, err, want)
		}
		synctest.Wait()
	}
}

func (c *comparison) enqueue(t *rapid.T) {
	j := &modelJob{
		plan:     rapid.StringMatching(`[ez]{0,3}[sefkw]`).Draw(t, "plan"),
		queue:    rapid.SampledFrom([]string{"default", "other", "limited"}).Draw(t, "queue"),
		group:    rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "group"),
		unique:   rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "unique"),
		dueIn:    rapid.SampledFrom([]time.Duration{0, 0, time.Minute, 3 * time.Hour}).Draw(t, "due"),
		priority: rapid.IntRange(-2, 2).Draw(t, "priority"),
		max:      modelAttempts, state: jobs.Queued,
	}
	req := jobs.Request{Task: "task", Queue: j.queue, Group: j.group, Priority: j.priority, Unique: jobs.Unique{Key: j.unique}, Meta: map[string]string{"plan": j.plan}}
	if j.dueIn > 0 {
		j.state, req.RunAt = jobs.Scheduled, time.Now().Add(j.dueIn)
	}
	holder := c.model.holder(j.unique)
	var first jobs.ID
	c.same(t, "Enqueue", nil, func(r *jobs.Runner) error {
		all, err := r.Enqueue(context.Background(), req)
		if err != nil {
			return err
		}
		if all[0].Duplicate != (holder != nil) || holder != nil && all[0].ID != holder.id || first != 0 && all[0].ID != first {
			return fmt.Errorf("got %v, duplicate %t, want that of %+v, or %d", all[0], all[0].Duplicate, holder, first)
		}
		first = all[0].ID
		return nil
	})
	if holder == nil {
		j.id = first
		c.model.jobs = append(c.model.jobs, j)
	}
	c.model.settle(0)
}

// some draws a job, sometimes one that does not exist.
func (c *comparison) some(t *rapid.T) (jobs.ID, *modelJob) {
	id := jobs.ID(rapid.IntRange(1, len(c.model.jobs)+1).Draw(t, "job"))
	return id, c.model.find(id)
}

func (c *comparison) cancel(t *rapid.T) {
	id, j := c.some(t)
	var want error
	switch {
	case j == nil:
		want = jobs.ErrNotFound
	case j.state.Final():
		want = jobs.ErrState
	default:
		j.state = jobs.Cancelled
	}
	c.same(t, "Cancel", want, func(r *jobs.Runner) error {
		_, err := r.Cancel(context.Background(), id, "enough")
		return err
	})
}

func (c *comparison) retry(t *rapid.T) {
	id, j := c.some(t)
	var want error
	switch {
	case j == nil:
		want = jobs.ErrNotFound
	case j.state == jobs.Queued || j.state == jobs.Running,
		j.state.Final() && c.model.holder(j.unique) != nil:
		want = jobs.ErrState
	default:
		if j.state.Final() {
			j.attempt = 0
		}
		j.state, j.dueIn = jobs.Queued, 0
	}
	c.same(t, "Retry", want, func(r *jobs.Runner) error {
		_, err := r.Retry(context.Background(), id)
		return err
	})
	c.model.settle(0)
}

func (c *comparison) edit(t *rapid.T) {
	id, j := c.some(t)
	title, queue := rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "title"), rapid.SampledFrom([]string{"default", "other"}).Draw(t, "queue")
	var want error
	switch {
	case j == nil:
		want = jobs.ErrNotFound
	case j.state.Final() || j.state == jobs.Running:
		want = jobs.ErrState
	default:
		j.title, j.queue = title, queue
	}
	c.same(t, "Edit", want, func(r *jobs.Runner) error {
		_, err := r.Edit(context.Background(), id, func(req *jobs.Request) error {
			req.Title, req.Queue = title, queue
			return nil
		})
		return err
	})
	c.model.settle(0)
}

func (c *comparison) remove(t *rapid.T) {
	id, j := c.some(t)
	var want error
	switch {
	case j == nil:
		want = jobs.ErrNotFound
	case j.state == jobs.Running:
		want = jobs.ErrState
	default:
		j.gone = true
	}
	c.same(t, "Delete", want, func(r *jobs.Runner) error { return r.Delete(context.Background(), id) })
}

func (c *comparison) pause(t *rapid.T) {
	queue := rapid.SampledFrom([]string{"default", "other", "limited"}).Draw(t, "queue")
	paused := !c.model.paused[queue]
	c.model.paused[queue] = paused
	c.same(t, "Pause", nil, func(r *jobs.Runner) error {
		if paused {
			return r.Pause(context.Background(), queue)
		}
		return r.Resume(context.Background(), queue)
	})
	c.model.settle(0)
}

// wait lets time pass: a little less or more than what jobs wait for.
func (c *comparison) wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Second, 61 * time.Second, 59 * time.Minute, 4 * time.Hour}).Draw(t, "time")
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
	c.model.settle(d)
}

// reopen stops all runners and starts them again; bolt's store is closed and opened. Jobs that ran
// are interrupted, which does not count.
func (c *comparison) reopen(*rapid.T) {
	for i, s := range c.subjects {
		err := s.stop()
		if s.lasts {
			err = errors.Join(err, s.store.Close())
		}
		if err != nil {
			c.t.Fatalf("%s: stopping: %v", s.name, err)
		}
		c.start(s, c.runs[i])
	}
	for _, j := range c.model.jobs {
		if j.state == jobs.Running && !j.gone {
			j.state = jobs.Queued
			j.attempt--
		}
	}
	c.model.settle(0)
}

// agree compares everything that can be asked for.
func (c *comparison) agree(t *rapid.T) {
	ctx := context.Background()
	synctest.Wait()
	for _, s := range c.subjects {
		if err := jobstest.Check(ctx, s.store); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		counts := make(map[jobs.State]int64)
		for _, j := range c.model.jobs {
			job, err := s.runner.Get(ctx, j.id)
			if j.gone {
				if !errors.Is(err, jobs.ErrNotFound) {
					t.Fatalf("%s: deleted job %d: %v, %v", s.name, j.id, job, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
			counts[j.state]++
			if job.State != j.state || job.Attempt != j.attempt || job.Queue != j.queue || job.Title != j.title {
				t.Fatalf("%s: %v attempt %d, queue %q, title %q; want %s, attempt %d, queue %q, title %q, plan %s", s.name, job,
					job.Attempt, job.Queue, job.Title, j.state, j.attempt, j.queue, j.title, j.plan)
			}
		}
		for _, state := range jobs.States() {
			if n, err := s.runner.Count(ctx, jobs.Query{States: []jobs.State{state}}); err != nil || n != counts[state] {
				t.Fatalf("%s: %d jobs are %s, %v; want %d", s.name, n, state, err, counts[state])
			}
		}
		c.lines(t, s)
	}
}

// lines checks that the jobs of a paused queue stand in the order of their priority.
func (c *comparison) lines(t *rapid.T, s *implementation) {
	for queue := range c.model.paused {
		page, err := s.runner.List(context.Background(), jobs.Query{Order: jobs.InLine, Line: queue}, "")
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		if !slices.IsSortedFunc(page.Jobs, func(a, b *jobs.Job) int { return cmp.Compare(b.Priority, a.Priority) }) {
			t.Fatalf("%s: line %s is not in the order of priority", s.name, queue)
		}
	}
}
