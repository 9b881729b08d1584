package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ChildCounts are the numbers of children that a job has spawned.
type ChildCounts struct {
	Total     int64 `json:"total"`
	Succeeded int64 `json:"succeeded,omitempty"`
	Partial   int64 `json:"partial,omitempty"` // of those that have succeeded
	Failed    int64 `json:"failed,omitempty"`
	Cancelled int64 `json:"cancelled,omitempty"`
	Skipped   int64 `json:"skipped,omitempty"`
	// Counters are the sums of the children's counters, and of their children's.
	Counters map[string]int64 `json:"counters,omitempty"`
}

// Done returns the number of children that have ended.
func (c *ChildCounts) Done() int64 { return c.Succeeded + c.Failed + c.Cancelled + c.Skipped }

// Pending returns the number of children that have not ended.
func (c *ChildCounts) Pending() int64 { return c.Total - c.Done() }

func (c *ChildCounts) clone() *ChildCounts {
	if c == nil {
		return nil
	}
	d := *c
	d.Counters = cloneMap(c.Counters)
	return &d
}

// add counts n more children that have ended as job has.
func (c *ChildCounts) add(job *Job, n int64) {
	switch job.State {
	case Succeeded:
		c.Succeeded += n
		if job.Partial {
			c.Partial += n
		}
	case Failed:
		c.Failed += n
	case Cancelled:
		c.Cancelled += n
	case Skipped:
		c.Skipped += n
	case Waiting, Scheduled, Queued, Running, Retrying:
	}
	c.count(job.Counters, n)
	if job.Children != nil {
		c.count(job.Children.Counters, n)
	}
}

func (c *ChildCounts) count(counters map[string]int64, n int64) {
	for name, value := range counters {
		if c.Counters == nil {
			c.Counters = make(map[string]int64)
		}
		if _, known := c.Counters[name]; known || len(c.Counters) < maxCounters {
			c.Counters[name] += n * value
		}
	}
}

