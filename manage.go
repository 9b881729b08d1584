package jobs

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func corrupt(what string, err error) error {
	return fmt.Errorf("jobs: the stored %s cannot be read: %w", what, err)
}

// lastOf returns a function that finds the latest success of a task or a definition.
func (r *Runner) lastOf(ctx context.Context) lastFunc {
	return func(task, definition string) (job *Job, err error) {
		err = r.store.View(ctx, func(tx Tx) error {
			job, err = r.lastSuccess(tx, task, definition)
			return err
		})
		return job, err
	}
}

// lastSuccess returns the job of a definition, if it is not "", or else of a task, under any of its
// names, that succeeded last; nil if there is none.
func (r *Runner) lastSuccess(tx Tx, task, definition string) (last *Job, err error) {
	if definition != "" {
		return latestSuccess(tx, definition)
	}
	names := []string{task}
	if t := r.registry.lookup(task); t != nil {
		names = append(names, t.Aliases...)
	}
	for _, name := range names {
		id, err := recordID(tx, spaceLast, name)
		if err != nil {
			return nil, err
		}
		if id == 0 {
			continue
		}
		job, err := tx.Job(id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err != nil || job.State != Succeeded { // it was removed or retried
			all, err := collect(tx.Jobs(Query{Task: name, States: []State{Succeeded}, Limit: 1}))
			if err != nil {
				return nil, err
			}
			if len(all) == 0 {
				continue
			}
			job = all[0]
		}
		if last == nil || job.FinishedAt.After(last.FinishedAt) {
			last = job
		}
	}
	return last, nil
}

// redact hides the secret arguments of a job that is about to leave this package.
func (r *Runner) redact(job *Job) *Job {
	if t := r.registry.lookup(job.Task); t != nil && t.Schema.HasSecrets() {
		c := *job
		c.Args = t.Schema.Redact(job.Args)
		return &c
	}
	return job
}

func (r *Runner) redactAll(all []*Job) []*Job {
	for i, job := range all {
		all[i] = r.redact(job)
	}
	return all
}

// Get returns a job, as it is now: progress and counters of one that runs in this process are
// live, and so are those of its children, from which the progress of a job with children is made.
// Secret arguments are replaced by [Redacted], here and in everything that returns jobs.
func (r *Runner) Get(ctx context.Context, id ID) (job *Job, err error) {
	err = r.store.View(ctx, func(tx Tx) error {
		if job, err = tx.Job(id); err != nil {
			return err
		}
		job, err = r.live(tx, job)
		return err
	})
	return job, err
}

// A Page is a part of a list of jobs.
type Page struct {
	Jobs []*Job `json:"jobs"`
	// Next is the cursor of the next page; "" if this is the last.
	Next string `json:"next,omitempty"`
}

// List returns the jobs that a query selects, a page at a time. The cursor is "" or the Next of
// the page before; it belongs to its query. A page has q.Limit jobs, by default 100, at most 1,000.
func (r *Runner) List(ctx context.Context, q Query, cursor string) (*Page, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 0 || q.Limit > 1000 {
		return nil, invalidf("Limit", "%d is not between 1 and 1000", q.Limit)
	}
	if err := q.check(); err != nil {
		return nil, err
	}
	if err := q.resume(cursor); err != nil {
		return nil, err
	}
	paged := q.Order == Newest || q.Order == Oldest
	if paged {
		q.Limit++
	}
	page := &Page{Jobs: []*Job{}}
	err := r.store.View(ctx, func(tx Tx) error {
		all, err := collect(tx.Jobs(q))
		for i := range all {
			if err == nil {
				all[i], err = r.live(tx, all[i])
			}
		}
		page.Jobs = append(page.Jobs, all...)
		return err
	})
	if err != nil {
		return nil, err
	}
	if paged && len(page.Jobs) == q.Limit {
		page.Jobs = page.Jobs[:q.Limit-1]
		page.Next = q.cursor(page.Jobs[len(page.Jobs)-1].ID)
	}
	return page, nil
}

func (q *Query) check() error {
	for _, s := range q.States {
		if !s.Valid() {
			return invalidf("States", "%q is no state", s)
		}
	}
	if q.Order < Newest || q.Order > Due {
		return invalidf("Order", "%d is no order", q.Order)
	}
	if q.Order == InLine && q.Line == "" {
		return invalidf("Line", "is required with Order InLine")
	}
	return nil
}

// sum identifies the selection and order of a query, so that a cursor is used with no other.
func (q Query) sum() uint32 {
	q.After, q.Limit = 0, 0
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%#v", q) // a hash takes everything
	return h.Sum32()
}

func (q *Query) cursor(id ID) string {
	b := binary.BigEndian.AppendUint32(nil, q.sum())
	return base64.RawURLEncoding.EncodeToString(binary.AppendUvarint(b, uint64(id)))
}

func (q *Query) resume(cursor string) error {
	if cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) < 5 {
		return invalidf("cursor", "%q is not one of List", shorten(cursor, 40))
	}
	id, n := binary.Uvarint(b[4:])
	if n != len(b)-4 || id == 0 {
		return invalidf("cursor", "%q is not one of List", shorten(cursor, 40))
	}
	if binary.BigEndian.Uint32(b) != q.sum() {
		return invalidf("cursor", "it belongs to another query; begin again with an empty one")
	}
	q.After = ID(id)
	return nil
}

