package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRunner_Run_Stop(t *testing.T) {
	t.Run("handlers finish within the grace", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", func(ctx context.Context) error {
				time.Sleep(20 * time.Second)
				return ctx.Err()
			}), nil)
			stop := start(t, r)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			reach(t, r, job.ID, jobs.Running)
			began := time.Now()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != 20*time.Second {
				t.Errorf("Run took %v to stop", took)
			}
			wantState(t, get(t, r, job.ID), jobs.Succeeded)
		})
	})

	t.Run("after the grace they are interrupted and the attempt is refunded", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			var cause atomic.Value
			r := newRunner(t, store, registry("task", func(ctx context.Context) error {
				<-ctx.Done()
				cause.Store(context.Cause(ctx))
				return ctx.Err()
			}), &jobs.Options{Grace: time.Minute})
			stop := start(t, r)
			job := enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1})
			reach(t, r, job.ID, jobs.Running)
			began := time.Now()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != time.Minute {
				t.Errorf("Run took %v to stop", took)
			}
			if !errors.Is(cause.Load().(error), jobs.ErrStopping) {
				t.Errorf("the cause is %v", cause.Load())
			}
			job = get(t, r, job.ID)
			if job.State != jobs.Queued || job.Attempt != 0 || len(job.Errors) != 0 {
				t.Errorf("got %v after attempt %d with %v", job, job.Attempt, job.Errors)
			}
		})
	})

	t.Run("a handler that ignores its context is given up and its result refused", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			late := make(chan error, 1)
			r := newRunner(t, store, registry("deaf", func(ctx context.Context) error {
				time.Sleep(time.Hour)
				late <- jobs.Checkpoint(ctx, 1)
				return nil
			}), &jobs.Options{Grace: -1, Abandon: time.Minute})
			stop := start(t, r)
			job := enqueue(t, r, jobs.Request{Task: "deaf"})
			synctest.Wait()
			err := stop()
			if err == nil || !strings.Contains(err.Error(), "1 (deaf)") {
				t.Errorf("Run returned %v, want an error that names the job", err)
			}
			wantState(t, get(t, r, job.ID), jobs.Queued)
			wantError(t, <-late, jobs.ErrStale)
			synctest.Wait()
			if job := get(t, r, job.ID); job.State != jobs.Queued || job.Attempt != 0 || job.Checkpoint != nil {
				t.Errorf("the late end changed the job: %+v", job)
			}
		})
	})
}

func TestRunner_Run_StopAgain(t *testing.T) {
	for _, sync := range []bool{false, true} {
		t.Run(fmt.Sprintf("the runner can run again while an abandoned handler goes on, sync %t", sync), func(t *testing.T) {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				n := 0
				var reg jobs.Registry
				handle(&reg, jobs.Task{Name: "deaf", Sync: sync}, func(context.Context) error {
					if n++; n == 1 {
						time.Sleep(time.Hour)
						return errBroken
					}
					time.Sleep(2 * time.Hour)
					return nil
				})
				r := newRunner(t, store, &reg, &jobs.Options{Grace: -1})
				stop := start(t, r)
				job := enqueue(t, r, jobs.Request{Task: "deaf"})
				synctest.Wait()
				if err := stop(); err == nil {
					t.Error("Run returned nil")
				}
				start(t, r)
				job = end(t, r, job.ID)
				if job.State != jobs.Succeeded || job.Attempt != 1 || len(job.Errors) != 0 {
					t.Errorf("got %v, attempt %d, %v", job, job.Attempt, job.Errors)
				}
			})
		})
	}

	t.Run("jobs claimed ahead go back to their line", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			n := atomic.Int64{}
			hold := make(chan struct{})
			r := newRunner(t, store, registry("task", func(context.Context) error {
				if n.Add(1) > 200 {
					<-hold
				}
				return nil
			}), &jobs.Options{Workers: 1})
			for range 100 {
				enqueueAll(t, r, slices.Repeat([]jobs.Request{{Task: "task"}}, 10)...)
			}
			stop := start(t, r)
			synctest.Wait()
			done := make(chan error, 1)
			go func() { done <- stop() }()
			synctest.Wait()
			close(hold)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			succeeded, queued := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}), count(t, r, jobs.Query{States: []jobs.State{jobs.Queued}})
			if succeeded != 201 || queued != 799 {
				t.Errorf("%d succeeded and %d are queued", succeeded, queued)
			}
			page, err := r.List(t.Context(), jobs.Query{States: []jobs.State{jobs.Queued}, Limit: 1000}, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, job := range page.Jobs {
				if job.Attempt != 0 {
					t.Fatalf("%v has counted an attempt", job)
				}
			}
		})
	})
}