// outcome says how a job ends whose children have ended so, as the error of a handler would: nil for
// success.
func (c *ChildCounts) outcome(policy Need) error {
	bad := c.Failed + c.Cancelled
	if bad == 0 && c.Partial == 0 {
		return nil
	}
	var parts []string
	for _, p := range []struct {
		n    int64
		text string
	}{{c.Failed, "failed"}, {c.Cancelled, "were cancelled"}, {c.Partial, "succeeded only in part"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	text := fmt.Errorf("of %d children %s", c.Total, strings.Join(parts, ", "))
	if bad > 0 && (policy == NeedAll || policy == NeedSuccess && c.Succeeded == 0) {
		return Fail(&childrenError{text})
	}
	return Partial(text)
}

// childrenError says that the children of a job did not do what is needed.
type childrenError struct{ error }

func (e *childrenError) Unwrap() error { return e.error }

// A brood is what is stored of the children that an attempt has spawned, beside its job, so that the
// end of one costs the same however many there are.
type brood struct {
	ChildCounts
	Claim     int       `json:"claim"`               // Job.Claims of the attempt, in Job.ParentClaim of the children
	Since     time.Time `json:"since"`               // when they were spawned
	Last      time.Time `json:"last,omitzero"`       // when one of them ended last
	Open      bool      `json:"open,omitempty"`      // they are being spawned
	Abandoned bool      `json:"abandoned,omitempty"` // their parent was cancelled: they are not to start
	Kinds     []kind    `json:"kinds,omitempty"`     // what they have counted
}

func readBrood(tx Tx, parent ID) (*brood, error) {
	data, err := tx.Record(spaceBrood, string(fromID(parent)))
	if err != nil || data == nil {
		return nil, err
	}
	b := new(brood)
	if err := json.Unmarshal(data, b); err != nil {
		return nil, corrupt("counts of the children of job "+parent.String(), err)
	}
	return b, nil
}

func (b *brood) write(tx Tx, parent ID) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return tx.SetRecord(spaceBrood, string(fromID(parent)), data)
}

// broodOf returns the brood to which a child belongs, nil if its parent does not wait for it.
func broodOf(tx Tx, child *Job) (*brood, error) {
	if child.Parent == 0 {
		return nil, nil
	}
	b, err := readBrood(tx, child.Parent)
	if err != nil || b == nil || b.Claim != child.ParentClaim {
		return nil, err
	}
	return b, nil
}

func parentCancelled(tx Tx, child *Job) (bool, error) {
	b, err := broodOf(tx, child)
	return b != nil && b.Abandoned, err
}

// setOwn keeps the result of a handler until the children that it has spawned have ended.
func setOwn(tx Tx, job *Job) error {
	own := job.Result
	job.Result = nil
	return tx.SetRecord(spaceOwn, string(fromID(job.ID)), own)
}

func ownOf(tx Tx, id ID) (json.RawMessage, error) { return tx.Record(spaceOwn, string(fromID(id))) }

// count adds n times a child that has ended, with what its own children have counted.
func (b *brood) count(tx Tx, child *Job, title string, n int64) error {
	var kids *brood
	if child.Brood != 0 {
		var err error
		if kids, err = readBrood(tx, child.ID); err != nil {
			return err
		}
	}
	c := *child
	if kids != nil {
		c.Children = &kids.ChildCounts
	}
	b.add(&c, n)
	b.sum(title, child.Progress, kids, n)
	if k := b.kind(title); k != nil {
		k.Known += n
	}
	return nil
}

// spawn stores the children of a job that has just begun to wait for them.
func (r *Runner) spawn(tx Tx, parent *Job, spawned [][]prepared, now time.Time) error {
	b := &brood{Claim: parent.Brood, Since: now, Open: true}
	if err := b.write(tx, parent.ID); err != nil {
		return err
	}
	var kids []*Job
	for _, all := range spawned {
		made, err := r.insertAll(tx, all, nil, now)
		if err != nil {
			return err
		}
		for _, job := range made {
			if !job.Duplicate {
				kids = append(kids, job)
			}
		}
	}
	b, err := readBrood(tx, parent.ID) // some may have ended
	if err != nil {
		return err
	}
	for _, job := range kids {
		if k := b.makeKind(r.title(job)); k != nil {
			k.Jobs++
		}
	}
	b.fix(parent.Progress)
	b.Total, b.Open = int64(len(kids)), false
	if err := b.write(tx, parent.ID); err != nil || b.Pending() > 0 {
		return err
	}
	return r.childrenEnded(tx, parent, &b.ChildCounts, now)
}

// spawns reports whether the handler has spawned children.
func (a *attempt) spawns() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.spawned) > 0
}

// adopt makes the requests that a handler has spawned those of children.
func (a *attempt) adopt(parent *Job) [][]prepared {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, all := range a.spawned {
		for i := range all {
			child := &all[i].job
			child.Parent, child.ParentClaim = parent.ID, parent.Claims
			if child.Group == "" {
				child.Group, child.Batch = parent.Group, parent.Batch
			}
		}
	}
	return a.spawned
}

// tellParent counts a child that has ended, and has its parent go on if it was the last one.
func (r *Runner) tellParent(tx Tx, child *Job, now time.Time, moved func(*Job, State)) error {
	b, err := broodOf(tx, child)
	if err != nil || b == nil {
		return err
	}
	if err := b.count(tx, child, r.title(child), 1); err != nil {
		return err
	}
	b.Last = now
	if err := b.write(tx, child.Parent); err != nil || b.Open || b.Pending() > 0 {
		return err
	}
	parent, err := tx.Job(child.Parent)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || parent.State != Waiting || parent.Brood != b.Claim {
		return err
	}
	from := parent.State
	if err := r.childrenEnded(tx, parent, &b.ChildCounts, now); err != nil {
		return err
	}
	moved(parent, from)
	return nil
}

