package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// standing makes a job in a state; all but running ones stay there.
func standing(t *testing.T, r *jobs.Runner, state jobs.State) *jobs.Job {
	t.Helper()
	req := jobs.Request{Task: string(state)}
	switch state {
	case jobs.Scheduled:
		req.RunAt = time.Now().Add(day)
	case jobs.Queued, jobs.Cancelled:
		req.Queue = "paused"
	default:
	}
	job := enqueue(t, r, req)
	if state == jobs.Cancelled {
		if _, err := r.Cancel(t.Context(), job.ID, ""); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
	job = get(t, r, job.ID)
	wantState(t, job, state)
	return job
}

// standingStates are all states but waiting, into which nothing can bring a job yet.
var standingStates = []jobs.State{
	jobs.Scheduled, jobs.Queued, jobs.Running, jobs.Retrying, jobs.Succeeded, jobs.Failed, jobs.Cancelled, jobs.Skipped,
}

// standingRunner runs tasks that bring their jobs into the state of their name.
func standingRunner(t *testing.T, store jobs.Store, cleanup func(context.Context, *jobs.Job) error) *jobs.Runner {
	t.Helper()
	var reg jobs.Registry
	for _, s := range standingStates {
		handle(&reg, jobs.Task{Name: string(s), Cleanup: cleanup}, func(ctx context.Context) error {
			switch s {
			case jobs.Running:
				<-ctx.Done()
				return context.Cause(ctx)
			case jobs.Retrying:
				return jobs.RetryIn(day, errBroken)
			case jobs.Failed:
				return jobs.Fail(errBroken)
			case jobs.Skipped:
				return jobs.Skip("no")
			default:
				return nil
			}
		})
	}
	return run(t, store, &reg, &jobs.Options{Grace: -1, Queues: []jobs.Queue{{Name: "paused", Paused: true}}})
}

func TestRunner_Cancel(t *testing.T) {
	for _, state := range standingStates {
		t.Run("a job that is "+string(state), func(t *testing.T) {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				r := standingRunner(t, store, nil)
				job := standing(t, r, state)
				_, err := r.Cancel(jobs.WithActor(t.Context(), "user:ada"), job.ID, "")
				if state.Final() {
					wantError(t, err, jobs.ErrState)
					wantState(t, get(t, r, job.ID), state)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				job = end(t, r, job.ID)
				wantState(t, job, jobs.Cancelled)
				if job.Message != "by user:ada" || job.Cancelling || job.FinishedAt.IsZero() {
					t.Errorf("got %+v", job)
				}
				time.Sleep(2 * day)
				wantState(t, get(t, r, job.ID), jobs.Cancelled)
			})
		})
	}

	t.Run("a missing job is not found", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			_, err := r.Cancel(t.Context(), 7, "")
			wantError(t, err, jobs.ErrNotFound)
		})
	})
}

