package kv

import "github.com/embedjobs/jobs"

// A memo holds the headers that a writing transaction, or the one before it, has read or written,
// because who reads or claims a job often saves it next. That spares a search and a decoding for each
// job that is claimed, and another one when it ends, a tenth of what the loop of a runner does. A
// header is found at its ID modulo the size, so jobs in work, whose IDs are close together, find most
// of theirs.
type memo struct {
	slots []slot // nil until it is used
	kept  bool   // beyond the end of the transaction
}

type slot struct {
	id     jobs.ID // 0 for none
	header header
	buf    []byte    // of the slices in header, but for the leaf
	job    *jobs.Job // nil unless it was read ahead
}

const memoSize = 4096

func (m *memo) remember(id jobs.ID, h *header, l *leaf) {
	if m.slots == nil {
		m.slots = make([]slot, memoSize)
	}
	s := &m.slots[id%memoSize]
	// The slices of h may be those of the slot, each in its place.
	s.buf = append(append(s.buf[:0], h.body...), h.line...)
	s.id, s.header, s.job = id, *h, nil
	s.header.leaf = l.bytes
	n := len(h.body)
	s.header.body, s.header.line = s.buf[:n:n], s.buf[n:]
}

// recall finds a header that was remembered. It is forgotten then, because it is about to change; the
// bytes that h points to stay as they are until another one is remembered.
func (m *memo) recall(id jobs.ID, h *header) bool {
	if !m.peek(id, h) {
		return false
	}
	m.slots[id%memoSize].id = 0
	return true
}

// peek is recall for who only wants to know.
func (m *memo) peek(id jobs.ID, h *header) bool {
	if m.slots == nil || id == 0 {
		return false
	}
	s := &m.slots[id%memoSize]
	if s.id != id {
		return false
	}
	*h = s.header
	return true
}

// take returns a job that was read ahead, once; nil if it was not.
func (m *memo) take(id jobs.ID) *jobs.Job {
	if m.slots == nil {
		return nil
	}
	s := &m.slots[id%memoSize]
	if s.id != id {
		return nil
	}
	job := s.job
	s.job = nil
	return job
}

func (m *memo) forget() {
	for i := range m.slots {
		m.slots[i].id, m.slots[i].job = 0, nil
	}
}
