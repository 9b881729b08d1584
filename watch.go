package jobs

import (
	"context"
	"iter"
	"reflect"
	"time"
)

// Wait waits until a job has ended and returns it, however it ended. If ctx is done first, it
// returns ctx's cause. The end is durable when Wait returns.
func (r *Runner) Wait(ctx context.Context, id ID) (*Job, error) {
	wake, stop := r.watch(id)
	defer stop()
	for {
		job, err := r.Get(ctx, id)
		if err != nil || job.State.Final() {
			return job, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-wake:
		case <-r.poll():
		}
	}
}

// watchEvery is how often Watch looks at the progress of a running job.
const watchEvery = 100 * time.Millisecond

// Watch returns snapshots of a job: as it is now, at each change of its state (quick ones may be
// seen as one), and when its progress has changed, at most ten times a second. The sequence ends
// with the job's end, or with an error: of the store, or ctx's cause.
func (r *Runner) Watch(ctx context.Context, id ID) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		wake, stop := r.watch(id)
		defer stop()
		var last *Job
		var shown time.Time
		for {
			job, err := r.Get(ctx, id)
			if err != nil {
				yield(nil, err)
				return
			}
			rest := watchEvery - time.Since(shown)
			moved := last == nil || job.State != last.State || job.Claims != last.Claims ||
				job.Cancelling != last.Cancelling || job.Generation != last.Generation
			if moved || rest <= 0 && (job.Version != last.Version || !reflect.DeepEqual(job.Progress, last.Progress) || !reflect.DeepEqual(job.Children, last.Children)) {
				if !yield(job, nil) {
					return
				}
				last, shown, rest = job, time.Now(), watchEvery
			}
			if job.State.Final() {
				return
			}
			if err := r.await(ctx, job, wake, rest); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// watch returns a channel that gets a value after each commit that changed the job, until stop.
func (r *Runner) watch(id ID) (wake <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchers[id] == nil {
		r.watchers[id] = make(map[chan struct{}]bool)
	}
	r.watchers[id][c] = true
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers[id], c)
		if len(r.watchers[id]) == 0 {
			delete(r.watchers, id)
		}
	}
}

// notify tells those who watch a job, and those who watch all (ID 0). It must be called with mu
// held.
func (r *Runner) notify(id ID) {
	for _, key := range [2]ID{id, 0} {
		for c := range r.watchers[key] {
			select {
			case c <- struct{}{}:
			default:
			}
		}
	}
}

// poll returns a channel that asks to look again, for stores that do not tell of their commits.
func (r *Runner) poll() <-chan time.Time {
	if r.told {
		return nil
	}
	return time.After(time.Second)
}
