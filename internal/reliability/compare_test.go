//go:build linux

package reliability_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

// TestModel drives both stores and a model with the same random operations, stops, kills and starts
// their processes between them, while handlers are at work, and compares every answer. What a crash
// does in the midst of a commit is TestPowerCut's.
func TestModel(t *testing.T) {
	t.Parallel()
	dir := memoryDir(t)
	n := 0
	setRapid(t, "checks", fmt.Sprint(scale(25, 300, 2_000)))
	var total comparison
	rapid.Check(t, func(rt *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n, ".db"))
		var failed any // rapid stops a test by a panic, which must not get past the bubble
		synctest.Test(t, func(*testing.T) {
			defer func() { failed = recover() }()
			compare(rt, path, &total)
		})
		switch text := fmt.Sprintf("%T", failed); {
		case text == "rapid.stopTest":
			rt.Fatal(failed)
		case failed != nil:
			panic(failed)
		}
	})
	t.Logf("%d sequences, %d operations, %d crashes with %d jobs at work, %d jobs on trial", n, total.acts, total.crashes, total.orphans, total.trials)
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
func compare(t *rapid.T, path string, total *comparison) {
	c := &comparison{t: t, model: newModel(), subjects: []*implementation{
		{name: "memory", t: t, memory: memory.New(), runs: make(map[jobs.ID]int)},
		{name: "bolt", t: t, path: path, runs: make(map[jobs.ID]int)},
	}}
	for _, s := range c.subjects {
		s.start()
	}
	defer func() {
		for _, s := range c.subjects {
			s.end()
			s.bury()
		}
		total.acts += c.acts
		total.crashes += c.crashes
		total.orphans += c.orphans
		total.trials += c.trials
	}()
	t.Repeat(map[string]func(*rapid.T){
		"enqueue":      c.enqueue,
		"enqueue more": c.enqueue,
		"and more":     c.enqueue,
		"cancel":       c.cancel,
		"retry":        c.retry,
		"edit":         c.edit,
		"delete":       c.remove,
		"pause":        c.pause,
		"limit":        c.limit,
		"wait":         c.wait,
		"reopen":       c.reopen,
		"crash":        c.crash,
		"":             c.agree,
	})
}

type comparison struct {
	t        *rapid.T
	subjects []*implementation
	model    *model

	acts, crashes, orphans, trials int
}

// same has all subjects do something, and compares whether they fail with what the model says.
func (c *comparison) same(t *rapid.T, what string, want error, do func(r *jobs.Runner) error) {
	t.Helper()
	c.acts++
	for _, s := range c.subjects {
		if err := do(s.runner); !errors.Is(err, want) {
			t.Fatalf("%s: %s returned %v, want %v", s.name, what, err, want)
		}
		synctest.Wait()
	}
}

// draw draws a job that its queue takes.
func draw(t *rapid.T) *modelJob {
	j := &modelJob{
		queue:    rapid.SampledFrom([]string{"narrow", "narrow", "narrow", "default", "other", "rated"}).Draw(t, "queue"),
		group:    rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "group"),
		unique:   rapid.SampledFrom([]string{"", "", "", "x", "y"}).Draw(t, "unique"),
		priority: rapid.SampledFrom([]int{0, 0, 0, -2, 2}).Draw(t, "priority"),
		limit:    rapid.SampledFrom([]int{2, 7}).Draw(t, "attempts"),
		state:    jobs.Queued,
	}
	last := "[sefk]"
	if j.queue == "narrow" {
		last = "[wwhhs]"
	}
	j.plan = rapid.StringMatching(`[ez]{0,2}`+last).Draw(t, "plan")
	return j
}

