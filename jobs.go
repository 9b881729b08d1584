// Package jobs runs work in the background of a Go program and remembers it.
//
// An application registers task types, each a Go function with an argument struct, in a
// [Registry]. A [Runner] executes jobs of these tasks on goroutines and keeps them in a [Store]: a
// file (package bolt) or memory (package memory). What was enqueued survives a crash, what failed
// is tried again, and every job has a progress tree, a log, a result and a history.
//
//	var reg jobs.Registry
//	greet := jobs.Register(&reg, jobs.Task{Name: "greet"},
//		func(ctx context.Context, args Greeting) (string, error) {
//			return "Hello, " + args.Name, nil
//		})
//
//	store, err := bolt.Open("jobs.db", nil)
//	runner, err := jobs.NewRunner(store, &reg, nil)
//	go runner.Run(ctx) // until ctx is done and all handlers have returned
//
//	job, err := greet.Enqueue(ctx, runner, Greeting{Name: "Ada"})
//	text, err := greet.Wait(ctx, runner, job.ID)
//
// # Handlers
//
// A handler is a plain function of a context and its arguments. What it returns decides how the
// job goes on: nil ends it as succeeded, an error has it tried again after a backoff; [Fail],
// [RetryIn], [Snooze], [Skip] and [Partial] say otherwise. A panic is an error with its stack.
// Through its context a handler reaches [Current], [Progress], [Logger], [Checkpoint], [Restore],
// [Defer], [Spawn], [Count], [TempDir] and [Complete]. Outside a job these do no harm, so a handler can
// be called and tested as the function it is.
//
// # Jobs that wait for others
//
// A job starts after those in Request.After, whose results its arguments may refer to, see [ResultOf]
// and [Workflow]. One that spawns children waits for them, see [Spawn]. A [Definition] is a saved
// request of which jobs are made by hand or by a [Schedule].
//
// # Guarantees
//
// When Enqueue has returned without an error, the job survives a kill or a power cut. A job runs
// at least once; the end of a job, its result, its log, the jobs that follow from it and the release of
// those that wait for it appear together or not at all. An attempt that no longer holds its job can change nothing.
//
// # Concurrency
//
// The methods of Runner, Definitions, Registry, TaskOf, Schema and Tracker may be called concurrently. Tasks
// are registered before the registry is given to NewRunner. A [Job] that was returned belongs to
// the caller.
//
// # Errors
//
// Mistakes in a registration panic, as http.Handle does. Bad input is refused with an error that
// wraps [ErrInvalid] and names the field, and stores nothing; if it is in the arguments, the error
// is also a [*ValidationError] with one entry per field. Data never panics.
//
// # Stores
//
// Package bolt is the durable default: one file, one process. Package memory keeps nothing and is
// meant for tests. Both behave the same, because everything but keeping bytes is done here.
//
// # Progress
//
// A [Tracker] is a tree of named counters that costs an atomic add to update. Readers in the
// process see it at once, others a few times a second. The progress of a job with children counts
// these, and sums up what they count, see [Spawn].
package jobs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"
)

// An ID names a job. IDs begin at 1 and grow in the order in which jobs were stored.
type ID uint64

func (id ID) String() string { return strconv.FormatUint(uint64(id), 10) }

// ParseID reads an ID as String writes it.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, invalidf("job ID", "%q is not a positive number", s)
	}
	return ID(n), nil
}

