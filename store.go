package jobs

import (
	"context"
	"iter"
	"slices"
	"time"
)

// A Store keeps jobs. Package bolt keeps them in a file, package memory in memory; both are used
// through a [Runner]. This interface is for those who write another store: what a job's life is
// like, who may claim what, when to retry, is written once, in this package, over [Tx]. The suite
// jobstest.TestStore checks that an implementation keeps the contract.
//
// The methods may be called concurrently.
type Store interface {
	// Update runs fn in a read-write transaction. When it returns nil, what fn wrote is durable
	// and visible to every later transaction; when it returns an error, fn left no trace.
	// The exception is a commit of which the store cannot tell whether it happened, because the
	// disk or the connection failed in the very last step: it returns an error, and what fn
	// wrote may be there. A runner reckons with that.
	//
	// Update functions see each other's writes as if they ran one after the other. fn may run
	// more than once, in one commit with the functions of other callers, and on the goroutine
	// of one of them; the last run counts. So fn copies a job that was made outside of it
	// before it saves it: Save sets the ID. Once ctx is done, a function that has not started will not, and Update returns
	// ctx's cause. An error of fn is returned as it is.
	//
	// fn must not sleep, wait for a channel, call code of the application, or use the store
	// other than through its Tx. Neither the Tx nor its iterators may be used after fn returns.
	Update(ctx context.Context, fn func(Tx) error) error

	// View runs fn on a consistent snapshot. It sees all commits made before it began and none
	// that come later, and blocks no writer. The writing methods of its Tx return an error.
	View(ctx context.Context, fn func(Tx) error) error

	// Close ends all use of the store. It waits for transactions under way; what is called
	// later returns [ErrClosed]. To close twice does nothing.
	Close() error
}

// A Tx is a transaction of a [Store]. It is used by one goroutine at a time.
//
// It copies what it is given and what it returns: neither side may see the other change a job, a
// slice or a map later. A nil and an empty slice or map are stored alike and read back as nil.
// Times are kept to the nanosecond and returned in UTC; the zero time stays the zero time.
type Tx interface {
	// Job returns a job, or an error that wraps [ErrNotFound].
	Job(id ID) (*Job, error)

	// Save stores a job and keeps every index and tally right. A job with ID 0 is new: it is
	// given the next ID, and IDs are given in the order of the commits. For a known one
	// job.Version must be that of the stored job, otherwise Save returns an error that wraps
	// [ErrConflict] (or ErrNotFound) and stores nothing. Save sets job.ID and raises
	// job.Version by one.
	//
	// What was asked for, the first part of [Job], is stored when the job is new and when
	// job.Generation differs from the stored one; otherwise a store may leave that part as it
	// is, and does not look at it.
	//
	// A priority beyond ±127, a state that is none, a zero byte in a label or a line, and one of
	// more than 4,000 bytes are errors that wrap ErrInvalid.
	Save(job *Job) error

	// Remove removes a job from all indexes and tallies. A missing one is ErrNotFound.
	Remove(id ID) error

	// Jobs returns the jobs that match q, in the order it asks for; a query that asks for no
	// order there is, or InLine without a Line, is ErrInvalid. The first error ends the
	// sequence. What is saved or removed during the iteration may or may not appear in it.
	Jobs(q Query) iter.Seq2[*Job, error]

	// Tallies returns the counts of jobs along one dimension, one row for each distinct label
	// (or combination of labels, for ByBatch and ByLabels) that has any job, ordered by group,
	// batch, queue, task. Only rows whose labels equal the ones set in within are returned. The
	// cost does not depend on the number of jobs.
	Tallies(by Dimension, within Labels) iter.Seq2[Tally, error]

	// Record returns the small record of that name, or nil when there is none. Records keep
	// what belongs to jobs and is not one: logs, clocks of queues, unique keys. Space is a
	// short plain word, key any string of at most 1,000 bytes; others are ErrInvalid.
	Record(space, key string) ([]byte, error)

	// SetRecord stores a record; a nil value removes it, an empty one does not.
	SetRecord(space, key string, value []byte) error

	// Records returns the records of a space whose key begins with prefix and is not less than
	// from, in the order of their keys' bytes. The iteration sees what the transaction wrote
	// before it began; a record may be changed or removed while it runs.
	Records(space, prefix, from string) iter.Seq2[Record, error]
}

// A Record is a small named value in a [Store].
type Record struct {
	Key   string
	Value []byte
}

// Order is the order in which a [Query] returns jobs.
type Order int

const (
	// Newest returns the job made last first: by ID, descending.
	Newest Order = iota
	// Oldest returns the job made first first: by ID, ascending.
	Oldest
	// InLine returns the queued jobs of Query.Line as they will be claimed: the highest priority
	// first, then the lowest stamp, then the lowest ID. It has no cursor.
	InLine
	// Due returns scheduled and retrying jobs, the one that is due first first: by RunAt, then
	// by ID. It has no cursor.
	Due
)

