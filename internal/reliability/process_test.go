//go:build linux

package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// A process is a store as a process has it until it is killed: then nothing of what the process does
// has an effect, and it learns of nothing.
type process struct {
	jobs.Store
	session uint64
	killed  chan struct{}
	buried  chan struct{} // closed at the end of the test, so that its goroutines end
}

func (p *process) alive() bool {
	select {
	case <-p.killed:
		return false
	default:
		return true
	}
}

func (p *process) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	if p.alive() {
		return p.Store.Update(ctx, fn)
	}
	<-p.buried
	return jobs.ErrClosed
}

func (p *process) View(ctx context.Context, fn func(jobs.Tx) error) error {
	if p.alive() {
		return p.Store.View(ctx, fn)
	}
	<-p.buried
	return jobs.ErrClosed
}

func (p *process) Notify(fn func([]jobs.Change)) func() {
	return p.Store.(jobs.Notifier).Notify(func(changes []jobs.Change) {
		if p.alive() {
			fn(changes)
		}
	})
}

func (p *process) Session() uint64 { return p.session }

// An implementation is compared with the model: a runner over a store that outlives its process.
type implementation struct {
	name   string
	t      *rapid.T
	memory *memory.Store // nil for bolt
	path   string        // of bolt's file
	n      uint64        // processes
	runs   map[jobs.ID]int
	mu     sync.Mutex // guards runs

	store  jobs.Store
	proc   *process
	runner *jobs.Runner
	stop   func() error
	dead   []func() // bury what was killed
}

// start starts a process.
func (s *implementation) start() {
	s.n++
	s.proc = &process{session: s.n, killed: make(chan struct{}), buried: make(chan struct{})}
	s.store = s.memory
	if s.memory == nil {
		forks.Lock()
		store, err := bolt.Open(s.path, &bolt.Options{NoSync: true})
		forks.Unlock()
		if err != nil {
			s.t.Fatal(err)
		}
		s.store, s.proc.session = store, store.Session()
	}
	s.proc.Store = s.store
	var reg jobs.Registry
	reg.Handle(jobs.Task{Name: "task"}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		return nil, s.handle(ctx, jobs.Current(ctx))
	})
	var err error
	s.runner, err = jobs.NewRunner(s.proc, &reg, &jobs.Options{
		Workers: 1000, Logger: slog.New(slog.DiscardHandler), Grace: -1, Abandon: time.Millisecond, KeepEvents: 1000 * time.Hour,
		Queues: modelQueues,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.runner.Run(ctx) }()
	s.stop = func() error {
		cancel()
		return <-done
	}
	synctest.Wait()
}

const holdFor = 431 * time.Second

// handle is what the handler of the model's task does.
func (s *implementation) handle(ctx context.Context, job *jobs.Job) error {
	s.mu.Lock()
	s.runs[job.ID]++
	run := s.runs[job.ID]
	s.mu.Unlock()
	plan := job.Meta["plan"]
	switch plan[min(run, len(plan))-1] {
	case 'k':
		return jobs.Skip("nothing to do")
	case 'f':
		return jobs.Fail(errors.New("no"))
	case 'e':
		return jobs.RetryIn(after(time.Minute, job.ID), errors.New("not now"))
	case 'z':
		return jobs.Snooze(after(time.Hour, job.ID), "later")
	case 'w':
		<-ctx.Done()
		return context.Cause(ctx)
	case 'h':
		timer := time.NewTimer(after(holdFor, job.ID))
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
	return nil
}

// end stops the process in good order.
func (s *implementation) end() {
	err := s.stop()
	if s.memory == nil {
		err = errors.Join(err, s.store.Close())
	}
	if err != nil {
		s.t.Errorf("%s: stopping: %v", s.name, err)
	}
}

// kill ends the process at once.
func (s *implementation) kill() {
	close(s.proc.killed)
	proc, stop, store := s.proc, s.stop, s.store
	s.dead = append(s.dead, func() {
		close(proc.buried)
		_ = stop() // it says that its store is closed
		if s.memory == nil {
			_ = store.Close()
		}
	})
	if s.memory != nil {
		return
	}
	data, err := os.ReadFile(s.path)
	if err == nil {
		s.path = fmt.Sprint(s.path, "-", s.n)
		err = os.WriteFile(s.path, data, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *implementation) bury() {
	for _, bury := range s.dead {
		bury()
	}
}
