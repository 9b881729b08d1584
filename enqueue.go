package jobs

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Enqueue makes jobs of requests, all of them or, when it returns an error, none. The jobs are
// durable then. A job for which a worker is free is running when it is returned. A request that is
// [Unique] may give the job that stands already.
func (r *Runner) Enqueue(ctx context.Context, reqs ...Request) ([]*Job, error) {
	e := r.enqueuings.Get().(*enqueuing)
	defer e.free()
	if err := e.prepare(ctx, reqs); err != nil {
		return nil, err
	}
	e.reserve()
	again, err := e.commit(ctx)
	if again {
		e.claims = e.claims[:0]
		_, err = e.commit(ctx)
	}
	if err != nil {
		return nil, err
	}
	return r.redactAll(e.made), nil
}

// EnqueueTx does what Enqueue does in a transaction of the store, or one of the application's own
// that the store has wrapped, such as that of bolt's Store.Tx. The jobs exist when it commits.
func (r *Runner) EnqueueTx(ctx context.Context, tx Tx, reqs ...Request) ([]*Job, error) {
	all, err := r.prepare(ctx, nil, reqs, func(task, definition string) (*Job, error) { return r.lastSuccess(tx, task, definition) })
	if err != nil {
		return nil, err
	}
	made, err := r.insertAll(tx, all, nil, time.Now())
	return r.redactAll(made), err
}

// An enqueuing is a call of Enqueue: its requests, and the claims by which some of the jobs start at
// once. It is used again, because it is as large as the jobs that it makes.
type enqueuing struct {
	runner *Runner
	update func(Tx) error // write
	all    []prepared
	claims []claim

	// Set by the transaction; reset when it runs again.
	made  []*Job
	again bool
}

// maxFreed is the greatest number of requests for which there is room in memory that is kept: more than the
// thousand that make a large call, because slices grow in steps.
const maxFreed = 2000

func (e *enqueuing) free() {
	clear(e.all)
	for i := range e.claims {
		c := &e.claims[i]
		clear(c.jobs)
		clear(c.attempts)
		c.jobs, c.attempts = c.jobs[:0], c.attempts[:0]
	}
	e.all, e.claims, e.made = e.all[:0], e.claims[:0], nil
	if cap(e.all) <= maxFreed {
		e.runner.enqueuings.Put(e)
	}
}

func (e *enqueuing) prepare(ctx context.Context, reqs []Request) (err error) {
	all, err := e.runner.prepare(ctx, e.all, reqs, nil)
	if err != nil {
		e.all = e.all[:min(len(reqs), cap(e.all))] // to be cleared
		return err
	}
	e.all = all
	return nil
}

// maxDirect is the greatest size of arguments that are kept in memory until their job starts.
const maxDirect = 4 << 10

// reserve reserves workers for jobs that may start in the transaction that enqueues them, which
// saves them a commit.
func (e *enqueuing) reserve() {
	r := e.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.active {
		return
	}
	now := time.Now()
	for i := range e.all {
		job := &e.all[i].job
		q := r.queue(job.Queue)
		if q.blocked() || job.RunAt.After(now) || len(job.After) > 0 {
			continue
		}
		c := e.claim(q)
		c.n++
		c.enough = c.enough && len(job.Args) <= maxDirect
	}
	for i := range e.claims {
		c := &e.claims[i]
		n := c.queue.reserve(now, c.n)
		c.n, c.enough = n, c.enough && c.n == n
		c.arrivals, c.first = c.queue.arrivals, c.queue.line == 0
	}
	e.claims = slices.DeleteFunc(e.claims, func(c claim) bool { return c.n == 0 })
}

// claim returns the claim of jobs of a queue.
func (e *enqueuing) claim(q *queue) *claim {
	for i := range e.claims {
		if e.claims[i].queue == q {
			return &e.claims[i]
		}
	}
	n := len(e.claims)
	e.claims = slices.Grow(e.claims, 1)[:n+1]
	c := &e.claims[n]
	*c = claim{queue: q, inline: true, enough: true, jobs: c.jobs, left: c.left, attempts: c.attempts}
	return c
}