// A Job is one unit of work: what was asked for, and what has happened to it since. It is a
// snapshot; changing it changes nothing.
type Job struct {
	// ID is given by the store.
	ID ID `json:"id"`

	// What was asked for. Only Edit changes it.

	Task        string            `json:"task"`
	Title       string            `json:"title,omitempty"`
	Args        json.RawMessage   `json:"args,omitempty"`
	ArgsVersion int               `json:"args_version,omitempty"` // Task.Version when Args was written
	ArgsSchema  uint64            `json:"-"`                      // fingerprint of the schema that accepted Args
	Queue       string            `json:"queue"`
	Priority    int               `json:"priority,omitempty"`
	Group       string            `json:"group,omitempty"`
	Batch       string            `json:"batch,omitempty"`
	Tags        []string          `json:"tags,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
	Actor       string            `json:"actor,omitempty"`
	Unique      string            `json:"unique,omitempty"` // the key of a unique job
	// After are the jobs that have to end before this one starts.
	After []Dependency `json:"after,omitempty"`
	// Each is where the items are for each of which this job makes a child of its own task.
	Each Ref `json:"each,omitempty"`
	// Parent is the job whose handler has spawned this one.
	Parent ID `json:"parent,omitempty"`
	// ParentClaim is Job.Claims of the parent's attempt that spawned this one.
	ParentClaim int `json:"-"`
	// ChildPolicy says what is needed of the jobs that this one spawns.
	ChildPolicy Need `json:"child_policy,omitempty"`
	// Definition is the ID of the [Definition] that the job was made from, Due the time of its
	// schedule for which it was made.
	Definition  string        `json:"definition,omitempty"`
	Due         time.Time     `json:"due,omitzero"`
	MaxAttempts int           `json:"max_attempts"`
	Timeout     time.Duration `json:"timeout,omitempty"` // of one attempt
	Deadline    time.Time     `json:"deadline,omitzero"` // of the job
	CreatedAt   time.Time     `json:"created_at"`
	// Generation is raised by each Edit.
	Generation int `json:"generation,omitempty"`

	// What has happened to it.

	State State `json:"state"`
	// Attempt is the number of the current or last attempt; 0 before the first. Attempts that
	// snoozed or were interrupted do not count.
	Attempt int `json:"attempt,omitempty"`
	// Claims is how often the job was claimed, whatever became of it. Only the attempt of the
	// latest claim may change the job.
	Claims int `json:"claims,omitempty"`
	// Snoozes is how often the handler has returned Snooze.
	Snoozes int `json:"snoozes,omitempty"`
	// Crashes is how often in a row the process died while the job ran.
	Crashes int `json:"crashes,omitempty"`
	// Session is the store session of the latest claim, see [Exclusive].
	Session uint64 `json:"-"`
	// RunAt is when the job is or was due.
	RunAt      time.Time `json:"run_at,omitzero"`
	StartedAt  time.Time `json:"started_at,omitzero"` // of the latest attempt
	FinishedAt time.Time `json:"finished_at,omitzero"`
	UpdatedAt  time.Time `json:"updated_at"` // of the last change of state
	// Cancelling is set from Cancel of a running job until its handler has returned.
	Cancelling bool `json:"cancelling,omitempty"`
	// Partial marks a succeeded job whose handler returned Partial.
	Partial bool `json:"partial,omitempty"`
	// Awaited marks a job that others depend on.
	Awaited bool `json:"awaited,omitempty"`
	// Pending is the number of After that have not ended yet.
	Pending int `json:"pending,omitempty"`
	// Blocker is the job because of whose end this one was skipped; 0 if it was not.
	Blocker ID `json:"blocker,omitempty"`
	// Brood is Job.Claims of the attempt that spawned the present children; 0 if there are none.
	Brood int `json:"-"`
	// Joining marks a job whose children have ended, and whose Join is to be called or has been.
	Joining bool `json:"joining,omitempty"`
	// Children counts what this job has spawned; nil if nothing. It is not stored with the job.
	Children *ChildCounts `json:"children,omitempty"`
	// Message says why the job is where it is: the last error, the reason of a snooze, a skip
	// or a cancellation.
	Message string `json:"message,omitempty"`
	// Errors has one entry for each attempt that failed; of more than 32 the first one and the
	// latest are kept.
	Errors []AttemptError `json:"errors,omitempty"`
	// Warnings and LoggedErrors count the records of these levels in the job's log.
	Warnings     int `json:"warnings,omitempty"`
	LoggedErrors int `json:"logged_errors,omitempty"`
	// Logged is the number of records that were written to the job's log.
	Logged int `json:"logged,omitempty"`
	// Counters are set by Count.
	Counters   map[string]int64 `json:"counters,omitempty"`
	Result     json.RawMessage  `json:"result,omitempty"`
	Checkpoint json.RawMessage  `json:"checkpoint,omitempty"`
	// CheckpointVersion is Task.Version when Checkpoint was written.
	CheckpointVersion int     `json:"checkpoint_version,omitempty"`
	Progress          *Report `json:"progress,omitempty"`

	// Line is where a queued job stands: the name of its queue, or a line of its own while its
	// group is at the queue's limit. Stamp is its place, after Priority.
	Line  string `json:"-"`
	Stamp uint64 `json:"-"`

	// Version is raised whenever the job is saved. Saving an old version is an ErrConflict.
	Version uint64 `json:"version"`

	// Duplicate marks the job that Enqueue returns for a unique request when a job with the same
	// key stands already. It is not stored.
	Duplicate bool `json:"duplicate,omitempty"`
}

// An AttemptError tells of an attempt that failed.
type AttemptError struct {
	Attempt int       `json:"attempt"`
	Time    time.Time `json:"time"`
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`
	// Stack is the stack of a panic, or of a handler that ignored its cancellation.
	Stack string `json:"stack,omitempty"`
}

// An ErrorKind says what kind of failure ended an attempt.
type ErrorKind string

// The kinds of failures.
const (
	ErrorReturned ErrorKind = "error"    // the handler returned an error
	ErrorPanic    ErrorKind = "panic"    // the handler panicked or called runtime.Goexit
	ErrorTimeout  ErrorKind = "timeout"  // the timeout or the deadline passed
	ErrorCrash    ErrorKind = "crash"    // the process died
	ErrorArgs     ErrorKind = "args"     // the stored arguments do not fit the task
	ErrorResult   ErrorKind = "result"   // the result cannot be stored
	ErrorStuck    ErrorKind = "stuck"    // the handler ignored the end of its context
	ErrorChildren ErrorKind = "children" // its children did not do what ChildPolicy asks for
)

