package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// What a handler returns decides how its job goes on.
func ExampleSnooze() {
	var reg jobs.Registry
	ready := false
	task := jobs.Register(&reg, jobs.Task{Name: "fetch"}, func(ctx context.Context, g Greeting) (string, error) {
		switch {
		case g.Name == "snooze" && !ready:
			ready = true
			return "", jobs.Snooze(0, "the export is not ready") // runs again, no attempt counted
		case g.Name == "retry" && jobs.Current(ctx).Attempt == 1:
			return "", jobs.RetryIn(0, errors.New("connection reset")) // a plain error waits for its backoff
		case g.Name == "fail":
			return "", jobs.Fail(errors.New("no such account")) // no retry could mend it
		case g.Name == "skip":
			return "", jobs.Skip("nothing has changed")
		case g.Name == "partial":
			return "2 of 3", jobs.Partial(errors.New("one page is missing")) // the result is kept
		case g.Name == "panic":
			panic(jobs.Fail(errors.New("oops"))) // is an error with its stack
		}
		return "done", nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	for _, name := range []string{"ok", "snooze", "retry", "fail", "skip", "partial", "panic"} {
		job, err := task.Enqueue(ctx, runner, Greeting{name})
		check(err)
		job, err = runner.Wait(ctx, job.ID)
		check(err)
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%-8s %s, attempt %d %s %s", name+":", job.State, job.Attempt, job.Result, job.Message)))
	}
	// Output:
	// ok:      succeeded, attempt 1 "done"
	// snooze:  succeeded, attempt 1 "done"
	// retry:   succeeded, attempt 2 "done"
	// fail:    failed, attempt 1  no such account
	// skip:    skipped, attempt 1  nothing has changed
	// partial: succeeded, attempt 1 "2 of 3" one page is missing
	// panic:   failed, attempt 1  panic: oops
}

// A later attempt goes on from the checkpoint of the one before.
func ExampleCheckpoint() {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "import"}, func(ctx context.Context, _ struct{}) (int, error) {
		row := 0
		if _, err := jobs.Restore(ctx, &row); err != nil {
			return 0, err
		}
		fmt.Println("from row", row)
		for ; row < 1000; row++ {
			if row == 700 && jobs.Current(ctx).Attempt == 1 {
				return 0, jobs.RetryIn(0, errors.New("connection reset"))
			}
			if row%100 == 0 {
				if err := jobs.Checkpoint(ctx, row); err != nil {
					return 0, err
				}
			}
		}
		return row, nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	job, err := task.Enqueue(ctx, runner, struct{}{})
	check(err)
	rows, err := task.Wait(ctx, runner, job.ID)
	check(err)
	fmt.Println(rows, "rows")
	// Output:
	// from row 0
	// from row 600
	// 1000 rows
}

// The next step of a pipeline appears together with the success of this one, or not at all.
func ExampleDefer() {
	var reg jobs.Registry
	ended := make(chan bool)
	mail := jobs.Register(&reg, jobs.Task{Name: "mail"}, func(ctx context.Context, g Greeting) (struct{}, error) {
		fmt.Println("mail to", g.Name, "by", jobs.Current(ctx).Actor)
		close(ended)
		return struct{}{}, nil
	})
	bill := jobs.Register(&reg, jobs.Task{Name: "bill"}, func(ctx context.Context, g Greeting) (struct{}, error) {
		return struct{}{}, jobs.Defer(ctx, mail.Request(g))
	})
	runner, stop := inMemory(&reg)
	defer stop()
	_, err := bill.Enqueue(context.Background(), runner, Greeting{"Ada"})
	check(err)
	<-ended
	// Output: mail to Ada by job:1
}

func ExampleProgress() {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "resize"}, func(ctx context.Context, args Images) (Resized, error) {
		progress := jobs.Progress(ctx)
		read, written := progress.Child("read"), progress.Child("written")
		read.SetTotal(int64(len(args.Files)))
		written.SetTotal(int64(len(args.Files)))
		for _, file := range args.Files {
			read.SetStatus(file)
			read.Add(1)
			if file != "broken.png" {
				written.Add(1)
				jobs.Count(ctx, "resized", 1)
			}
		}
		return Resized{}, nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	job, err := task.Enqueue(ctx, runner, Images{Files: []string{"a.png", "broken.png", "c.png"}})
	check(err)
	job, err = runner.Wait(ctx, job.ID)
	check(err)
	for _, node := range append(job.Progress.Children, job.Progress) {
		fmt.Printf("%s %d/%d %q\n", node.Name, node.Current, node.Total, node.Status)
	}
	fmt.Println(job.Counters)
	// Output:
	// read 3/3 "c.png"
	// written 2/3 ""
	// resize 5/6 ""
	// map[resized:2]
}

// What a job logs is kept with it, and goes on to Options.Logger.
func ExampleLogger() {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "greet"}, func(ctx context.Context, g Greeting) (struct{}, error) {
		logger := jobs.Logger(ctx).With("name", g.Name)
		logger.Debug("looking up the address")
		logger.Warn("no address", "tried", 3)
		return struct{}{}, nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	job, err := task.Enqueue(ctx, runner, Greeting{"Ada"})
	check(err)
	// Follow goes on until the job has ended.
	for entry, err := range runner.Log(ctx, job.ID, jobs.LogQuery{Level: slog.LevelInfo, Follow: true}) {
		check(err)
		fmt.Println(entry.Seq, entry.Level, entry.Message, string(entry.Attrs))
	}
	// Output: 2 WARN no address {"name":"Ada","tried":3}
}

// A handler that ends its job in the transaction that writes its data has its effect exactly once.
func ExampleComplete() {
	db, err := bbolt.Open(filepath.Join(scratch, "app.db"), 0o600, nil) // of the application
	check(err)
	store, err := bolt.New(db, nil)
	check(err)
	var reg jobs.Registry
	book := jobs.Register(&reg, jobs.Task{Name: "book"}, func(ctx context.Context, g Greeting) (int, error) {
		balance := 0
		err := db.Update(func(tx *bbolt.Tx) error {
			accounts, err := tx.CreateBucketIfNotExists([]byte("accounts"))
			if err != nil {
				return err
			}
			balance = len(accounts.Get([]byte(g.Name))) + 1
			if err := accounts.Put([]byte(g.Name), make([]byte, balance)); err != nil {
				return err
			}
			return jobs.Complete(ctx, store.Tx(tx), balance)
		})
		return balance, err
	})
	runner, err := jobs.NewRunner(store, &reg, nil)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }()

	job, err := book.Enqueue(ctx, runner, Greeting{"Ada"})
	check(err)
	balance, err := book.Wait(ctx, runner, job.ID)
	check(err)
	fmt.Println("balance", balance)

	stop()
	check(<-done)
	check(store.Close())
	check(db.Close())
	// Output: balance 1
}
