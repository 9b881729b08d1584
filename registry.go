package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/embedjobs/jobs/internal/jsontree"
	"github.com/embedjobs/jobs/schema"
)

// Defaults of a [Task].
const (
	DefaultQueue       = "default"
	DefaultMaxAttempts = 20
)

// A Task is a registered type of work. Only Name is required.
type Task struct {
	// Name identifies the task in stored jobs: 1 to 100 bytes, such as "images.resize".
	Name string
	// Aliases are names that the task had earlier. Stored and new jobs of these names run it.
	Aliases []string
	// Title and Description are shown to people. An empty title is the name.
	Title, Description string

	// Queue is where its jobs stand in line; "" means DefaultQueue.
	Queue string
	// Priority of its jobs, -100 to 100.
	Priority int
	// MaxAttempts is how often a job is tried, 1 to 10,000; 0 means DefaultMaxAttempts.
	MaxAttempts int
	// Timeout bounds one attempt; 0 means no bound.
	Timeout time.Duration
	// Retry returns how long to wait before the next attempt, after an attempt that failed with
	// err; a negative duration fails the job now. It is not asked after the last attempt. Nil
	// means [Backoff].
	Retry func(job *Job, err error) time.Duration
	// Unique is used for requests that have none of their own.
	Unique Unique
	// ChildPolicy says what is needed of the jobs that its jobs spawn, see [Spawn].
	ChildPolicy Need
	// Sync has a worker wait until the end of its job is durable before it takes the next one.
	// Without it the end is stored a moment later, and a crash in between runs the job again.
	Sync bool

	// Version is the version of the arguments, 0 to begin with. Upgrade turns stored arguments
	// of an older version into those of the next one; it is called once for each step.
	Version int
	Upgrade func(from int, args json.RawMessage) (json.RawMessage, error)
	// UpgradeCheckpoint does the same for checkpoints. Nil drops those of an older version.
	UpgradeCheckpoint func(from int, checkpoint json.RawMessage) (json.RawMessage, error)

	// Schema describes the arguments of a task registered with Handle; nil means any JSON
	// object. Register makes it from the Go type.
	Schema *Schema
	// Cleanup is called before a job is deleted, by Delete or by retention. When it returns an
	// error the job stays. It may be called again for the same job.
	Cleanup func(ctx context.Context, job *Job) error
}

// A Defaulter is a type of arguments that fills in what was left out when a job is enqueued, after
// the defaults of the schema. The method has a pointer receiver.
type Defaulter interface {
	// SetDefaults gets the job that succeeded last, of the definition if the job is made from one,
	// or else of the task; or nil. An import, say, begins
	// where that one did: if a.Since.IsZero() && last != nil { a.Since = last.StartedAt }.
	SetDefaults(last *Job)
}

// Handler executes jobs of a task without Go types, see [Registry.Handle]. What holds for the
// error of a typed handler holds for its error.
type Handler func(ctx context.Context, args json.RawMessage) (result json.RawMessage, err error)

// A Registry holds the task types of an application. The zero Registry is empty and ready to use.
type Registry struct {
	mu    sync.Mutex                       // taken to add a task
	tasks atomic.Pointer[map[string]*task] // by name and by alias; never changed, because every job is looked up
}

type task struct {
	Task
	handle Handler // nil if another program runs it
	// defaults completes valid arguments; nil if there is nothing to complete.
	defaults func(args json.RawMessage, last *Job) (json.RawMessage, error)
	// join is called when the children of a job have ended; nil if the task has none.
	join func(ctx context.Context, args, own json.RawMessage) (json.RawMessage, error)
}

// complete completes valid arguments. References count as left out, and stay.
func (t *task) complete(args json.RawMessage, last *Job) (json.RawMessage, error) {
	if !hasRefs(args) {
		return t.defaults(args, last)
	}
	places := make(map[string]Ref)
	v, err := jsontree.Parse(args)
	if err != nil {
		return nil, err
	}
	v, err = jsontree.Replace(v, func(pointer string, object map[string]any) (any, bool, error) {
		ref, ok := refOf(object)
		if ok {
			places[pointer] = ref
		}
		return nil, ok, nil
	})
	if err == nil {
		args, err = jsontree.Encode(v)
	}
	if err == nil {
		args, err = t.defaults(args, last)
	}
	if err == nil {
		v, err = jsontree.Parse(args)
	}
	for pointer, ref := range places {
		if err == nil {
			v, err = jsontree.Set(v, pointer, ref)
		}
	}
	if err != nil {
		return nil, err
	}
	return jsontree.Encode(v)
}

