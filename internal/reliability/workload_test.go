//go:build linux

package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
)

// A driver is a user of a world who works on jobs of its own, at random.
type driver struct {
	*world
	name  string
	rng   *rand.Rand
	n     int
	ended []jobs.ID // of task note
}

// errUndo rolls a transaction back.
var errUndo = errors.New("changed my mind")

// drive does n things.
func (d *driver) drive(ctx context.Context, n int) error {
	acts := [...]func(context.Context) error{
		d.note, d.pair, d.order, d.never, d.unique, d.await("flaky"), d.await("pay"), d.await("chain"), d.await("snooze"),
		d.cancelRunning, d.schedule, d.retry, d.remove, d.pause, d.group, d.skip, d.pass,
		d.graph, d.family, d.cancelFamily, d.define,
	}
	for range n {
		i := d.rng.IntN(len(acts))
		if err := acts[i](ctx); err != nil {
			return fmt.Errorf("%s, act %d: %w", d.name, i, err)
		}
	}
	return nil
}

// label returns a text that was not there before.
func (d *driver) label() string {
	d.n++
	return d.name + "-" + strconv.Itoa(d.n)
}

func (d *driver) enqueue(ctx context.Context, reqs ...jobs.Request) ([]*jobs.Job, error) {
	all, err := d.runner.Enqueue(ctx, reqs...)
	if err == nil {
		for _, job := range all {
			d.ackJob(job)
		}
	}
	return all, err
}

func (d *driver) end(ctx context.Context, id jobs.ID) error {
	job, err := d.runner.Wait(ctx, id)
	if err == nil {
		d.ackEnd(job)
	}
	return err
}

func (d *driver) note(ctx context.Context) error {
	all, err := d.enqueue(ctx, jobs.Request{Task: "note", Tags: []string{d.name}, Priority: d.rng.IntN(3)})
	if err != nil || d.rng.IntN(2) == 0 {
		return err
	}
	d.ended = append(d.ended, all[0].ID)
	return d.end(ctx, all[0].ID)
}

func (d *driver) pair(ctx context.Context) error {
	req := jobs.Request{Task: "note", Group: d.name, Batch: "pairs", Meta: map[string]string{"pair": d.label()}}
	_, err := d.enqueue(ctx, req, req)
	return err
}

func (d *driver) order(ctx context.Context) error {
	n := d.label()
	var all []*jobs.Job
	err := d.db.Update(func(tx *bbolt.Tx) (err error) {
		if err := tx.Bucket(orders).Put([]byte(n), nil); err != nil {
			return err
		}
		all, err = d.runner.EnqueueTx(ctx, d.store.Tx(tx), jobs.Request{Task: "note", Meta: map[string]string{"order": n}})
		return err
	})
	if err == nil {
		d.ackJob(all[0])
	}
	return err
}

func (d *driver) never(ctx context.Context) error {
	err := d.db.Update(func(tx *bbolt.Tx) error {
		_, err := d.runner.EnqueueTx(ctx, d.store.Tx(tx), jobs.Request{Task: "note", Meta: map[string]string{"never": "1"}})
		return errors.Join(err, errUndo)
	})
	if !errors.Is(err, errUndo) {
		return fmt.Errorf("rolling back returned %w", err)
	}
	return nil
}

func (d *driver) unique(ctx context.Context) error {
	_, err := d.enqueue(ctx, jobs.Request{
		Task: "note", Unique: jobs.Unique{Key: strconv.Itoa(d.rng.IntN(3))}, RunAt: time.Now().Add(time.Duration(d.rng.IntN(3)) * time.Minute),
	})
	return err
}

func (d *driver) await(task string) func(context.Context) error {
	return func(ctx context.Context) error {
		all, err := d.enqueue(ctx, jobs.Request{Task: task})
		if err != nil {
			return err
		}
		return d.end(ctx, all[0].ID)
	}
}

