package jobstest

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

var tallyCases = []storeCase{
	{
		"jobs are counted in every dimension",
		"Tallies returns one row for each distinct label that has any job, ordered by group, batch, queue, task.",
		func(ctx context.Context, s jobs.Store) error {
			all, err := manyJobs(ctx, s, 90)
			if err != nil {
				return err
			}
			return wantTallies(ctx, s, all)
		},
	},
	{
		"a transaction counts its own writes",
		"Inside Update, Tallies counts what the transaction has saved, changed and removed.",
		func(ctx context.Context, s jobs.Store) error {
			return s.Update(ctx, func(tx jobs.Tx) error {
				all, err := manyJobsIn(tx, 30)
				if err != nil {
					return err
				}
				if err := wantTalliesIn(tx, all); err != nil {
					return err
				}
				all[0].State = jobs.Cancelled
				if err := tx.Save(all[0]); err != nil {
					return err
				}
				if err := tx.Remove(all[1].ID); err != nil {
					return err
				}
				return wantTalliesIn(tx, slices.Delete(all, 1, 2))
			})
		},
	},
	{
		"a state is left for another",
		"Save keeps every tally right from the record before and after.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			for _, state := range append(jobs.States(), jobs.Running, jobs.Running, jobs.Succeeded) {
				job.State = state
				job.UpdatedAt = job.UpdatedAt.Add(time.Second)
				if err := save(ctx, s, job); err != nil {
					return err
				}
				if err := wantTallies(ctx, s, []*jobs.Job{job}); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"another queue, another row",
		"An edit that changes the queue moves the job to the other queue's rows; rows without jobs vanish.",
		func(ctx context.Context, s jobs.Store) error {
			a, b := newJob(), newJob()
			b.Queue = "other"
			if err := save(ctx, s, a, b); err != nil {
				return err
			}
			a.Queue, a.Generation = "other", 1
			if err := save(ctx, s, a); err != nil {
				return err
			}
			return wantTallies(ctx, s, []*jobs.Job{a, b})
		},
	},
	{
		"rows within labels",
		"Only rows whose labels equal the ones set in within are returned.",
		func(ctx context.Context, s jobs.Store) error {
			if _, err := manyJobs(ctx, s, 90); err != nil {
				return err
			}
			return s.View(ctx, func(tx jobs.Tx) error {
				for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
					all, err := collect(tx.Tallies(by, jobs.Labels{}))
					if err != nil {
						return err
					}
					for _, within := range []jobs.Labels{
						{Group: "g"},
						{Group: "gg", Batch: "bb"},
						{Batch: "bb"},
						{Queue: "slow"},
						{Task: "two"},
						{Group: "gg", Queue: "slow", Task: "three"},
						{Group: "none"},
					} {
						got, err := collect(tx.Tallies(by, within))
						if err != nil {
							return err
						}
						var want []jobs.Tally
						for _, row := range all {
							if fits(row.Labels, within) {
								want = append(want, row)
							}
						}
						if !reflect.DeepEqual(got, want) {
							return fmt.Errorf("tallies of dimension %d within %+v are\n\t%+v, want\n\t%+v", by, within, got, want)
						}
					}
				}
				return nil
			})
		},
	},
	{
		"removed jobs leave their times",
		"First and Last count jobs that were removed, while others with the same labels exist.",
		func(ctx context.Context, s jobs.Store) error {
			first, middle, last := newJob(), newJob(), newJob()
			middle.CreatedAt, middle.UpdatedAt = day.Add(time.Hour), day.Add(time.Hour)
			last.CreatedAt, last.UpdatedAt = day.Add(2*time.Hour), day.Add(3*time.Hour)
			if err := save(ctx, s, first, middle, last); err != nil {
				return err
			}
			if err := remove(ctx, s, first.ID, last.ID); err != nil {
				return err
			}
			if err := wantSpan(ctx, s, day, day.Add(3*time.Hour)); err != nil {
				return err
			}
			if err := remove(ctx, s, middle.ID); err != nil {
				return err
			}
			if err := empty(ctx, s); err != nil {
				return err
			}
			again := newJob()
			again.CreatedAt, again.UpdatedAt = day.Add(time.Minute), day.Add(time.Minute)
			if err := save(ctx, s, again); err != nil {
				return err
			}
			return wantSpan(ctx, s, again.CreatedAt, again.UpdatedAt)
		},
	},
}

// wantSpan returns an error if the only row of each dimension is not of these times.
func wantSpan(ctx context.Context, s jobs.Store, first, last time.Time) error {
	return s.View(ctx, func(tx jobs.Tx) error {
		for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
			rows, err := collect(tx.Tallies(by, jobs.Labels{}))
			if err != nil {
				return err
			}
			if len(rows) != 1 || !rows[0].First.Equal(first) || !rows[0].Last.Equal(last) {
				return fmt.Errorf("tallies of dimension %d are %+v, want one row of %v to %v", by, rows, first, last)
			}
		}
		return nil
	})
}

func fits(l, within jobs.Labels) bool {
	return (within.Group == "" || within.Group == l.Group) && (within.Batch == "" || within.Batch == l.Batch) &&
		(within.Queue == "" || within.Queue == l.Queue) && (within.Task == "" || within.Task == l.Task)
}

func wantTallies(ctx context.Context, s jobs.Store, all []*jobs.Job) error {
	return s.View(ctx, func(tx jobs.Tx) error { return wantTalliesIn(tx, all) })
}

// wantTalliesIn returns an error if the tallies are not those of all. The times of the rows may
// reach further, because of jobs that were removed.
func wantTalliesIn(tx jobs.Tx, all []*jobs.Job) error {
	for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
		got, err := collect(tx.Tallies(by, jobs.Labels{}))
		if err != nil {
			return err
		}
		want := count(by, all)
		for i := range min(len(got), len(want)) {
			if g, w := &got[i], &want[i]; !g.First.After(w.First) && !g.Last.Before(w.Last) {
				g.First, g.Last = w.First, w.Last
			}
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			return fmt.Errorf("tallies of dimension %d are\n\t%+v, want\n\t%+v", by, got, want)
		}
	}
	return nil
}

// count counts jobs along a dimension.
func count(by jobs.Dimension, all []*jobs.Job) []jobs.Tally {
	rows := make(map[jobs.Labels]*jobs.Tally)
	for _, job := range all {
		var l jobs.Labels
		switch by {
		case jobs.ByTotal:
		case jobs.ByQueue:
			l.Queue = job.Queue
		case jobs.ByTask:
			l.Task = job.Task
		case jobs.ByGroup:
			l.Group = job.Group
		case jobs.ByBatch:
			l.Group, l.Batch = job.Group, job.Batch
		case jobs.ByLabels:
			l = jobs.Labels{Group: job.Group, Batch: job.Batch, Queue: job.Queue, Task: job.Task}
		}
		row := rows[l]
		if row == nil {
			row = &jobs.Tally{Labels: l, First: job.CreatedAt, Last: job.UpdatedAt}
			rows[l] = row
		}
		row.Add(job.State, 1)
		if job.CreatedAt.Before(row.First) {
			row.First = job.CreatedAt
		}
		if job.UpdatedAt.After(row.Last) {
			row.Last = job.UpdatedAt
		}
	}
	var list []jobs.Tally
	for _, row := range rows {
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b jobs.Tally) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Batch, b.Batch),
			cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Task, b.Task))
	})
	return list
}
