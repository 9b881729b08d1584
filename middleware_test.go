package jobs_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedjobs/jobs"
)

func TestOptions_Middleware(t *testing.T) {
	t.Run("the first is outermost and may change context and error", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			type key struct{}
			var calls []string
			wrap := func(name string) jobs.Middleware {
				return func(ctx context.Context, job *jobs.Job, next func(context.Context) error) error {
					calls = append(calls, name+" in "+job.Task)
					err := next(context.WithValue(ctx, key{}, name))
					calls = append(calls, name+" out "+err.Error())
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			r := run(t, store, registry("task", func(ctx context.Context) error {
				calls = append(calls, "handler in "+ctx.Value(key{}).(string))
				return errBroken
			}), &jobs.Options{Middleware: []jobs.Middleware{wrap("a"), wrap("b")}})
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1}).ID)
			want := []string{"a in task", "b in task", "handler in b", "b out broken", "a out b: broken"}
			if diff := cmp.Diff(want, calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if job.Message != "a: b: broken" {
				t.Errorf("message is %q", job.Message)
			}
		})
	})

	t.Run("its panic is an error of the attempt", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", nothing), &jobs.Options{Middleware: []jobs.Middleware{
				func(context.Context, *jobs.Job, func(context.Context) error) error { panic("middle") },
			}})
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1}).ID)
			if job.State != jobs.Failed || job.Errors[0].Kind != jobs.ErrorPanic {
				t.Errorf("got %v, %+v", job, job.Errors)
			}
		})
	})
}

func TestOptions_OnEnd(t *testing.T) {
	t.Run("it gets each job that has ended, once, with its end", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			ended := make(chan *jobs.Job, 10)
			tries := 0
			r := run(t, store, registry("task", func(context.Context) error {
				if tries++; tries == 1 {
					return errBroken
				}
				return nil
			}), &jobs.Options{OnEnd: func(_ context.Context, job *jobs.Job) { ended <- job }})
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			synctest.Wait()
			if n := len(ended); n != 1 {
				t.Fatalf("OnEnd was called %d times", n)
			}
			if diff := cmp.Diff(job, <-ended); diff != "" {
				t.Errorf("OnEnd got another job (-want +got):\n%s", diff)
			}
		})
	})

	t.Run("Run waits for it", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			done := atomic.Bool{}
			r := newRunner(t, store, registry("task", nothing), &jobs.Options{OnEnd: func(context.Context, *jobs.Job) {
				time.Sleep(time.Hour)
				done.Store(true)
			}})
			stop := start(t, r)
			end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			if err := stop(); err != nil || !done.Load() {
				t.Errorf("Run returned %v, OnEnd had returned: %t", err, done.Load())
			}
		})
	})
}