// Register registers a task whose arguments and result are Go types. Args is a struct (or a
// pointer to one, or a map); it is described by a schema, see schema.For. Result is any type that
// encoding/json can encode; struct{} is for tasks without a result.
//
// Register panics when the task is not valid or a name is taken, or when Args cannot have a schema.
func Register[Args, Result any](reg *Registry, t Task, fn func(ctx context.Context, args Args) (Result, error)) *TaskOf[Args, Result] {
	if fn == nil {
		panic(fmt.Sprintf("jobs: task %q: nil function; use Declare for a task that another program runs", t.Name))
	}
	return register[Args, Result](reg, t, func(ctx context.Context, data json.RawMessage) (json.RawMessage, error) {
		var args Args
		if err := json.Unmarshal(data, &args); err != nil {
			return nil, &argsError{err}
		}
		return encodeResult(fn(ctx, args))
	})
}

// encodeResult encodes what a typed handler has returned.
func encodeResult[Result any](result Result, err error) (json.RawMessage, error) {
	if _, none := any(result).(struct{}); none || err != nil && !keepsResult(err) {
		return nil, err
	}
	encoded, encErr := json.Marshal(&result) // by pointer, for methods of its fields
	if encErr != nil {
		return nil, &resultError{encErr}
	}
	return encoded, err
}

// Declare registers a task that another program runs. Its jobs can be enqueued and managed here;
// its queue must be one on which this program's runner does not work, see [Queue].
func Declare[Args, Result any](reg *Registry, t Task) *TaskOf[Args, Result] {
	return register[Args, Result](reg, t, nil)
}

func register[Args, Result any](reg *Registry, t Task, handle Handler) *TaskOf[Args, Result] {
	if t.Schema != nil {
		panic(fmt.Sprintf("jobs: task %q: Schema is for Handle; Register makes it from the Go type", t.Name))
	}
	described, err := schema.For[Args]()
	if err != nil {
		panic(fmt.Sprintf("jobs: task %q: %v", t.Name, err))
	}
	t.Schema = described
	internal := &task{Task: t, handle: handle}
	if _, ok := any(new(Args)).(Defaulter); ok {
		internal.defaults = func(data json.RawMessage, last *Job) (json.RawMessage, error) {
			args := new(Args)
			if err := json.Unmarshal(data, args); err != nil {
				return nil, invalidf("arguments", "%w", err)
			}
			any(args).(Defaulter).SetDefaults(last)
			return json.Marshal(args)
		}
	}
	reg.add(internal)
	return &TaskOf[Args, Result]{name: t.Name, task: internal}
}

// Handle registers a task without Go types. It panics when the task is not valid or a name is
// taken. A nil handler declares a task that another program runs.
func (reg *Registry) Handle(t Task, handler Handler) {
	if t.Schema == nil {
		t.Schema, _ = schema.Parse([]byte(`{"type":"object"}`))
	}
	reg.add(&task{Task: t, handle: handler})
}

func (reg *Registry) add(t *task) {
	if t.Title == "" {
		t.Title = t.Name
	}
	if t.Queue == "" {
		t.Queue = DefaultQueue
	}
	if t.MaxAttempts == 0 {
		t.MaxAttempts = DefaultMaxAttempts
	}
	if err := t.check(); err != nil {
		panic(fmt.Sprintf("jobs: task %q: %v", t.Name, err))
	}
	reg.mu.Lock()
	defer reg.mu.Unlock()
	names := append([]string{t.Name}, t.Aliases...)
	for i, name := range names {
		taken := reg.lookup(name)
		if taken == nil && slices.Contains(names[:i], name) {
			taken = t
		}
		if taken != nil {
			panic(fmt.Sprintf("jobs: task %q: the name %q is taken by task %q", t.Name, name, taken.Name))
		}
	}
	tasks := maps.Clone(reg.all())
	if tasks == nil {
		tasks = make(map[string]*task)
	}
	for _, name := range names {
		tasks[name] = t
	}
	reg.tasks.Store(&tasks)
}

func (reg *Registry) all() map[string]*task {
	if tasks := reg.tasks.Load(); tasks != nil {
		return *tasks
	}
	return nil
}