// A Query selects jobs. Each field that is set narrows the selection; the zero Query selects all
// jobs, newest first.
type Query struct {
	States     []State // any of these
	Task       string
	Queue      string
	Group      string
	Batch      string // usually with Group; a batch is a label inside a group
	Definition string
	Parent     ID
	DependsOn  ID // the jobs that have this one in After
	Tag        string
	Actor      string
	Unique     string // the unique key, see [Unique]
	// CreatedFrom and CreatedTo bound the time of creation; the first is included, the second
	// is not. Zero means no bound.
	CreatedFrom, CreatedTo time.Time

	Order Order
	Line  string // required with Order InLine, see Job.Line
	// After is the ID after which to go on, in Order Newest or Oldest; 0 begins at the start.
	After ID
	// Limit is the greatest number of jobs returned; 0 means no limit.
	Limit int

	// Lean allows the store to return jobs without their arguments, if they are large: Args is nil
	// then. A store that makes use of it leaves the arguments as they are when such a job is saved.
	Lean bool
}

// Match reports whether job is among those that q selects, whatever the order and limit.
func (q *Query) Match(job *Job) bool {
	return (len(q.States) == 0 || slices.Contains(q.States, job.State)) &&
		(q.Task == "" || q.Task == job.Task) &&
		(q.Queue == "" || q.Queue == job.Queue) &&
		(q.Group == "" || q.Group == job.Group) &&
		(q.Batch == "" || q.Batch == job.Batch) &&
		(q.Definition == "" || q.Definition == job.Definition) &&
		(q.Parent == 0 || q.Parent == job.Parent) &&
		(q.DependsOn == 0 || slices.ContainsFunc(job.After, func(d Dependency) bool { return d.Job == q.DependsOn })) &&
		(q.Tag == "" || slices.Contains(job.Tags, q.Tag)) &&
		(q.Actor == "" || q.Actor == job.Actor) &&
		(q.Unique == "" || q.Unique == job.Unique) &&
		(q.CreatedFrom.IsZero() || !job.CreatedAt.Before(q.CreatedFrom)) &&
		(q.CreatedTo.IsZero() || job.CreatedAt.Before(q.CreatedTo)) &&
		(q.Order != InLine || job.State == Queued && job.Line == q.Line) &&
		(q.Order != Due || job.State == Scheduled || job.State == Retrying)
}

// Labels are what jobs are counted by.
type Labels struct {
	Group, Batch, Queue, Task string
}

// A Dimension says by which labels jobs are counted.
type Dimension int

// The dimensions of [Tx.Tallies]. Each row has the labels named here set and the others empty.
const (
	ByTotal  Dimension = iota // one row for all jobs
	ByQueue                   // Queue
	ByTask                    // Task
	ByGroup                   // Group; jobs without a group are one row
	ByBatch                   // Group and Batch
	ByLabels                  // all four
)

// A Tally is the number of jobs with the same labels in each state.
type Tally struct {
	Labels
	Counts
	// First is when the first of them was created, Last when one of them last changed. Jobs
	// that were removed may still count for these two while others with the same labels exist.
	First, Last time.Time
}

// Counts are numbers of jobs by state.
type Counts struct {
	Waiting   int64 `json:"waiting"`
	Scheduled int64 `json:"scheduled"`
	Queued    int64 `json:"queued"`
	Running   int64 `json:"running"`
	Retrying  int64 `json:"retrying"`
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Skipped   int64 `json:"skipped"`
}

func (c *Counts) slot(s State) *int64 {
	switch s {
	case Waiting:
		return &c.Waiting
	case Scheduled:
		return &c.Scheduled
	case Queued:
		return &c.Queued
	case Running:
		return &c.Running
	case Retrying:
		return &c.Retrying
	case Succeeded:
		return &c.Succeeded
	case Failed:
		return &c.Failed
	case Cancelled:
		return &c.Cancelled
	case Skipped:
		return &c.Skipped
	}
	return nil
}

// Of returns the number of jobs in state s, and 0 for an unknown state.
func (c Counts) Of(s State) int64 {
	if n := c.slot(s); n != nil {
		return *n
	}
	return 0
}

// Add adds n jobs in state s; an unknown state is ignored.
func (c *Counts) Add(s State, n int64) {
	if slot := c.slot(s); slot != nil {
		*slot += n
	}
}

// Total returns the number of jobs in any state.
func (c Counts) Total() int64 { return c.Active() + c.Finished() }

// Active returns the number of jobs that have not ended.
func (c Counts) Active() int64 {
	return c.Waiting + c.Scheduled + c.Queued + c.Running + c.Retrying
}

// Finished returns the number of jobs in a final state.
func (c Counts) Finished() int64 { return c.Succeeded + c.Failed + c.Cancelled + c.Skipped }

// A Change tells what a commit did to one job.
type Change struct {
	ID         ID
	Task       string
	Queue      string
	From       State // "" for a new job
	State      State // "" for a removed job
	RunAt      time.Time
	Cancelling bool
}

// A Notifier is a [Store] that tells of its commits. Both stores of this module do; with one that
// does not, a runner looks for changes once a second.
type Notifier interface {
	// Notify calls fn after each commit that saved or removed jobs, with what it did, in the
	// order of the commits, until stop is called; a call that is under way then ends after stop
	// has returned. A record that was set in the space "due", by which schedules are found, is
	// told by a zero Change. fn must not block, use the store, or keep the slice.
	Notify(fn func([]Change)) (stop func())
}

// An Exclusive store belongs to one process at a time. Both stores of this module do.
type Exclusive interface {
	// Session returns a number that is greater each time the store was opened. Jobs that were
	// claimed in an earlier session and are still running are orphans of a process that died.
	Session() uint64
}
