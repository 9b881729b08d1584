package jobstest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

var queryCases = []storeCase{
	{
		"jobs in the order of their IDs",
		"Newest returns the job made last first, Oldest the job made first first; After is the ID after which to go on; Limit bounds the number.",
		func(ctx context.Context, s jobs.Store) error {
			var all []*jobs.Job
			for range 7 {
				all = append(all, newJob())
			}
			if err := save(ctx, s, all...); err != nil {
				return err
			}
			if err := remove(ctx, s, all[3].ID); err != nil {
				return err
			}
			id := func(n ...int) (list []jobs.ID) {
				for _, i := range n {
					list = append(list, all[i].ID)
				}
				return list
			}
			for _, c := range []struct {
				q    jobs.Query
				want []jobs.ID
			}{
				{jobs.Query{}, id(6, 5, 4, 2, 1, 0)},
				{jobs.Query{Limit: 2}, id(6, 5)},
				{jobs.Query{Limit: 100}, id(6, 5, 4, 2, 1, 0)},
				{jobs.Query{After: all[4].ID}, id(2, 1, 0)},
				{jobs.Query{After: all[3].ID, Limit: 1}, id(2)},
				{jobs.Query{After: all[0].ID}, nil},
				{jobs.Query{After: 1<<64 - 1}, id(6, 5, 4, 2, 1, 0)},
				{jobs.Query{Order: jobs.Oldest}, id(0, 1, 2, 4, 5, 6)},
				{jobs.Query{Order: jobs.Oldest, Limit: 3}, id(0, 1, 2)},
				{jobs.Query{Order: jobs.Oldest, After: all[3].ID}, id(4, 5, 6)},
				{jobs.Query{Order: jobs.Oldest, After: all[4].ID, Limit: 1}, id(5)},
				{jobs.Query{Order: jobs.Oldest, After: all[6].ID}, nil},
				{jobs.Query{Order: jobs.Oldest, After: 1<<64 - 1}, nil},
			} {
				if err := wantIDs(ctx, s, c.q, c.want...); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"every filter narrows",
		"Jobs returns the jobs that Query.Match admits, whatever fields are set, in each order, with and without a cursor and a limit.",
		func(ctx context.Context, s jobs.Store) error {
			all, err := manyJobs(ctx, s, 120)
			if err != nil {
				return err
			}
			return s.View(ctx, func(tx jobs.Tx) error { return sweep(tx, all) })
		},
	},
	{
		"queries see the transaction's own writes",
		"Inside Update, Jobs returns what the transaction has saved and not what it has removed.",
		func(ctx context.Context, s jobs.Store) error {
			return s.Update(ctx, func(tx jobs.Tx) error {
				all, err := manyJobsIn(tx, 60)
				if err != nil {
					return err
				}
				return sweep(tx, all)
			})
		},
	},
	{
		"a line",
		"InLine returns the queued jobs of Query.Line: the highest priority first, then the lowest stamp, then the lowest ID.",
		func(ctx context.Context, s jobs.Store) error {
			add := func(line string, priority int, stamp uint64, state jobs.State) *jobs.Job {
				job := newJob()
				job.Line, job.Priority, job.Stamp, job.State = line, priority, stamp, state
				return job
			}
			a := add("queue", 0, 5, jobs.Queued)
			b := add("queue", 0, 5, jobs.Queued)
			c := add("queue", 0, 1<<63, jobs.Queued)
			d := add("queue", 100, 300, jobs.Queued)
			e := add("queue", -100, 0, jobs.Queued)
			f := add("queue", 0, 0, jobs.Running)
			g := add("queue2", 0, 0, jobs.Queued)
			h := add("queu", 0, 0, jobs.Queued)
			i := add("queue", 0, 4, jobs.Queued)
			if err := save(ctx, s, a, b, c, d, e, f, g, h, i); err != nil {
				return err
			}
			line := jobs.Query{Order: jobs.InLine, Line: "queue"}
			if err := wantIDs(ctx, s, line, d.ID, i.ID, a.ID, b.ID, c.ID, e.ID); err != nil {
				return err
			}
			limited := line
			limited.Limit = 2
			if err := wantIDs(ctx, s, limited, d.ID, i.ID); err != nil {
				return err
			}
			// Changes move them.
			d.State, i.Line, c.Stamp, f.State = jobs.Running, "queue2", 3, jobs.Queued
			if err := save(ctx, s, d, i, c, f); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, line, f.ID, c.ID, a.ID, b.ID, e.ID); err != nil {
				return err
			}
			return wantIDs(ctx, s, jobs.Query{Order: jobs.InLine, Line: "queue2"}, g.ID, i.ID)
		},
	},
	{
		"what is due",
		"Due returns scheduled and retrying jobs, the one that is due first first: by RunAt, then by ID.",
		func(ctx context.Context, s jobs.Store) error {
			add := func(at time.Time, state jobs.State) *jobs.Job {
				job := newJob()
				job.RunAt, job.State = at, state
				return job
			}
			a := add(day.Add(time.Hour), jobs.Scheduled)
			b := add(day, jobs.Retrying)
			c := add(day.Add(1), jobs.Scheduled)
			d := add(day, jobs.Scheduled)
			e := add(day, jobs.Queued)
			f := add(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), jobs.Scheduled)
			g := add(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), jobs.Scheduled)
			if err := save(ctx, s, a, b, c, d, e, f, g); err != nil {
				return err
			}
			due := jobs.Query{Order: jobs.Due}
			if err := wantIDs(ctx, s, due, f.ID, b.ID, d.ID, c.ID, a.ID, g.ID); err != nil {
				return err
			}
			a.RunAt, b.State, f.State = day.Add(-1), jobs.Queued, jobs.Cancelled
			if err := save(ctx, s, a, b, f); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, due, a.ID, d.ID, c.ID, g.ID); err != nil {
				return err
			}
			due.States, due.Limit = []jobs.State{jobs.Retrying}, 1
			return wantIDs(ctx, s, due)
		},
	},
}