// Count returns the number of jobs that a query selects. When the query has no conditions but
// States and Task, Queue, Group, or Group and Batch, the cost does not depend on the number of jobs.
func (r *Runner) Count(ctx context.Context, q Query) (n int64, err error) {
	if err := q.check(); err != nil {
		return 0, err
	}
	by, within, ok := q.tallied()
	q.Lean = true
	err = r.store.View(ctx, func(tx Tx) error {
		if !ok {
			for _, err := range tx.Jobs(q) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		}
		for tally, err := range tx.Tallies(by, within) {
			if err != nil {
				return err
			}
			for _, s := range q.states() {
				n += tally.Of(s)
			}
		}
		return nil
	})
	return n, err
}

func (q *Query) states() []State {
	if len(q.States) == 0 {
		return States()
	}
	return slices.Compact(slices.Sorted(slices.Values(q.States)))
}

// tallied returns the tallies whose sum is the number of jobs that a query selects, if there are
// such.
func (q *Query) tallied() (Dimension, Labels, bool) {
	labels := Labels{Group: q.Group, Batch: q.Batch, Queue: q.Queue, Task: q.Task}
	rest := *q
	rest.States, rest.Group, rest.Batch, rest.Queue, rest.Task = nil, "", "", "", ""
	if rest.Order = Newest; q.Order == InLine || q.Order == Due || rest.sum() != (Query{}).sum() || q.Limit > 0 || q.After > 0 {
		return 0, labels, false
	}
	switch labels {
	case Labels{}:
		return ByTotal, labels, true
	case Labels{Queue: q.Queue}:
		return ByQueue, labels, true
	case Labels{Task: q.Task}:
		return ByTask, labels, true
	case Labels{Group: q.Group}:
		return ByGroup, labels, true
	case Labels{Group: q.Group, Batch: q.Batch}:
		return ByBatch, labels, true
	}
	return ByLabels, labels, true
}

// Stats returns the number of jobs in each state, along one dimension: ByTotal in one row, ByQueue
// in one for each queue, and so on. Only rows with the labels that are set in within are returned.
// The cost does not depend on the number of jobs.
func (r *Runner) Stats(ctx context.Context, by Dimension, within Labels) ([]Tally, error) {
	if by < ByTotal || by > ByLabels {
		return nil, invalidf("dimension", "%d is none", by)
	}
	var all []Tally
	err := r.store.View(ctx, func(tx Tx) error {
		for tally, err := range tx.Tallies(by, within) {
			if err != nil {
				return err
			}
			all = append(all, tally)
		}
		return nil
	})
	return all, err
}
