package jobstest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/embedjobs/jobs"
)

// loopCases change jobs while they are iterated over.
var loopCases = []storeCase{
	{
		"a loop can be left",
		"The sequence of Jobs, Tallies and Records ends when the loop is left.",
		func(ctx context.Context, s jobs.Store) error {
			if _, err := manyJobs(ctx, s, 20); err != nil {
				return err
			}
			for _, key := range []string{"a", "b", "c"} {
				if err := setRecord(ctx, s, "space", key, []byte(key)); err != nil {
					return err
				}
			}
			return s.View(ctx, func(tx jobs.Tx) error {
				n := 0
				for _, err := range tx.Jobs(jobs.Query{}) {
					if n++; err != nil {
						return err
					}
					break
				}
				for _, err := range tx.Tallies(jobs.ByLabels, jobs.Labels{}) {
					if n++; err != nil {
						return err
					}
					break
				}
				for _, err := range tx.Records("space", "", "") {
					if n++; err != nil {
						return err
					}
					break
				}
				if n != 3 {
					return fmt.Errorf("%d of 3 loops began", n)
				}
				return nil
			})
		},
	},
	{
		"jobs may be saved in a loop",
		"What is saved during the iteration may or may not appear in it; all others do, once, and the iteration ends.",
		func(ctx context.Context, s jobs.Store) error {
			return eachQuery(ctx, s, func(tx jobs.Tx, job *jobs.Job) error {
				job.State, job.Stamp = jobs.Running, job.Stamp+100
				return tx.Save(job)
			})
		},
	},
	{
		"jobs may stay in line in a loop",
		"The iteration ends, even if each job is sent further back in the line.",
		func(ctx context.Context, s jobs.Store) error {
			return eachQuery(ctx, s, func(tx jobs.Tx, job *jobs.Job) error {
				job.Stamp, job.RunAt = job.Stamp+1000, job.RunAt.Add(time.Hour)
				return tx.Save(job)
			})
		},
	},
	{
		"jobs may be removed in a loop",
		"What is removed during the iteration may or may not appear in it; all others do, once.",
		func(ctx context.Context, s jobs.Store) error {
			return eachQuery(ctx, s, func(tx jobs.Tx, job *jobs.Job) error { return tx.Remove(job.ID) })
		},
	},
	{
		"jobs may be made in a loop",
		"The iteration ends, even if its body makes a job each time.",
		func(ctx context.Context, s jobs.Store) error {
			return eachQuery(ctx, s, func(tx jobs.Tx, job *jobs.Job) error {
				c := job.Clone()
				c.ID, c.Version, c.Stamp, c.RunAt = 0, 0, c.Stamp+1000, c.RunAt.Add(time.Hour)
				return tx.Save(c)
			})
		},
	},
}

// eachQuery runs body in the loops over several queries, each in an Update of its own that is
// rolled back, and returns an error if a job is missing or appears twice.
func eachQuery(ctx context.Context, s jobs.Store, body func(jobs.Tx, *jobs.Job) error) error {
	// Enough for several pages of any tree.
	all, err := manyJobs(ctx, s, 400)
	if err != nil {
		return err
	}
	rollback := errors.New("roll back")
	for _, q := range []jobs.Query{
		{Order: jobs.Newest},
		{Order: jobs.Oldest},
		{Task: "three"},
		{Group: "gg", Order: jobs.Oldest},
		{States: []jobs.State{jobs.Waiting}},
		{States: []jobs.State{jobs.Running, jobs.Waiting}, Order: jobs.Oldest},
		{States: []jobs.State{jobs.Queued}},
		{Order: jobs.InLine, Line: "slow"},
		{Order: jobs.Due},
		{Tag: "y"},
	} {
		err := s.Update(ctx, func(tx jobs.Tx) error {
			times := make(map[jobs.ID]int)
			n := 0
			for job, err := range tx.Jobs(q) {
				if err != nil {
					return err
				}
				if times[job.ID]++; times[job.ID] > 1 {
					return fmt.Errorf("query %+v: job %d appears again", q, job.ID)
				}
				if n++; n > 3*len(all) {
					return fmt.Errorf("query %+v: the iteration does not end", q)
				}
				if err := body(tx, job); err != nil {
					return err
				}
			}
			for _, job := range all {
				if q.Match(job) && times[job.ID] == 0 {
					return fmt.Errorf("query %+v: job %d does not appear", q, job.ID)
				}
			}
			return rollback
		})
		if !same(err, rollback) {
			return err
		}
	}
	return nil
}
