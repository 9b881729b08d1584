package jobs

import "context"

// An ending is a transaction that takes note of the jobs that end in it, for Options.OnEnd.
type ending struct {
	Tx
	jobs []*Job
}

// noteEnd takes note of a job that has ended, if anybody wants to know.
func noteEnd(tx Tx, job *Job) {
	if e, ok := tx.(*ending); ok {
		c := *job          // it may change yet
		if c.Args == nil { // its claim has left them out
			if stored, err := e.Job(job.ID); err == nil {
				c.Args = stored.Args
			}
		}
		e.jobs = append(e.jobs, &c)
	}
}

// update runs fn in a transaction of the store, and calls OnEnd for the jobs that have ended in it.
func (r *Runner) update(ctx context.Context, fn func(Tx) error) error {
	if r.opts.OnEnd == nil {
		return r.store.Update(ctx, fn)
	}
	var e *ending
	err := r.store.Update(ctx, func(tx Tx) error {
		e = &ending{Tx: tx} // it may run again
		return fn(e)
	})
	if err != nil || e == nil {
		return err
	}
	for _, job := range e.jobs {
		r.tellEnd(r.redact(job))
	}
	return nil
}

// tellEnd calls OnEnd, in a goroutine for which Run waits, if it is running.
func (r *Runner) tellEnd(job *Job) {
	r.mu.Lock()
	base, runs := r.base, r.runs
	if runs {
		r.others.Go(func() { r.opts.OnEnd(base, job) })
	}
	r.mu.Unlock()
	if !runs {
		r.opts.OnEnd(base, job)
	}
}
