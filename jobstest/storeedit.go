package jobstest

import (
	"context"

	"github.com/embedjobs/jobs"
)

var editCases = []storeCase{
	{
		"without a new generation what was asked for stays",
		"What was asked for is stored when the job is new and when job.Generation differs from the stored one; otherwise a store may leave that part as it is. It must be one or the other, for all of it, and the indexes must agree.",
		func(ctx context.Context, s jobs.Store) error {
			job := fullJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			asked := job.Clone()
			ask(job, newJob())
			job.Generation = asked.Generation
			changed := job.Clone()
			job.Message = "step"
			if err := save(ctx, s, job); err != nil {
				return err
			}
			got, err := load(ctx, s, job.ID)
			if err != nil {
				return err
			}
			want := job.Clone()
			if ask(want, asked); got.Task == changed.Task {
				ask(want, changed)
			}
			if err := diff(got, want); err != nil {
				return err
			}
			return indexed(ctx, s, got, asked, changed)
		},
	},
	{
		"a new generation changes what was asked for",
		"What was asked for is stored when job.Generation differs from the stored one, and every index and tally is kept right.",
		func(ctx context.Context, s jobs.Store) error {
			job := fullJob()
			other := fullJob() // stays as it is
			if err := save(ctx, s, job, other); err != nil {
				return err
			}
			before := job.Clone()
			after := &jobs.Job{
				Task: job.Task, Title: "New", Args: []byte("{}"), ArgsVersion: 4, Queue: "other",
				Priority: 3, Group: job.Group, Batch: job.Batch, Tags: []string{"c", "d", "d"},
				Meta: map[string]string{"new": "1"}, Actor: "user:bob", Unique: "another",
				Parent: 18, Definition: "daily", MaxAttempts: 2, CreatedAt: job.CreatedAt,
				Generation: job.Generation + 1,
			}
			ask(job, after)
			if err := save(ctx, s, job); err != nil {
				return err
			}
			if err := wantJob(ctx, s, job); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, jobs.Query{Tag: "c"}, other.ID, job.ID); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, jobs.Query{Tag: "a"}, other.ID); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, jobs.Query{Definition: "nightly"}, other.ID); err != nil {
				return err
			}
			if err := wantTallies(ctx, s, []*jobs.Job{job, other}); err != nil {
				return err
			}
			if err := remove(ctx, s, other.ID); err != nil {
				return err
			}
			return indexed(ctx, s, job, before, job)
		},
	},
	{
		"a new generation may be an older number",
		"What was asked for is stored when job.Generation differs from the stored one, whichever is greater.",
		func(ctx context.Context, s jobs.Store) error {
			job := fullJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			job.Generation, job.Title = 0, "Again"
			if err := save(ctx, s, job); err != nil {
				return err
			}
			return wantJob(ctx, s, job)
		},
	},
	{
		"a new priority moves a job in its line",
		"InLine returns the highest priority first, also after it was edited.",
		func(ctx context.Context, s jobs.Store) error {
			a, b := newJob(), newJob()
			if err := save(ctx, s, a, b); err != nil {
				return err
			}
			b.Priority, b.Generation = 5, 1
			if err := save(ctx, s, b); err != nil {
				return err
			}
			return wantIDs(ctx, s, jobs.Query{Order: jobs.InLine, Line: "queue"}, b.ID, a.ID)
		},
	},
}

// indexed returns an error if the only job in the store is not found by its labels, or is found by
// those of others.
func indexed(ctx context.Context, s jobs.Store, job *jobs.Job, others ...*jobs.Job) error {
	for _, other := range append(others, job) {
		queries := []jobs.Query{
			{Task: other.Task},
			{Queue: other.Queue},
			{Group: other.Group},
			{Group: other.Group, Batch: other.Batch},
			{Definition: other.Definition},
			{Parent: other.Parent},
			{Actor: other.Actor},
			{Unique: other.Unique},
		}
		for _, tag := range other.Tags {
			queries = append(queries, jobs.Query{Tag: tag})
		}
		for _, q := range queries {
			var want []jobs.ID
			if q.Match(job) {
				want = append(want, job.ID)
			}
			if err := wantIDs(ctx, s, q, want...); err != nil {
				return err
			}
		}
	}
	return wantTallies(ctx, s, []*jobs.Job{job})
}
