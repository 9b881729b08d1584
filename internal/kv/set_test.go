package kv_test

import (
	"slices"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// Sets are cut into chunks, so there must be jobs for several of them, and pages that begin in the
// midst of one.
func TestSets(t *testing.T) {
	const n = 1800
	store := memory.New()
	defer func() { _ = store.Close() }()
	states := []jobs.State{jobs.Running, jobs.Succeeded, jobs.Running, jobs.Failed, jobs.Waiting}
	all := make([]*jobs.Job, n)
	err := store.Update(t.Context(), func(tx jobs.Tx) error {
		for i := range all {
			all[i] = &jobs.Job{Task: "task", Queue: "q", State: states[i%len(states)]}
			if i%7 == 0 || i/600 == 1 { // one chunk is full, the others are not
				all[i].Tags = []string{"tag"}
			}
			if err := tx.Save(all[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	queries := []jobs.Query{
		{},
		{States: []jobs.State{jobs.Running}},
		{States: []jobs.State{jobs.Waiting, jobs.Failed}},
		{Tag: "tag"},
		{Tag: "tag", States: []jobs.State{jobs.Succeeded}},
	}
	check := func(tx jobs.Tx) error {
		for _, q := range queries {
			for _, q.Order = range []jobs.Order{jobs.Newest, jobs.Oldest} {
				for _, q.After = range []jobs.ID{0, 1, 2, 511, 512, 513, 1023, 1024, 1025, n - 1, n, n + 1, 5000, 1<<64 - 1} {
					checkQuery(t, tx, all, q)
				}
			}
		}
		return nil
	}
	if err := store.View(t.Context(), check); err != nil {
		t.Fatal(err)
	}
	// What a transaction has not written yet counts, too.
	err = store.Update(t.Context(), func(tx jobs.Tx) error {
		for i, job := range all {
			switch {
			case i%3 == 0:
				if err := tx.Remove(job.ID); err != nil {
					return err
				}
			case i%3 == 1 && job.State == jobs.Running:
				job.State = jobs.Succeeded
				if err := tx.Save(job); err != nil {
					return err
				}
			}
		}
		for i := n - 1; i >= 0; i-- {
			if i%3 == 0 {
				all = slices.Delete(all, i, i+1)
			}
		}
		return check(tx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func checkQuery(t *testing.T, tx jobs.Tx, all []*jobs.Job, q jobs.Query) {
	t.Helper()
	var got, want []jobs.ID
	for job, err := range tx.Jobs(q) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, job.ID)
	}
	for _, job := range all {
		if q.Match(job) && (q.After == 0 || q.Order == jobs.Oldest && job.ID > q.After || q.Order == jobs.Newest && job.ID < q.After) {
			want = append(want, job.ID)
		}
	}
	if q.Order == jobs.Newest {
		slices.Reverse(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v returned %d jobs %v, want %d", q, len(got), got, len(want))
	}
}
