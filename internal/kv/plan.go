package kv

import (
	"cmp"
	"slices"

	"github.com/embedjobs/jobs"
)

// source picks the index that has to look at the fewest jobs to answer q. What it yields is
// filtered later, so it may be any superset; nil means that nothing can match.
func (tx *Tx) source(q *jobs.Query, f *filter) (source, error) {
	switch q.Order {
	case jobs.InLine:
		if err := tx.flushGone(); err != nil {
			return nil, err
		}
		return &walkSource{walk: walk{tx: tx, bucket: Line, prefix: append([]byte(q.Line), 0)}}, nil
	case jobs.Due:
		return &walkSource{walk: walk{tx: tx, bucket: Due}}, nil
	case jobs.Newest, jobs.Oldest:
	}
	// The tallies and the sets are read, so they must be right.
	if err := tx.flushTallies(); err != nil {
		return nil, err
	}
	if err := tx.flushSets(); err != nil {
		return nil, err
	}
	if err := tx.flushGone(); err != nil {
		return nil, err
	}
	all, err := tx.total(jobs.ByTotal, &jobs.Labels{}, nil)
	if err != nil || all == 0 {
		return nil, err
	}
	best := plan{cost: all, open: func() source { return tx.byID(q) }}
	if err := tx.planLabels(q, &best); err != nil {
		return nil, err
	}
	if err := tx.planStates(q, f, all, &best); err != nil {
		return nil, err
	}
	if best.cost == 0 {
		return nil, nil
	}
	return best.open(), nil
}

// A plan is a way to answer a query. Its cost is the number of keys that it reads at the most.
type plan struct {
	cost int64
	open func() source
}

func (p *plan) consider(cost int64, open func() source) {
	if cost < p.cost {
		*p = plan{cost, open}
	}
}

// planLabels considers the label indexes.
func (tx *Tx) planLabels(q *jobs.Query, best *plan) error {
	label := func(prefix []byte, cost int64) {
		best.consider(cost, func() source { return tx.bySet(Label, prefix, q.After, q.Order == jobs.Newest) })
	}
	if q.Task != "" {
		n, err := tx.total(jobs.ByTask, &jobs.Labels{Task: q.Task}, nil)
		if err != nil {
			return err
		}
		label(appendLabel(nil, labelTask, q.Task), n)
	}
	if q.Group != "" {
		n, err := tx.total(jobs.ByGroup, &jobs.Labels{Group: q.Group}, nil)
		if err != nil {
			return err
		}
		label(appendLabel(nil, labelGroup, q.Group), n)
	}
	if q.Group != "" && q.Batch != "" {
		n, err := tx.total(jobs.ByBatch, &jobs.Labels{Group: q.Group, Batch: q.Batch}, nil)
		if err != nil {
			return err
		}
		label(appendLabel(nil, labelBatch, q.Group, q.Batch), n)
	}
	// No tally counts the others, so the members of their sets are counted, up to a bound.
	probe := func(prefix []byte) { label(prefix, tx.probe(prefix, best.cost)) }
	if q.Definition != "" {
		probe(appendLabel(nil, labelDefinition, q.Definition))
	}
	if q.Parent != 0 {
		probe(appendOther(nil, labelParent, q.Parent))
	}
	if q.DependsOn != 0 {
		probe(appendOther(nil, labelAfter, q.DependsOn))
	}
	if q.Tag != "" {
		probe(appendLabel(nil, labelTag, q.Tag))
	}
	return nil
}

// maxProbe bounds the chunks that are read to learn how large a set is.
const maxProbe = 256

// probe returns the number of jobs with a label. Of those in more than maxProbe chunks it returns a
// guess.
func (tx *Tx) probe(prefix []byte, all int64) (n int64) {
	w := walk{tx: tx, bucket: Label, prefix: prefix}
	var c chunk
	read := 0
	for k, v := w.seek(nil); k != nil; k, v = w.next() {
		if read++; read == maxProbe {
			return max(n, all/4)
		}
		if c.decode(v) == nil {
			n += c.count()
		}
	}
	return n
}

// planStates considers the indexes of the states that q asks for. Those of queued, scheduled and
// retrying jobs are not in the order of IDs: their IDs are collected and sorted first.
func (tx *Tx) planStates(q *jobs.Query, f *filter, all int64, best *plan) error {
	if len(f.some) == 0 {
		return nil
	}
	matching, err := tx.total(jobs.ByTotal, &jobs.Labels{}, f.some)
	if err != nil {
		return err
	}
	var collect []Bucket
	cost := matching
	for _, b := range [...]struct {
		bucket Bucket
		holds  []byte
	}{{Line, []byte{queued}}, {Due, []byte{scheduled, retrying}}} {
		if !slices.ContainsFunc(b.holds, func(s byte) bool { return f.states[s] }) {
			continue
		}
		n, err := tx.total(jobs.ByTotal, &jobs.Labels{}, b.holds)
		if err != nil {
			return err
		}
		cost += n
		collect = append(collect, b.bucket)
	}
	if len(collect) > 0 && f.plain && q.Limit > 0 && matching > 0 {
		// When many jobs match, some of them are soon found among all.
		best.consider(int64(q.Limit)*all/matching, best.open)
	}
	best.consider(cost, func() source {
		m := &mergeSource{desc: q.Order == jobs.Newest}
		for _, s := range f.some {
			if s != queued && s != scheduled && s != retrying {
				m.sources = append(m.sources, tx.bySet(State, []byte{s}, q.After, m.desc))
			}
		}
		for _, b := range collect {
			m.sources = append(m.sources, tx.collect(b, q, f))
		}
		if len(m.sources) == 1 {
			return m.sources[0]
		}
		return m
	})
	return nil
}

// collect returns the IDs with which the keys of a bucket end, sorted as q asks.
func (tx *Tx) collect(b Bucket, q *jobs.Query, f *filter) source {
	desc := q.Order == jobs.Newest
	compare := cmp.Compare[jobs.ID]
	if desc {
		compare = func(a, b jobs.ID) int { return cmp.Compare(b, a) }
	}
	// A bucket holds only what f admits, unless it is that of the due jobs.
	exact := f.plain && (b == Line || f.states[scheduled] && f.states[retrying])
	var ids []jobs.ID
	sort := func() {
		slices.SortFunc(ids, compare)
		if exact && q.Limit > 0 && len(ids) > q.Limit {
			ids = ids[:q.Limit]
		}
	}
	w := walk{tx: tx, bucket: b}
	for k, _ := w.seek(nil); k != nil; k, _ = w.next() {
		id := idOf(k)
		if q.After != 0 && (id == q.After || (id < q.After) != desc) {
			continue
		}
		ids = append(ids, id)
		if exact && q.Limit > 0 && len(ids) >= 2*q.Limit+1024 {
			sort()
		}
	}
	sort()
	return &listSource{ids}
}
