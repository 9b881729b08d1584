package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// holds reports whether stored is still held by this attempt.
func (a *attempt) holds(stored *Job) bool {
	return stored.State == Running && stored.Claims == a.claimed.Claims
}

// change applies a change that saves the job, if the attempt still holds it; otherwise it returns
// ErrStale. It first tries with what is in memory, which saves reading and decoding the job.
func (a *attempt) change(tx Tx, apply func(job *Job) error) error {
	return a.changeIn(new(Job), tx, apply)
}

// changeIn is change for who lends the memory of a job.
func (a *attempt) changeIn(job *Job, tx Tx, apply func(job *Job) error) error {
	a.mu.Lock()
	*job = *a.job
	a.mu.Unlock()
	err := apply(job)
	if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		return err
	}
	stored, err := tx.Job(a.id)
	if errors.Is(err, ErrNotFound) || err == nil && !a.holds(stored) {
		return fmt.Errorf("job %d: %w", a.id, ErrStale)
	}
	if err != nil {
		return err
	}
	return apply(stored)
}

// save stores progress, counters and log of a running job.
func (r *Runner) save(tx Tx, u *update) error {
	a := u.attempt
	a.saved = nil
	err := a.change(tx, func(job *Job) error {
		u.apply(job)
		if err := tx.Save(job); err != nil {
			return err
		}
		a.saved = job
		return writeChunk(tx, a.id, &u.log)
	})
	if errors.Is(err, ErrStale) {
		return nil
	}
	return err
}

// apply puts what the attempt has to tell into its job.
func (u *update) apply(job *Job) {
	if u.progress != nil {
		job.Progress = u.progress
	}
	job.Counters = u.counters
	job.Warnings, job.LoggedErrors = u.warnings, u.errors
	job.Logged = u.log.Last
}

// settle stores the end of an attempt, with all that belongs to it.
func (r *Runner) settle(tx Tx, a *attempt, now time.Time) error {
	defer func() { a.tried = true }()
	// The job is not needed after the transaction, and was a fifth of what is allocated for one.
	err := a.changeIn(&r.settling, tx, func(job *Job) error {
		a.last.apply(job)
		return r.finish(tx, &a.last, job, a.decide(job, now), now)
	})
	if f, ok := errors.AsType[*followError](err); ok && errors.Is(err, ErrInvalid) {
		a.refuse(f)
		return err
	}
	if errors.Is(err, ErrStale) {
		a.mu.Lock()
		ended := a.completed || a.tried
		a.mu.Unlock()
		if stored, err := tx.Job(a.id); ended && err == nil && stored.Claims == a.claimed.Claims {
			if stored.State.Final() {
				noteEnd(tx, stored)
			}
			return nil
		}
		r.opts.Logger.Warn("jobs: the end of an attempt came too late and was refused", "job", a.id, "task", a.task.Name)
		return nil
	}
	return err
}

// finish stores the end of an attempt in one piece: the next state of its job, its log, the jobs it has
// deferred, and those it has spawned, for which the job waits.
func (r *Runner) finish(tx Tx, u *update, job *Job, to State, now time.Time) error {
	a := u.attempt
	succeeded := to == Succeeded
	var spawned [][]prepared
	if succeeded {
		if spawned = a.adopt(job); len(spawned) > 0 {
			to, job.Brood, job.Joining = Waiting, job.Claims, false
			if err := setOwn(tx, job); err != nil {
				return err
			}
		}
	}
	if err := r.move(tx, job, to, now); err != nil {
		return err
	}
	if err := writeChunk(tx, a.id, &u.log); err != nil || !succeeded {
		return err
	}
	a.mu.Lock()
	deferred := a.deferred
	a.mu.Unlock()
	for _, all := range deferred {
		if _, err := r.insertAll(tx, all, nil, now); err != nil {
			return &followError{err}
		}
	}
	if len(spawned) == 0 {
		return nil
	}
	if err := r.spawn(tx, job, spawned, now); err != nil {
		return &followError{err}
	}
	if job.State == Waiting {
		return nil
	}
	return r.spread(tx, job, Waiting, now)
}

// followError is an error of storing the jobs that a handler has deferred or spawned.
type followError struct{ err error }

func (e *followError) Error() string {
	return "a job that follows from it cannot be enqueued: " + e.err.Error()
}
func (e *followError) Unwrap() error { return e.err }

// refuse fails an attempt whose following jobs have become impossible, such as those that come after a
// job which was deleted meanwhile. The transaction is rolled back; the next one stores the failure.
func (a *attempt) refuse(err *followError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deferred, a.spawned = nil, nil
	a.err, a.result = Fail(err), nil
	a.text = shorten(err.Error(), 8<<10)
}

