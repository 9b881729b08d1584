package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"time"

	"github.com/embedjobs/jobs"
)

// A count is the number of jobs by state, or a change of it, and the time that they span.
type count struct {
	by          [numStates]int64
	first, last time.Time
}

func (c *count) add(d *count) {
	for i, n := range d.by {
		c.by[i] += n
	}
	c.first, c.last = earliest(c.first, d.first), latest(c.last, d.last)
}

func (c *count) isZero() bool { return c.by == [numStates]int64{} }

func (c *count) appendTo(b []byte) []byte {
	b = append(b, format)
	for _, n := range c.by[1:] {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendTime(appendTime(b, c.first), c.last)
}

func (c *count) decode(data []byte) error {
	r := reader{b: data}
	if f := r.byte(); r.err == nil && f != format {
		return errFormat
	}
	for i := 1; i < numStates; i++ {
		c.by[i] = int64(r.uvarint())
	}
	c.first, c.last = r.time(), r.time()
	if r.err == nil && len(r.b) > 0 {
		return errLong
	}
	return r.err
}

// A leaf is what a transaction has to add to the tallies of jobs with the same four labels.
type leaf struct {
	key    string
	bytes  []byte // of key
	labels jobs.Labels
	change count
	dirty  bool
}

func newLeaf(key []byte) *leaf {
	l := &leaf{key: string(key), bytes: bytes.Clone(key)}
	l.labels = splitLeaf(l.key)
	return l
}

// leaf returns the leaf of a key. Leaves are also how the jobs of a transaction share the strings
// of their labels.
func (tx *Tx) leaf(key []byte) *leaf {
	if l := tx.lastLeaf; l != nil && string(key) == l.key {
		return l
	}
	l := tx.leaves[string(key)]
	if l == nil {
		if len(tx.leaves) >= maxLeaves {
			clear(tx.leaves)
		}
		l = newLeaf(key)
		tx.leaves[l.key] = l
	}
	tx.lastLeaf = l
	return l
}

// maxLeaves bounds the leaves that are remembered. Those that are forgotten while they are dirty are
// still in tx.dirty.
const maxLeaves = 10_000

// tally notes that a job of leaf l left state from and came to state to; 0 means that it was not
// there before, or is not there any more.
func (tx *Tx) tally(l *leaf, from, to byte, created, updated time.Time) {
	if !l.dirty {
		l.dirty = true
		tx.dirty = append(tx.dirty, l)
	}
	if from != 0 {
		l.change.by[from]--
	}
	if to != 0 {
		l.change.by[to]++
		l.change.first = earliest(l.change.first, created)
		l.change.last = latest(l.change.last, updated)
	}
}

// The dimensions, each the first byte of the keys of its rows. They stand in stored bytes.
var dimensions = [...]byte{
	jobs.ByTotal:  'a',
	jobs.ByQueue:  'q',
	jobs.ByTask:   't',
	jobs.ByGroup:  'g',
	jobs.ByBatch:  'b',
	jobs.ByLabels: 'l',
}

// appendRow appends the key of the row in which jobs with these labels are counted.
func appendRow(b []byte, by jobs.Dimension, l *jobs.Labels) []byte {
	b = append(b, dimensions[by])
	switch by {
	case jobs.ByQueue:
		b = append(b, l.Queue...)
	case jobs.ByTask:
		b = append(b, l.Task...)
	case jobs.ByGroup:
		b = append(b, l.Group...)
	case jobs.ByBatch:
		b = append(append(append(b, l.Group...), 0), l.Batch...)
	case jobs.ByLabels:
		b = appendLeaf(b, l.Group, l.Batch, l.Queue, l.Task)
	case jobs.ByTotal:
	}
	return b
}

// splitRow returns the labels of a row.
func splitRow(by jobs.Dimension, key []byte) (l jobs.Labels) {
	s := string(key[1:])
	switch by {
	case jobs.ByQueue:
		l.Queue = s
	case jobs.ByTask:
		l.Task = s
	case jobs.ByGroup:
		l.Group = s
	case jobs.ByBatch:
		l = splitLeaf(s)
	case jobs.ByLabels:
		l = splitLeaf(s)
	case jobs.ByTotal:
	}
	return l
}

// flushTallies writes what has been noted to the rows of all dimensions, each row once.
func (tx *Tx) flushTallies() error {
	if len(tx.dirty) == 0 {
		return nil
	}
	if len(tx.dirty) == 1 {
		// The common case needs no map.
		l := tx.dirty[0]
		for by := range dimensions {
			tx.key = appendRow(tx.key[:0], jobs.Dimension(by), &l.labels)
			if err := tx.addToRow(tx.key, &l.change); err != nil {
				return err
			}
		}
	} else {
		rows := make(map[string]*count)
		for _, l := range tx.dirty {
			for by := range dimensions {
				tx.key = appendRow(tx.key[:0], jobs.Dimension(by), &l.labels)
				row := rows[string(tx.key)]
				if row == nil {
					row = new(count)
					rows[string(tx.key)] = row
				}
				row.add(&l.change)
			}
		}
		for _, key := range sortedKeys(rows) {
			tx.key = append(tx.key[:0], key...)
			if err := tx.addToRow(tx.key, rows[key]); err != nil {
				return err
			}
		}
	}
	tx.dropTallies()
	return nil
}

func (tx *Tx) dropTallies() {
	for i, l := range tx.dirty {
		l.change, l.dirty = count{}, false
		tx.dirty[i] = nil
	}
	tx.dirty = tx.dirty[:0]
}

func (tx *Tx) addToRow(key []byte, change *count) error {
	row := count{}
	stored := tx.b.Get(Tally, key)
	if stored != nil {
		if err := row.decode(stored); err != nil {
			return fmt.Errorf("corrupt tally %q: %w", key, err)
		}
	}
	row.add(change)
	for _, n := range row.by {
		if n < 0 {
			return fmt.Errorf("corrupt tally %q: it would become negative", key)
		}
	}
	if row.isZero() {
		if stored == nil {
			return nil
		}
		return tx.delete(Tally, key)
	}
	tx.value = row.appendTo(tx.value[:0])
	return tx.put(Tally, key, tx.value)
}

// Tallies implements jobs.Tx.
func (tx *Tx) Tallies(by jobs.Dimension, within jobs.Labels) iter.Seq2[jobs.Tally, error] {
	return func(yield func(jobs.Tally, error) bool) {
		if by < 0 || int(by) >= len(dimensions) {
			yield(jobs.Tally{}, fmt.Errorf("%w dimension: %d", jobs.ErrInvalid, by))
			return
		}
		if err := tx.flushTallies(); err != nil {
			yield(jobs.Tally{}, err)
			return
		}
		w := walk{tx: tx, bucket: Tally, prefix: []byte{dimensions[by]}}
		if within.Group != "" && (by == jobs.ByGroup || by == jobs.ByBatch || by == jobs.ByLabels) {
			w.prefix = append(w.prefix, within.Group...)
			if by != jobs.ByGroup {
				w.prefix = append(w.prefix, 0)
			}
		}
		for k, v := w.seek(nil); k != nil; k, v = w.next() {
			t := jobs.Tally{Labels: splitRow(by, k)}
			if !covers(&within, &t.Labels) {
				continue
			}
			row := count{}
			if err := row.decode(v); err != nil {
				yield(jobs.Tally{}, fmt.Errorf("corrupt tally %q: %w", k, err))
				return
			}
			for i := 1; i < numStates; i++ {
				t.Add(states[i], row.by[i])
			}
			t.First, t.Last = row.first, row.last
			if !yield(t, nil) {
				return
			}
		}
	}
}

func covers(within, l *jobs.Labels) bool {
	return (within.Group == "" || within.Group == l.Group) &&
		(within.Batch == "" || within.Batch == l.Batch) &&
		(within.Queue == "" || within.Queue == l.Queue) &&
		(within.Task == "" || within.Task == l.Task)
}

// total returns how many jobs a row counts in the given states, in all if none is given.
func (tx *Tx) total(by jobs.Dimension, l *jobs.Labels, in []byte) (int64, error) {
	tx.key = appendRow(tx.key[:0], by, l)
	stored := tx.b.Get(Tally, tx.key)
	if stored == nil {
		return 0, nil
	}
	row := count{}
	if err := row.decode(stored); err != nil {
		return 0, fmt.Errorf("corrupt tally %q: %w", tx.key, err)
	}
	var n int64
	if len(in) == 0 {
		for _, c := range row.by {
			n += c
		}
	}
	for _, i := range in {
		n += row.by[i]
	}
	return n, nil
}
