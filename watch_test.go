package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRunner_Watch(t *testing.T) {
	onBothNamed(t, "it sees every state and ends with the job", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", func(ctx context.Context) error {
			time.Sleep(time.Minute)
			switch job := jobs.Current(ctx); {
			case job.Attempt == 1:
				return errBroken
			case job.Snoozes == 0:
				return jobs.Snooze(time.Hour, "later")
			}
			return nil
		}), nil)
		job := enqueue(t, r, jobs.Request{Task: "task", RunAt: time.Now().Add(time.Hour)})
		var states []jobs.State
		done := make(chan struct{})
		go func() {
			defer close(done)
			for job, err := range r.Watch(t.Context(), job.ID) {
				if err != nil {
					t.Error(err)
					return
				}
				if len(states) == 0 || states[len(states)-1] != job.State {
					states = append(states, job.State)
				}
			}
		}()
		synctest.Wait()
		start(t, r)
		<-done
		// Between due and claimed there may be one commit.
		states = slices.DeleteFunc(states, func(s jobs.State) bool { return s == jobs.Queued })
		want := []jobs.State{jobs.Scheduled, jobs.Running, jobs.Retrying, jobs.Running, jobs.Scheduled, jobs.Running, jobs.Succeeded}
		if !slices.Equal(states, want) {
			t.Errorf("saw %v, want %v", states, want)
		}
	})

	for name, work := range map[string]func(ctx context.Context){
		"progress":        func(ctx context.Context) { jobs.Progress(ctx).Add(1) },
		"counters":        func(ctx context.Context) { jobs.Progress(ctx).Add(1); jobs.Count(ctx, "n", 1) },
		"log records":     func(ctx context.Context) { jobs.Progress(ctx).Add(1); jobs.Logger(ctx).Info("step") },
		"checkpoints too": func(ctx context.Context) { jobs.Progress(ctx).Add(1); _ = jobs.Checkpoint(ctx, 1) },
	} {
		onBothNamed(t, "it shows progress ten times a second at most, with many "+name, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(ctx context.Context) error {
				for range 2000 {
					work(ctx)
					time.Sleep(time.Millisecond)
				}
				return nil
			}), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			n, last := 0, int64(0)
			for job, err := range r.Watch(t.Context(), job.ID) {
				if err != nil {
					t.Fatal(err)
				}
				if p := job.Progress; p != nil {
					last = p.Current
				}
				n++
			}
			if n < 18 || n > 24 || last != 2000 {
				t.Errorf("saw %d snapshots, the last one at %d", n, last)
			}
		})
	}
}

func TestRunner_Watch_End(t *testing.T) {
	t.Run("a change of state is not held up by the bound", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(ctx context.Context) error {
				jobs.Progress(ctx).Add(1)
				time.Sleep(101 * time.Millisecond)
				return nil
			}), nil)
			began := time.Now()
			for _, err := range r.Watch(t.Context(), enqueue(t, r, jobs.Request{Task: "task"}).ID) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took != 101*time.Millisecond {
				t.Errorf("the end was seen after %v", took)
			}
		})
	})

	t.Run("it ends with the cause of its context, or when the job is deleted", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			watch := func(ctx context.Context) (last error) {
				for _, err := range r.Watch(ctx, job.ID) {
					last = err
				}
				return last
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Hour, func() { cancel(errBroken) })
			wantError(t, watch(ctx), errBroken)
			_, err := r.Wait(ctx, job.ID)
			wantError(t, err, errBroken)
			time.AfterFunc(time.Hour, func() {
				if err := r.Delete(context.WithoutCancel(ctx), job.ID); err != nil {
					t.Error(err)
				}
			})
			wantError(t, watch(t.Context()), jobs.ErrNotFound)
			_, err = r.Wait(t.Context(), job.ID)
			wantError(t, err, jobs.ErrNotFound)
		})
	})
}

func TestRunner_Wait(t *testing.T) {
	onBothNamed(t, "thousands wait for one job, and get its end", func(e env) {
		t, store := e.t, e.store
		g := newGate()
		r := run(t, store, registry("task", g.handler), nil)
		job := enqueue(t, r, jobs.Request{Task: "task"})
		var wg sync.WaitGroup
		for range 3000 {
			wg.Go(func() {
				if job, err := r.Wait(t.Context(), job.ID); err != nil || job.State != jobs.Succeeded {
					t.Errorf("got %v, %v", job, err)
				}
			})
		}
		synctest.Wait()
		close(g.open)
		wg.Wait()
	})

	onBothNamed(t, "the end is durable when it returns, with all that belongs to it", func(e env) {
		t, store := e.t, e.store
		reg := registry("task", func(ctx context.Context) error {
			jobs.Logger(ctx).Info("hello")
			jobs.Count(ctx, "n", 1)
			return jobs.Defer(ctx, jobs.Request{Task: "task", RunAt: time.Now().Add(365 * day)})
		})
		r := run(t, store, reg, nil)
		for range 50 {
			before := count(t, r, jobs.Query{})
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			if len(readLog(t, r, job.ID, jobs.LogQuery{})) != 1 || job.Counters["n"] != 1 || count(t, r, jobs.Query{}) != before+2 {
				t.Fatalf("something is missing of %v", job)
			}
		}
	})

	t.Run("a failing store ends it", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Wait(t.Context(), job.ID); !errors.Is(err, jobs.ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
	})
}