// commit stores the requests and makes the claims. It asks to be called again, without claims, if it
// failed because a job in line cannot be claimed; not if the commit failed, which may have happened
// nevertheless.
func (e *enqueuing) commit(ctx context.Context) (again bool, err error) {
	r := e.runner
	e.again = false
	err = r.update(ctx, e.update)
	if err != nil && errors.Is(err, context.Cause(ctx)) {
		e.forget() // nothing was stored, though the transaction may have run beside others
	}
	for i := range e.claims {
		c := &e.claims[i]
		if err == nil {
			c.attempts = r.attempts(c)
		} else {
			c.more = true
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range e.claims {
		c := &e.claims[i]
		if err != nil {
			r.doubtful = append(r.doubtful, c.jobs...)
			c.jobs = c.jobs[:0]
		}
		r.launch(c)
	}
	return e.again, err
}

// write is the transaction. It may run more than once.
func (e *enqueuing) write(tx Tx) (err error) {
	r := e.runner
	now := time.Now()
	e.again = false
	defer func() {
		if err != nil {
			e.forget() // the next job that is stored has the ID of the first one here
		}
	}()
	for i := range e.claims {
		c := &e.claims[i]
		if c.direct, err = r.direct(tx, c); err != nil {
			return err
		}
	}
	if e.made, err = r.insertAll(tx, e.all, e.claims, now); err != nil {
		return err
	}
	for i := range e.claims {
		c := &e.claims[i]
		if c.direct {
			err = r.advance(tx, c)
		} else {
			err = r.claim(tx, c, now)
		}
		if err != nil {
			e.again = true
			return err
		}
	}
	return nil
}

// forget is for when the transaction has left no trace.
func (e *enqueuing) forget() {
	for i := range e.claims {
		e.claims[i].reset()
	}
}

// insertAll stores prepared requests. The jobs it returns are those that Enqueue returns. Those for
// which there is a direct claim are running then.
func (r *Runner) insertAll(tx Tx, all []prepared, claims []claim, now time.Time) ([]*Job, error) {
	made := make([]*Job, len(all))
	for i := range all {
		p := &all[i]
		job, err := r.insert(tx, p, made, claims, now)
		if err != nil {
			return nil, err
		}
		made[p.place] = job
	}
	return made, nil
}

// direct reports whether the jobs for which a claim was made need not stand in line, which saves
// their keys there and another save of each: there are workers for all of them, nobody is in line
// before them, and no limit of groups has to be looked at. It may run more than once.
func (r *Runner) direct(tx Tx, c *claim) (bool, error) {
	c.reset()
	if !c.enough {
		return false, nil
	}
	if err := r.refresh(tx, c.queue); err != nil {
		return false, err
	}
	r.mu.Lock()
	q := c.queue
	free := !q.blocked() && q.GroupLimit == 0 && !q.held && q.room() >= 0
	r.mu.Unlock()
	if !free {
		return false, nil
	}
	if c.first { // who comes at the same time does not come before
		return true, nil
	}
	next, err := collect(tx.Jobs(Query{Order: InLine, Line: q.Name, Limit: 1, Lean: true}))
	return len(next) == 0 && err == nil, err
}

// directly returns the claim by which a new job starts without standing in line, nil if there is
// none.
func (r *Runner) directly(claims []claim, job *Job, now time.Time) *claim {
	for i := range claims {
		c := &claims[i]
		if c.queue.Name != job.Queue {
			continue
		}
		t := r.registry.lookup(job.Task)
		if !c.direct || t == nil || t.handle == nil || !job.Deadline.IsZero() && !now.Before(job.Deadline) {
			return nil
		}
		return c
	}
	return nil
}

// start stores a new job in one piece as queued and claimed.
func (r *Runner) start(tx Tx, c *claim, job *Job, now time.Time) error {
	if err := enter(tx, job, Queued, now); err != nil {
		return err
	}
	r.begins(job, now)
	if err := enter(tx, job, Running, now); err != nil {
		return err
	}
	if err := tx.Save(job); err != nil {
		return err
	}
	job.State = Queued // once more, for what is told of each step
	if err := r.entered(tx, job, ""); err != nil {
		return err
	}
	job.State = Running
	if err := r.entered(tx, job, Queued); err != nil {
		return err
	}
	c.left.add(job)
	c.jobs = append(c.jobs, job.Clone()) // the other one goes to the caller
	return nil
}
