package kv

import (
	"fmt"

	"github.com/embedjobs/jobs"
)

// errReadOnly is returned by the writing methods of a read-only transaction.
var errReadOnly = fmt.Errorf("%w: the transaction is read-only", jobs.ErrInvalid)

// A Mode says what a transaction may do, and when its tallies and records are written.
type Mode int

// The modes.
const (
	ReadOnly Mode = iota
	// Buffered transactions write tallies and records when Flush is called.
	Buffered
	// Through transactions write everything at once, for those that nobody flushes.
	Through
)

// A Tx implements the methods of jobs.Tx over a [Backend]. A store may use one for many
// transactions, one after the other, and spare its allocations.
type Tx struct {
	b       Backend
	mode    Mode
	writes  uint64 // grows with each write to b
	touched uint64 // grows with each Save, Remove and SetRecord that changes something
	broken  error  // a write failed half-way
	changes []jobs.Change

	leaves   map[string]*leaf
	lastLeaf *leaf
	dirty    []*leaf
	records  map[string]*overlay // by bucket key
	chunks   map[string]*pending // by bucket and key
	spare    []*pending          // memory for chunks
	gone     keyList             // of the line index, to be deleted
	memo     memo
	ahead    ahead

	key, key2, value []byte // scratch
	chunkKey         []byte
	labels, labels2  keyList
}

// Begin prepares tx for a transaction over b.
func (tx *Tx) Begin(b Backend, mode Mode) {
	tx.ahead.wait()
	tx.b, tx.mode = b, mode
	tx.broken = nil
	if tx.leaves == nil {
		tx.leaves = make(map[string]*leaf)
	}
	tx.drop()
	if !tx.memo.kept {
		tx.memo.forget()
	}
	tx.memo.kept = false
}

// Keep notes that what the transaction has written is committed, or that it has written nothing. If
// nobody else writes before it begins again, it need not read again what it knows.
func (tx *Tx) Keep() { tx.memo.kept = true }

// Forget is for when somebody else has written.
func (tx *Tx) Forget() { tx.memo.kept = false }

// End lets go of the backend and of all that has not been flushed.
func (tx *Tx) End() {
	tx.drop()
	tx.b = nil
}

func (tx *Tx) drop() {
	tx.dropTallies()
	clear(tx.records)
	tx.dropSets()
	tx.gone.reset()
	tx.ahead.want = 0
	clear(tx.changes)
	tx.changes = tx.changes[:0]
}

// Flush writes what has been collected. It must be called before the backend is
// committed; after an error the backend must be rolled back.
func (tx *Tx) Flush() error {
	if tx.broken != nil {
		return tx.broken
	}
	if err := tx.flushGone(); err != nil {
		return err
	}
	if err := tx.flushSets(); err != nil {
		return err
	}
	if err := tx.flushTallies(); err != nil {
		return err
	}
	return tx.flushRecords()
}

// Touched returns a number that differs from an earlier one if a writing method has done, or begun
// to do, its work since.
func (tx *Tx) Touched() uint64 { return tx.touched }

// Changes returns what was saved and removed. It is valid until Begin or End.
func (tx *Tx) Changes() []jobs.Change { return tx.changes }

// put and delete write to the backend. A failure half-way through a method leaves indexes that do
// not agree, so the transaction must not be committed after it.

func (tx *Tx) put(b Bucket, key, value []byte) error {
	tx.writes++
	if err := tx.b.Put(b, key, value); err != nil {
		tx.broken = fmt.Errorf("writing to bucket %s: %w", b, err)
		return tx.broken
	}
	return nil
}

func (tx *Tx) delete(b Bucket, key []byte) error {
	tx.writes++
	if err := tx.b.Delete(b, key); err != nil {
		tx.broken = fmt.Errorf("deleting from bucket %s: %w", b, err)
		return tx.broken
	}
	return nil
}

func corrupt(id jobs.ID, part Bucket, err error) error {
	name := part.String()
	if part == Job {
		name = "header"
	}
	return fmt.Errorf("job %d: corrupt %s: %w", id, name, err)
}

// header reads the header of a job.
func (tx *Tx) header(id jobs.ID, h *header) error {
	if tx.memo.recall(id, h) {
		return nil
	}
	tx.key = appendID(tx.key[:0], id)
	data := tx.b.Get(Job, tx.key)
	if data == nil {
		return fmt.Errorf("job %d: %w", id, jobs.ErrNotFound)
	}
	if err := h.decode(data); err != nil {
		return corrupt(id, Job, err)
	}
	return nil
}

// body reads the body of a job into job, if lean without arguments that are apart.
func (tx *Tx) body(id jobs.ID, h *header, job *jobs.Job, lean bool) error {
	tx.key = appendID(tx.key[:0], id)
	data := h.body
	if h.flags&flagBody != 0 {
		if data = tx.b.Get(Body, tx.key); data == nil {
			return corrupt(id, Body, errMissing)
		}
	}
	if err := decodeBody(data, job); err != nil {
		return corrupt(id, Body, err)
	}
	if lean || h.flags&flagArgs == 0 {
		return nil
	}
	args := tx.b.Get(Args, tx.key)
	if len(args) == 0 {
		return corrupt(id, Args, errMissing)
	}
	job.Args = append([]byte(nil), args...)
	return nil
}

// Job implements jobs.Tx.
func (tx *Tx) Job(id jobs.ID) (*jobs.Job, error) {
	var h header
	if err := tx.header(id, &h); err != nil {
		return nil, err
	}
	return tx.load(id, &h, false)
}

// load returns the job of a header. If lean, it has no arguments that are apart.
func (tx *Tx) load(id jobs.ID, h *header, lean bool) (*jobs.Job, error) {
	if tx.mode == Buffered {
		tx.memo.remember(id, h, tx.leaf(h.leaf))
	}
	job := &jobs.Job{ID: id}
	labels := &tx.leaf(h.leaf).labels
	line := labels.Queue
	if string(h.line) != line {
		line = string(h.line)
	}
	h.fill(job, labels, line)
	if err := tx.body(id, h, job, lean); err != nil {
		return nil, err
	}
	if h.flags&flagTail != 0 {
		tx.key = appendID(tx.key[:0], id)
		data := tx.b.Get(Tail, tx.key)
		if data == nil {
			return nil, corrupt(id, Tail, errMissing)
		}
		if err := decodeTail(data, job); err != nil {
			return nil, corrupt(id, Tail, err)
		}
	}
	return job, nil
}
