package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/progress"
)

// measureOurs runs a scenario that only this module has.
func measureOurs(ctx context.Context, r *run) error {
	if r.prepared() && r.File == "" && r.Kind != kindPrepare {
		r.File = r.settings().path("prepared.db")
		if err := prepare(ctx, r); err != nil {
			return err
		}
	}
	switch r.Kind {
	case kindPrepare:
		return prepare(ctx, r)
	case kindOpen:
		return openFile(ctx, r)
	case kindMemory:
		return heap(ctx, r)
	case kindSize:
		return size(r)
	case kindProgress:
		return updates(ctx, r)
	case kindLogs:
		return logs(ctx, r)
	case kindTracker:
		return tracker(ctx, r)
	default:
		return errNoSuch(r.System, r.Kind)
	}
}

// prepare makes r.File: r.Finished jobs that have ended, and are pruned if r.Pruned, then r.Queued
// jobs in line.
func prepare(ctx context.Context, r *run) (err error) {
	s := r.settings()
	s.workers, s.handle = 64, func(int) { r.handled.Add(1) }
	sys, err := s.open(ctx, ours)
	if err != nil {
		return err
	}
	open := true
	defer func() {
		if open {
			err = errors.Join(err, sys.close())
		}
	}()
	if r.Finished > 0 {
		// Jobs are worked off while they are made, as in life.
		if err := sys.start(); err != nil {
			return err
		}
		if err := fill(ctx, r, sys, r.Finished); err != nil {
			return err
		}
		if err := finish(ctx, r, sys, 0); err != nil {
			return err
		}
		open = false
		if err := sys.close(); err != nil {
			return err
		}
		if r.Pruned {
			if err := prune(ctx, s.path("")); err != nil {
				return err
			}
		}
		if sys, err = s.open(ctx, ours); err != nil {
			return err
		}
		open = true
	}
	return fill(ctx, r, sys, r.Queued)
}

// prune removes all jobs that have ended, but for the latest.
func prune(ctx context.Context, file string) (err error) {
	store, err := bolt.Open(file, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	runner, err := jobs.NewRunner(store, new(jobs.Registry), &jobs.Options{
		Keep: map[jobs.State]time.Duration{jobs.Succeeded: 1},
	})
	if err != nil {
		return err
	}
	_, err = runner.Prune(ctx)
	return err
}

// openFile measures from before a file is opened until the first handler starts. The file is in the
// cache of the operating system.
func openFile(ctx context.Context, r *run) (err error) {
	started := make(chan time.Time, 1)
	r.onStart = func() {
		select {
		case started <- time.Now():
		default:
		}
	}
	if err := r.begin(); err != nil {
		return err
	}
	sys, err := r.settings().open(ctx, ours)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.close()) }()
	if err := sys.start(); err != nil {
		return err
	}
	first := <-started
	r.end()
	r.value("", milliseconds, first.Sub(r.began).Seconds()*1e3)
	return nil
}

// heap measures what is left of the heap after a collection, when jobs were queued by a process
// that works on others.
func heap(ctx context.Context, r *run) (err error) {
	s := r.settings()
	proceed := make(chan struct{})
	s.handle = func(int) { <-proceed }
	sys, err := s.open(ctx, ours)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.close()) }()
	defer close(proceed)
	if err := sys.start(); err != nil {
		return err
	}
	if err := fill(ctx, r, sys, r.Jobs); err != nil {
		return err
	}
	runtime.GC()
	runtime.GC() // what pools keep goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	r.value("", "MiB", float64(m.HeapAlloc)/(1<<20))
	return nil
}

// size measures the prepared file.
func size(r *run) error {
	info, err := os.Stat(r.File)
	if err != nil {
		return err
	}
	r.value("file", "MiB", float64(info.Size())/(1<<20))
	if !r.Pruned {
		r.value("per job", "bytes", float64(info.Size())/float64(r.Finished))
	}
	return nil
}

// handlers runs r.Jobs jobs of a handler until their ends are durable, and returns what is called
// to read the log.
func handlers(ctx context.Context, r *run, fn func(ctx context.Context)) (_ *library, err error) {
	s := r.settings()
	store, err := bolt.Open(s.path("jobs.db"), nil)
	if err != nil {
		return nil, err
	}
	reg := new(jobs.Registry)
	jobs.Register(reg, jobs.Task{Name: taskName}, func(ctx context.Context, _ Args) (struct{}, error) {
		fn(ctx)
		r.handle(0)
		return struct{}{}, nil
	})
	lib, err := newLibraryOf(store, reg, *s)
	if err != nil {
		return nil, err
	}
	err = fill(ctx, r, lib, r.Jobs)
	if err == nil {
		err = r.begin()
	}
	if err == nil {
		err = lib.start()
	}
	if err == nil {
		err = finish(ctx, r, lib, 0)
	}
	r.end()
	return lib, err
}

// updates measures how many updates of trackers the handlers of r.Workers jobs make, with nobody
// watching.
func updates(ctx context.Context, r *run) error {
	lib, err := handlers(ctx, r, func(ctx context.Context) {
		step := jobs.Progress(ctx).Child("step")
		step.SetTotal(int64(r.Batch))
		for range r.Batch {
			step.Add(1)
		}
	})
	if lib != nil {
		err = errors.Join(err, lib.close())
	}
	r.value("", "updates/s", float64(r.Jobs*r.Batch)/r.ended.Sub(r.began).Seconds())
	return err
}

// logs measures how many log records of r.Workers jobs are stored, and for how long a call of the
// logger has blocked a handler at the most.
func logs(ctx context.Context, r *run) error {
	var longest atomic.Int64
	lib, err := handlers(ctx, r, func(ctx context.Context) {
		log := jobs.Logger(ctx)
		before := time.Now()
		for i := 0; i < r.Batch && !r.late(); i++ {
			log.LogAttrs(ctx, slog.LevelInfo, "fetched a page", slog.Int("page", i), slog.String("host", "example.org"))
			now := time.Now()
			for d := int64(now.Sub(before)); ; {
				if most := longest.Load(); d <= most || longest.CompareAndSwap(most, d) {
					break
				}
			}
			before = now
		}
	})
	if lib != nil {
		defer func() { err = errors.Join(err, lib.close()) }()
	}
	if err != nil {
		return err
	}
	stored := 0
	for id := range r.Jobs {
		for _, err := range lib.runner.Log(ctx, jobs.ID(id+1), jobs.LogQuery{}) {
			if err != nil {
				return fmt.Errorf("log of job %d: %w", id+1, err)
			}
			stored++
		}
	}
	r.value("", "records/s", float64(stored)/r.ended.Sub(r.began).Seconds())
	r.value("longest block", milliseconds, float64(longest.Load())/1e6)
	return err
}

const manyUpdates = 10_000_000

// tracker measures an update of the progress, and by how much ten million of them slow a handler.
func tracker(ctx context.Context, r *run) error {
	node := progress.New("root").Child("node")
	n := r.Batch
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for range n {
		node.Add(1)
	}
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	r.value("add", "ns", float64(took.Nanoseconds())/float64(n))
	r.value("allocations", "per add", float64(after.Mallocs-before.Mallocs)/float64(n))

	var slowed time.Duration
	r.Jobs = 1
	lib, err := handlers(ctx, r, func(ctx context.Context) {
		step := jobs.Progress(ctx).Child("step")
		began := time.Now()
		for range manyUpdates {
			step.Add(1)
		}
		slowed = time.Since(began)
	})
	if lib != nil {
		err = errors.Join(err, lib.close())
	}
	r.value("10 million", "s", slowed.Seconds())
	return err
}