// decide says what follows from the way the attempt ended.
func (a *attempt) decide(job *Job, now time.Time) State {
	if a.late != "" { // no more is written to it, because the attempt has ended
		message := job.Message
		job.fault(ErrorStuck, "the handler ignored the end of its context for long", a.late, now)
		job.Message = message
	}
	if !errors.Is(a.stopped, ErrStopping) {
		job.Crashes = 0 // it has got to the end of an attempt
	}
	if a.err == nil && job.Cancelling && a.spawns() {
		return Cancelled
	}
	if a.err == nil {
		job.Result, job.Message = a.result, ""
		return Succeeded
	}
	var ( // on the heap, so not made before they are needed
		o *outcome
		p *panicError
	)
	errors.As(a.err, &o)
	if errors.As(a.err, &p) && o != nil && o.state != Failed {
		o = nil // a panic is a failure, even with a value such as that of Skip
	}
	switch {
	case o != nil && o.state == Succeeded:
		job.Result, job.Partial, job.Message = a.result, true, a.text
		job.Warnings++
		return Succeeded
	case o != nil && o.state == Skipped:
		job.Message = a.text
		return Skipped
	case job.Cancelling:
		return Cancelled
	case o != nil && o.state == Scheduled:
		job.Attempt--
		job.Snoozes++
		job.Message = a.text
		return due(job, Scheduled, o.in, now)
	case o == nil && errors.Is(a.stopped, ErrStopping):
		job.Attempt--
		job.Message = "interrupted, because the runner stopped"
		return Queued
	}
	kind, stack := kindOf(a.err), ""
	if p != nil {
		stack = p.stack
	}
	message := a.text
	if errors.Is(a.stopped, ErrTimeout) {
		kind = ErrorTimeout
		message = fmt.Sprintf("timed out after %s: %s", now.Sub(job.StartedAt).Round(time.Millisecond), message)
	}
	job.fault(kind, message, stack, now)
	switch {
	case kind == ErrorArgs || kind == ErrorResult || o != nil && o.state == Failed || job.Attempt >= job.MaxAttempts:
		return Failed
	case !job.Deadline.IsZero() && !now.Before(job.Deadline):
		return Failed
	case o != nil:
		return due(job, Retrying, o.in, now)
	case a.retryIn < 0:
		return Failed
	}
	return due(job, Retrying, a.retryIn, now)
}

func due(job *Job, state State, in time.Duration, now time.Time) State {
	job.RunAt = now.Add(min(max(in, 0), maxDuration))
	return state
}

func kindOf(err error) ErrorKind {
	var (
		args     *argsError
		result   *resultError
		panics   *panicError
		children *childrenError
	)
	switch {
	case errors.As(err, &args):
		return ErrorArgs
	case errors.As(err, &result):
		return ErrorResult
	case errors.As(err, &panics):
		return ErrorPanic
	case errors.As(err, &children):
		return ErrorChildren
	}
	return ErrorReturned
}

// unclaim returns a job to its place in line whose claim was committed, though the store said that the
// commit had failed: the disk may have failed after it had stored everything. Nobody runs such a job.
func (r *Runner) unclaim(tx Tx, claimed *Job, now time.Time) error {
	job, err := tx.Job(claimed.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || job.State != Running || job.Claims != claimed.Claims || !job.StartedAt.Equal(claimed.StartedAt) {
		return err
	}
	to := Queued
	if job.Cancelling {
		to = Cancelled
	}
	job.Attempt--
	return r.move(tx, job, to, now)
}

// giveBack returns a job to its place in line, as if it had not been claimed. If its handler does not
// return, the error history says where it was.
func (r *Runner) giveBack(tx Tx, a *attempt, now time.Time) error {
	a.saved = nil
	err := a.change(tx, func(job *Job) error {
		to := Queued
		if job.Cancelling {
			to = Cancelled
		}
		if a.where != "" {
			job.fault(ErrorStuck, "the handler ignored the end of its context, and the runner stopped without it", a.where, now)
		}
		job.Attempt--
		if err := r.move(tx, job, to, now); err != nil {
			return err
		}
		a.saved = job
		return nil
	})
	if errors.Is(err, ErrStale) {
		return nil
	}
	return err
}

// Complete ends the running job as succeeded, with its result, log and deferred jobs, in a
// transaction that the handler has opened itself, so that it commits together with the handler's
// own data, or not at all: the job then has its effect exactly once. For a file of package bolt
// that is store.Tx(tx). The handler returns after that; if the transaction has committed, what it
// returns does not matter. Outside a job Complete does nothing.
func Complete(ctx context.Context, tx Tx, result any) error {
	a := current(ctx)
	if a == nil {
		return nil
	}
	encoded, err := a.encode("result", result)
	if err != nil {
		return err
	}
	u := a.snapshot()
	a.mu.Lock()
	a.completed = true
	a.mu.Unlock()
	now := time.Now()
	return a.change(tx, func(job *Job) error {
		u.apply(job)
		job.Result, job.Message = encoded, ""
		return a.runner.finish(tx, &u, job, Succeeded, now)
	})
}
