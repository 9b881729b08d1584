// Package jobstest helps to test what uses package jobs: it runs registries over a memory store, makes
// single attempts, waits until all work is done, and has ready-made tasks. For those who write a store
// it has the suite that each must pass.
package jobstest

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// NewRunner returns a runner of the registry over a new memory store, and runs it until the end of
// the test. The test fails if the runner does not stop cleanly. Nil opts are the defaults, but that
// logs go to the output of the test.
func NewRunner(tb testing.TB, reg *jobs.Registry, opts *jobs.Options) *jobs.Runner {
	tb.Helper()
	return RunStore(tb, memory.New(), reg, opts)
}

// RunStore does what NewRunner does over a given store, which it closes in the end.
func RunStore(tb testing.TB, store jobs.Store, reg *jobs.Registry, opts *jobs.Options) *jobs.Runner {
	tb.Helper()
	if opts == nil {
		opts = &jobs.Options{Logger: slog.New(slog.NewTextHandler(tb.Output(), nil))}
	}
	r, err := jobs.NewRunner(store, reg, opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := errors.Join(<-done, store.Close()); err != nil {
			tb.Errorf("the runner did not stop cleanly: %v", err)
		}
	})
	return r
}

// Enqueue enqueues a request and returns its job; the test fails if it is refused.
func Enqueue(tb testing.TB, r *jobs.Runner, req jobs.Request) *jobs.Job {
	tb.Helper()
	all, err := r.Enqueue(tb.Context(), req)
	if err != nil {
		tb.Fatal(err)
	}
	return all[0]
}

// Drain waits until no job is queued or running. Jobs that are scheduled or retrying later stay;
// for those see DrainAll. The runner must be running.
func Drain(tb testing.TB, r *jobs.Runner) {
	tb.Helper()
	drain(tb, r, jobs.Queued, jobs.Running)
}

// DrainAll waits until every job has ended, through all retries and schedules. Inside a
// testing/synctest bubble that takes no time; elsewhere it takes as long as it takes.
func DrainAll(tb testing.TB, r *jobs.Runner) {
	tb.Helper()
	drain(tb, r, jobs.Waiting, jobs.Scheduled, jobs.Queued, jobs.Running, jobs.Retrying)
}

func drain(tb testing.TB, r *jobs.Runner, states ...jobs.State) {
	tb.Helper()
	for {
		page, err := r.List(tb.Context(), jobs.Query{States: states, Limit: 1}, "")
		if err != nil {
			tb.Fatal(err)
		}
		if len(page.Jobs) == 0 {
			return
		}
		for job, err := range r.Watch(tb.Context(), page.Jobs[0].ID) {
			if err != nil {
				tb.Fatal(err)
			}
			if !in(job.State, states) {
				break
			}
		}
	}
}

func in(s jobs.State, states []jobs.State) bool {
	for _, one := range states {
		if s == one {
			return true
		}
	}
	return false
}

// A Record is what Run has seen of a job.
type Record struct {
	Job *jobs.Job
	Log []jobs.LogEntry
}

// Run makes one attempt at a job, on a runner of its own over a new memory store, and returns the
// job after it with its log, progress and result. It works inside and outside of bubbles.
func Run(tb testing.TB, reg *jobs.Registry, req jobs.Request) *Record {
	tb.Helper()
	r, err := jobs.NewRunner(memory.New(), reg, &jobs.Options{Logger: slog.New(slog.NewTextHandler(tb.Output(), nil))})
	if err != nil {
		tb.Fatal(err)
	}
	job := Enqueue(tb, r, req)
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	rec := &Record{}
	for rec.Job, err = range r.Watch(tb.Context(), job.ID) {
		if err != nil {
			tb.Fatal(err)
		}
		if s := rec.Job.State; s != jobs.Queued && s != jobs.Running {
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		tb.Errorf("the runner did not stop cleanly: %v", err)
	}
	for entry, err := range r.Log(tb.Context(), job.ID, jobs.LogQuery{}) {
		if err != nil {
			tb.Fatal(err)
		}
		rec.Log = append(rec.Log, entry)
	}
	return rec
}

// AssertEnqueued fails the test unless a job of the task exists whose arguments match, and returns
// the one that was made last. A nil match takes any. Jobs count whatever has become of them.
func AssertEnqueued[Args, Result any](tb testing.TB, r *jobs.Runner, task *jobs.TaskOf[Args, Result], match func(Args) bool) *jobs.Job {
	tb.Helper()
	job, n := find(tb, r, task, match)
	if job == nil {
		tb.Fatalf("no job of task %s with such arguments was enqueued, among %d of the task", task.Name(), n)
	}
	return job
}

// AssertNotEnqueued fails the test if AssertEnqueued would find a job.
func AssertNotEnqueued[Args, Result any](tb testing.TB, r *jobs.Runner, task *jobs.TaskOf[Args, Result], match func(Args) bool) {
	tb.Helper()
	if job, _ := find(tb, r, task, match); job != nil {
		tb.Fatalf("%v was enqueued, with arguments %s", job, job.Args)
	}
}

func find[Args, Result any](tb testing.TB, r *jobs.Runner, task *jobs.TaskOf[Args, Result], match func(Args) bool) (*jobs.Job, int) {
	tb.Helper()
	n := 0
	for cursor := ""; ; {
		page, err := r.List(tb.Context(), jobs.Query{Task: task.Name(), Limit: 1000}, cursor)
		if err != nil {
			tb.Fatal(err)
		}
		for _, job := range page.Jobs {
			args, err := task.Args(job)
			if err != nil {
				tb.Fatal(err)
			}
			if n++; match == nil || match(args) {
				return job, n
			}
		}
		if cursor = page.Next; cursor == "" {
			return nil, n
		}
	}
}
