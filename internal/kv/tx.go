package kv

import (
	"bytes"
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
	records  map[string]overlay // by bucket key

	key, key2, value []byte // scratch
	labels, labels2  keyList
}

// Begin prepares tx for a transaction over b.
func (tx *Tx) Begin(b Backend, mode Mode) {
	tx.b, tx.mode = b, mode
	tx.broken = nil
	if tx.leaves == nil {
		tx.leaves = make(map[string]*leaf)
	}
	tx.drop()
}

// End lets go of the backend and of all that has not been flushed.
func (tx *Tx) End() {
	tx.drop()
	tx.b = nil
}

func (tx *Tx) drop() {
	tx.dropTallies()
	clear(tx.records)
	clear(tx.changes)
	tx.changes = tx.changes[:0]
}

// Flush writes what has been collected. It must be called before the backend is committed; after
// an error the backend must be rolled back.
func (tx *Tx) Flush() error {
	if tx.broken != nil {
		return tx.broken
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

// body reads the body of a job into job.
func (tx *Tx) body(id jobs.ID, job *jobs.Job) error {
	tx.key = appendID(tx.key[:0], id)
	data := tx.b.Get(Body, tx.key)
	if data == nil {
		return corrupt(id, Body, errMissing)
	}
	if err := decodeBody(data, job); err != nil {
		return corrupt(id, Body, err)
	}
	return nil
}

// Job implements jobs.Tx.
func (tx *Tx) Job(id jobs.ID) (*jobs.Job, error) {
	var h header
	if err := tx.header(id, &h); err != nil {
		return nil, err
	}
	return tx.load(id, &h)
}

// load returns the job of a header.
func (tx *Tx) load(id jobs.ID, h *header) (*jobs.Job, error) {
	job := &jobs.Job{ID: id}
	labels := &tx.leaf(h.leaf).labels
	line := labels.Queue
	if string(h.line) != line {
		line = string(h.line)
	}
	h.fill(job, labels, line)
	if err := tx.body(id, job); err != nil {
		return nil, err
	}
	if h.flags&flagTail != 0 {
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

// Save implements jobs.Tx.
func (tx *Tx) Save(job *jobs.Job) error {
	if tx.mode == ReadOnly {
		return errReadOnly
	}
	if stateIndex(job.State) == 0 {
		return fmt.Errorf("%w state: %q is none", jobs.ErrInvalid, job.State)
	}
	if err := checkLabel("line", job.Line); err != nil {
		return err
	}
	var err error
	if job.ID == 0 {
		err = tx.insert(job)
	} else {
		err = tx.update(job)
	}
	if err == nil && tx.mode == Through {
		err = tx.Flush()
	}
	return err
}

func (tx *Tx) insert(job *jobs.Job) error {
	if err := checkAsked(job); err != nil {
		return err
	}
	tail, err := appendTail(tx.value[:0], job)
	if err != nil {
		return fmt.Errorf("%w progress: %w", jobs.ErrInvalid, err)
	}
	tx.value = tail
	n, err := tx.b.NextID()
	if err != nil {
		tx.broken = err
		return err
	}
	tx.touched++
	id := jobs.ID(n)

	var h header
	tx.key2 = h.setAsked(job, tx.key2[:0])
	start := len(tx.key2)
	tx.key2 = append(tx.key2, job.Line...)
	h.line = tx.key2[start:]
	h.setHappened(job)
	h.version = job.Version + 1
	if len(tail) > 0 {
		h.flags |= flagTail
	}

	tx.key = appendID(tx.key[:0], id)
	if len(tail) > 0 {
		if err := tx.put(Tail, tx.key, tail); err != nil {
			return err
		}
	}
	tx.value = h.appendTo(tx.value[:0])
	if err := tx.put(Job, tx.key, tx.value); err != nil {
		return err
	}
	tx.value = appendBody(tx.value[:0], job)
	if err := tx.put(Body, tx.key, tx.value); err != nil {
		return err
	}
	bucket, key := h.appendIndexKey(tx.key[:0], id)
	tx.key = key
	if err := tx.put(bucket, key, nil); err != nil {
		return err
	}
	tx.labels.labels(job, id)
	for i := range tx.labels.len() {
		if err := tx.put(Label, tx.labels.at(i), nil); err != nil {
			return err
		}
	}
	l := tx.leaf(h.leaf)
	tx.tally(l, 0, h.state, h.created, h.updated)
	job.ID, job.Version = id, h.version
	tx.changed(id, l, "", &h)
	return nil
}

func (tx *Tx) update(job *jobs.Job) error {
	id := job.ID
	var old header
	if err := tx.header(id, &old); err != nil {
		return err
	}
	if old.version != job.Version {
		return fmt.Errorf("job %d: %w: version %d is stored, not %d", id, jobs.ErrConflict, old.version, job.Version)
	}
	edited := job.Generation != old.gen
	if edited {
		if err := checkAsked(job); err != nil {
			return err
		}
	}
	tail, err := appendTail(tx.value[:0], job)
	if err != nil {
		return fmt.Errorf("job %d: %w progress: %w", id, jobs.ErrInvalid, err)
	}
	tx.value = tail

	tx.touched++
	h := old
	tx.key2 = tx.key2[:0]
	if edited {
		tx.key2 = h.setAsked(job, tx.key2)
	}
	start := len(tx.key2)
	tx.key2 = append(tx.key2, job.Line...)
	h.line = tx.key2[start:]
	h.setHappened(job)
	h.version = old.version + 1

	if edited {
		if err := tx.edit(id, job); err != nil {
			return err
		}
	}
	if err := tx.saveTail(id, &old, &h, tail); err != nil {
		return err
	}
	if err := tx.reindex(id, &old, &h); err != nil {
		return err
	}
	tx.key = appendID(tx.key[:0], id)
	tx.value = h.appendTo(tx.value[:0])
	if err := tx.put(Job, tx.key, tx.value); err != nil {
		return err
	}
	l := tx.leaf(old.leaf)
	if edited && !bytes.Equal(old.leaf, h.leaf) {
		tx.tally(l, old.state, 0, old.created, old.updated)
		l = tx.leaf(h.leaf)
		tx.tally(l, 0, h.state, h.created, h.updated)
	} else if old.state != h.state || !old.updated.Equal(h.updated) || edited {
		tx.tally(l, old.state, h.state, h.created, h.updated)
	}
	job.Version = h.version
	tx.changed(id, l, states[old.state], &h)
	return nil
}

// edit writes the body of an edited job, and moves it in the label indexes. It uses neither
// tx.value nor tx.key2.
func (tx *Tx) edit(id jobs.ID, job *jobs.Job) error {
	if err := tx.storedLabels(id); err != nil {
		return err
	}
	tx.labels2.labels(job, id)
	for i := range tx.labels.len() {
		if key := tx.labels.at(i); !tx.labels2.contains(key) {
			if err := tx.delete(Label, key); err != nil {
				return err
			}
		}
	}
	for i := range tx.labels2.len() {
		if key := tx.labels2.at(i); !tx.labels.contains(key) {
			if err := tx.put(Label, key, nil); err != nil {
				return err
			}
		}
	}
	tx.key = appendID(tx.key[:0], id)
	return tx.put(Body, tx.key, appendBody(nil, job))
}

// storedLabels fills tx.labels with the keys under which a stored job stands in the label indexes.
func (tx *Tx) storedLabels(id jobs.ID) error {
	var h header
	if err := tx.header(id, &h); err != nil {
		return err
	}
	var old jobs.Job
	labels := &tx.leaf(h.leaf).labels
	old.Task, old.Group, old.Batch = labels.Task, labels.Group, labels.Batch
	if err := tx.body(id, &old); err != nil {
		return err
	}
	tx.labels.labels(&old, id)
	return nil
}

// saveTail brings the stored tail up to date, if it differs, and the flag in h that says whether
// there is one.
func (tx *Tx) saveTail(id jobs.ID, old, h *header, tail []byte) error {
	had := old.flags&flagTail != 0
	if len(tail) == 0 && !had {
		return nil
	}
	tx.key = appendID(tx.key[:0], id)
	if len(tail) == 0 {
		return tx.delete(Tail, tx.key)
	}
	h.flags |= flagTail
	if had && bytes.Equal(tx.b.Get(Tail, tx.key), tail) {
		return nil
	}
	return tx.put(Tail, tx.key, tail)
}

// reindex moves a job in the indexes of states.
func (tx *Tx) reindex(id jobs.ID, old, h *header) error {
	from, key := old.appendIndexKey(tx.key[:0], id)
	n := len(key)
	to, key := h.appendIndexKey(key, id)
	tx.key = key
	if from == to && bytes.Equal(key[:n], key[n:]) {
		return nil
	}
	if err := tx.delete(from, key[:n]); err != nil {
		return err
	}
	return tx.put(to, key[n:], nil)
}

// Remove implements jobs.Tx.
func (tx *Tx) Remove(id jobs.ID) error {
	if tx.mode == ReadOnly {
		return errReadOnly
	}
	var h header
	if err := tx.header(id, &h); err != nil {
		return err
	}
	if err := tx.storedLabels(id); err != nil {
		return err
	}
	tx.touched++
	bucket, key := h.appendIndexKey(tx.key[:0], id)
	tx.key = key
	if err := tx.delete(bucket, key); err != nil {
		return err
	}
	for i := range tx.labels.len() {
		if err := tx.delete(Label, tx.labels.at(i)); err != nil {
			return err
		}
	}
	tx.key = appendID(tx.key[:0], id)
	if h.flags&flagTail != 0 {
		if err := tx.delete(Tail, tx.key); err != nil {
			return err
		}
	}
	if err := tx.delete(Body, tx.key); err != nil {
		return err
	}
	if err := tx.delete(Job, tx.key); err != nil {
		return err
	}
	l := tx.leaf(h.leaf)
	tx.tally(l, h.state, 0, h.created, h.updated)
	tx.changes = append(tx.changes, jobs.Change{
		ID: id, Task: l.labels.Task, Queue: l.labels.Queue, From: states[h.state],
	})
	if tx.mode == Through {
		return tx.Flush()
	}
	return nil
}

func (tx *Tx) changed(id jobs.ID, l *leaf, from jobs.State, h *header) {
	tx.changes = append(tx.changes, jobs.Change{
		ID: id, Task: l.labels.Task, Queue: l.labels.Queue,
		From: from, State: states[h.state],
		RunAt: h.runAt, Cancelling: h.flags&flagCancelling != 0,
	})
}
