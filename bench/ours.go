package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// library is this module as a system.
type library struct {
	store    jobs.Store
	runner   *jobs.Runner
	argBytes int

	stop context.CancelFunc // nil until it is started
	done chan error
}

// taskName is the name of the no-op task. The ceiling writes it, too.
const taskName = "noop"

func openBolt(_ context.Context, s settings) (system, error) {
	store, err := bolt.Open(s.path("jobs.db"), nil)
	if err != nil {
		return nil, err
	}
	if s.spent != nil {
		return newLibrary(&timed{store, s.spent}, s)
	}
	return newLibrary(store, s)
}

// timed adds up the processor time of transactions, of which there is one at a time. The time on the
// clock would tell as much of the handlers that run beside them.
type timed struct {
	*bolt.Store
	spent *atomic.Int64 // ns
}

func (t *timed) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	defer func() { t.spent.Add(int64(threadTime() - before)) }()
	return t.Store.Update(ctx, fn)
}

func openMemory(_ context.Context, s settings) (system, error) {
	return newLibrary(memory.New(), s)
}

func newLibrary(store jobs.Store, s settings) (*library, error) {
	reg := new(jobs.Registry)
	task := jobs.Task{Name: taskName}
	if s.raw {
		reg.Handle(task, func(context.Context, json.RawMessage) (json.RawMessage, error) {
			s.handle(0)
			return nil, nil
		})
	} else {
		jobs.Register(reg, task, func(_ context.Context, args Args) (struct{}, error) {
			s.handle(args.Number)
			return struct{}{}, nil
		})
	}
	return newLibraryOf(store, reg, s)
}

// newLibraryOf is for scenarios that bring their own task.
func newLibraryOf(store jobs.Store, reg *jobs.Registry, s settings) (*library, error) {
	runner, err := jobs.NewRunner(store, reg, &jobs.Options{
		Workers: s.workers,
		Logger:  slog.New(slog.DiscardHandler), LogLimit: 1 << 30,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &library{store: store, runner: runner, argBytes: s.argBytes}, nil
}

func (l *library) insert(ctx context.Context, first, n int) error {
	reqs := make([]jobs.Request, n)
	for i := range reqs {
		data, err := json.Marshal(newArgs(first+i, l.argBytes))
		if err != nil {
			return err
		}
		reqs[i] = jobs.Request{Task: taskName, Args: data}
	}
	_, err := l.runner.Enqueue(ctx, reqs...)
	return err
}

func (l *library) start() error {
	ctx, stop := context.WithCancel(context.Background())
	l.stop, l.done = stop, make(chan error, 1)
	go func() { l.done <- l.runner.Run(ctx) }()
	return nil
}

func (l *library) left(ctx context.Context) (int, error) {
	rows, err := l.runner.Stats(ctx, jobs.ByTotal, jobs.Labels{})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, row := range rows {
		n += int(row.Active())
	}
	return n, nil
}

func (l *library) close() error {
	var err error
	if l.stop != nil {
		l.stop()
		err = <-l.done
	}
	return errors.Join(err, l.store.Close())
}
