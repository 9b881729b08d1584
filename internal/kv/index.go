package kv

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

// The numbers of the states that an index treats in its own way.
var (
	queued    = stateIndex(jobs.Queued)
	running   = stateIndex(jobs.Running)
	scheduled = stateIndex(jobs.Scheduled)
	retrying  = stateIndex(jobs.Retrying)
)

const idSize = 8

func appendID(b []byte, id jobs.ID) []byte { return binary.BigEndian.AppendUint64(b, uint64(id)) }

// idOf returns the ID with which a key of an index ends.
func idOf(key []byte) jobs.ID {
	if len(key) < idSize {
		return 0
	}
	return jobs.ID(binary.BigEndian.Uint64(key[len(key)-idSize:]))
}

// appendIndexKey appends the key under which a job stands in the index of its state.
func (h *header) appendIndexKey(b []byte, id jobs.ID) (Bucket, []byte) {
	switch h.state {
	case queued:
		b = append(append(b, h.line...), 0, byte(maxPriority-h.priority))
		b = binary.BigEndian.AppendUint64(b, h.stamp)
		return Line, appendID(b, id)
	case scheduled, retrying:
		return Due, appendID(appendTime(b, h.runAt), id)
	}
	return State, appendID(append(b, h.state), id)
}

// The kinds of label indexes, each the first byte of its keys.
const (
	labelTask       = 't'
	labelGroup      = 'g'
	labelBatch      = 'b'
	labelDefinition = 'd'
	labelParent     = 'p'
	labelAfter      = 'a'
	labelTag        = '#'
)

func appendLabel(b []byte, kind byte, labels ...string) []byte {
	b = append(b, kind)
	for _, l := range labels {
		b = append(append(b, l...), 0)
	}
	return b
}

// appendOther appends a label that is another job: the parent, or one that comes before.
func appendOther(b []byte, kind byte, other jobs.ID) []byte { return appendID(append(b, kind), other) }

// A keyList holds keys in one piece of memory.
type keyList struct {
	buf  []byte
	ends []int
}

func (l *keyList) reset() { l.buf, l.ends = l.buf[:0], l.ends[:0] }

func (l *keyList) len() int { return len(l.ends) }

func (l *keyList) at(i int) []byte {
	start := 0
	if i > 0 {
		start = l.ends[i-1]
	}
	return l.buf[start:l.ends[i]]
}

func (l *keyList) contains(key []byte) bool {
	for i := range l.ends {
		if string(l.at(i)) == string(key) {
			return true
		}
	}
	return false
}

func (l *keyList) end(id jobs.ID) {
	l.buf = appendID(l.buf, id)
	l.ends = append(l.ends, len(l.buf))
}

// labels fills the list with the keys under which job stands in the label indexes.
func (l *keyList) labels(job *jobs.Job, id jobs.ID) {
	l.reset()
	l.buf = appendLabel(l.buf, labelTask, job.Task)
	l.end(id)
	if job.Group != "" {
		l.buf = appendLabel(l.buf, labelGroup, job.Group)
		l.end(id)
		if job.Batch != "" {
			l.buf = appendLabel(l.buf, labelBatch, job.Group, job.Batch)
			l.end(id)
		}
	}
	if job.Definition != "" {
		l.buf = appendLabel(l.buf, labelDefinition, job.Definition)
		l.end(id)
	}
	if job.Parent != 0 {
		l.buf = appendOther(l.buf, labelParent, job.Parent)
		l.end(id)
	}
	for i := range job.After {
		other := job.After[i].Job
		if !slices.ContainsFunc(job.After[:i], func(d jobs.Dependency) bool { return d.Job == other }) {
			l.buf = appendOther(l.buf, labelAfter, other)
			l.end(id)
		}
	}
	for i, tag := range job.Tags {
		if !slices.Contains(job.Tags[:i], tag) {
			l.buf = appendLabel(l.buf, labelTag, tag)
			l.end(id)
		}
	}
}

// A walk goes through the keys of a bucket that begin with a prefix. It may be written to
// meanwhile: the walk then finds its place again.
type walk struct {
	tx     *Tx
	bucket Bucket
	prefix []byte
	desc   bool
	cursor Cursor
	writes uint64 // of tx when the cursor was last right
	last   []byte // the latest key
	ended  bool
}

// seek begins an ascending walk at the first key not less than from, a descending one at the last
// key less than from; nil means the beginning. It returns the first key and value.
func (w *walk) seek(from []byte) (k, v []byte) {
	w.cursor = w.tx.b.Cursor(w.bucket)
	w.writes = w.tx.writes
	switch {
	case !w.desc && from == nil:
		k, v = w.cursor.Seek(w.prefix)
	case !w.desc:
		k, v = w.cursor.Seek(from)
	case from == nil:
		k, v = w.before(prefixEnd(w.prefix))
	default:
		k, v = w.before(from)
	}
	return w.took(k, v)
}

// next returns the next key and value. The key is valid until the next call.
func (w *walk) next() (k, v []byte) {
	if w.ended {
		return nil, nil
	}
	if w.writes != w.tx.writes {
		w.cursor = w.tx.b.Cursor(w.bucket)
		w.writes = w.tx.writes
		if w.desc {
			k, v = w.before(w.last)
		} else if k, v = w.cursor.Seek(w.last); string(k) == string(w.last) {
			k, v = w.cursor.Next()
		}
		return w.took(k, v)
	}
	if w.desc {
		k, v = w.cursor.Prev()
	} else {
		k, v = w.cursor.Next()
	}
	return w.took(k, v)
}

// before goes to the last key that is less than key; a nil key is greater than all.
func (w *walk) before(key []byte) (k, v []byte) {
	if key != nil {
		if k, _ = w.cursor.Seek(key); k != nil {
			return w.cursor.Prev()
		}
	}
	return w.cursor.Last()
}

func (w *walk) took(k, v []byte) ([]byte, []byte) {
	if k == nil || len(k) < len(w.prefix) || string(k[:len(w.prefix)]) != string(w.prefix) {
		w.ended = true
		return nil, nil
	}
	w.last = append(w.last[:0], k...)
	return w.last, v
}

// prefixEnd returns the least key that is greater than all keys with the prefix, nil if none is.
func prefixEnd(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earliest returns the earlier of two times; a zero one counts as none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
