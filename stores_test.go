package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// env is what a case runs in.
type env struct {
	t     *testing.T
	store jobs.Store
}

// onBoth runs a case over each store of the module, in a bubble of its own, both at once.
func onBoth(t *testing.T, test func(env)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(env{t, memory.New()}) })
	})
	t.Run("bolt", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(env{t, openBolt(t, filepath.Join(t.TempDir(), "jobs.db"))}) })
	})
}

// onMemory runs a case in a bubble over the memory store.
func onMemory(t *testing.T, test func(env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(env{t, memory.New()}) })
}

func openBolt(t *testing.T, path string) *bolt.Store {
	t.Helper()
	store, err := bolt.Open(path, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// handle registers a task whose handler needs no arguments and has no result.
func handle(reg *jobs.Registry, task jobs.Task, fn func(ctx context.Context) error) {
	reg.Handle(task, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) { return nil, fn(ctx) })
}

// nothing is a handler.
func nothing(context.Context) error { return nil }

// registry returns a registry with one task of that name.
func registry(name string, fn func(ctx context.Context) error) *jobs.Registry {
	var reg jobs.Registry
	handle(&reg, jobs.Task{Name: name}, fn)
	return &reg
}

// newRunner returns a runner that keeps quiet.
func newRunner(t *testing.T, store jobs.Store, reg *jobs.Registry, opts *jobs.Options) *jobs.Runner {
	t.Helper()
	var o jobs.Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r, err := jobs.NewRunner(store, reg, &o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// start has a runner run until stop or the end of the test.
func start(t *testing.T, r *jobs.Runner) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

// run is newRunner and start.
func run(t *testing.T, store jobs.Store, reg *jobs.Registry, opts *jobs.Options) *jobs.Runner {
	t.Helper()
	r := newRunner(t, store, reg, opts)
	start(t, r)
	return r
}

func enqueue(t *testing.T, r *jobs.Runner, req jobs.Request) *jobs.Job {
	t.Helper()
	return enqueueAll(t, r, req)[0]
}

func enqueueAll(t *testing.T, r *jobs.Runner, reqs ...jobs.Request) []*jobs.Job {
	t.Helper()
	all, err := r.Enqueue(t.Context(), reqs...)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func get(t *testing.T, r *jobs.Runner, id jobs.ID) *jobs.Job {
	t.Helper()
	job, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// end waits for a job to end.
func end(t *testing.T, r *jobs.Runner, id jobs.ID) *jobs.Job {
	t.Helper()
	job, err := r.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// reach waits until a job is in a state.
func reach(t *testing.T, r *jobs.Runner, id jobs.ID, state jobs.State) *jobs.Job {
	t.Helper()
	for job, err := range r.Watch(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		if job.State == state {
			return job
		}
	}
	t.Fatalf("job %d ended as %s, without being %s", id, get(t, r, id).State, state)
	return nil
}

func wantState(t *testing.T, job *jobs.Job, want jobs.State) {
	t.Helper()
	if job.State != want {
		t.Errorf("%v: state is %s (%q), want %s", job, job.State, job.Message, want)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func count(t *testing.T, r *jobs.Runner, q jobs.Query) int64 {
	t.Helper()
	n, err := r.Count(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A spy is a store that counts, fails or stops on demand.
type spy struct {
	jobs.Store
	calls atomic.Int64 // of Update and View

	mu    sync.Mutex
	fail  error
	after func() // called once, after the next commit of Update and before it returns
}

func (s *spy) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	s.calls.Add(1)
	s.mu.Lock()
	fail := s.fail
	s.mu.Unlock()
	if fail != nil {
		return fail
	}
	err := s.Store.Update(ctx, fn)
	s.mu.Lock()
	after := s.after
	s.after = nil
	s.mu.Unlock()
	if after != nil {
		after()
	}
	return err
}

func (s *spy) View(ctx context.Context, fn func(jobs.Tx) error) error {
	s.calls.Add(1)
	return s.Store.View(ctx, fn)
}

func (s *spy) setFail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *spy) setAfter(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = fn
}

func (s *spy) Notify(fn func([]jobs.Change)) func() { return s.Store.(jobs.Notifier).Notify(fn) }

func (s *spy) Session() uint64 { return s.Store.(jobs.Exclusive).Session() }

// A gate lets handlers begin and has them wait.
type gate struct {
	started chan *jobs.Job
	open    chan struct{}
}

func newGate() *gate {
	return &gate{started: make(chan *jobs.Job, 10_000), open: make(chan struct{})}
}

// handler waits for the gate to open or its context to end.
func (g *gate) handler(ctx context.Context) error {
	g.started <- jobs.Current(ctx)
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const day = 24 * time.Hour

// bubble runs a case in a bubble, without a store.
func bubble(t *testing.T, test func(env)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(env{t: t}) })
}

// anyLife drives a property over each store of the module, each sequence of operations in a bubble of its
// own.
func anyLife(t *testing.T, name string, life func(t *testing.T, rt *rapid.T, store jobs.Store)) {
	t.Helper()
	for kind, open := range map[string]func(t *testing.T) jobs.Store{
		"memory": func(*testing.T) jobs.Store { return memory.New() },
		"bolt":   func(t *testing.T) jobs.Store { t.Helper(); return openBolt(t, filepath.Join(t.TempDir(), "jobs.db")) },
	} {
		t.Run(name+", "+kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				synctest.Test(t, func(t *testing.T) { life(t, rt, open(t)) })
			})
		})
	}
}
