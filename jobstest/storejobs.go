package jobstest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/embedjobs/jobs"
)

var jobCases = []storeCase{
	{
		"new jobs get IDs",
		"A job with ID 0 is given the next ID; IDs begin at 1. Save sets job.ID and raises job.Version by one.",
		func(ctx context.Context, s jobs.Store) error {
			var last jobs.ID
			for range 3 {
				a, b := newJob(), newJob()
				if err := save(ctx, s, a, b); err != nil {
					return err
				}
				if last == 0 && a.ID != 1 {
					return fmt.Errorf("the first ID is %d", a.ID)
				}
				if a.ID <= last || b.ID <= a.ID {
					return fmt.Errorf("after ID %d came %d and %d", last, a.ID, b.ID)
				}
				if a.Version != 1 {
					return fmt.Errorf("a new job has version %d, want 1", a.Version)
				}
				last = b.ID
			}
			return nil
		},
	},
	{
		"every field is kept",
		"Job returns what was saved, in the same transaction and in later ones.",
		func(ctx context.Context, s jobs.Store) error {
			for _, job := range []*jobs.Job{fullJob(), newJob(), {State: jobs.Waiting}} {
				err := s.Update(ctx, func(tx jobs.Tx) error {
					if err := tx.Save(job); err != nil {
						return err
					}
					got, err := tx.Job(job.ID)
					if err != nil {
						return err
					}
					return diff(got, job)
				})
				if err != nil {
					return err
				}
				if err := wantJob(ctx, s, job); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"every step is kept",
		"Saving a known job stores what has happened to it, and leaves nothing of what was before.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			for _, step := range []func(){
				func() {},
				func() { full := fullJob(); happen(job, full) },
				func() { job.Result, job.Progress = []byte(`"other"`), nil },
				func() { happen(job, newJob()) },
			} {
				step()
				if err := save(ctx, s, job); err != nil {
					return err
				}
				if err := wantJob(ctx, s, job); err != nil {
					return err
				}
			}
			if job.Version != 4 {
				return fmt.Errorf("after 4 saves the version is %d", job.Version)
			}
			return nil
		},
	},
	{
		"empty is nil",
		"A nil and an empty slice or map are stored alike and read back as nil.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			job.Args, job.Result, job.Checkpoint = json.RawMessage{}, json.RawMessage{}, json.RawMessage{}
			job.Tags, job.Errors = []string{}, []jobs.AttemptError{}
			job.Meta, job.Counters = map[string]string{}, map[string]int64{}
			if err := save(ctx, s, job); err != nil {
				return err
			}
			want := newJob()
			want.ID, want.Version = job.ID, job.Version
			return wantJob(ctx, s, want)
		},
	},
	{
		"times are exact",
		"Times are kept to the nanosecond and returned in UTC; the zero time stays the zero time.",
		func(ctx context.Context, s jobs.Store) error {
			zone := time.FixedZone("far east", 9*3600)
			for _, t := range []time.Time{
				{},
				time.Now(), day.Add(1).In(zone), time.Unix(0, 0),
				time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC),
				time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
			} {
				job := newJob()
				job.CreatedAt, job.RunAt, job.StartedAt, job.FinishedAt, job.UpdatedAt, job.Deadline = t, t, t, t, t, t
				job.Errors = []jobs.AttemptError{{Attempt: 1, Time: t}}
				job.State = jobs.Scheduled
				if err := save(ctx, s, job); err != nil {
					return err
				}
				want := job.Clone()
				u := t.Round(0).UTC()
				want.CreatedAt, want.RunAt, want.StartedAt, want.FinishedAt, want.UpdatedAt, want.Deadline = u, u, u, u, u, u
				want.Errors[0].Time = u
				if err := wantJob(ctx, s, want); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"an old version conflicts",
		"For a known job job.Version must be that of the stored one; otherwise Save returns ErrConflict and stores nothing.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			for _, version := range []uint64{0, 2, 1 << 60} {
				other := job.Clone()
				other.Version, other.Message, other.State = version, "late", jobs.Running
				before := other.Clone()
				if err := wantError("Save of a wrong version", save(ctx, s, other), jobs.ErrConflict); err != nil {
					return err
				}
				if err := diff(other, before); err != nil {
					return fmt.Errorf("a refused Save changed its argument: %w", err)
				}
			}
			// In one transaction that goes on, too.
			err := s.Update(ctx, func(tx jobs.Tx) error {
				a, b := job.Clone(), job.Clone()
				a.Message, b.Message = "first", "second"
				if err := tx.Save(a); err != nil {
					return err
				}
				if err := wantError("Save of the version before", tx.Save(b), jobs.ErrConflict); err != nil {
					return err
				}
				job = a
				return nil
			})
			if err != nil {
				return err
			}
			return wantJob(ctx, s, job)
		},
	},
	{
		"a missing job is ErrNotFound",
		"Job, Save and Remove of a missing job return an error that wraps ErrNotFound.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			if err := remove(ctx, s, job.ID); err != nil {
				return err
			}
			for _, id := range []jobs.ID{job.ID, 0, 99, 1<<64 - 1} {
				_, err := load(ctx, s, id)
				if err := wantError("Job", err, jobs.ErrNotFound); err != nil {
					return err
				}
				if err := wantError("Remove", remove(ctx, s, id), jobs.ErrNotFound); err != nil {
					return err
				}
				missing := newJob()
				if missing.ID = id; id == 0 {
					continue
				}
				if err := wantError("Save", save(ctx, s, missing), jobs.ErrNotFound); err != nil {
					return err
				}
			}
			return empty(ctx, s)
		},
	},
	{
		"what is given is copied",
		"The store does not see what the caller does to a job or a record after it gave it away.",
		func(ctx context.Context, s jobs.Store) error {
			job := fullJob()
			want := fullJob()
			record := []byte("record")
			err := s.Update(ctx, func(tx jobs.Tx) error {
				if err := tx.Save(job); err != nil {
					return err
				}
				want.ID, want.Version = job.ID, job.Version
				scribble(job)
				if err := tx.SetRecord("space", "key", record); err != nil {
					return err
				}
				record[0] = 'X'
				got, err := tx.Job(want.ID)
				if err != nil {
					return err
				}
				if err := diff(got, want); err != nil {
					return err
				}
				return wantRecordIn(tx, "space", "key", []byte("record"))
			})
			if err != nil {
				return err
			}
			if err := wantRecord(ctx, s, "space", "key", []byte("record")); err != nil {
				return err
			}
			return wantJob(ctx, s, want)
		},
	},
	{
		"what is returned is a copy",
		"The store does not see what the caller does to a job or a record that it returned.",
		func(ctx context.Context, s jobs.Store) error {
			want := fullJob()
			if err := save(ctx, s, want); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "space", "key", []byte("record")); err != nil {
				return err
			}
			spoil := func(tx jobs.Tx) error {
				job, err := tx.Job(want.ID)
				if err != nil {
					return err
				}
				scribble(job)
				for job, err := range tx.Jobs(jobs.Query{}) {
					if err != nil {
						return err
					}
					scribble(job)
				}
				record, err := tx.Record("space", "key")
				if err != nil {
					return err
				}
				record[0] = 'X'
				for r, err := range tx.Records("space", "", "") {
					if err != nil {
						return err
					}
					r.Value[0] = 'X'
				}
				return wantRecordIn(tx, "space", "key", []byte("record"))
			}
			if err := s.View(ctx, spoil); err != nil {
				return err
			}
			if err := s.Update(ctx, spoil); err != nil {
				return err
			}
			if err := wantRecord(ctx, s, "space", "key", []byte("record")); err != nil {
				return err
			}
			return wantJob(ctx, s, want)
		},
	},
	{
		"removed jobs are gone",
		"Remove removes a job from all indexes and tallies.",
		func(ctx context.Context, s jobs.Store) error {
			var gone []jobs.ID
			for _, state := range jobs.States() {
				job := fullJob()
				job.State = state
				if err := save(ctx, s, job); err != nil {
					return err
				}
				gone = append(gone, job.ID)
			}
			if err := remove(ctx, s, gone...); err != nil {
				return err
			}
			full := fullJob()
			for _, q := range []jobs.Query{
				{Order: jobs.InLine, Line: full.Line},
				{Order: jobs.Due},
				{Task: full.Task},
				{Group: full.Group},
				{Group: full.Group, Batch: full.Batch},
				{Definition: full.Definition},
				{Parent: full.Parent},
				{Tag: full.Tags[0]},
				{States: jobs.States()},
			} {
				if err := wantIDs(ctx, s, q); err != nil {
					return err
				}
			}
			return empty(ctx, s)
		},
	},
	{
		"large values are kept",
		"A job's arguments and result may be large.",
		func(ctx context.Context, s jobs.Store) error {
			large := make([]byte, 1<<20)
			for i := range large {
				large[i] = 'a' + byte(i%23)
			}
			job := newJob()
			job.Args, job.Result = large, large[:1<<19]
			if err := save(ctx, s, job, newJob()); err != nil {
				return err
			}
			if err := wantJob(ctx, s, job); err != nil {
				return err
			}
			job.Result = large
			if err := save(ctx, s, job); err != nil {
				return err
			}
			return wantJob(ctx, s, job)
		},
	},
}