func TestRunner_Run(t *testing.T) {
	t.Run("it stops cleanly when it is stopped before it begins", func(t *testing.T) {
		onMemory(t, func(e env) {
			t := e.t
			r := newRunner(t, e.store, registry("task", nothing), nil)
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := r.Run(ctx); err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		})
	})
	t.Run("only one Run is active at a time, one after the other is fine", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			for range 3 {
				stop := start(t, r)
				synctest.Wait()
				wantError(t, r.Run(t.Context()), jobs.ErrState)
				end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
				if err := stop(); err != nil {
					t.Fatal(err)
				}
			}
		})
	})

	t.Run("it finds a job of a new queue that is enqueued while it begins", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			s := &spy{Store: store}
			r := newRunner(t, s, registry("task", nothing), nil)
			var id jobs.ID
			s.setAfter(func() { id = enqueue(t, r, jobs.Request{Task: "task", Queue: "new"}).ID })
			start(t, r)
			synctest.Wait()
			wantState(t, get(t, r, id), jobs.Succeeded)
		})
	})

	t.Run("a task that is Sync works through its line", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			handle(&reg, jobs.Task{Name: "task", Sync: true}, nothing)
			r := newRunner(t, store, &reg, &jobs.Options{Workers: 1})
			var last jobs.ID
			for range 5 {
				last = enqueue(t, r, jobs.Request{Task: "task"}).ID
			}
			start(t, r)
			synctest.Wait()
			wantState(t, get(t, r, last), jobs.Succeeded)
		})
	})
}

func TestRunner_Run_Store(t *testing.T) {
	t.Run("it goes on when the store fails for a while, and nothing is lost", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			s := &spy{Store: store}
			g := newGate()
			r := run(t, s, registry("task", func(ctx context.Context) error {
				jobs.Logger(ctx).Info("hello")
				jobs.Progress(ctx).Add(1)
				return g.handler(ctx)
			}), nil)
			first := enqueue(t, r, jobs.Request{Task: "task"})
			<-g.started
			s.setFail(errBroken)
			_, err := r.Enqueue(t.Context(), jobs.Request{Task: "task"})
			wantError(t, err, errBroken)
			time.Sleep(time.Second)
			close(g.open)
			time.Sleep(time.Minute)
			s.setFail(nil)
			job := end(t, r, first.ID)
			wantState(t, job, jobs.Succeeded)
			if job.Progress == nil || job.Progress.Current != 1 || job.Logged != 1 || job.Attempt != 1 {
				t.Errorf("got progress %v, %d log records, attempt %d", job.Progress, job.Logged, job.Attempt)
			}
			if n := count(t, r, jobs.Query{}); n != 1 {
				t.Errorf("%d jobs are stored", n)
			}
			wantState(t, end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID), jobs.Succeeded)
		})
	})

	t.Run("it does not look at the store while nothing is due", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			s := &spy{Store: store}
			r := run(t, s, registry("task", nothing), nil)
			for i := range 10 {
				enqueue(t, r, jobs.Request{Task: "task", RunAt: time.Now().Add(time.Duration(365+i) * day)})
			}
			time.Sleep(time.Minute)
			before := s.calls.Load()
			time.Sleep(364 * day)
			if n := s.calls.Load() - before; n != 0 {
				t.Errorf("it looked %d times", n)
			}
			time.Sleep(2 * day)
			if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 2 {
				t.Errorf("%d jobs have run", n)
			}
		})
	})

	t.Run("two runners share a store", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			var mu sync.Mutex
			ran := make(map[jobs.ID]int)
			reg := registry("task", func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				ran[jobs.Current(ctx).ID]++
				return nil
			})
			a, b := run(t, store, reg, nil), run(t, store, reg, nil)
			for i := range 500 {
				enqueue(t, []*jobs.Runner{a, b}[i%2], jobs.Request{Task: "task"})
			}
			synctest.Wait()
			if n := count(t, a, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 500 || len(ran) != 500 {
				t.Errorf("%d succeeded, %d ran", n, len(ran))
			}
			for id, n := range ran {
				if n != 1 {
					t.Errorf("job %d ran %d times", id, n)
				}
			}
		})
	})
}

func TestRunner_Stuck(t *testing.T) {
	t.Run("a handler that ignores its cancellation is reported with its stack", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("deaf", func(context.Context) error { ignoreEverything(); return nil }), &jobs.Options{Abandon: time.Minute})
			job := enqueue(t, r, jobs.Request{Task: "deaf", Timeout: time.Second})
			job = end(t, r, job.ID)
			wantState(t, job, jobs.Succeeded)
			entries := readLog(t, r, job.ID, jobs.LogQuery{Level: slog.LevelWarn})
			if len(entries) != 1 || !strings.Contains(string(entries[0].Attrs), "ignoreEverything") || !strings.Contains(string(entries[0].Attrs), "timed out") {
				t.Errorf("the log says %+v", entries)
			}
			if got := entries[0].Time.Sub(job.StartedAt); got != time.Minute+time.Second {
				t.Errorf("it was reported after %v", got)
			}
		})
	})
}

func ignoreEverything() { time.Sleep(time.Hour) }

func readLog(t *testing.T, r *jobs.Runner, id jobs.ID, q jobs.LogQuery) []jobs.LogEntry {
	t.Helper()
	var all []jobs.LogEntry
	for e, err := range r.Log(t.Context(), id, q) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}
