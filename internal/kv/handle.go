package kv

import (
	"errors"
	"iter"

	"github.com/embedjobs/jobs"
)

// ErrEnded is returned by the methods of a transaction whose function has returned.
var ErrEnded = errors.New("jobs: the transaction has ended")

// A Handle is the jobs.Tx that one function gets. It stops working when the function returns,
// while the Tx behind it goes on with the functions of others.
type Handle struct {
	tx  *Tx
	err error // why tx is nil
}

var _ jobs.Tx = (*Handle)(nil)

// NewHandle returns a handle of tx.
func NewHandle(tx *Tx) *Handle { return &Handle{tx: tx} }

// Dead returns a handle whose methods return err.
func Dead(err error) *Handle { return &Handle{err: err} }

// End makes the methods return ErrEnded.
func (h *Handle) End() { h.tx, h.err = nil, ErrEnded }

// Job implements jobs.Tx.
func (h *Handle) Job(id jobs.ID) (*jobs.Job, error) {
	if h.tx == nil {
		return nil, h.err
	}
	return h.tx.Job(id)
}

// Save implements jobs.Tx.
func (h *Handle) Save(job *jobs.Job) error {
	if h.tx == nil {
		return h.err
	}
	return h.tx.Save(job)
}

// Remove implements jobs.Tx.
func (h *Handle) Remove(id jobs.ID) error {
	if h.tx == nil {
		return h.err
	}
	return h.tx.Remove(id)
}

// Jobs implements jobs.Tx.
func (h *Handle) Jobs(q jobs.Query) iter.Seq2[*jobs.Job, error] {
	return sequence(h, func(tx *Tx) iter.Seq2[*jobs.Job, error] { return tx.Jobs(q) })
}

// Tallies implements jobs.Tx.
func (h *Handle) Tallies(by jobs.Dimension, within jobs.Labels) iter.Seq2[jobs.Tally, error] {
	return sequence(h, func(tx *Tx) iter.Seq2[jobs.Tally, error] { return tx.Tallies(by, within) })
}

// Record implements jobs.Tx.
func (h *Handle) Record(space, key string) ([]byte, error) {
	if h.tx == nil {
		return nil, h.err
	}
	return h.tx.Record(space, key)
}

// SetRecord implements jobs.Tx.
func (h *Handle) SetRecord(space, key string, value []byte) error {
	if h.tx == nil {
		return h.err
	}
	return h.tx.SetRecord(space, key, value)
}

// Records implements jobs.Tx.
func (h *Handle) Records(space, prefix, from string) iter.Seq2[jobs.Record, error] {
	return sequence(h, func(tx *Tx) iter.Seq2[jobs.Record, error] { return tx.Records(space, prefix, from) })
}

// sequence returns the sequence of the transaction behind h when it is ranged over, which may be
// after the function has returned.
func sequence[V any](h *Handle, open func(*Tx) iter.Seq2[V, error]) iter.Seq2[V, error] {
	return func(yield func(V, error) bool) {
		if h.tx == nil {
			var zero V
			yield(zero, h.err)
			return
		}
		open(h.tx)(yield)
	}
}
