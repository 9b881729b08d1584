package jobs_test

import (
	"context"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRunner_Retry(t *testing.T) {
	for _, state := range standingStates {
		t.Run("a job that is "+string(state), func(t *testing.T) {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				r := standingRunner(t, store, nil)
				if err := r.Pause(t.Context(), "default"); err != nil {
					t.Fatal(err)
				}
				if err := r.Resume(t.Context(), "default"); err != nil {
					t.Fatal(err)
				}
				job := standing(t, r, state)
				if err := r.Pause(t.Context(), "default"); err != nil {
					t.Fatal(err)
				}
				retried, err := r.Retry(t.Context(), job.ID)
				if state == jobs.Queued || state == jobs.Running {
					wantError(t, err, jobs.ErrState)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				attempt := 0
				if state == jobs.Retrying {
					attempt = 1
				}
				if retried.State != jobs.Queued || retried.Attempt != attempt || !retried.FinishedAt.IsZero() ||
					retried.Message != "" || len(retried.Errors) != len(job.Errors) || retried.RunAt.After(time.Now()) {
					t.Errorf("got %+v", retried)
				}
			})
		})
	}

	t.Run("a deadline that has passed is lifted, and stays so", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", nothing), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Paused: true}}})
			job := enqueue(t, r, jobs.Request{Task: "task", Deadline: time.Now().Add(time.Hour)})
			time.Sleep(time.Hour)
			if err := r.Resume(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			job = end(t, r, job.ID)
			if job.State != jobs.Failed || job.Errors[0].Kind != jobs.ErrorTimeout || job.Attempt != 0 {
				t.Errorf("got %v, attempt %d, %v", job, job.Attempt, job.Errors)
			}
			if _, err := r.Retry(t.Context(), job.ID); err != nil {
				t.Fatal(err)
			}
			job = end(t, r, job.ID)
			wantState(t, job, jobs.Succeeded)
			if !job.Deadline.IsZero() {
				t.Errorf("the deadline is %v", job.Deadline)
			}
		})
	})
}

func TestRunner_Delete(t *testing.T) {
	for _, state := range standingStates {
		t.Run("a job that is "+string(state), func(t *testing.T) {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				var cleaned []jobs.ID
				var fail error
				r := standingRunner(t, store, func(_ context.Context, job *jobs.Job) error {
					cleaned = append(cleaned, job.ID)
					return fail
				})
				job := standing(t, r, state)
				if state == jobs.Running {
					wantError(t, r.Delete(t.Context(), job.ID), jobs.ErrState)
					if len(cleaned) > 0 {
						t.Error("Cleanup was called")
					}
					return
				}
				fail = errBroken
				wantError(t, r.Delete(t.Context(), job.ID), errBroken)
				wantState(t, get(t, r, job.ID), state)
				fail = nil
				if err := r.Delete(t.Context(), job.ID); err != nil {
					t.Fatal(err)
				}
				if len(cleaned) != 2 {
					t.Errorf("Cleanup was called for %v", cleaned)
				}
				_, err := r.Get(t.Context(), job.ID)
				wantError(t, err, jobs.ErrNotFound)
				wantError(t, r.Delete(t.Context(), job.ID), jobs.ErrNotFound)
				time.Sleep(2 * day)
				if n := count(t, r, jobs.Query{}); n != 0 {
					t.Errorf("%d jobs are counted", n)
				}
			})
		})
	}
}

func TestRunner_Delete_Started(t *testing.T) {
	onBothNamed(t, "a job that starts during its Cleanup stays", func(e env) {
		t, store := e.t, e.store
		g := newGate()
		var r *jobs.Runner
		var reg jobs.Registry
		handle(&reg, jobs.Task{Name: "task", Cleanup: func(context.Context, *jobs.Job) error {
			start(t, r)
			<-g.started
			return nil
		}}, g.handler)
		r = newRunner(t, store, &reg, nil)
		job := enqueue(t, r, jobs.Request{Task: "task"})
		wantError(t, r.Delete(t.Context(), job.ID), jobs.ErrState)
		close(g.open)
		wantState(t, end(t, r, job.ID), jobs.Succeeded)
	})
}
