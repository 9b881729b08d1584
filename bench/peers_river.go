package main

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	riverSQLiteOptions   = "riversqlite with one connection, as its documentation has it; WAL; FetchCooldown and FetchPollInterval 1 ms, the least (the defaults are 100 ms and 1 s)"
	riverPostgresOptions = "riverpgxv5; InsertManyFast for batches; FetchCooldown 1 ms, the least (the default is 100 ms)"
)

// riverArgs is the no-op job as River's.
type riverArgs struct{ Args }

// Kind implements river.JobArgs.
func (riverArgs) Kind() string { return taskName }

type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	handle func(int)
}

// Work implements river.Worker.
func (w *riverWorker) Work(_ context.Context, job *river.Job[riverArgs]) error {
	w.handle(job.Args.Number)
	return nil
}

type riverSystem[TTx any] struct {
	client   *river.Client[TTx]
	argBytes int
	count    func(ctx context.Context, query string) (int, error)
	closeDB  func() error
	started  bool
}

func openRiverSQLite(ctx context.Context, s settings) (system, error) {
	db, err := openSQLite(s, "river.db")
	if err != nil {
		return nil, err
	}
	r := &riverSystem[*sql.Tx]{argBytes: s.argBytes, closeDB: db.Close}
	r.count = func(ctx context.Context, query string) (int, error) { return rows(ctx, db, query) }
	return r, r.open(ctx, riversqlite.New(db), s, time.Millisecond)
}

func openRiverPostgres(ctx context.Context, s settings) (system, error) {
	config, err := pgxpool.ParseConfig(s.postgres)
	if err != nil {
		return nil, err
	}
	// Enough for 64 inserters; beyond that, more connections made it slower on few cores.
	config.MaxConns = 80
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Each run begins with an empty schema, as those of the embedded systems do.
	if _, err := pool.Exec(ctx, "drop schema public cascade; create schema public"); err != nil {
		pool.Close()
		return nil, err
	}
	r := &riverSystem[pgx.Tx]{argBytes: s.argBytes, closeDB: func() error { pool.Close(); return nil }}
	r.count = func(ctx context.Context, query string) (n int, err error) {
		err = pool.QueryRow(ctx, query).Scan(&n)
		return n, err
	}
	// With LISTEN and NOTIFY it need not poll; FetchPollInterval stays at its default.
	return r, r.open(ctx, riverpgxv5.New(pool), s, 0)
}

// open migrates the database and makes the client.
func (r *riverSystem[TTx]) open(ctx context.Context, driver riverdriver.Driver[TTx], s settings, poll time.Duration) error {
	logger := slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		return errors.Join(err, r.closeDB())
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{handle: s.handle})
	r.client, err = river.NewClient(driver, &river.Config{
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: max(s.workers, 1)}},
		Workers:       workers,
		FetchCooldown: time.Millisecond, FetchPollInterval: poll,
		Logger: logger,
	})
	if err != nil {
		return errors.Join(err, r.closeDB())
	}
	return nil
}

func (r *riverSystem[TTx]) insert(ctx context.Context, first, n int) error {
	if n == 1 {
		_, err := r.client.Insert(ctx, riverArgs{newArgs(first, r.argBytes)}, nil)
		return err
	}
	all := make([]river.InsertManyParams, n)
	for i := range all {
		all[i].Args = riverArgs{newArgs(first+i, r.argBytes)}
	}
	_, err := r.client.InsertManyFast(ctx, all)
	return err
}

func (r *riverSystem[TTx]) start() error {
	r.started = true
	return r.client.Start(context.Background())
}

func (r *riverSystem[TTx]) left(ctx context.Context) (int, error) {
	return r.count(ctx, "select count(*) from river_job where state in ('available', 'running', 'retryable', 'scheduled', 'pending')")
}

func (r *riverSystem[TTx]) close() error {
	var err error
	if r.started {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = r.client.StopAndCancel(ctx)
	}
	return errors.Join(err, r.closeDB())
}