// manyJobs saves n jobs of all kinds, changes and removes some, and returns those that are left in
// the order of their IDs.
func manyJobs(ctx context.Context, s jobs.Store, n int) (all []*jobs.Job, err error) {
	err = s.Update(ctx, func(tx jobs.Tx) (err error) {
		all, err = manyJobsIn(tx, n)
		return err
	})
	return all, err
}

func manyJobsIn(tx jobs.Tx, n int) ([]*jobs.Job, error) {
	states := jobs.States()
	pick := func(list []string, i int) string { return list[i%len(list)] }
	var all []*jobs.Job
	for i := range n {
		job := newJob()
		job.Task = pick([]string{"one", "two", "two", "three", "three", "three", "three"}, i)
		job.Queue = pick([]string{"fast", "slow", "slow"}, i)
		job.Line = job.Queue
		job.Group = pick([]string{"", "g", "gg", "gg", "g\x01"}, i)
		job.Batch = pick([]string{"b", "", "bb", "bb", "bb", "", "c", "c"}, i)
		job.Definition = pick([]string{"", "", "", "d"}, i)
		job.Actor = pick([]string{"ada", "bob", ""}, i)
		job.Tags = [][]string{nil, {"x"}, {"y", "x"}, {"z"}, {"y"}}[i%5]
		if i%7 == 3 {
			job.Parent = jobs.ID(i%2 + 1)
		}
		if i%6 == 0 {
			job.Unique = fmt.Sprint("key", i%4)
		}
		job.CreatedAt = day.Add(time.Duration(i*i%37) * time.Minute)
		job.UpdatedAt = job.CreatedAt.Add(time.Hour)
		job.RunAt = day.Add(-time.Duration(i*i%23) * time.Second)
		job.Priority, job.Stamp = i%3-1, uint64(i*7%11)
		job.State = states[i%4%3]
		if err := tx.Save(job); err != nil {
			return nil, err
		}
		all = append(all, job)
	}
	for i, job := range all {
		if i%2 == 0 {
			job.State = states[i*5%len(states)]
			job.UpdatedAt = job.UpdatedAt.Add(time.Minute)
			if err := tx.Save(job); err != nil {
				return nil, err
			}
		}
		if i%11 == 4 {
			if err := tx.Remove(job.ID); err != nil {
				return nil, err
			}
			all[i] = nil
		}
	}
	return slices.DeleteFunc(all, func(job *jobs.Job) bool { return job == nil }), nil
}

