package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs/internal/kv"
)

// A writer is what commits use, one after the other.
type writer struct {
	tx      kv.Tx
	latest  int // ID of the transaction that tx committed last
	backend backend
}

// attempt runs the calls of a batch in one transaction, see [kv.NewQueue].
func (s *Store) attempt(batch []*kv.Call) (bad int) {
	btx, err := s.db.Begin(true)
	if err != nil {
		kv.Fail(batch, s.beginError(err))
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
	w := &s.writer
	if err := w.backend.begin(btx, s.name); err != nil {
		kv.Fail(batch, err)
		return -1
	}
	tx := &w.tx
	if id != w.latest+1 {
		tx.Forget() // somebody else has committed since
	}
	tx.Begin(&w.backend, kv.Buffered)
	defer tx.End()

	before := tx.Touched()
	if bad := tx.Run(batch); bad >= 0 {
		return bad
	}
	if tx.Touched() != before {
		if err := s.commit(btx, id, tx); err != nil {
			kv.Fail(batch, err)
			return -1
		}
		committed = true
		w.latest = id
	}
	tx.Keep()
	kv.Done(batch)
	return -1
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
	tx.ReadAhead()
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