func (t *task) check() error {
	if t.Version < 0 {
		return invalidf("Version", "%d is negative", t.Version)
	}
	if t.Version > 0 && t.Upgrade == nil {
		return invalidf("Upgrade", "missing, but Version is %d", t.Version)
	}
	for _, alias := range t.Aliases {
		if err := checkName("Aliases", alias, 100); err != nil {
			return err
		}
	}
	if err := checkName("Name", t.Name, 100); err != nil {
		return err
	}
	if err := t.ChildPolicy.check("ChildPolicy"); err != nil {
		return err
	}
	req := Request{Queue: t.Queue, Priority: t.Priority, MaxAttempts: t.MaxAttempts, Timeout: t.Timeout, Unique: t.Unique}
	return req.check(time.Now())
}

// Task returns the task registered under a name or an alias.
func (reg *Registry) Task(name string) (Task, bool) {
	t := reg.lookup(name)
	if t == nil {
		return Task{}, false
	}
	return t.Task, true
}

// Tasks returns all tasks, ordered by name.
func (reg *Registry) Tasks() []Task {
	var all []Task
	for name, t := range reg.all() {
		if name == t.Name {
			all = append(all, t.Task)
		}
	}
	slices.SortFunc(all, func(a, b Task) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (reg *Registry) lookup(name string) *task { return reg.all()[name] }

// known returns the names of all tasks, for error messages.
func (reg *Registry) known() string {
	var names []string
	for _, t := range reg.Tasks() {
		names = append(names, t.Name)
	}
	if len(names) == 0 {
		return "no task is registered"
	}
	return "registered are " + strings.Join(names, ", ")
}

// upgrade brings stored arguments or a stored checkpoint from version from to the task's own.
func (t *task) upgrade(step func(int, json.RawMessage) (json.RawMessage, error), from int, data json.RawMessage) (json.RawMessage, error) {
	if from > t.Version {
		return nil, fmt.Errorf("version %d is newer than this program's %d", from, t.Version)
	}
	for ; from < t.Version; from++ {
		next, err := step(from, bytes.Clone(data))
		if err != nil {
			return nil, fmt.Errorf("upgrade from version %d: %w", from, err)
		}
		data = next
	}
	return data, nil
}

// A TaskOf is a registered task with the Go types of its arguments and its result.
type TaskOf[Args, Result any] struct {
	name string
	task *task
}

// Name returns the name of the task.
func (t *TaskOf[Args, Result]) Name() string { return t.name }

// Request returns a request for a job with these arguments, to be completed and given to
// [Runner.Enqueue]. Arguments that cannot be encoded are reported by Enqueue.
func (t *TaskOf[Args, Result]) Request(args Args) Request {
	data, err := json.Marshal(&args) // by pointer, for methods of its fields
	return Request{Task: t.name, Args: data, err: err}
}

// Enqueue enqueues one job. It is short for r.Enqueue(ctx, t.Request(args)).
func (t *TaskOf[Args, Result]) Enqueue(ctx context.Context, r *Runner, args Args) (*Job, error) {
	all, err := r.Enqueue(ctx, t.Request(args))
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Wait waits until a job has ended and returns its result. If it did not succeed, the error is a
// [*EndError]; if ctx is done first, it is ctx's cause.
func (t *TaskOf[Args, Result]) Wait(ctx context.Context, r *Runner, id ID) (Result, error) {
	job, err := r.Wait(ctx, id)
	if err == nil && job.State != Succeeded {
		err = &EndError{Job: job}
	}
	if err != nil {
		var none Result
		return none, err
	}
	return t.Result(job)
}

// Args decodes the arguments of a job. Secret ones are not there, except inside a handler.
func (t *TaskOf[Args, Result]) Args(job *Job) (Args, error) {
	return decode[Args](t.name, job, "arguments", job.Args)
}

// Result decodes the result of a job. A job without one has the zero Result.
func (t *TaskOf[Args, Result]) Result(job *Job) (Result, error) {
	return decode[Result](t.name, job, "result", job.Result)
}

func decode[T any](task string, job *Job, what string, data json.RawMessage) (T, error) {
	var v T
	if len(data) == 0 {
		return v, nil
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("jobs: job %d: %s of task %s: %w", job.ID, what, task, err)
	}
	return v, nil
}

// An EndError is returned by [TaskOf.Wait] for a job that ended without success.
type EndError struct{ Job *Job }

func (e *EndError) Error() string {
	text := fmt.Sprintf("jobs: %v", e.Job)
	if e.Job.Message != "" {
		text += ": " + e.Job.Message
	}
	return text
}
