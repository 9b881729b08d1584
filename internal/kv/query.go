package kv

import (
	"fmt"
	"iter"

	"github.com/embedjobs/jobs"
)

// Jobs implements jobs.Tx.
func (tx *Tx) Jobs(q jobs.Query) iter.Seq2[*jobs.Job, error] {
	return func(yield func(*jobs.Job, error) bool) {
		if err := tx.scan(&q, yield); err != nil {
			yield(nil, err)
		}
	}
}

// scan yields the jobs that q selects. The error is one that has not been yielded.
func (tx *Tx) scan(q *jobs.Query, yield func(*jobs.Job, error) bool) error {
	f, err := newFilter(q)
	if err != nil {
		return err
	}
	src, err := tx.source(q, f)
	if err != nil || src == nil {
		return err
	}
	// Jobs that the loop's body makes are left out; they might have no end.
	newest := jobs.ID(tx.b.LastID())
	var seen seen
	n := 0
	for q.Limit <= 0 || n < q.Limit {
		id := src.next()
		if id == 0 {
			return nil
		}
		if id > newest || q.Order >= jobs.InLine && seen.before(tx, id) {
			continue
		}
		var h header
		if !tx.memo.peek(id, &h) {
			tx.key = appendID(tx.key[:0], id)
			data := tx.b.Get(Job, tx.key)
			if data == nil {
				continue // removed meanwhile
			}
			if err := h.decode(data); err != nil {
				return corrupt(id, Job, err)
			}
		}
		if !f.admits(tx, &h) {
			continue
		}
		job := tx.memo.take(id)
		if job == nil {
			if job, err = tx.load(id, &h, q.Lean); err != nil {
				return err
			}
		}
		if !q.Match(job) {
			continue
		}
		n++
		if !yield(job, nil) {
			return nil
		}
	}
	tx.ahead.walked(q, n)
	return nil
}

// A seen remembers which jobs a walk along a line has come by. A job that the loop's body sends
// further back in the line would otherwise come again and again.
type seen struct {
	started bool
	writes  uint64
	ids     []jobs.ID
	set     map[jobs.ID]struct{}
}

// before reports whether the walk has come by this job before.
func (s *seen) before(tx *Tx, id jobs.ID) bool {
	if !s.started {
		s.started, s.writes = true, tx.writes
	}
	if s.set == nil {
		if s.writes == tx.writes {
			s.ids = append(s.ids, id)
			return false
		}
		s.set = make(map[jobs.ID]struct{}, len(s.ids))
		for _, id := range s.ids {
			s.set[id] = struct{}{}
		}
		s.ids = nil
	}
	_, ok := s.set[id]
	s.set[id] = struct{}{}
	return ok
}

// A filter is what of a query can be told from a header.
type filter struct {
	q      *jobs.Query
	states [numStates]bool
	some   []byte // the states that are allowed, nil for all
	plain  bool   // q asks for nothing but states
}

func newFilter(q *jobs.Query) (*filter, error) {
	if q.Order < jobs.Newest || q.Order > jobs.Due {
		return nil, fmt.Errorf("%w query: there is no order %d", jobs.ErrInvalid, q.Order)
	}
	if q.Order == jobs.InLine && q.Line == "" {
		return nil, fmt.Errorf("%w query: order InLine needs a line", jobs.ErrInvalid)
	}
	f := &filter{q: q}
	for _, s := range q.States {
		i := stateIndex(s)
		if i == 0 {
			return nil, fmt.Errorf("%w query: there is no state %q", jobs.ErrInvalid, s)
		}
		if !f.states[i] {
			f.states[i] = true
			f.some = append(f.some, i)
		}
	}
	if len(f.some) == 0 {
		for i := range f.states {
			f.states[i] = true
		}
	}
	f.plain = q.Task == "" && q.Queue == "" && q.Group == "" && q.Batch == "" && q.Definition == "" &&
		q.Parent == 0 && q.DependsOn == 0 && q.Tag == "" && q.Actor == "" && q.Unique == "" &&
		q.CreatedFrom.IsZero() && q.CreatedTo.IsZero()
	return f, nil
}

// admits reports whether a job with this header may match.
func (f *filter) admits(tx *Tx, h *header) bool {
	if !f.states[h.state] {
		return false
	}
	if f.plain {
		return true
	}
	q, l := f.q, &tx.leaf(h.leaf).labels
	return (q.Task == "" || q.Task == l.Task) &&
		(q.Queue == "" || q.Queue == l.Queue) &&
		(q.Group == "" || q.Group == l.Group) &&
		(q.Batch == "" || q.Batch == l.Batch) &&
		(q.CreatedFrom.IsZero() || !h.created.Before(q.CreatedFrom)) &&
		(q.CreatedTo.IsZero() || h.created.Before(q.CreatedTo))
}

// A source yields the IDs of candidates in the order of a query, and then 0.
type source interface{ next() jobs.ID }

// A walkSource yields the IDs with which the keys of an index end.
type walkSource struct {
	walk
	from    []byte
	started bool
}

func (s *walkSource) next() jobs.ID {
	var k []byte
	if s.started {
		k, _ = s.walk.next()
	} else {
		s.started = true
		k, _ = s.seek(s.from)
	}
	return idOf(k)
}

// byID returns a source of the IDs of all jobs.
func (tx *Tx) byID(q *jobs.Query) *walkSource {
	s := &walkSource{walk: walk{tx: tx, bucket: Job, desc: q.Order == jobs.Newest}}
	if q.After != 0 {
		from := q.After
		if !s.desc {
			if from++; from == 0 {
				s.started, s.ended = true, true
			}
		}
		s.from = appendID(nil, from)
	}
	return s
}

// A listSource yields IDs that have been collected.
type listSource struct{ ids []jobs.ID }

func (s *listSource) next() jobs.ID {
	if len(s.ids) == 0 {
		return 0
	}
	id := s.ids[0]
	s.ids = s.ids[1:]
	return id
}

// A mergeSource yields the IDs of several sources that are each ordered by ID.
type mergeSource struct {
	desc    bool
	sources []source
	heads   []jobs.ID
}

func (s *mergeSource) next() jobs.ID {
	if s.heads == nil {
		s.heads = make([]jobs.ID, len(s.sources))
		for i, src := range s.sources {
			s.heads[i] = src.next()
		}
	}
	best := -1
	for i, id := range s.heads {
		if id != 0 && (best < 0 || (id > s.heads[best]) == s.desc) {
			best = i
		}
	}
	if best < 0 {
		return 0
	}
	id := s.heads[best]
	for i := range s.heads {
		// A job that moves while the merge runs may be in two sources.
		if s.heads[i] == id {
			s.heads[i] = s.sources[i].next()
		}
	}
	return id
}
