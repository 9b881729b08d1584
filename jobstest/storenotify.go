package jobstest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/embedjobs/jobs"
)

// notifyCases pass with a store that is not a jobs.Notifier.
var notifyCases = []storeCase{
	{
		"commits are told",
		"Notify calls fn after each commit that saved or removed jobs, with what it did, until stop is called.",
		func(ctx context.Context, s jobs.Store) error {
			n, ok := s.(jobs.Notifier)
			if !ok {
				return nil
			}
			var log changeLog
			stop := n.Notify(log.add)
			job := newJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			job.State, job.RunAt, job.Cancelling = jobs.Scheduled, day.Add(time.Hour), true
			if err := save(ctx, s, job); err != nil {
				return err
			}
			job.Queue, job.Generation, job.State, job.Cancelling = "other", 1, jobs.Queued, false
			other := newJob()
			if err := save(ctx, s, job, other); err != nil {
				return err
			}
			_ = s.Update(ctx, func(tx jobs.Tx) error {
				_ = tx.Save(newJob())
				return errOwn
			})
			if err := setRecord(ctx, s, "space", "key", []byte("x")); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "due", "key", []byte("x")); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "due", "key", nil); err != nil {
				return err
			}
			if err := remove(ctx, s, job.ID); err != nil {
				return err
			}
			stop()
			if err := save(ctx, s, newJob()); err != nil {
				return err
			}
			later := day.Add(time.Hour)
			want := []jobs.Change{
				{ID: job.ID, Task: "task", Queue: "queue", State: jobs.Queued},
				{ID: job.ID, Task: "task", Queue: "queue", From: jobs.Queued, State: jobs.Scheduled, RunAt: later, Cancelling: true},
				{ID: job.ID, Task: "task", Queue: "other", From: jobs.Scheduled, State: jobs.Queued, RunAt: later},
				{ID: other.ID, Task: "task", Queue: "queue", State: jobs.Queued},
				{}, // a schedule
				{ID: job.ID, Task: "task", Queue: "other", From: jobs.Queued},
			}
			if got := log.all(); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("the changes are\n\t%+v, want\n\t%+v", got, want)
			}
			return nil
		},
	},
	{
		"commits are told in their order",
		"The calls come in the order of the commits, one at a time; each subscriber gets all of them.",
		func(ctx context.Context, s jobs.Store) error {
			n, ok := s.(jobs.Notifier)
			if !ok {
				return nil
			}
			var a, b changeLog
			defer n.Notify(a.add)()
			defer n.Notify(b.add)()
			states := jobs.States()
			job := newJob()
			job.State = states[0]
			if err := save(ctx, s, job); err != nil {
				return err
			}
			err := each(8, func(int) error {
				for range 10 {
					err := s.Update(ctx, func(tx jobs.Tx) error {
						current, err := tx.Job(job.ID)
						if err != nil {
							return err
						}
						current.State = states[int(current.Version)%len(states)]
						return tx.Save(current)
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			var want []jobs.Change
			for i := range 81 {
				c := jobs.Change{ID: job.ID, Task: "task", Queue: "queue", State: states[i%len(states)]}
				if i > 0 {
					c.From = states[(i-1)%len(states)]
				}
				want = append(want, c)
			}
			for _, got := range [][]jobs.Change{a.all(), b.all()} {
				if !reflect.DeepEqual(got, want) {
					return fmt.Errorf("the changes are\n\t%+v, want\n\t%+v", got, want)
				}
			}
			return nil
		},
	},
	{
		"sessions are positive",
		"Session returns a number that is greater each time the store was opened; 0 is that of jobs that were never claimed.",
		func(_ context.Context, s jobs.Store) error {
			if e, ok := s.(jobs.Exclusive); ok && e.Session() == 0 {
				return fmt.Errorf("the session is 0")
			}
			return nil
		},
	},
}

// A changeLog keeps what a subscriber was told.
type changeLog struct {
	mu   sync.Mutex
	list []jobs.Change
}

func (l *changeLog) add(changes []jobs.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, changes...)
}

func (l *changeLog) all() []jobs.Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}
