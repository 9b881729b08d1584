package kv

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/embedjobs/jobs"
)

// maxBatch bounds the functions of one commit, and so the time that the first of them waits for
// the last.
const maxBatch = 1000

// A Call is one call of Update.
type Call struct {
	fn   func(jobs.Tx) error
	done <-chan struct{} // of its context
	wake chan wake

	// Guarded by Queue.mu.
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

// A Queue holds the calls that wait for the next commit of a store. There is no goroutine that
// commits: the first caller leads. It runs the functions of all who wait in one transaction, commits
// it, and hands the lead to somebody who came meanwhile.
type Queue struct {
	attempt func(batch []*Call) (bad int)
	pool    sync.Pool // of *Call; not shared by stores, whose channels may belong to bubbles of testing/synctest

	mu      sync.Mutex
	leading bool // somebody leads
	calls   []*Call

	// Used by the leader, and again by the next.
	batch []*Call
	crowd int // calls in the batch before
}

// NewQueue returns a queue that commits by attempt, which is called by one goroutine at a time. It
// runs the calls of a batch in one transaction, see [Tx.Run]. If one of them fails after it has
// written, attempt commits nothing and returns its index. Otherwise it makes all of them final, see
// [Done] and [Fail], and returns -1.
func NewQueue(attempt func(batch []*Call) (bad int)) *Queue {
	q := &Queue{attempt: attempt}
	q.pool.New = func() any { return &Call{wake: make(chan wake, 1)} }
	return q
}

// Update has fn run in the next commit. A panic of fn, and a call of runtime.Goexit, go on on the
// goroutine of the caller.
func (q *Queue) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	c := q.pool.Get().(*Call)
	*c = Call{fn: fn, done: ctx.Done(), wake: c.wake}
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
		q.lead(c)
	}
	result := *c
	*c = Call{wake: c.wake}
	q.pool.Put(c)
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
func (q *Queue) lead(own *Call) {
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
	q.run(batch)
	done = true
}

// Waiting returns the number of calls that wait for the next commit.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.calls)
}

// take returns a batch that begins with own.
func (q *Queue) take(own *Call) []*Call {
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
func (q *Queue) putBack(own *Call, batch []*Call) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var rest []*Call
	for _, c := range batch {
		if c != own && !c.final {
			c.taken = false
			rest = append(rest, c)
		}
	}
	q.calls = append(rest, q.calls...)
}

// wakeAll tells the callers of a batch of what is final.
func wakeAll(own *Call, batch []*Call) {
	for i, c := range batch {
		if c != own && c.final {
			c.wake <- finished
		}
		batch[i] = nil
	}
}

// handOver makes the first call that waits the leader.
func (q *Queue) handOver() {
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
func (q *Queue) run(batch []*Call) {
	for len(batch) > 0 {
		bad := q.attempt(batch)
		if bad < 0 {
			return
		}
		// Those before the bad one have run without failing, so they will again. Committing
		// them first bounds the work by two runs of each, whatever comes after the bad one.
		q.run(batch[:bad])
		batch = batch[bad+1:]
	}
}

// Run runs the calls of a batch in tx. If one of them fails after it has written, the transaction must
// be rolled back; Run then makes the call final and returns its index, otherwise -1.
func (tx *Tx) Run(batch []*Call) (bad int) {
	for i, c := range batch {
		before := tx.Touched()
		c.run(tx)
		if c.failed() && tx.Touched() != before {
			c.final = true
			return i
		}
	}
	return -1
}

// Done makes the calls of a batch final.
func Done(batch []*Call) {
	for _, c := range batch {
		c.final = true
	}
}

// Fail makes all calls of a batch return err. That includes those that failed on their own: what
// they have seen of the others was never committed.
func Fail(batch []*Call, err error) {
	for _, c := range batch {
		c.final, c.outcome, c.err = true, returned, err
	}
}

// run runs the function of a call, once more if need be.
func (c *Call) run(tx *Tx) {
	select {
	case <-c.done:
		c.outcome = skipped
		return
	default:
	}
	handle := NewHandle(tx)
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
func (c *Call) failed() bool { return c.outcome == panicked || c.err != nil }