// sweep compares the answers to many queries with what Match says of all jobs.
func sweep(tx jobs.Tx, all []*jobs.Job) error {
	filters := []jobs.Query{
		{},
		{Task: "one"},
		{Task: "three"},
		{Task: "none"},
		{Queue: "fast"},
		{Group: "g"},
		{Group: "gg"},
		{Group: "none"},
		{Batch: "bb"},
		{Group: "gg", Batch: "bb"},
		{Group: "gg", Batch: "none"},
		{Definition: "d"},
		{Parent: 1},
		{Parent: 99},
		{Tag: "x"},
		{Tag: "y"},
		{Tag: "none"},
		{Actor: "ada"},
		{Unique: "key0"},
		{CreatedFrom: day.Add(9 * time.Minute)},
		{CreatedTo: day.Add(9 * time.Minute)},
		{CreatedFrom: day.Add(4 * time.Minute), CreatedTo: day.Add(30 * time.Minute)},
		{Task: "two", Queue: "slow", Group: "gg", Tag: "y"},
		{Task: "three", Actor: "bob", CreatedFrom: day.Add(time.Minute)},
	}
	sets := [][]jobs.State{nil, jobs.States(), {jobs.Running, jobs.Queued, jobs.Running}, {jobs.Scheduled, jobs.Succeeded}}
	for _, state := range jobs.States() {
		sets = append(sets, []jobs.State{state})
	}
	for _, q := range filters {
		for _, set := range sets {
			q.States = set
			for _, order := range []jobs.Order{jobs.Newest, jobs.Oldest, jobs.InLine, jobs.Due} {
				if q.Order = order; order == jobs.InLine {
					q.Line = "slow"
				}
				if err := compare(tx, q, all); err != nil {
					return err
				}
			}
			q.Order, q.Line = jobs.Newest, ""
		}
	}
	return nil
}

// compare compares the answers to a query, with and without a cursor and a limit.
func compare(tx jobs.Tx, q jobs.Query, all []*jobs.Job) error {
	list := slices.DeleteFunc(slices.Clone(all), func(job *jobs.Job) bool { return !q.Match(job) })
	var want []jobs.ID
	switch q.Order {
	case jobs.Newest:
		slices.Reverse(list)
	case jobs.InLine:
		slices.SortStableFunc(list, func(a, b *jobs.Job) int {
			if a.Priority != b.Priority {
				return b.Priority - a.Priority
			}
			return int(a.Stamp) - int(b.Stamp)
		})
	case jobs.Due:
		slices.SortStableFunc(list, func(a, b *jobs.Job) int { return a.RunAt.Compare(b.RunAt) })
	case jobs.Oldest:
	}
	for _, job := range list {
		want = append(want, job.ID)
	}
	if err := wantIDsIn(tx, q, want...); err != nil {
		return err
	}
	q.Limit = 2
	if err := wantIDsIn(tx, q, want[:min(2, len(want))]...); err != nil {
		return err
	}
	if q.Order == jobs.InLine || q.Order == jobs.Due || len(want) == 0 {
		return nil
	}
	middle := len(want) / 2
	q.After = want[middle]
	return wantIDsIn(tx, q, want[middle+1:min(middle+3, len(want))]...)
}
