package jobs

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/embedjobs/jobs/internal/joblog"
)

const day = 24 * time.Hour

var (
	keepJobs = map[State]time.Duration{Succeeded: 30 * day, Skipped: 30 * day, Failed: 90 * day, Cancelled: 90 * day}
	keepLogs = [4]time.Duration{15 * day, 30 * day, 91 * day, 183 * day} // by class
)

// pruneEvery is how often Run removes what is too old, if anything can become so.
const pruneEvery = time.Hour

// never is a time at which nothing is to be done.
var never = maxTime

// Prune removes what is older than Options.Keep, KeepLog and KeepEvents say, now. Run does so by
// itself, about once an hour. It returns the number of jobs removed.
func (r *Runner) Prune(ctx context.Context) (int, error) {
	n, _, err := r.prune(ctx)
	return n, err
}

// PruneLogs removes log records up to a level that are older than age, of all jobs, now.
func (r *Runner) PruneLogs(ctx context.Context, level slog.Level, age time.Duration) error {
	return r.pruneLogs(ctx, func(class int) (time.Duration, bool) { return age, class <= joblog.ClassOf(level) })
}

// retain is what Run does about once an hour.
func (r *Runner) retain(ctx context.Context) {
	n, next, err := r.prune(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.opts.Logger.Error("jobs: cannot remove what is too old", "err", err)
		next = time.Now().Add(pruneEvery)
	}
	if n > 0 {
		r.opts.Logger.Info("jobs: removed what was too old", "jobs", n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pruneAt.IsZero() || next.Before(r.pruneAt) { // a job may have ended meanwhile
		r.pruneAt = next
	}
	r.poke()
}

// prune removes what is too old and returns when to look again; never if there is nothing left
// that can become too old.
func (r *Runner) prune(ctx context.Context) (n int, next time.Time, err error) {
	now := time.Now()
	next = never
	later := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, t := range transitions {
		keep, ok := r.opts.Keep[t.from]
		if !ok {
			keep = keepJobs[t.from]
		}
		if !t.final || keep < 0 {
			continue
		}
		removed, oldest, err := r.pruneState(ctx, t.from, now.Add(-keep))
		if n += removed; err != nil {
			return n, next, err
		}
		if !oldest.IsZero() {
			later(oldest.Add(keep))
		}
	}
	err = r.pruneLogs(ctx, func(class int) (time.Duration, bool) {
		keep, ok := r.opts.KeepLog[joblog.Classes[class]]
		if !ok {
			keep = keepLogs[class]
		}
		return keep, keep >= 0
	})
	if err == nil && r.opts.KeepEvents > 0 {
		err = r.pruneEvents(ctx, now.Add(-r.opts.KeepEvents))
	}
	if err != nil {
		return n, next, err
	}
	anything, err := r.anyLog(ctx)
	if anything || r.opts.KeepEvents > 0 {
		later(now.Add(day))
	}
	if soon := now.Add(pruneEvery); next.Before(soon) {
		next = soon
	}
	return n, next, err
}

// pruneState removes jobs that ended in a state before end, and returns when the oldest that stays
// was made. Only jobs that were made before end can have ended before it, and IDs are in the order
// of creation, so it looks at no more than those.
func (r *Runner) pruneState(ctx context.Context, state State, end time.Time) (n int, oldest time.Time, err error) {
	q := Query{States: []State{state}, Order: Oldest, Limit: bulk, Lean: true}
	for {
		var all []*Job
		keep := make(map[ID]bool)
		err := r.store.View(ctx, func(tx Tx) (err error) {
			if all, err = collect(tx.Jobs(q)); err != nil {
				return err
			}
			for _, job := range all {
				if keep[job.ID], err = needed(tx, job); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return n, oldest, err
		}
		stays := func(since time.Time) {
			if oldest.IsZero() || since.Before(oldest) {
				oldest = since
			}
		}
		last := len(all) < bulk
		var old []*Job
		for _, job := range all {
			if !job.CreatedAt.Before(end) {
				stays(job.CreatedAt)
				last = true
				break
			}
			switch {
			case keep[job.ID]:
			case job.FinishedAt.Before(end):
				old = append(old, job)
			default:
				stays(job.FinishedAt)
			}
		}
		removed, err := r.removeAll(ctx, old)
		n += removed
		if errors.Is(err, ErrClosed) || ctx.Err() != nil {
			return n, oldest, err
		}
		if err != nil {
			r.opts.Logger.Error("jobs: cannot remove jobs that are too old", "err", err)
		}
		if last {
			return n, oldest, nil
		}
		q.After = all[len(all)-1].ID
	}
}

// pruneLogs removes log records by class, for which keep says how long they stay, if at all limited.
func (r *Runner) pruneLogs(ctx context.Context, keep func(class int) (time.Duration, bool)) error {
	for class := range joblog.Classes {
		age, limited := keep(class)
		for more := limited; more; {
			err := r.update(ctx, func(tx Tx) (err error) {
				more, err = pruneLog(tx, class, time.Now().Add(-age), bulk)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// anyLog reports whether any log record is stored.
func (r *Runner) anyLog(ctx context.Context) (found bool, err error) {
	err = r.store.View(ctx, func(tx Tx) error {
		for _, err := range tx.Records(spaceLogAge, "", "") {
			found = err == nil
			return err
		}
		return nil
	})
	return found, err
}

// needed reports whether a job that has ended is to stay however old it is: as the latest success of
// its task or its definition, because of its result for a job that comes after it, or because its
// parent waits for others.
func needed(tx Tx, job *Job) (bool, error) {
	if job.State == Succeeded {
		id, err := recordID(tx, spaceLast, job.Task)
		if err != nil || id == job.ID {
			return true, err
		}
		if job.Definition != "" {
			r, err := readRuns(tx, job.Definition)
			if err != nil || r.Last[Succeeded] == job.ID {
				return true, err
			}
		}
	}
	if job.Parent != 0 {
		b, err := broodOf(tx, job)
		if err != nil {
			return true, err
		}
		if b != nil {
			parent, err := tx.Job(job.Parent)
			if err != nil && !errors.Is(err, ErrNotFound) || err == nil && !parent.State.Final() {
				return true, err
			}
		}
	}
	if job.Awaited {
		for _, err := range tx.Jobs(Query{DependsOn: job.ID, States: activeStates(), Limit: 1, Lean: true}) {
			return true, err
		}
	}
	return false, nil
}