func (c *comparison) enqueue(t *rapid.T) {
	j := draw(t)
	req := jobs.Request{Task: "task", Queue: j.queue, Group: j.group, Priority: j.priority, Unique: jobs.Unique{Key: j.unique}, MaxAttempts: j.limit, Meta: map[string]string{"plan": j.plan}}
	if d := rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute, 3 * time.Hour}).Draw(t, "due"); d > 0 {
		j.state, j.at, req.RunAt = jobs.Scheduled, c.model.now+d, time.Now().Add(d)
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
		if j.state == jobs.Queued {
			c.model.enqueue(j)
		}
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
		if j.state == jobs.Running {
			j.crashes = 0
		}
		j.state, j.at = jobs.Cancelled, 0
	}
	c.same(t, "Cancel", want, func(r *jobs.Runner) error {
		_, err := r.Cancel(context.Background(), id, "enough")
		return err
	})
	c.model.settle(0)
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
			j.attempt, j.crashes = 0, 0
		}
		c.model.enqueue(j)
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
		if strings.ContainsAny(j.plan, "wh") {
			queue = j.queue
		}
		overdue := j.state != jobs.Queued && j.at <= c.model.now // while a job is on trial
		moves := j.state == jobs.Queued && queue != j.queue || overdue
		j.title, j.queue = title, queue
		if moves {
			c.model.enqueue(j)
		}
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
	name := rapid.SampledFrom([]string{"default", "other", "narrow", "rated"}).Draw(t, "queue")
	q := c.model.queues[name]
	q.paused = !q.paused
	c.same(t, "Pause", nil, func(r *jobs.Runner) error {
		if q.paused {
			return r.Pause(context.Background(), name)
		}
		return r.Resume(context.Background(), name)
	})
	c.model.settle(0)
}

// limit changes how many jobs of the narrow queue run at once.
func (c *comparison) limit(t *rapid.T) {
	q := c.model.queues["narrow"]
	q.workers, q.groupLimit = rapid.IntRange(1, 4).Draw(t, "workers"), rapid.IntRange(0, 2).Draw(t, "group limit")
	c.same(t, "SetQueue", nil, func(r *jobs.Runner) error {
		return r.SetQueue(context.Background(), jobs.Queue{Name: "narrow", Workers: q.workers, GroupLimit: q.groupLimit, Paused: q.paused})
	})
	c.model.settle(0)
}

// wait lets time pass: a little less or more than what jobs wait for.
func (c *comparison) wait(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{time.Second, 61 * time.Second, 59 * time.Minute, 4 * time.Hour}).Draw(t, "time")
	pass(d)
	c.model.settle(d)
}

func pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

// reopen stops all processes and starts new ones.
func (c *comparison) reopen(*rapid.T) {
	c.acts++
	for _, s := range c.subjects {
		s.end()
		s.start()
	}
	c.model.stop()
	c.model.start()
	c.model.settle(0)
}

// crash kills all processes and starts new ones, after a while; now and then several times in a row.
func (c *comparison) crash(t *rapid.T) {
	if len(c.model.running()) == 0 && rapid.IntRange(0, 3).Draw(t, "although nothing runs") > 0 {
		return
	}
	c.acts++
	down := rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Minute}).Draw(t, "down")
	for range rapid.SampledFrom([]int{1, 1, 1, 1, 5}).Draw(t, "times") {
		c.crashes++
		c.orphans += len(c.model.running())
		for _, s := range c.subjects {
			s.kill()
		}
		pass(down)
		c.model.now += down
		for _, s := range c.subjects {
			s.start()
		}
		c.model.crash()
		c.model.start()
		c.trials += len(c.model.trials)
		c.model.settle(0)
		c.agree(t)
	}
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
			if diff := j.differs(job); diff != "" {
				t.Fatalf("%s: %v of queue %q, plan %s: %s", s.name, job, job.Queue, j.plan, diff)
			}
		}
		for _, state := range jobs.States() {
			if n, err := s.runner.Count(ctx, jobs.Query{States: []jobs.State{state}}); err != nil || n != counts[state] {
				t.Fatalf("%s: %d jobs are %s, %v; want %d", s.name, n, state, err, counts[state])
			}
		}
	}
}

// differs tells how a job differs from that of the model.
func (j *modelJob) differs(job *jobs.Job) string {
	var all []string
	different := func(what string, got, want any) {
		if got != want {
			all = append(all, fmt.Sprintf("%s is %v, want %v", what, got, want))
		}
	}
	different("state", job.State, j.state)
	different("attempt", job.Attempt, j.attempt)
	different("crashes", job.Crashes, j.crashes)
	different("number of errors", len(job.Errors), min(j.errors, 32))
	different("queue", job.Queue, j.queue)
	different("title", job.Title, j.title)
	if j.state == jobs.Queued {
		different("place in line", job.Stamp, j.stamp)
	}
	return strings.Join(all, ", ")
}
