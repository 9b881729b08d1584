package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Cancel cancels a job: one that has not started is cancelled at once; the context of one that
// runs is cancelled with cause [ErrCancelled], and the job ends as cancelled when its handler has
// returned an error, or as succeeded if it returned none. The reason is kept as the job's message.
// A job that has ended is an error that wraps [ErrState].
func (r *Runner) Cancel(ctx context.Context, id ID, reason string) (*Job, error) {
	job, err := r.edit(ctx, id, func(tx Tx, job *Job) error { return r.cancel(ctx, tx, job, reason) })
	if err != nil || job.Brood == 0 {
		return job, err
	}
	return job, r.cancelChildren(ctx, []ID{id})
}

// Retry takes up a job again that has ended, with all its attempts before it; its errors stay. One
// that is scheduled or retrying becomes due now. A deadline that has passed is lifted. Other states are an error that wraps [ErrState].
func (r *Runner) Retry(ctx context.Context, id ID) (*Job, error) {
	return r.edit(ctx, id, r.retry)
}

// Delete removes a job with its log, after the task's Cleanup. A running job is an error that
// wraps [ErrState].
func (r *Runner) Delete(ctx context.Context, id ID) error {
	var job *Job
	err := r.store.View(ctx, func(tx Tx) (err error) {
		job, err = tx.Job(id)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.clean(ctx, job); err != nil {
		return err
	}
	return r.update(ctx, func(tx Tx) error { return r.remove(tx, id) })
}

// CancelAll cancels all jobs that a query selects and that have not ended, and returns how many.
// It goes through them in several transactions; after an error those before stay cancelled.
func (r *Runner) CancelAll(ctx context.Context, q Query, reason string) (int, error) {
	n, parents, err := r.cancelAll(ctx, q, reason)
	return n, errors.Join(err, r.cancelChildren(ctx, parents))
}

// cancelAll cancels jobs, and returns those among them whose children may have to be cancelled.
func (r *Runner) cancelAll(ctx context.Context, q Query, reason string) (n int, parents []ID, err error) {
	n, err = r.editAll(ctx, q, func(s State) bool { return !s.Final() },
		func(tx Tx, job *Job) error {
			if job.Cancelling {
				return ErrState
			}
			if job.Brood != 0 {
				parents = append(parents, job.ID)
			}
			return r.cancel(ctx, tx, job, reason)
		})
	return n, parents, err
}

// RetryAll takes up again all jobs that a query selects: those in the states it names, by default
// the failed ones. It returns how many. See CancelAll.
func (r *Runner) RetryAll(ctx context.Context, q Query) (int, error) {
	if len(q.States) == 0 {
		q.States = []State{Failed}
	}
	return r.editAll(ctx, q, func(s State) bool { return s.CanBecome(Queued) && s != Running && s != Queued && s != Waiting }, r.retry)
}

// DeleteAll removes all jobs that a query selects, but for those that run. It returns how many.
// See CancelAll.
func (r *Runner) DeleteAll(ctx context.Context, q Query) (int, error) {
	total := 0
	err := r.each(ctx, q, func(s State) bool { return s != Running }, func(all []*Job) error {
		n, err := r.removeAll(ctx, all)
		total += n
		return err
	})
	return total, err
}

func (r *Runner) cancel(ctx context.Context, tx Tx, job *Job, reason string) error {
	if by := actor(ctx); reason == "" && by != "" {
		reason = "by " + by
	}
	if job.State == Running && job.Cancelling {
		return nil
	}
	job.Message = shorten(reason, 8<<10)
	if job.State != Running {
		if job.Brood != 0 {
			if err := abandonChildren(tx, job); err != nil {
				return err
			}
		}
		return r.move(tx, job, Cancelled, time.Now())
	}
	job.Cancelling = true
	return tx.Save(job)
}

func (r *Runner) retry(tx Tx, job *Job) error {
	if job.State == Waiting || job.State == Queued || job.State == Running {
		return fmt.Errorf("%w: %v is on its way", ErrState, job)
	}
	if job.State.Final() && job.Unique != "" {
		standing, err := recordID(tx, spaceUnique, job.Unique)
		if err != nil {
			return err
		}
		if standing != job.ID {
			other, err := tx.Job(standing)
			if err == nil && !other.State.Final() {
				return fmt.Errorf("%w: %v has the same unique key as %v", ErrState, job, other)
			}
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err := tx.SetRecord(spaceUnique, job.Unique, fromID(job.ID)); err != nil {
				return err
			}
		}
	}
	now, to := time.Now(), Queued
	if job.State.Final() {
		var err error
		if to, err = r.reopen(tx, job); err != nil {
			return err
		}
	}
	if !job.Deadline.IsZero() && !now.Before(job.Deadline) {
		job.Deadline = time.Time{}
		job.Generation++
	}
	job.RunAt, job.Message = now, ""
	return r.move(tx, job, to, now)
}

// reopen prepares a job that has ended for being taken up again, and returns the state that it goes
// to.
func (r *Runner) reopen(tx Tx, job *Job) (State, error) {
	blocker, err := r.countPending(tx, job, func(i int) (*Job, error) { return tx.Job(job.After[i].Job) })
	switch {
	case errors.Is(err, ErrInvalid):
		return "", fmt.Errorf("%w: %v comes after a job that was removed", ErrState, job)
	case err != nil:
		return "", err
	case blocker != nil:
		return "", fmt.Errorf("%w: %v comes after %v; retry that one", ErrState, job, blocker)
	}
	if gone, err := parentCancelled(tx, job); gone || err != nil {
		if err == nil {
			err = fmt.Errorf("%w: the parent of %v, job %d, was cancelled; retry that one", ErrState, job, job.Parent)
		}
		return "", err
	}
	if err := r.uncount(tx, job); err != nil {
		return "", err
	}
	job.Attempt, job.Crashes, job.Partial, job.Blocker = 0, 0, false, 0
	job.FinishedAt, job.Result = time.Time{}, nil
	if job.Brood != 0 {
		again, err := r.retryChildren(tx, job)
		if err != nil {
			return "", err
		}
		if again {
			job.Joining = false
			return Waiting, nil
		}
		if job.Joining && job.State == Failed {
			return Queued, nil
		}
	}
	job.Brood, job.Joining = 0, false
	if job.Pending > 0 {
		return Waiting, nil
	}
	return Queued, nil
}

// edit changes one job in a transaction.
func (r *Runner) edit(ctx context.Context, id ID, change func(tx Tx, job *Job) error) (job *Job, err error) {
	err = r.update(ctx, func(tx Tx) error {
		if job, err = tx.Job(id); err != nil {
			return err
		}
		return change(tx, job)
	})
	if err != nil {
		return nil, err
	}
	return r.redact(job), nil
}

const bulk = 500 // jobs that are changed in one transaction

// editAll changes all jobs that a query selects and that are in a suitable state.
func (r *Runner) editAll(ctx context.Context, q Query, suits func(State) bool, change func(tx Tx, job *Job) error) (total int, err error) {
	err = r.each(ctx, q, suits, func(all []*Job) error {
		n := 0
		err := r.update(ctx, func(tx Tx) error {
			n = 0
			for _, job := range all {
				job, err := tx.Job(job.ID) // it may have changed since
				if errors.Is(err, ErrNotFound) || err == nil && !suits(job.State) {
					continue
				}
				if err == nil {
					err = change(tx, job)
				}
				if errors.Is(err, ErrState) {
					continue
				}
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err == nil {
			total += n
		}
		return err
	})
	return total, err
}

// each calls fn with the jobs that a query selects and that are in a suitable state, part by part,
// outside of transactions. Jobs that are enqueued meanwhile are not among them.
func (r *Runner) each(ctx context.Context, q Query, suits func(State) bool, fn func([]*Job) error) error {
	if err := q.check(); err != nil {
		return err
	}
	if q.Order != Newest || q.Limit < 0 {
		return invalidf("Order or Limit", "jobs are changed from the newest down; the order cannot be chosen, the limit not be negative")
	}
	var states []State
	for _, s := range q.states() {
		if suits(s) {
			states = append(states, s)
		}
	}
	if len(states) == 0 {
		return invalidf("States", "nothing can be done with jobs in state %v", q.States)
	}
	rest := q.Limit
	q.States, q.Lean = states, true // from the newest down, so that new ones do not count
	for {
		q.Limit = bulk
		if rest > 0 {
			q.Limit = min(rest, bulk)
		}
		var all []*Job
		err := r.store.View(ctx, func(tx Tx) (err error) {
			all, err = collect(tx.Jobs(q))
			return err
		})
		if err != nil || len(all) == 0 {
			return err
		}
		if err := fn(all); err != nil {
			return err
		}
		if rest > 0 {
			if rest -= len(all); rest == 0 {
				return nil
			}
		}
		if len(all) < q.Limit {
			return nil
		}
		q.After = all[len(all)-1].ID
	}
}

// clean calls the cleanup of a job that is to be removed.
func (r *Runner) clean(ctx context.Context, job *Job) error {
	if job.State == Running {
		return fmt.Errorf("%w: %v runs; cancel it first", ErrState, job)
	}
	t := r.registry.lookup(job.Task)
	if t == nil || t.Cleanup == nil {
		return nil
	}
	c := job.Clone()
	if c.Args == nil {
		var err error
		if c.Args, err = r.storedArgs(ctx, job.ID); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	if err := t.Cleanup(ctx, c); err != nil {
		return fmt.Errorf("jobs: cleanup of %v: %w", job, err)
	}
	return nil
}

// storedArgs returns the arguments of a job that was read without them, see Query.Lean.
func (r *Runner) storedArgs(ctx context.Context, id ID) (args json.RawMessage, err error) {
	err = r.store.View(ctx, func(tx Tx) error {
		job, err := tx.Job(id)
		if err == nil {
			args = job.Args
		}
		return err
	})
	return args, err
}

// removeAll removes jobs in one transaction and returns how many. Those that are gone or have
// started meanwhile do not count. The error has those of the cleanups, whose jobs stay.
func (r *Runner) removeAll(ctx context.Context, all []*Job) (n int, err error) {
	var clean []*Job
	for _, job := range all {
		if e := r.clean(ctx, job); e != nil {
			err = errors.Join(err, e)
		} else {
			clean = append(clean, job)
		}
	}
	if len(clean) == 0 {
		return 0, err
	}
	return n, errors.Join(err, r.update(ctx, func(tx Tx) error {
		n = 0
		for _, job := range clean {
			err := r.remove(tx, job.ID)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrState) {
				continue
			}
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}))
}

// remove removes a job with all that belongs to it.
func (r *Runner) remove(tx Tx, id ID) error {
	job, err := tx.Job(id)
	if err != nil {
		return err
	}
	switch {
	case job.State == Running:
		return fmt.Errorf("%w: %v has just started", ErrState, job)
	case job.State == Waiting && job.Brood != 0:
		return fmt.Errorf("%w: %v waits for its children; cancel it first", ErrState, job)
	case !job.State.Final() && (job.Parent != 0 || job.Awaited):
		job.Message = "it was deleted"
		if err := r.move(tx, job, Cancelled, time.Now()); err != nil {
			return err
		}
	}
	for _, space := range []string{spaceBrood, spaceOwn} {
		if err := tx.SetRecord(space, string(fromID(id)), nil); err != nil {
			return err
		}
	}
	if job.Unique != "" {
		holder, err := recordID(tx, spaceUnique, job.Unique)
		if err == nil && holder == id {
			err = tx.SetRecord(spaceUnique, job.Unique, nil)
		}
		if err != nil {
			return err
		}
	}
	if err := removeLog(tx, id); err != nil {
		return err
	}
	if err := tx.Remove(id); err != nil {
		return err
	}
	from := job.State
	if job.Definition != "" {
		if err := countRun(tx, job, from, ""); err != nil {
			return err
		}
	}
	job.State = ""
	return r.record(tx, job, from)
}

// Edit changes what was asked for of a job that has not started: arguments, title, queue,
// priority, time, tags, meta, limits. Fn gets the request as it stands and changes it; a secret
// argument that is still [Redacted] stays as it is. Fn may be called again when the job has changed
// meanwhile. The group, batch, task, actor, unique key and
// dependencies of a job cannot be changed. A job that
// has started or ended is an error that wraps [ErrState].
func (r *Runner) Edit(ctx context.Context, id ID, fn func(*Request) error) (*Job, error) {
	for {
		var job *Job
		err := r.store.View(ctx, func(tx Tx) (err error) {
			job, err = tx.Job(id)
			return err
		})
		if err != nil {
			return nil, err
		}
		place := lineKey(job.Queue, job.Priority)
		if err := r.revise(ctx, job, fn); err != nil {
			return nil, err
		}
		now := time.Now()
		err = r.update(ctx, func(tx Tx) error {
			edited := *job // the transaction may run again
			return r.requeue(tx, &edited, place, now)
		})
		if !errors.Is(err, ErrConflict) {
			if err != nil {
				return nil, err
			}
			return r.Get(ctx, id)
		}
	}
}

// revise applies fn to the request of a job and checks the outcome.
func (r *Runner) revise(ctx context.Context, job *Job, fn func(*Request) error) error {
	if job.State.Final() || job.State == Running {
		return fmt.Errorf("%w: %v can no longer be edited", ErrState, job)
	}
	t := r.registry.lookup(job.Task)
	if t == nil {
		return invalidf("task", "%q is not registered; %s", job.Task, r.registry.known())
	}
	was := job.Request()
	req := r.redact(job.Clone()).Request()
	if err := fn(&req); err != nil {
		return err
	}
	if req.Task != was.Task || req.Group != was.Group || req.Batch != was.Batch || req.Actor != was.Actor || !req.Unique.isZero() ||
		req.Each != was.Each || !slices.Equal(req.After, was.After) {
		return invalidf("request", "Task, Group, Batch, Actor, Unique, After and Each of a job cannot be changed")
	}
	if req.MaxAttempts == 0 {
		req.MaxAttempts = was.MaxAttempts
	}
	checked := req
	if req.Deadline.Equal(was.Deadline) {
		checked.Deadline = time.Time{} // it may have passed since
	}
	if err := errors.Join(checked.check(time.Now()), r.checkWorkers(t, req.Queue)); err != nil {
		return err
	}
	args, err := t.Schema.RestoreSecrets(req.Args, job.Args)
	if err != nil {
		return err
	}
	if err := r.acceptArgs(ctx, t, job, args, nil); err != nil {
		return err
	}
	if err := job.checkRefs(); err != nil {
		return err
	}
	job.ChildPolicy = req.ChildPolicy
	job.Title, job.Queue, job.Priority, job.RunAt = req.Title, req.Queue, req.Priority, req.RunAt
	job.Tags, job.Meta = slices.Clone(req.Tags), cloneMap(req.Meta)
	job.MaxAttempts, job.Timeout, job.Deadline = req.MaxAttempts, req.Timeout, req.Deadline
	if now := time.Now(); !job.RunAt.Equal(was.RunAt) && job.RunAt.Before(now) {
		job.RunAt = now
	}
	job.Generation++
	return nil
}

// requeue saves an edited job, in the line and the state that its new request asks for.
func (r *Runner) requeue(tx Tx, job *Job, place string, now time.Time) error {
	later := job.RunAt.After(now)
	switch {
	case job.State == Waiting, later && job.State != Queued:
		return tx.Save(job)
	case later:
		return r.move(tx, job, Scheduled, now)
	case job.State == Queued && lineKey(job.Queue, job.Priority) != place:
		if err := stamp(tx, job); err != nil {
			return err
		}
	}
	return r.move(tx, job, Queued, now)
}