// Clone returns a deep copy.
func (j *Job) Clone() *Job {
	c := *j
	c.Args = slices.Clone(j.Args)
	c.Tags = slices.Clone(j.Tags)
	c.After = slices.Clone(j.After)
	c.Children = j.Children.clone()
	c.Meta = cloneMap(j.Meta)
	c.Errors = slices.Clone(j.Errors)
	c.Counters = cloneMap(j.Counters)
	c.Result = slices.Clone(j.Result)
	c.Checkpoint = slices.Clone(j.Checkpoint)
	c.Progress = j.Progress.Clone()
	return &c
}

func cloneMap[V any](m map[string]V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	c := make(map[string]V, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// String names the job for people: its ID, task and state. Arguments are left out, because they
// may be secret.
func (j *Job) String() string { return fmt.Sprintf("job %d (%s) %s", j.ID, j.Task, j.State) }

// LogValue implements slog.LogValuer. Arguments are left out, because they may be secret.
func (j *Job) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Uint64("id", uint64(j.ID)),
		slog.String("task", j.Task),
		slog.String("state", string(j.State)),
		slog.Int("attempt", j.Attempt),
	)
}

// Took returns how long the latest attempt ran, or has been running.
func (j *Job) Took() time.Duration {
	switch {
	case j.StartedAt.IsZero():
		return 0
	case j.State == Running:
		return time.Since(j.StartedAt)
	case j.FinishedAt.Before(j.StartedAt):
		return j.UpdatedAt.Sub(j.StartedAt)
	}
	return j.FinishedAt.Sub(j.StartedAt)
}

// A Request asks for a job. Only Task and, depending on the task, Args are required; every other
// field has the meaning of its zero value.
type Request struct {
	// Name is what other requests of the same Enqueue call this one in After; "" if none does.
	Name string `json:"name,omitempty"`
	// Task is the name of a registered task.
	Task string `json:"task"`
	// Args are the arguments as a JSON object. Empty means the task's defaults. Fields that are
	// left out get the schema's defaults.
	Args json.RawMessage `json:"args,omitempty"`
	// Title is shown to people instead of the task's title.
	Title string `json:"title,omitempty"`
	// Queue is the queue to stand in; "" means the task's. Names have 1 to 100 bytes of UTF-8
	// without control characters; the same holds for Group, Batch, Tags and Actor (200 bytes).
	Queue string `json:"queue,omitempty"`
	// Priority goes from -100 to 100; within a queue jobs of a higher one go first. 0 means the
	// task's priority.
	Priority int `json:"priority,omitempty"`
	// RunAt is when the job is due; the zero time and the past mean now.
	RunAt time.Time `json:"run_at,omitzero"`
	// Group ties jobs together: a dataset, a tenant. Within a queue and a priority, groups take
	// turns. Batch is a finer label inside a group.
	Group string `json:"group,omitempty"`
	Batch string `json:"batch,omitempty"`
	// Tags label the job for filters, 32 at the most.
	Tags []string `json:"tags,omitempty"`
	// Meta is kept with the job for the application, 64 entries at the most.
	Meta map[string]string `json:"meta,omitempty"`
	// Actor says who or what asks, such as "user:ada". "" means that of the context, see
	// [WithActor].
	Actor string `json:"actor,omitempty"`
	// Unique makes the job one of a kind.
	Unique Unique `json:"unique,omitzero"`
	// MaxAttempts is the greatest number of attempts, 1 to 10,000; 0 means the task's.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// Timeout bounds each attempt; 0 means the task's.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Deadline bounds the job: an attempt that runs is cancelled then, and none is started
	// later. The zero time means none.
	Deadline time.Time `json:"deadline,omitzero"`

	// After are the jobs that have to end before this one starts, 1,000 at the most. Until then
	// it is waiting, and if one of them does not end as needed it is skipped.
	After []Dependency `json:"after,omitempty"`
	// Each makes the job one for each item of a list: a list in the result of one of After, see
	// [ResultOf]. When it starts, a child of the same task is enqueued for every item, with the
	// values of [ItemAt] in Args; it ends when these have, as ChildPolicy says.
	Each Ref `json:"each,omitempty"`
	// ChildPolicy says what is needed of the jobs that this one spawns; "" means the task's.
	ChildPolicy Need `json:"child_policy,omitempty"`

	definition string // that the request was made from
	err        error  // of encoding typed arguments, reported by Enqueue
}

// Unique says what makes a job one of a kind. While a job stands that has the same key, Enqueue
// returns that one, marked as Duplicate, instead of making another. The zero Unique makes none.
type Unique struct {
	// Key is the key itself. It is shared by all tasks.
	Key string `json:"key,omitempty"`
	// Args makes the key from the task and all its arguments.
	Args bool `json:"args,omitempty"`
	// Fields makes the key from the task and these top-level fields of its arguments.
	Fields []string `json:"fields,omitempty"`
	// Period is how long after it was made a job holds its key; 0 means without bound.
	Period time.Duration `json:"period,omitempty"`
	// States are the states in which a job holds its key. None means: until it is final, or,
	// with a Period, in all states but failed and cancelled.
	States []State `json:"states,omitempty"`
}
