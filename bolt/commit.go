package bolt

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/internal/kv"
)

// maxBatch bounds the functions of one commit, and so the time that the first of them waits for
// the last.
const maxBatch = 1000

// A call is one call of Update.
type call struct {
	fn   func(jobs.Tx) error
	done <-chan struct{} // of its context
	wake chan wake

	// Guarded by queue.mu.
	taken bool // a leader has it, or it leads
	left  bool // its caller has gone, because its context was done

	// Set by the leader before it wakes the caller.
	final   bool // the rest does not change any more
	outcome outcome
	err     error
	panic   any
}

// An outcome says how fn ended.
type outcome int

const (
	returned outcome = iota
	skipped          // its context was done before it started
	panicked
	exited // it called runtime.Goexit
)

// A wake tells a waiting caller what to do.
type wake int

const (
	finished wake = iota
	lead
)

// A queue holds the calls that wait for the next commit. There is no goroutine that commits: the
// first caller leads. It runs the functions of all who wait in one transaction, commits it, and
// hands the lead to somebody who came meanwhile.
type queue struct {
	mu      sync.Mutex
	leading bool // somebody leads
	calls   []*call

	// Used by the leader, and again by the next.
	batch   []*call
	crowd   int // calls in the batch before
	tx      kv.Tx
	latest  int // ID of the transaction that tx committed last
	backend backend
}

// enqueue has fn run in the next commit.
func (s *Store) enqueue(ctx context.Context, fn func(jobs.Tx) error) error {
	c := s.calls.Get().(*call)
	*c = call{fn: fn, done: ctx.Done(), wake: c.wake}
	q := &s.queue
	q.mu.Lock()
	w := lead
	if q.leading {
		q.calls = append(q.calls, c)
		q.mu.Unlock()
		select {
		case w = <-c.wake:
		case <-c.done:
			q.mu.Lock()
			if !c.taken {
				c.left = true
				q.mu.Unlock()
				return context.Cause(ctx) // c stays behind in the queue
			}
			q.mu.Unlock()
			w = <-c.wake
		}
	} else {
		q.leading, c.taken = true, true
		q.mu.Unlock()
	}
	if w == lead {
		s.lead(c)
	}
	result := *c
	*c = call{wake: c.wake}
	s.calls.Put(c)
	switch result.outcome {
	case skipped:
		return context.Cause(ctx)
	case panicked:
		panic(result.panic)
	case exited:
		runtime.Goexit()
	case returned:
	}
	return result.err
}

// lead runs own and the calls that wait, and hands the lead on.
func (s *Store) lead(own *call) {
	q := &s.queue
	if q.crowd > 1 {
		// The callers of the batch before have just been woken. Those that come again at once
		// should be in this one; without it, the callers form two halves that take turns, and
		// each sync serves one half.
		runtime.Gosched()
	}
	batch := q.take(own)
	q.crowd = len(batch)
	done := false
	defer func() {
		if !done {
			// A function has called runtime.Goexit, as t.FailNow does, and ends this
			// goroutine, whosever function it was.
			q.putBack(own, batch)
		}
		wakeAll(own, batch)
		q.handOver()
	}()
	s.run(batch)
	done = true
}

// take returns a batch that begins with own.
func (q *queue) take(own *call) []*call {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batch = append(q.batch[:0], own)
	n := 0
	for ; n < len(q.calls) && len(q.batch) < maxBatch; n++ {
		if c := q.calls[n]; !c.left {
			c.taken = true
			q.batch = append(q.batch, c)
		}
	}
	q.calls = slices.Delete(q.calls, 0, n)
	return q.batch
}

// putBack has the calls of a batch that are not final wait for the next one, but for own.
func (q *queue) putBack(own *call, batch []*call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rest []*call
	for _, c := range batch {
		if c != own && !c.final {
			c.taken = false
			rest = append(rest, c)
		}
	}
	q.calls = append(rest, q.calls...)
}

// wakeAll tells the callers of a batch of what is final.
func wakeAll(own *call, batch []*call) {
	for i, c := range batch {
		if c != own && c.final {
			c.wake <- finished
		}
		batch[i] = nil
	}
}

