package jobs_test

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// The application writes its own data and enqueues the job that follows from it in one commit.
func ExampleRunner_EnqueueTx() {
	db, err := bbolt.Open(filepath.Join(scratch, "orders.db"), 0o600, nil) // of the application
	check(err)
	store, err := bolt.New(db, nil)
	check(err)
	var reg jobs.Registry
	mail := jobs.Register(&reg, jobs.Task{Name: "mail"}, func(_ context.Context, g Greeting) (string, error) {
		return "mailed " + g.Name, nil
	})
	runner, err := jobs.NewRunner(store, &reg, nil)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }()

	var job *jobs.Job
	err = db.Update(func(tx *bbolt.Tx) error {
		orders, err := tx.CreateBucketIfNotExists([]byte("orders"))
		if err != nil {
			return err
		}
		if err := orders.Put([]byte("1"), []byte("Ada")); err != nil {
			return err
		}
		made, err := runner.EnqueueTx(ctx, store.Tx(tx), mail.Request(Greeting{"Ada"}))
		if err != nil {
			return err
		}
		job = made[0]
		return nil
	})
	check(err)
	text, err := mail.Wait(ctx, runner, job.ID)
	check(err)
	fmt.Println(text)

	stop()
	check(<-done)
	check(store.Close())
	check(db.Close())
	// Output: mailed Ada
}

// Watch returns the job at each change of its state, and while its progress changes.
func ExampleRunner_Watch() {
	var reg jobs.Registry
	proceed := make(chan bool)
	task := jobs.Register(&reg, jobs.Task{Name: "count"}, func(ctx context.Context, _ struct{}) (string, error) {
		jobs.Progress(ctx).SetTotal(2)
		jobs.Progress(ctx).Add(1)
		<-proceed
		jobs.Progress(ctx).Add(1)
		return "done", nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	job, err := task.Enqueue(ctx, runner, struct{}{})
	check(err)
	for job, err := range runner.Watch(ctx, job.ID) {
		check(err)
		if fraction, ok := job.Progress.Fraction(); ok && fraction == 0.5 {
			fmt.Println(job.State, job.Progress.Current, "of", job.Progress.Total)
			close(proceed)
		}
		if job.State.Final() {
			fmt.Println(job.State, string(job.Result))
		}
	}
	// Output:
	// running 1 of 2
	// succeeded "done"
}

// List selects jobs by any of their labels, a page at a time. Stats counts them at no cost.
func ExampleRunner_List() {
	var reg jobs.Registry
	greet := jobs.Register(&reg, jobs.Task{Name: "greet"}, func(context.Context, Greeting) (struct{}, error) {
		return struct{}{}, nil
	})
	runner, err := jobs.NewRunner(memory.New(), &reg, nil)
	check(err)
	ctx := context.Background()
	for i := range 250 {
		req := greet.Request(Greeting{"Ada"})
		req.Group = fmt.Sprintf("tenant %d", i%2)
		if i >= 200 {
			req.RunAt = time.Now().Add(time.Hour)
		}
		_, err := runner.Enqueue(ctx, req)
		check(err)
	}

	q := jobs.Query{Group: "tenant 1", States: []jobs.State{jobs.Queued}, Limit: 40}
	for cursor := ""; ; {
		page, err := runner.List(ctx, q, cursor)
		check(err)
		fmt.Println(len(page.Jobs), "jobs, the first is", page.Jobs[0].ID)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	stats, err := runner.Stats(ctx, jobs.ByGroup, jobs.Labels{})
	check(err)
	for _, group := range stats {
		fmt.Println(group.Group, group.Queued, "queued", group.Scheduled, "scheduled")
	}
	n, err := runner.CancelAll(ctx, jobs.Query{Group: "tenant 0"}, "the tenant has left")
	check(err)
	fmt.Println(n, "cancelled")
	// Output:
	// 40 jobs, the first is 200
	// 40 jobs, the first is 120
	// 20 jobs, the first is 40
	// tenant 0 100 queued 25 scheduled
	// tenant 1 100 queued 25 scheduled
	// 125 cancelled
}

// Settings of a queue are stored, and hold from the next claim on.
func ExampleRunner_SetQueue() {
	var reg jobs.Registry
	jobs.Register(&reg, jobs.Task{Name: "resize", Queue: "images"}, resize)
	runner, err := jobs.NewRunner(memory.New(), &reg, &jobs.Options{
		Queues: []jobs.Queue{{Name: "images", Workers: 4}}, // holds until SetQueue
	})
	check(err)
	ctx := context.Background()
	check(runner.SetQueue(ctx, jobs.Queue{Name: "images", Workers: 2, GroupLimit: 1, Rate: 100}))
	check(runner.Pause(ctx, "images"))

	queues, err := runner.Queues(ctx)
	check(err)
	for _, q := range queues {
		fmt.Println(q.Name, q.Workers, "workers,", q.GroupLimit, "per group, paused:", q.Paused)
	}
	// Output: images 2 workers, 1 per group, paused: true
}
