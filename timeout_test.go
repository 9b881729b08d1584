package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRequest_Timeout(t *testing.T) {
	onBothNamed(t, "every attempt that it ends is told as timed out and tried again", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Minute {
				t.Errorf("the deadline is %v", deadline)
			}
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), jobs.ErrTimeout) {
				t.Errorf("the cause is %v", context.Cause(ctx))
			}
			return ctx.Err()
		}), &jobs.Options{Workers: 200})
		all := make([]jobs.Request, 200)
		for i := range all {
			all[i] = jobs.Request{Task: "task", Timeout: time.Minute, MaxAttempts: 2}
		}
		for _, job := range enqueueAll(t, r, all...) {
			job = end(t, r, job.ID)
			wantState(t, job, jobs.Failed)
			for _, e := range job.Errors {
				if e.Kind != jobs.ErrorTimeout || !strings.HasPrefix(e.Message, "timed out after 1m0s") {
					t.Fatalf("job %d: %+v", job.ID, e)
				}
			}
			if len(job.Errors) != 2 {
				t.Errorf("%d errors", len(job.Errors))
			}
		}
	})

	t.Run("a handler that makes it in spite of it succeeds", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(context.Context) error { time.Sleep(2 * time.Minute); return nil }), nil)
			wantState(t, end(t, r, enqueue(t, r, jobs.Request{Task: "task", Timeout: time.Minute}).ID), jobs.Succeeded)
		})
	})
}

func TestRequest_Deadline(t *testing.T) {
	for _, c := range []struct {
		name     string
		deadline time.Duration
		handler  func(context.Context) error
		attempts int
		after    time.Duration
	}{
		{"it ends an attempt and the job", time.Minute, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 1, time.Minute},
		{"no attempt starts after it", time.Minute, func(context.Context) error { return jobs.RetryIn(time.Hour, errBroken) }, 1, time.Hour},
		{"an error after it is the last", time.Minute, func(context.Context) error { time.Sleep(2 * time.Minute); return errBroken }, 1, 2 * time.Minute},
	} {
		onBothNamed(t, c.name, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", c.handler), nil)
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", Deadline: time.Now().Add(c.deadline)}).ID)
			last := job.Errors[len(job.Errors)-1]
			if job.State != jobs.Failed || job.Attempt != c.attempts || last.Kind != jobs.ErrorTimeout || job.FinishedAt.Sub(job.CreatedAt) != c.after {
				t.Errorf("got %v after %v, attempt %d, %+v", job, job.FinishedAt.Sub(job.CreatedAt), job.Attempt, job.Errors)
			}
		})
	}
}
