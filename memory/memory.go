// Package memory keeps jobs in memory. It is meant for tests and for jobs that may be forgotten:
// it has the same semantics as package bolt, and nothing of it is left when the process ends.
//
//	runner, err := jobs.NewRunner(memory.New(), &reg, nil)
//
// # Concurrency
//
// The functions of all concurrent callers of Update run together, one after the other and not always
// on the goroutine of their caller, as in package bolt. A reader waits for those at work, then it has a
// snapshot of its own and blocks nobody.
package memory

import (
	"context"
	"sync"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/internal/kv"
	"github.com/embedjobs/jobs/internal/notify"
)

// A Store keeps jobs in memory.
type Store struct {
	subscribers notify.List
	readers     sync.WaitGroup // those of View
	queue       *kv.Queue

	mu       sync.Mutex
	closed   bool
	data     buckets
	tx       kv.Tx
	snapshot *buckets // of what is in data, nil if there is none
}

var (
	_ jobs.Store     = (*Store)(nil)
	_ jobs.Notifier  = (*Store)(nil)
	_ jobs.Exclusive = (*Store)(nil)
)

// New returns an empty store.
func New() *Store {
	s := new(Store)
	s.queue = kv.NewQueue(s.attempt)
	return s
}

// Update implements jobs.Store. A panic of fn undoes what it wrote and is raised again on the
// goroutine that called Update.
func (s *Store) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.queue.Update(ctx, fn)
}

// attempt runs the calls of a batch in one transaction, see [kv.NewQueue].
func (s *Store) attempt(batch []*kv.Call) (bad int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		kv.Fail(batch, jobs.ErrClosed)
		return -1
	}
	s.data.begin()
	s.tx.Begin(&s.data, kv.Buffered)
	committed := false
	// Deferred, because a function may call runtime.Goexit.
	defer func() {
		if !committed {
			s.data.undo()
		}
		s.tx.End()
	}()
	if bad := s.tx.Run(batch); bad >= 0 {
		return bad
	}
	if err := s.tx.Flush(); err != nil {
		kv.Fail(batch, err)
		return -1
	}
	committed = true
	s.tx.Keep()
	kv.Done(batch)
	if s.data.changed() {
		s.snapshot = nil
	}
	// Under the lock, so that subscribers learn of commits in their order.
	s.subscribers.Call(s.tx.Changes())
	return -1
}

// View implements jobs.Store.
func (s *Store) View(ctx context.Context, fn func(jobs.Tx) error) error {
	data, err := s.view(ctx)
	if err != nil {
		return err
	}
	defer s.readers.Done()
	var tx kv.Tx
	tx.Begin(data, kv.ReadOnly)
	handle := kv.NewHandle(&tx)
	defer handle.End()
	return fn(handle)
}

// view returns a snapshot for a reader, who must call s.readers.Done.
func (s *Store) view(ctx context.Context) (*buckets, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, jobs.ErrClosed
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	if s.snapshot == nil {
		s.snapshot = s.data.copy()
	}
	s.readers.Add(1)
	return s.snapshot, nil
}

// Close implements jobs.Store. The jobs are gone.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.data = buckets{}
	s.snapshot = nil
	s.mu.Unlock()
	s.readers.Wait()
	return nil
}

// Notify implements jobs.Notifier.
func (s *Store) Notify(fn func([]jobs.Change)) (stop func()) { return s.subscribers.Add(fn) }

// Session implements jobs.Exclusive. It is always 1, because what an earlier process had in memory
// is gone.
func (s *Store) Session() uint64 { return 1 }

// Check reads the whole store and returns an error if its indexes and tallies do not agree with
// its jobs. It is for tests.
func (s *Store) Check(ctx context.Context) error {
	data, err := s.view(ctx)
	if err != nil {
		return err
	}
	defer s.readers.Done()
	return kv.Verify(ctx, data)
}
