package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// table says what may follow a state; "" is a job that does not exist yet.
var table = map[jobs.State][]jobs.State{
	"":             {jobs.Waiting, jobs.Scheduled, jobs.Queued},
	jobs.Waiting:   {jobs.Queued, jobs.Scheduled, jobs.Succeeded, jobs.Failed, jobs.Skipped, jobs.Cancelled},
	jobs.Scheduled: {jobs.Queued, jobs.Cancelled},
	// Scheduled and Queued by Edit, Failed if the job cannot be run at all.
	jobs.Queued:    {jobs.Queued, jobs.Scheduled, jobs.Running, jobs.Failed, jobs.Cancelled},
	jobs.Running:   {jobs.Succeeded, jobs.Failed, jobs.Retrying, jobs.Scheduled, jobs.Queued, jobs.Waiting, jobs.Cancelled, jobs.Skipped},
	jobs.Retrying:  {jobs.Queued, jobs.Cancelled},
	jobs.Succeeded: {jobs.Queued, jobs.Waiting},
	jobs.Failed:    {jobs.Queued, jobs.Waiting},
	jobs.Cancelled: {jobs.Queued, jobs.Waiting},
	jobs.Skipped:   {jobs.Queued, jobs.Waiting},
	"odd":          nil,
}

func TestState_CanBecome(t *testing.T) {
	for from, all := range table {
		allowed := make(map[jobs.State]bool)
		for _, to := range all {
			allowed[to] = true
		}
		for to := range table {
			if got := from.CanBecome(to); got != allowed[to] {
				t.Errorf("%q can become %q: %t", from, to, got)
			}
		}
		known := from != "" && from != "odd"
		final := known && slices.Equal(all, []jobs.State{jobs.Queued, jobs.Waiting})
		if from.Valid() != known || from.Final() != final {
			t.Errorf("%q is valid: %t, final: %t", from, from.Valid(), from.Final())
		}
	}
	if n := len(jobs.States()); n != len(table)-2 {
		t.Errorf("there are %d states", n)
	}
}

// A checked store fails the test when a commit takes a job from one state to another that the
// table does not allow. Steps of one transaction are seen as one, so queued and running may be in
// between.
func checkTransitions(t *rapid.T, store jobs.Notifier) {
	reach := func(from, to jobs.State) bool {
		if from == to || to == "" || from.CanBecome(to) {
			return true
		}
		for _, via := range []jobs.State{jobs.Queued, jobs.Running} {
			if from.CanBecome(via) && via.CanBecome(to) {
				return true
			}
		}
		return false
	}
	store.Notify(func(changes []jobs.Change) {
		for _, c := range changes {
			if !reach(c.From, c.State) && (c.From != "" || c.State != jobs.Running) {
				t.Errorf("job %d went from %q to %q", c.ID, c.From, c.State)
			}
		}
	})
}

// chaosRegistry has a task that ends in any way.
func chaosRegistry() *jobs.Registry {
	return registry("task", func(ctx context.Context) error {
		jobs.Count(ctx, "n", 1)
		select {
		case <-time.After(rand.N(10 * time.Second)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		switch rand.N(8) {
		case 0:
			return errBroken
		case 1:
			return jobs.Fail(errBroken)
		case 2:
			return jobs.Snooze(rand.N(time.Hour), "later")
		case 3:
			return jobs.Skip("no")
		case 4:
			panic("chaos")
		case 5:
			return errors.Join(jobs.Checkpoint(ctx, 1), jobs.RetryIn(rand.N(time.Hour), errBroken))
		}
		return nil
	})
}

func TestRunner_Random(t *testing.T) {
	anyLife(t, "operations in any order keep the states and the counts right", randomLife)
}

func randomLife(t *testing.T, rt *rapid.T, store jobs.Store) {
	t.Helper()
	checkTransitions(rt, store.(jobs.Notifier))
	reg := chaosRegistry()
	r := newRunner(t, store, reg, &jobs.Options{Grace: -1, Workers: 3, KeepEvents: day})
	stop := start(t, r)
	ctx := t.Context()
	id := rapid.Custom(func(t *rapid.T) jobs.ID { return jobs.ID(rapid.IntRange(1, 12).Draw(t, "id")) })
	fine := func(err error) {
		if err != nil && !errors.Is(err, jobs.ErrState) && !errors.Is(err, jobs.ErrNotFound) {
			rt.Errorf("unexpected error: %v", err)
		}
	}
	queues := rapid.SampledFrom([]string{"default", "other"})
	groups := rapid.SampledFrom([]string{"", "a", "b"})
	steps := map[string]func(*rapid.T){
		"enqueue": func(rt *rapid.T) {
			req := jobs.Request{Task: "task", Queue: queues.Draw(rt, "queue"), Group: groups.Draw(rt, "group"), MaxAttempts: rapid.IntRange(1, 3).Draw(rt, "max")}
			if rapid.Bool().Draw(rt, "later") {
				req.RunAt = time.Now().Add(time.Hour)
			}
			if rapid.Bool().Draw(rt, "unique") {
				req.Unique.Key = "k"
			}
			_, err := r.Enqueue(ctx, req)
			fine(err)
		},
		"cancel": func(rt *rapid.T) { _, err := r.Cancel(ctx, id.Draw(rt, "id"), "no"); fine(err) },
		"retry":  func(rt *rapid.T) { _, err := r.Retry(ctx, id.Draw(rt, "id")); fine(err) },
		"delete": func(rt *rapid.T) { fine(r.Delete(ctx, id.Draw(rt, "id"))) },
		"edit": func(rt *rapid.T) {
			_, err := r.Edit(ctx, id.Draw(rt, "id"), func(req *jobs.Request) error {
				req.Queue, req.Priority = queues.Draw(rt, "queue"), rapid.IntRange(-1, 1).Draw(rt, "priority")
				if rapid.Bool().Draw(rt, "later") {
					req.RunAt = time.Now().Add(time.Hour)
				}
				return nil
			})
			fine(err)
		},
		"queue": func(rt *rapid.T) {
			fine(r.SetQueue(ctx, jobs.Queue{
				Name: queues.Draw(rt, "queue"), Workers: rapid.IntRange(0, 4).Draw(rt, "workers"),
				GroupLimit: rapid.IntRange(0, 2).Draw(rt, "limit"), Paused: rapid.Bool().Draw(rt, "paused"),
			}))
		},
		"restart": func(*rapid.T) {
			if err := stop(); err != nil {
				rt.Error(err)
			}
			stop = start(t, r)
		},
		"wait": func(rt *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(0, 100).Draw(rt, "minutes")) * time.Minute)
		},
		"": func(rt *rapid.T) { checkCounts(t, rt, r) },
	}
	rt.Repeat(steps)
	for _, queue := range []string{"default", "other"} {
		fine(r.SetQueue(ctx, jobs.Queue{Name: queue}))
	}
	time.Sleep(100 * day)
	for _, s := range jobs.States() {
		if n := count(t, r, jobs.Query{States: []jobs.State{s}}); n > 0 && !s.Final() {
			rt.Errorf("in the end %d jobs are %s", n, s)
		}
	}
	checkCounts(t, rt, r)
	if err := stop(); err != nil {
		rt.Error(err)
	}
	switch s := store.(type) {
	case *memory.Store:
		fine(s.Check(ctx))
	case *bolt.Store:
		fine(s.Check(ctx))
	}
}

