package jobs

import (
	"context"
	"errors"
	"time"
)

// tryAll runs the jobs that were there at too many crashes, one at a time and with nothing beside
// them. Whichever ends the process then is to blame, and no other.
func (r *Runner) tryAll(ctx context.Context) error {
	var ids []ID
	err := r.store.View(ctx, func(tx Tx) error {
		for rec, err := range tx.Records(spaceTrial, "", "") {
			if err != nil {
				return err
			}
			ids = append(ids, ID(toNumber([]byte(rec.Key))))
		}
		return nil
	})
	for _, id := range ids {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = r.try(ctx, id)
	}
	return err
}

// try runs one job, if it is in line and its queue may be worked on, and waits for its end.
func (r *Runner) try(ctx context.Context, id ID) error {
	c := new(claim)
	err := r.update(ctx, func(tx Tx) error {
		c.jobs = nil
		job, err := tx.Job(id)
		if errors.Is(err, ErrNotFound) || err == nil && (job.State != Queued || job.Crashes < solitary) {
			return tx.SetRecord(spaceTrial, string(fromID(id)), nil)
		}
		if err != nil {
			return err
		}
		if settings, _, err := r.settings(tx, job.Queue); err != nil || settings.Paused || settings.Workers < 0 {
			return err // it stays on trial
		}
		if err := tx.SetRecord(spaceTrial, string(fromID(id)), nil); err != nil {
			return err
		}
		return r.claimOne(tx, c, job, time.Now())
	})
	if err != nil || len(c.jobs) == 0 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.doubtful = append(r.doubtful, c.jobs...)
		return err
	}
	r.mu.Lock()
	c.queue = r.queue(c.jobs[0].Queue)
	a := r.attempts(c)[0]
	r.takeOn(a)
	r.hire(a.queue) <- a
	r.mu.Unlock()
	for {
		err := r.pass(ctx)
		if err != nil {
			r.opts.Logger.Error("jobs: the store failed; trying again", "err", err)
		}
		r.mu.Lock()
		running := r.running[id] == a
		r.mu.Unlock()
		if !running {
			return nil
		}
		again := time.NewTimer(flushEvery)
		select {
		case <-ctx.Done():
			return nil // Run sees to it that the handler stops
		case <-r.wakeUnless(err):
		case <-again.C:
		}
		again.Stop()
	}
}