// uncount takes back the end of a child that is taken up again.
func (r *Runner) uncount(tx Tx, child *Job) error {
	b, err := broodOf(tx, child)
	if err != nil || b == nil {
		return err
	}
	if err := b.count(tx, child, r.title(child), -1); err != nil {
		return err
	}
	return b.write(tx, child.Parent)
}

// childrenEnded ends a job whose children have ended, or queues it for its Join.
func (r *Runner) childrenEnded(tx Tx, parent *Job, c *ChildCounts, now time.Time) error {
	t := r.registry.lookup(parent.Task)
	// Who can execute a task knows whether it has a Join. One with Each has no arguments to call it with,
	// and its result is the list of those of its children.
	if parent.Each == "" && (t == nil || t.handle == nil || t.join != nil) {
		parent.Joining, parent.Attempt, parent.RunAt = true, 0, now
		return r.shift(tx, parent, Queued, now)
	}
	outcome := c.outcome(parent.ChildPolicy)
	if outcome != nil && !keepsResult(outcome) {
		parent.fault(ErrorChildren, outcome.Error(), "", now)
		return r.shift(tx, parent, Failed, now)
	}
	if outcome != nil {
		parent.Partial, parent.Message = true, outcome.Error()
	}
	var err error
	if parent.Result, err = ownOf(tx, parent.ID); err != nil {
		return err
	}
	return r.shift(tx, parent, Succeeded, now)
}

// childrenOf returns the children of a job that are in a state, in the order of their IDs.
func childrenOf(tx Tx, parent *Job, states ...State) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		for child, err := range tx.Jobs(Query{Parent: parent.ID, States: states, Order: Oldest, Lean: true}) {
			if err == nil && child.ParentClaim != parent.Brood {
				continue
			}
			if !yield(child, err) {
				return
			}
		}
	}
}

// abandonChildren notes that the children of a job which is cancelled are not to start. They are
// cancelled later, by cancelChildren or when they would start.
func abandonChildren(tx Tx, parent *Job) error {
	b, err := readBrood(tx, parent.ID)
	if err != nil || b == nil || b.Claim != parent.Brood {
		return err
	}
	b.Abandoned = true
	return b.write(tx, parent.ID)
}

// cancelChildren cancels the children of jobs that were cancelled while they waited for them.
func (r *Runner) cancelChildren(ctx context.Context, parents []ID) error {
	for len(parents) > 0 {
		id := parents[0]
		parents = parents[1:]
		var cancelled bool
		err := r.store.View(ctx, func(tx Tx) error {
			b, err := readBrood(tx, id)
			cancelled = b != nil && b.Abandoned
			return err
		})
		if err != nil {
			return err
		}
		if !cancelled {
			continue
		}
		_, more, err := r.cancelAll(ctx, Query{Parent: id}, fmt.Sprintf("its parent, job %d, was cancelled", id))
		if err != nil {
			return fmt.Errorf("jobs: cancelling the children of job %d, which are cancelled when they would start: %w", id, err)
		}
		parents = append(parents, more...)
	}
	return nil
}

// retryChildren takes up again the children of a job that have failed or were cancelled, and reports
// whether there are such.
func (r *Runner) retryChildren(tx Tx, parent *Job) (bool, error) {
	b, err := readBrood(tx, parent.ID)
	if err != nil || b == nil || b.Claim != parent.Brood || b.Failed+b.Cancelled+b.Pending() == 0 {
		return false, err
	}
	b.Abandoned, b.Open = false, true
	if err := b.write(tx, parent.ID); err != nil {
		return false, err
	}
	children, err := collect(childrenOf(tx, parent, Failed, Cancelled))
	if err != nil {
		return false, err
	}
	again := b.Pending() > 0
	for _, child := range children {
		err := r.retry(tx, child)
		if err != nil && !errors.Is(err, ErrState) {
			return false, err
		}
		again = again || err == nil
	}
	if b, err = readBrood(tx, parent.ID); err != nil {
		return false, err
	}
	b.Open = false
	return again, b.write(tx, parent.ID)
}