func (d *driver) cancelRunning(ctx context.Context) error {
	all, err := d.enqueue(ctx, jobs.Request{Task: "slow", Queue: "slow-" + d.name})
	if err != nil {
		return err
	}
	if d.rng.IntN(2) == 0 {
		for job, err := range d.runner.Watch(ctx, all[0].ID) {
			if err != nil {
				return err
			}
			if job.State == jobs.Running {
				break
			}
		}
	}
	if _, err := d.runner.Cancel(ctx, all[0].ID, "enough"); err != nil {
		return err
	}
	return d.end(ctx, all[0].ID)
}

func (d *driver) schedule(ctx context.Context) error {
	all, err := d.enqueue(ctx, jobs.Request{Task: "note", RunAt: time.Now().Add(time.Hour), Tags: []string{"later"}})
	if err != nil {
		return err
	}
	id, title := all[0].ID, d.label()
	_, err = d.runner.Edit(ctx, id, func(req *jobs.Request) error {
		req.Title, req.Priority, req.Queue, req.Tags = title, d.rng.IntN(5), "edited", []string{"edited"}
		if d.rng.IntN(2) == 0 {
			req.RunAt = time.Time{}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.ack(subject(id), fmt.Sprintf("job %d was edited", id), func(ctx context.Context, w *world) error {
		job, err := w.runner.Get(ctx, id)
		if err == nil && (job.Title != title || job.Queue != "edited") {
			return fmt.Errorf("its title is %q, its queue %q", job.Title, job.Queue)
		}
		return err
	})
	return nil
}

func (d *driver) retry(ctx context.Context) error {
	if len(d.ended) == 0 {
		return nil
	}
	id := d.ended[d.rng.IntN(len(d.ended))]
	d.begin(subject(id))
	job, err := d.runner.Retry(ctx, id)
	if err != nil {
		return err
	}
	d.ackJob(job)
	return d.end(ctx, id)
}

func (d *driver) remove(ctx context.Context) error {
	if len(d.ended) == 0 {
		return nil
	}
	id := d.ended[0]
	d.ended = d.ended[1:]
	d.begin(subject(id))
	if err := d.runner.Delete(ctx, id); err != nil {
		return err
	}
	d.ack(subject(id), fmt.Sprintf("job %d was deleted", id), func(ctx context.Context, w *world) error {
		if job, err := w.runner.Get(ctx, id); !errors.Is(err, jobs.ErrNotFound) {
			return fmt.Errorf("there is %v (%w)", job, err)
		}
		return nil
	})
	return nil
}

// pause pauses a queue, or resumes it.
func (d *driver) pause(ctx context.Context) error {
	queue := "paused-" + d.name
	paused := d.rng.IntN(2) == 0
	do := d.runner.Resume
	if paused {
		do = d.runner.Pause
	}
	d.begin(queue)
	if err := do(ctx, queue); err != nil {
		return err
	}
	d.ack(queue, fmt.Sprintf("queue %s is paused: %t", queue, paused), func(ctx context.Context, w *world) error {
		all, err := w.runner.Queues(ctx)
		for _, q := range all {
			if q.Name == queue && q.Paused == paused {
				return nil
			}
		}
		return fmt.Errorf("it is not, among %d queues: %w", len(all), err)
	})
	_, err := d.enqueue(ctx, jobs.Request{Task: "note", Queue: queue})
	return err
}

// group enqueues jobs of which only one may run at once.
func (d *driver) group(ctx context.Context) error {
	req := jobs.Request{Task: "note", Queue: "groups", Group: strconv.Itoa(d.rng.IntN(2))}
	_, err := d.enqueue(ctx, req, req, req)
	return err
}

// skip enqueues a job that retention will remove.
func (d *driver) skip(ctx context.Context) error {
	_, err := d.runner.Enqueue(ctx, jobs.Request{Task: "skip"})
	return err
}

// pass lets time pass.
func (d *driver) pass(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(d.rng.Int64N(int64(20 * 24 * time.Hour))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}
