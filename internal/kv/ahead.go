package kv

import (
	"sync"

	"github.com/embedjobs/jobs"
)

// Who has taken many jobs out of a line mostly comes again for the next ones. These are read before
// the commit, and decoded while it waits for the disk. To read and decode them was a fifth of what the
// loop of a runner does that drains a backlog; this way it drains 5 to 9 % more jobs.
type ahead struct {
	line string // that the transaction has walked along
	want int    // jobs, about as many as it has found there; 0 for no reading ahead

	decoding sync.Mutex // held by the goroutine that decodes, which fills the memo
	ids      []jobs.ID
	ends     []int // of the headers in data
	data     []byte
	leaf     *leaf // the latest one; its labels are shared by the jobs that have it
}

const (
	minAhead = 64           // jobs that are worth a goroutine
	maxAhead = memoSize / 2 // jobs, which leaves room for as many that run
)

// walked notes that a query has found as many jobs in line as it may.
func (a *ahead) walked(q *jobs.Query, n int) {
	if q.Order == jobs.InLine && n == q.Limit && n >= minAhead {
		a.line, a.want = q.Line, min(n, maxAhead)
	}
}

// ReadAhead is called between Flush and the commit. It does nothing if the transaction has found few jobs
// in line.
func (tx *Tx) ReadAhead() {
	a := &tx.ahead
	if a.want == 0 {
		return
	}
	a.ids, a.ends, a.data = a.ids[:0], a.ends[:0], a.data[:0]
	w := walk{tx: tx, bucket: Line, prefix: append([]byte(a.line), 0)}
	for k, _ := w.seek(nil); k != nil && len(a.ids) < a.want; k, _ = w.next() {
		id := idOf(k)
		tx.key = appendID(tx.key[:0], id)
		a.data = append(a.data, tx.b.Get(Job, tx.key)...)
		a.ids, a.ends = append(a.ids, id), append(a.ends, len(a.data))
	}
	a.decoding.Lock()
	go func() {
		defer a.decoding.Unlock()
		a.decode(&tx.memo)
	}()
}

// wait waits until the memo may be used.
func (a *ahead) wait() {
	a.decoding.Lock()
	a.decoding.Unlock() //nolint:staticcheck // nothing is to be done between
}

// decode puts the jobs that were read into the memo. What cannot be decoded, or has parts elsewhere, is
// left to whoever wants it.
func (a *ahead) decode(m *memo) {
	start := 0
	for i, id := range a.ids {
		data := a.data[start:a.ends[i]]
		start = a.ends[i]
		var h header
		if m.peek(id, &h) || h.decode(data) != nil || h.flags&(flagTail|flagsApart) != 0 {
			continue
		}
		if a.leaf == nil || string(h.leaf) != a.leaf.key {
			a.leaf = newLeaf(h.leaf)
		}
		job := &jobs.Job{ID: id}
		h.fill(job, &a.leaf.labels, a.line)
		if decodeBody(h.body, job) != nil {
			continue
		}
		m.remember(id, &h, a.leaf)
		m.slots[id%memoSize].job = job
	}
}
