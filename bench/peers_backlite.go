package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/mikestefanello/backlite"
)

const backliteOptions = "_journal=WAL&_timeout=5000 as its README has it, one connection; no retention of finished tasks"

// backliteTask is the no-op job as a task of backlite.
type backliteTask struct{ Args }

// Config keeps no finished tasks: backlite is faster that way.
func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{Name: taskName, MaxAttempts: 20, Backoff: time.Second}
}

type backliteSystem struct {
	db       *sql.DB
	client   *backlite.Client
	argBytes int
	stop     context.CancelFunc // nil until it is started
}

func openBacklite(_ context.Context, s settings) (system, error) {
	db, err := openSQLite(s, "backlite.db")
	if err != nil {
		return nil, err
	}
	client, err := backlite.NewClient(backlite.ClientConfig{DB: db, NumWorkers: max(s.workers, 1), ReleaseAfter: 10 * time.Minute})
	if err == nil {
		err = client.Install()
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	client.Register(backlite.NewQueue(func(_ context.Context, task backliteTask) error {
		s.handle(task.Number)
		return nil
	}))
	return &backliteSystem{db: db, client: client, argBytes: s.argBytes}, nil
}

func (b *backliteSystem) insert(ctx context.Context, first, n int) error {
	tasks := make([]backlite.Task, n)
	for i := range tasks {
		tasks[i] = backliteTask{newArgs(first+i, b.argBytes)}
	}
	_, err := b.client.Add(tasks...).Ctx(ctx).Save()
	return err
}

func (b *backliteSystem) start() error {
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	b.client.Start(ctx)
	return nil
}

func (b *backliteSystem) left(ctx context.Context) (int, error) {
	return rows(ctx, b.db, "select count(*) from backlite_tasks")
}

func (b *backliteSystem) close() error {
	if b.stop != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		b.client.Stop(ctx)
		b.stop()
	}
	return b.db.Close()
}