// happen copies what has happened to src into job.
func happen(job, src *jobs.Job) {
	asked := *job
	*job = *src.Clone()
	job.ID, job.Version = asked.ID, asked.Version
	ask(job, &asked)
}

// ask copies what was asked for in src into job.
func ask(job, src *jobs.Job) {
	job.Task, job.Title, job.Args, job.ArgsVersion = src.Task, src.Title, src.Args, src.ArgsVersion
	job.ArgsSchema, job.Queue, job.Priority = src.ArgsSchema, src.Queue, src.Priority
	job.Group, job.Batch, job.Tags, job.Meta = src.Group, src.Batch, src.Tags, src.Meta
	job.Actor, job.Unique, job.Parent, job.Definition = src.Actor, src.Unique, src.Parent, src.Definition
	job.MaxAttempts, job.Timeout, job.Deadline = src.MaxAttempts, src.Timeout, src.Deadline
	job.After, job.Each, job.ParentClaim, job.ChildPolicy, job.Due = src.After, src.Each, src.ParentClaim, src.ChildPolicy, src.Due
	job.CreatedAt, job.Generation = src.CreatedAt, src.Generation
}

// scribble changes everything that a job refers to.
func scribble(job *jobs.Job) {
	for _, b := range [][]byte{job.Args, job.Result, job.Checkpoint} {
		for i := range b {
			b[i] = 'X'
		}
	}
	for i := range job.Tags {
		job.Tags[i] = "X"
	}
	for i := range job.Errors {
		job.Errors[i] = jobs.AttemptError{Message: "X"}
	}
	for key := range job.Meta {
		job.Meta[key] = "X"
	}
	for key := range job.Counters {
		job.Counters[key] = -1
	}
	*job = jobs.Job{ID: job.ID, Message: "X"}
}
