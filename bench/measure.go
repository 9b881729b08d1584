package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	fillBatch = 1000                   // jobs in one transaction when a backlog is made
	pollEvery = 500 * time.Microsecond // how often it is looked whether something has happened
	idleFor   = 2 * time.Millisecond   // how long a system is left alone before a latency is measured
	warmUp    = 100 * time.Millisecond
)

// measureSystem runs a scenario that all systems can.
func measureSystem(ctx context.Context, r *run) (err error) {
	sys, err := r.settings().open(ctx, r.System)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.close()) }()
	switch r.Kind {
	case kindInsert:
		return insertAll(ctx, r, sys)
	case kindDrain:
		return drain(ctx, r, sys)
	case kindLifecycle:
		return lifecycle(ctx, r, sys)
	case kindSteady:
		return steady(ctx, r, sys)
	case kindLatency:
		return latency(ctx, r, sys)
	default:
		return errNoSuch(r.System, r.Kind)
	}
}

// insertFrom has goroutines insert jobs until there are to be no more.
func insertFrom(ctx context.Context, r *run, sys system, callers int) error {
	errs := make([]error, callers)
	var work sync.WaitGroup
	for i := range callers {
		work.Go(func() {
			for errs[i] == nil {
				first, ok := r.next(r.Batch)
				if !ok {
					return
				}
				errs[i] = sys.insert(ctx, first, r.Batch)
			}
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

func insertAll(ctx context.Context, r *run, sys system) error {
	if err := r.begin(); err != nil {
		return err
	}
	err := insertFrom(ctx, r, sys, r.Callers)
	r.end()
	r.done.Store(r.made.Load())
	return err
}

// drain measures from the start of the system until the ends of all jobs are durable, or until the
// time is over.
func drain(ctx context.Context, r *run, sys system) error {
	if err := fill(ctx, r, sys, r.Jobs); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	if err := sys.start(); err != nil {
		return err
	}
	err := finish(ctx, r, sys, r.Time)
	r.end()
	r.done.Store(r.handled.Load())
	return err
}

// fill makes a backlog of n jobs.
func fill(ctx context.Context, r *run, sys system, n int) error {
	for n > 0 {
		k := min(n, fillBatch)
		if err := sys.insert(ctx, int(r.made.Add(int64(k)))-k, k); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// finish waits until the ends of all jobs are durable, or until the measured part has lasted for
// limit; 0 means no limit.
func finish(ctx context.Context, r *run, sys system, limit time.Duration) error {
	for r.handled.Load() < r.made.Load() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if limit > 0 && time.Since(r.began) > limit {
			return nil
		}
		time.Sleep(pollEvery)
	}
	return settle(ctx, sys)
}

// settle waits until the ends of all jobs are durable.
func settle(ctx context.Context, sys system) error {
	for {
		left, err := sys.left(ctx)
		if err != nil || left == 0 {
			return err
		}
		time.Sleep(pollEvery)
	}
}

// lifecycle measures from the first insert until the ends of all jobs are durable, or, with a system
// that works more slowly than it inserts, until it has worked for a while.
func lifecycle(ctx context.Context, r *run, sys system) error {
	if err := sys.start(); err != nil {
		return err
	}
	// One job first, because some systems take a while to start.
	if err := fill(ctx, r, sys, 1); err != nil {
		return err
	}
	if err := finish(ctx, r, sys, 0); err != nil {
		return err
	}
	warm := r.handled.Load()
	if err := r.begin(); err != nil {
		return err
	}
	if err := insertFrom(ctx, r, sys, r.Callers); err != nil {
		return err
	}
	err := finish(ctx, r, sys, 2*r.Time)
	r.end()
	r.done.Store(r.handled.Load() - warm)
	return err
}

// steady keeps the backlog at r.Queued jobs and measures how many are done.
func steady(ctx context.Context, r *run, sys system) error {
	left, err := sys.left(ctx)
	if err != nil {
		return err
	}
	// Jobs that were in the file count as made.
	r.made.Store(int64(left))
	if err := fill(ctx, r, sys, r.Queued-left); err != nil {
		return err
	}
	if err := sys.start(); err != nil {
		return err
	}
	feeding, stop := context.WithCancel(ctx)
	var feeders sync.WaitGroup
	errs := make([]error, r.Callers)
	for i := range errs {
		feeders.Go(func() { errs[i] = feed(feeding, r, sys) })
	}
	time.Sleep(warmUp)
	before := r.handled.Load()
	if err := r.begin(); err != nil {
		stop()
		return err
	}
	for !r.late() && (r.Jobs == 0 || r.handled.Load()-before < int64(r.Jobs)) {
		time.Sleep(pollEvery)
	}
	r.done.Store(r.handled.Load() - before)
	r.end()
	stop()
	feeders.Wait()
	return errors.Join(errs...)
}

// feed inserts a batch whenever the backlog is below r.Queued jobs.
func feed(ctx context.Context, r *run, sys system) error {
	for ctx.Err() == nil {
		if r.made.Load()-r.handled.Load() >= int64(r.Queued) {
			time.Sleep(pollEvery)
			continue
		}
		first := int(r.made.Add(int64(r.Batch))) - r.Batch
		if err := sys.insert(context.WithoutCancel(ctx), first, r.Batch); err != nil {
			return err
		}
	}
	return nil
}

// latency measures the time from before a job is inserted until its handler starts.
func latency(ctx context.Context, r *run, sys system) error {
	started := make(chan time.Time, 1)
	r.onStart = func() { started <- time.Now() }
	if err := sys.start(); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	for i := range r.Jobs {
		began := time.Now()
		if err := sys.insert(ctx, i, 1); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case t := <-started:
			r.latencies = append(r.latencies, t.Sub(began))
		}
		r.made.Add(1)
		if err := rest(ctx, sys); err != nil {
			return err
		}
		if r.late() {
			break
		}
	}
	r.end()
	return nil
}

// rest waits until the end of a job is durable, and a little longer. It does not wait for systems
// that store ends a few times a second only.
func rest(ctx context.Context, sys system) error {
	for began := time.Now(); time.Since(began) < 10*idleFor; time.Sleep(pollEvery) {
		left, err := sys.left(ctx)
		if err != nil {
			return err
		}
		if left == 0 {
			break
		}
	}
	time.Sleep(idleFor)
	return nil
}
