package kv

import (
	"bytes"
	"fmt"

	"github.com/embedjobs/jobs"
)

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
	body, flags := splitBody(tx.key2, job)
	tx.key2 = append(tx.key2, body...) // where it is, unless that has grown
	if err := tx.setBody(id, &h, job, body, flags); err != nil {
		return err
	}
	tx.value = h.appendTo(tx.value[:0])
	if err := tx.put(Job, tx.key, tx.value); err != nil {
		return err
	}
	bucket, key := h.appendIndexKey(tx.key[:0], id)
	tx.key = key
	if err := tx.enter(bucket, key); err != nil {
		return err
	}
	tx.labels.labels(job, id)
	for i := range tx.labels.len() {
		if err := tx.enter(Label, tx.labels.at(i)); err != nil {
			return err
		}
	}
	l := tx.leaf(h.leaf)
	tx.tally(l, 0, h.state, h.created, h.updated)
	tx.keepHeader(id, &h, l)
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
		if err := tx.edit(id, &h, job); err != nil {
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
	tx.keepHeader(id, &h, l)
	job.Version = h.version
	tx.changed(id, l, states[old.state], &h)
	return nil
}

// keepHeader remembers the header of a job that will be saved again soon.
func (tx *Tx) keepHeader(id jobs.ID, h *header, l *leaf) {
	if tx.mode == Buffered && (h.state == queued || h.state == running) {
		tx.memo.remember(id, h, l)
	}
}

// edit gives h the body of an edited job, and moves the job in the label indexes. It uses neither
// tx.value nor tx.key2.
func (tx *Tx) edit(id jobs.ID, h *header, job *jobs.Job) error {
	if err := tx.storedLabels(id); err != nil {
		return err
	}
	tx.labels2.labels(job, id)
	for i := range tx.labels.len() {
		if key := tx.labels.at(i); !tx.labels2.contains(key) {
			if err := tx.leave(Label, key); err != nil {
				return err
			}
		}
	}
	for i := range tx.labels2.len() {
		if key := tx.labels2.at(i); !tx.labels.contains(key) {
			if err := tx.enter(Label, key); err != nil {
				return err
			}
		}
	}
	body, flags := splitBody(nil, job)
	return tx.setBody(id, h, job, body, flags)
}

// setBody puts a body where it belongs: into h, or apart. Parts that were apart and are not any more
// are removed.
func (tx *Tx) setBody(id jobs.ID, h *header, job *jobs.Job, body []byte, flags byte) error {
	before := h.flags
	h.flags, h.body = before&^flagsApart|flags, body
	tx.key = appendID(tx.key[:0], id)
	if flags&flagBody != 0 {
		h.body = nil
		if err := tx.put(Body, tx.key, body); err != nil {
			return err
		}
	} else if before&flagBody != 0 {
		if err := tx.delete(Body, tx.key); err != nil {
			return err
		}
	}
	if flags&flagArgs != 0 {
		return tx.put(Args, tx.key, job.Args)
	}
	if before&flagArgs != 0 {
		return tx.delete(Args, tx.key)
	}
	return nil
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
	if err := tx.body(id, &h, &old, true); err != nil {
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
	if err := tx.leave(from, key[:n]); err != nil {
		return err
	}
	return tx.enter(to, key[n:])
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
	if err := tx.leave(bucket, key); err != nil {
		return err
	}
	for i := range tx.labels.len() {
		if err := tx.leave(Label, tx.labels.at(i)); err != nil {
			return err
		}
	}
	tx.key = appendID(tx.key[:0], id)
	for _, part := range h.parts() {
		if err := tx.delete(part, tx.key); err != nil {
			return err
		}
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
