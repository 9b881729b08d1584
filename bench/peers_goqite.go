package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"sync"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver that goqite and backlite document
	"maragu.dev/goqite"
	goqitejobs "maragu.dev/goqite/jobs"
)

const goqiteOptions = "_journal=WAL&_timeout=5000, one connection, as its README has it; PollInterval 1 ms; jobs.Runner"

// goqiteSchema is what a user of goqite puts into the database; the library brings it as a file only.
//
//go:embed goqite.sql
var goqiteSchema string

// openSQLite opens a database with the settings that the READMEs of goqite and backlite agree on.
func openSQLite(s settings, name string) (*sql.DB, error) {
	options := "?_journal=WAL&_timeout=5000"
	if s.full {
		options += "&_synchronous=FULL"
	}
	db, err := sql.Open("sqlite3", "file:"+s.path(name)+options)
	if err != nil {
		return nil, err
	}
	// SQLite has one writer at a time. Those that have to wait for it wait for a Go mutex this
	// way, which is several times as fast as SQLite's sleeping.
	db.SetMaxOpenConns(1)
	return db, db.Ping()
}

// rows returns the result of a query for a number.
func rows(ctx context.Context, db *sql.DB, query string) (n int, err error) {
	err = db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

type goqiteSystem struct {
	db       *sql.DB
	queue    *goqite.Queue
	runner   *goqitejobs.Runner
	argBytes int

	stop context.CancelFunc // nil until it is started
	work sync.WaitGroup
}

func openGoqite(ctx context.Context, s settings) (system, error) {
	db, err := openSQLite(s, "goqite.db")
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, goqiteSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	g := &goqiteSystem{db: db, queue: goqite.New(goqite.NewOpts{DB: db, Name: "jobs"}), argBytes: s.argBytes}
	g.runner = goqitejobs.NewRunner(goqitejobs.NewRunnerOpts{Limit: s.workers, PollInterval: time.Millisecond, Queue: g.queue})
	g.runner.Register(taskName, func(_ context.Context, data []byte) error {
		var args Args
		if err := json.Unmarshal(data, &args); err != nil {
			return err
		}
		s.handle(args.Number)
		return nil
	})
	return g, nil
}

func (g *goqiteSystem) insert(ctx context.Context, first, n int) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for i := range n {
		data, err := json.Marshal(newArgs(first+i, g.argBytes))
		if err == nil {
			_, err = goqitejobs.CreateTx(ctx, tx, g.queue, taskName, goqite.Message{Body: data})
		}
		if err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (g *goqiteSystem) start() error {
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	g.work.Go(func() { g.runner.Start(ctx) })
	return nil
}

func (g *goqiteSystem) left(ctx context.Context) (int, error) {
	return rows(ctx, g.db, "select count(*) from goqite")
}

func (g *goqiteSystem) close() error {
	if g.stop != nil {
		g.stop()
		g.work.Wait()
	}
	return g.db.Close()
}