// handOver makes the first call that waits the leader.
func (q *queue) handOver() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, c := range q.calls {
		if !c.left {
			c.taken = true
			q.calls = slices.Delete(q.calls, 0, i+1)
			c.wake <- lead
			return
		}
	}
	q.calls = slices.Delete(q.calls, 0, len(q.calls))
	q.leading = false
}

// run makes all calls of a batch final.
func (s *Store) run(batch []*call) {
	for len(batch) > 0 {
		bad := s.attempt(batch)
		if bad < 0 {
			return
		}
		// Those before the bad one have run without failing, so they will again. Committing
		// them first bounds the work by two runs of each, whatever comes after the bad one.
		s.run(batch[:bad])
		batch = batch[bad+1:]
	}
}

// attempt runs the calls of a batch in one transaction. If one of them fails after it has written,
// nothing is committed, that call is final, and its index is returned. Otherwise all calls are
// final and the index is -1.
func (s *Store) attempt(batch []*call) (bad int) {
	btx, err := s.db.Begin(true)
	if err != nil {
		fail(batch, s.beginError(err))
		return -1
	}
	committed := false
	// Deferred, because a function may call runtime.Goexit. After a failed commit it does nothing.
	defer func() {
		if !committed {
			_ = btx.Rollback()
		}
	}()
	id := btx.ID()
	s.deliveries.begin(id)
	q := &s.queue
	if err := q.backend.begin(btx, s.name); err != nil {
		fail(batch, err)
		return -1
	}
	tx := &q.tx
	if id != q.latest+1 {
		tx.Forget() // somebody else has committed since
	}
	tx.Begin(&q.backend, kv.Buffered)
	defer tx.End()

	atFirst := tx.Touched()
	for i, c := range batch {
		before := tx.Touched()
		c.run(tx)
		if c.failed() && tx.Touched() != before {
			c.final = true
			return i
		}
	}
	if tx.Touched() != atFirst {
		if err := s.commit(btx, id, tx); err != nil {
			fail(batch, err)
			return -1
		}
		committed = true
		q.latest = id
	}
	tx.Keep()
	for _, c := range batch {
		c.final = true
	}
	return -1
}

// fail makes all calls of a batch return err. That includes those that failed on their own: what
// they have seen of the others was never committed.
func fail(batch []*call, err error) {
	for _, c := range batch {
		c.final, c.outcome, c.err = true, returned, err
	}
}

// commit flushes and commits a batch and tells the subscribers.
func (s *Store) commit(btx *bbolt.Tx, id int, tx *kv.Tx) (err error) {
	var told *delivery
	defer func() {
		// bbolt panics when it meets pages that make no sense.
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrCorrupt, r)
		}
		if err != nil {
			s.deliveries.drop(told)
			err = fmt.Errorf("bolt: committing to %s: %w", s.db.Path(), err)
		}
	}()
	if err := tx.Flush(); err != nil {
		return err
	}
	told = s.deliveries.announce(id, tx.Changes())
	if err := btx.Commit(); err != nil {
		s.doubt()
		return err
	}
	s.deliveries.committed(told)
	return nil
}

// doubt tells the subscribers of a commit that has failed after it had happened: when the sync of the
// meta page fails, everything is written and seen by the next transaction.
func (s *Store) doubt() {
	btx, err := s.db.Begin(true)
	if err != nil {
		return
	}
	s.deliveries.begin(btx.ID()) // tells, if this is a later one
	_ = btx.Rollback()
}

// run runs the function of a call, once more if need be.
func (c *call) run(tx *kv.Tx) {
	select {
	case <-c.done:
		c.outcome = skipped
		return
	default:
	}
	handle := kv.NewHandle(tx)
	c.outcome, c.err, c.panic = exited, nil, nil
	defer func() {
		handle.End()
		if c.outcome != exited {
			return
		}
		if c.panic = recover(); c.panic != nil {
			c.outcome = panicked
		} else {
			c.final = true
		}
	}()
	c.err = c.fn(handle)
	c.outcome = returned
}

// failed reports whether the latest run has failed.
func (c *call) failed() bool { return c.outcome == panicked || c.err != nil }