// checkCounts compares Stats and Count with List. The job does not move meanwhile: time stands
// still while this goroutine works, but what is ready goes on, so that comes to rest first.
func checkCounts(t *testing.T, rt *rapid.T, r *jobs.Runner) {
	t.Helper()
	synctest.Wait()
	page, err := r.List(t.Context(), jobs.Query{Limit: 1000}, "")
	if err != nil {
		rt.Fatal(err)
	}
	want := make(map[string]int64)
	for _, job := range page.Jobs {
		want[fmt.Sprint(job.State)]++
		want[fmt.Sprint(job.State, " in ", job.Queue, " of ", job.Group)]++
	}
	total, err := r.Stats(t.Context(), jobs.ByTotal, jobs.Labels{})
	if err != nil {
		rt.Fatal(err)
	}
	labels, err := r.Stats(t.Context(), jobs.ByLabels, jobs.Labels{})
	if err != nil {
		rt.Fatal(err)
	}
	got := make(map[string]int64)
	for _, s := range jobs.States() {
		for _, row := range total {
			got[fmt.Sprint(s)] += row.Of(s)
		}
		for _, row := range labels {
			got[fmt.Sprint(s, " in ", row.Queue, " of ", row.Group)] += row.Of(s)
		}
		if n := count(t, r, jobs.Query{States: []jobs.State{s}}); n != want[fmt.Sprint(s)] {
			rt.Errorf("Count says %d are %s, List %d", n, s, want[fmt.Sprint(s)])
		}
	}
	for key, n := range got {
		if n != want[key] {
			rt.Errorf("Stats says %d are %s, List %d", n, key, want[key])
		}
		delete(want, key)
	}
	if len(want) > 0 {
		rt.Errorf("Stats does not know of %v", want)
	}
}

func TestRunner_Concurrent(t *testing.T) {
	onBothNamed(t, "many goroutines do everything at once, and all jobs end", func(e env) {
		t, store := e.t, e.store
		reg := chaosRegistry()
		opts := &jobs.Options{Grace: -1, Workers: 20, Queues: []jobs.Queue{{Name: "default", GroupLimit: 5}}}
		runners := []*jobs.Runner{run(t, store, reg, opts), run(t, store, reg, opts)}
		var wg sync.WaitGroup
		fine := func(err error) {
			if err != nil && !errors.Is(err, jobs.ErrState) && !errors.Is(err, jobs.ErrNotFound) {
				t.Error(err)
			}
		}
		for i := range 8 {
			r := runners[i%2]
			wg.Go(func() {
				for range 20 {
					all, err := r.Enqueue(t.Context(), jobs.Request{Task: "task", Group: fmt.Sprint(i % 3), MaxAttempts: 2})
					fine(err)
					id := all[0].ID
					wg.Go(func() {
						for _, err := range r.Watch(t.Context(), id) {
							fine(err)
						}
					})
					time.Sleep(rand.N(time.Minute))
					other := jobs.ID(rand.N(uint64(id)) + 1)
					switch rand.N(4) {
					case 0:
						_, err = r.Cancel(t.Context(), other, "no")
					case 1:
						_, err = r.Retry(t.Context(), other)
					case 2:
						err = r.Delete(t.Context(), other)
					case 3:
						_, err = r.CancelAll(t.Context(), jobs.Query{Group: fmt.Sprint(i % 3), Limit: 2}, "no")
					}
					fine(err)
				}
			})
		}
		wg.Wait()
		time.Sleep(2 * day)
		for _, s := range jobs.States() {
			if n := count(t, runners[0], jobs.Query{States: []jobs.State{s}}); n > 0 && !s.Final() {
				t.Errorf("in the end %d jobs are %s", n, s)
			}
		}
	})
}
