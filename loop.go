package jobs

import (
	"context"
	"errors"
	"slices"
	"time"
)

// A round is what one transaction of the loop does.
type round struct {
	now      time.Time
	doubtful []*Job
	finished []*attempt
	flush    []update
	release  []*attempt
	due      bool
	claims   []*claim

	// Set by the transaction; reset when it runs again.
	dueAt time.Time
}

// pass does everything that is to be done now, in one transaction. After one that failed it makes
// a transaction of each part, so that a job that cannot be stored does not hold up the others.
func (r *Runner) pass(ctx context.Context) error {
	now := time.Now()
	r.mu.Lock()
	if !r.told {
		r.lookAgain()
		r.dueAt, r.scheduleAt = now, now
	}
	if r.active && !r.pruneAt.IsZero() && !r.pruneAt.After(now) {
		r.pruneAt = time.Time{}
		r.others.Go(func() { r.retain(ctx) })
	}
	if r.active && !r.following && !r.scheduleAt.IsZero() && !r.scheduleAt.After(now) {
		r.scheduleAt, r.following = time.Time{}, true
		r.others.Go(func() { r.follow(ctx) })
	}
	rounds := []*round{r.collect(now)}
	if r.careful {
		rounds = rounds[0].split()
	}
	r.careful = false
	r.mu.Unlock()
	var errs error
	for _, w := range rounds {
		if w.empty() {
			continue
		}
		err := r.update(r.base, func(tx Tx) error { return r.write(tx, w) })
		if err == nil {
			for _, c := range w.claims {
				c.attempts = r.attempts(c)
			}
		}
		r.mu.Lock()
		if err != nil {
			r.careful = true
			r.putBack(w)
		} else {
			r.done(w)
		}
		r.mu.Unlock()
		errs = errors.Join(errs, err)
	}
	return errs
}

// done takes note of what a round has committed. It must be called with mu held.
func (r *Runner) done(w *round) {
	r.settled(w.finished)
	r.settled(w.release)
	for i := range w.flush {
		w.flush[i].stored()
	}
	if w.due && !w.dueAt.IsZero() && (r.dueAt.IsZero() || w.dueAt.Before(r.dueAt)) {
		r.dueAt = w.dueAt
	}
	for _, c := range w.claims {
		r.launch(c)
	}
}

func (w *round) empty() bool {
	return len(w.doubtful)+len(w.finished)+len(w.flush)+len(w.release)+len(w.claims) == 0 && !w.due
}

// split returns rounds that do one thing each.
func (w *round) split() (parts []*round) {
	for _, job := range w.doubtful {
		parts = append(parts, &round{now: w.now, doubtful: []*Job{job}})
	}
	for _, a := range w.finished {
		parts = append(parts, &round{now: w.now, finished: []*attempt{a}})
	}
	for _, a := range w.release {
		parts = append(parts, &round{now: w.now, release: []*attempt{a}})
	}
	for _, u := range w.flush {
		parts = append(parts, &round{now: w.now, flush: []update{u}})
	}
	for _, c := range w.claims {
		parts = append(parts, &round{now: w.now, claims: []*claim{c}})
	}
	return append(parts, &round{now: w.now, due: w.due})
}

// collect takes what is to be done out of the runner's state. It must be called with mu held.
func (r *Runner) collect(now time.Time) *round {
	w := &round{now: now, doubtful: r.doubtful, finished: r.finished}
	r.doubtful, r.finished = nil, nil
	if !r.flushAt.IsZero() && !r.flushAt.After(now) {
		for _, a := range r.dirty {
			a.dirty = false
			if r.running[a.id] == a && !a.hasEnded() {
				w.flush = append(w.flush, a.snapshot())
			}
		}
		r.dirty, r.flushAt = nil, time.Time{}
	}
	if r.active && !r.dueAt.IsZero() && !r.dueAt.After(now) {
		w.due, r.dueAt = true, time.Time{}
	}
	for _, q := range r.queues {
		if len(q.ahead) > 0 && (!r.active || now.Sub(q.ahead[0].claimedAt) >= maxAhead) {
			w.release = append(w.release, q.ahead...)
			q.ahead, q.ended = nil, 0
			q.look()
		}
		if r.active && q.ready {
			edited := q.edited
			if n := q.reserve(now, q.line); n > 0 || edited { // if 0, the claim refreshes the settings
				w.claims = append(w.claims, &claim{queue: q, n: n, arrivals: q.arrivals})
				q.ready, q.edited = false, false
			} else if q.line == 0 {
				q.ready = false
			}
		}
	}
	return w
}

// write is the transaction of a round. It may run more than once.
func (r *Runner) write(tx Tx, w *round) (err error) {
	defer func() {
		if err != nil { // it leaves no trace
			for _, c := range w.claims {
				c.reset()
			}
		}
	}()
	for _, job := range w.doubtful {
		if err := r.unclaim(tx, job, w.now); err != nil {
			return err
		}
	}
	for _, a := range w.finished {
		if err := r.settle(tx, a, w.now); err != nil {
			return err
		}
	}
	for _, a := range w.release {
		if err := r.giveBack(tx, a, w.now); err != nil {
			return err
		}
	}
	for i := range w.flush {
		if err := r.save(tx, &w.flush[i]); err != nil {
			return err
		}
	}
	if w.due {
		if w.dueAt, err = r.promote(tx, w.now); err != nil {
			return err
		}
	}
	suspect := r.suspectBeside(w)
	for _, c := range w.claims {
		c.suspect = suspect
		if err := r.claim(tx, c, w.now); err != nil {
			return err
		}
		suspect = c.suspect
	}
	return nil
}

// suspectBeside reports whether a suspect runs that does not end in this round.
func (r *Runner) suspectBeside(w *round) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	ends := func(a *attempt) bool { return a.id == r.suspect }
	return r.suspect != 0 && !slices.ContainsFunc(w.finished, ends) && !slices.ContainsFunc(w.release, ends)
}

// putBack undoes collect after a transaction that failed. It must be called with mu held.
func (r *Runner) putBack(w *round) {
	r.finished = append(w.finished, r.finished...)
	for _, u := range w.flush {
		r.markDirty(u.attempt)
	}
	for _, a := range w.release {
		a.queue.ahead = append(a.queue.ahead, a)
	}
	if w.due {
		r.dueAt = w.now
	}
	r.doubtful = append(r.doubtful, w.doubtful...)
	for _, c := range w.claims {
		r.doubtful = append(r.doubtful, c.jobs...)
		c.queue.reserved -= c.n
		c.queue.look()
		c.queue.edited = c.queue.edited || c.n == 0
	}
}

// settled forgets attempts whose end is stored. It must be called with mu held.
func (r *Runner) settled(attempts []*attempt) {
	for _, a := range attempts {
		if a.gone { // Run gave up on it
			continue
		}
		a.gone = true
		if r.running[a.id] == a {
			delete(r.running, a.id)
		}
		if r.suspect == a.id {
			r.suspect = 0
			r.lookAgain()
			r.poke()
		}
		if a.settled != nil {
			close(a.settled)
		}
	}
}