func TestRunner_Cancel_Running(t *testing.T) {
	for _, c := range []struct {
		returns error
		want    jobs.State
	}{
		{nil, jobs.Succeeded},
		{errBroken, jobs.Cancelled},
		{jobs.Fail(errBroken), jobs.Cancelled},
		{jobs.RetryIn(0, errBroken), jobs.Cancelled},
		{jobs.Snooze(0, "later"), jobs.Cancelled},
		{jobs.Skip("no"), jobs.Skipped},
		{jobs.Partial(errBroken), jobs.Succeeded},
	} {
		t.Run(fmt.Sprintf("a handler that returns %v ends as %s", c.returns, c.want), func(t *testing.T) {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				var cause error
				r := run(t, store, registry("task", func(ctx context.Context) error {
					<-ctx.Done()
					cause = context.Cause(ctx)
					time.Sleep(time.Second)
					return c.returns
				}), nil)
				job := enqueue(t, r, jobs.Request{Task: "task"})
				synctest.Wait()
				if job, err := r.Cancel(t.Context(), job.ID, "enough"); err != nil || !job.Cancelling || job.State != jobs.Running {
					t.Errorf("Cancel returned %+v, %v", job, err)
				}
				if job, err := r.Cancel(t.Context(), job.ID, "again"); err != nil || job.Message != "enough" {
					t.Errorf("a second Cancel returned %+v, %v", job, err)
				}
				job = end(t, r, job.ID)
				wantState(t, job, c.want)
				wantError(t, cause, jobs.ErrCancelled)
				if c.want == jobs.Cancelled && (job.Message != "enough" || len(job.Errors) > 0) {
					t.Errorf("message %q, errors %v", job.Message, job.Errors)
				}
			})
		})
	}

	t.Run("one between the claim and the start of the handler is not lost", func(t *testing.T) {
		for _, inline := range []bool{true, false} {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				s := &spy{Store: store}
				var ran atomic.Bool
				r := newRunner(t, s, registry("task", func(ctx context.Context) error {
					ran.Store(true)
					<-ctx.Done()
					return ctx.Err()
				}), nil)
				cancel := func() {
					if _, err := r.Cancel(t.Context(), 1, ""); err != nil {
						t.Error(err)
					}
				}
				if inline {
					start(t, r)
					synctest.Wait()
					s.setAfter(cancel)
					enqueue(t, r, jobs.Request{Task: "task"})
				} else {
					enqueue(t, r, jobs.Request{Task: "task"})
					s.setAfter(func() { s.setAfter(cancel) }) // after the recovery comes the claim
					start(t, r)
				}
				synctest.Wait()
				wantState(t, get(t, r, 1), jobs.Cancelled)
				if ran.Load() {
					t.Error("the handler has run")
				}
			})
		}
	})
}

func TestRunner_All(t *testing.T) {
	onBothNamed(t, "they change what the query selects, however many", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		var reqs []jobs.Request
		for i := range 1800 {
			reqs = append(reqs, jobs.Request{Task: "task", Group: fmt.Sprint("g", i%3), Tags: []string{fmt.Sprint("t", i%2)}})
		}
		enqueueAll(t, r, reqs...)
		check := func(what string, n int, err error, want int, states map[jobs.State]int64) {
			t.Helper()
			if err != nil || n != want {
				t.Errorf("%s: changed %d, %v, want %d", what, n, err, want)
			}
			for s, want := range states {
				if n := count(t, r, jobs.Query{States: []jobs.State{s}}); n != want {
					t.Errorf("%s: %d jobs are %s, want %d", what, n, s, want)
				}
			}
		}
		n, err := r.CancelAll(t.Context(), jobs.Query{Group: "g1"}, "no")
		check("cancel a group", n, err, 600, map[jobs.State]int64{jobs.Cancelled: 600, jobs.Queued: 1200})
		n, err = r.CancelAll(t.Context(), jobs.Query{Tag: "t0", Limit: 550}, "no")
		check("cancel some with a tag", n, err, 550, map[jobs.State]int64{jobs.Cancelled: 1150, jobs.Queued: 650})
		n, err = r.RetryAll(t.Context(), jobs.Query{})
		check("retry the failed", n, err, 0, map[jobs.State]int64{jobs.Cancelled: 1150})
		n, err = r.RetryAll(t.Context(), jobs.Query{States: []jobs.State{jobs.Cancelled, jobs.Queued}, Group: "g1"})
		check("retry a group", n, err, 600, map[jobs.State]int64{jobs.Cancelled: 550, jobs.Queued: 1250})
		n, err = r.DeleteAll(t.Context(), jobs.Query{States: []jobs.State{jobs.Cancelled}})
		check("delete the cancelled", n, err, 550, map[jobs.State]int64{jobs.Cancelled: 0, jobs.Queued: 1250})
		for _, q := range []jobs.Query{
			{States: []jobs.State{"odd"}},
			{States: []jobs.State{jobs.Succeeded}},
			{Order: jobs.Due},
			{Order: jobs.InLine, Line: "default"},
			{Order: jobs.Oldest, After: 1500},
			{Limit: -1},
		} {
			if n, err := r.CancelAll(t.Context(), q, "no"); !errors.Is(err, jobs.ErrInvalid) || n > 0 {
				t.Errorf("CancelAll of %+v: %d, %v", q, n, err)
			}
		}
	})
}

// onBothNamed is a single subtest on both stores.
func onBothNamed(t *testing.T, name string, test func(env)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { onBoth(t, test) })
}
