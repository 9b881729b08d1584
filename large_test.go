package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
)

// Large arguments are left out when a job is claimed. Nobody may notice.
func TestRunner_LargeArguments(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		want := `{"text":"` + strings.Repeat("x", 100_000) + `"}`
		var reg jobs.Registry
		tries := 0
		reg.Handle(jobs.Task{Name: "large"}, func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
			tries++
			if string(args) != want {
				t.Errorf("the handler got %d bytes, want %d", len(args), len(want))
			}
			if got := jobs.Current(ctx).Args; string(got) != want {
				t.Errorf("Current has %d bytes, want %d", len(got), len(want))
			}
			jobs.Count(ctx, "tries", 1)
			if err := jobs.Checkpoint(ctx, tries); err != nil {
				t.Error(err)
			}
			if tries == 1 {
				return nil, errors.New("again")
			}
			return nil, nil
		})
		ended := make(chan string, 1)
		r := jobstest.RunStore(t, store, &reg, &jobs.Options{
			OnEnd: func(_ context.Context, job *jobs.Job) { ended <- string(job.Args) },
		})
		made, err := r.Enqueue(t.Context(), jobs.Request{Task: "large", Args: json.RawMessage(want)})
		if err != nil {
			t.Fatal(err)
		}
		jobstest.DrainAll(t, r)
		job, err := r.Get(t.Context(), made[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if job.State != jobs.Succeeded || tries != 2 || string(job.Args) != want {
			t.Errorf("%v after %d tries, with %d bytes", job, tries, len(job.Args))
		}
		if got := <-ended; got != want {
			t.Errorf("OnEnd got %d bytes, want %d", len(got), len(want))
		}
	})
}

// Transitions do not read large arguments, and must leave them as they are.
func TestRunner_Large_StaysThroughAllTransitions(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		args := json.RawMessage(`{"a":"` + strings.Repeat("x", 10_000) + `"}`)
		var cleaned, ended, seen atomic.Int64
		whole := func(n *atomic.Int64, got json.RawMessage) {
			if n.Add(1); string(got) != string(args) {
				t.Errorf("%d bytes of arguments are left of %d", len(got), len(args))
			}
		}
		var reg jobs.Registry
		reg.Handle(jobs.Task{
			Name:    "task",
			Retry:   func(*jobs.Job, error) time.Duration { return time.Minute },
			Cleanup: func(_ context.Context, job *jobs.Job) error { whole(&cleaned, job.Args); return nil },
		}, func(ctx context.Context, got json.RawMessage) (json.RawMessage, error) {
			whole(&seen, got)
			switch job := jobs.Current(ctx); {
			case job.Snoozes == 0:
				return nil, jobs.Snooze(time.Hour, "later")
			case job.Attempt == 1:
				return nil, errBroken
			}
			return nil, nil
		})
		r := newRunner(t, store, &reg, &jobs.Options{
			Queues: []jobs.Queue{{Name: jobs.DefaultQueue, Workers: 4, GroupLimit: 1}},
			OnEnd:  func(_ context.Context, job *jobs.Job) { whole(&ended, job.Args) },
			Keep:   map[jobs.State]time.Duration{jobs.Succeeded: day, jobs.Cancelled: day},
		})
		later := time.Now().Add(time.Hour)
		made := enqueueAll(t, r,
			jobs.Request{Task: "task", Args: args, Group: "g", Name: "first", RunAt: later},
			jobs.Request{Task: "task", Args: args, Group: "g", RunAt: later},
			jobs.Request{Task: "task", Args: args, Group: "g", After: []jobs.Dependency{{Name: "first"}}},
			jobs.Request{Task: "task", Args: args, Batch: "b", Group: "h", RunAt: time.Now().Add(9000 * day)},
		)
		start(t, r)
		for _, job := range made[:3] {
			wantState(t, end(t, r, job.ID), jobs.Succeeded)
			if n, err := r.RetryAll(t.Context(), jobs.Query{Group: "g", States: []jobs.State{jobs.Succeeded}, Limit: 1}); err != nil || n != 1 {
				t.Fatal(n, err)
			}
			wantState(t, end(t, r, job.ID), jobs.Succeeded)
		}
		if n, err := r.CancelAll(t.Context(), jobs.Query{Batch: "b", Group: "h"}, "no"); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		for _, job := range made {
			whole(&seen, get(t, r, job.ID).Args)
		}
		time.Sleep(30 * day)
		if n := count(t, r, jobs.Query{}); n > 1 || cleaned.Load() < 3 || ended.Load() < 4 { // the latest success stays
			t.Errorf("%d jobs are left, %d were cleaned up, %d have ended", n, cleaned.Load(), ended.Load())
		}
	})
}
