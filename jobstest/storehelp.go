package jobstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

// day is when the jobs of the cases are made.
var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newJob returns a queued job with few fields set.
func newJob() *jobs.Job {
	return &jobs.Job{
		Task: "task", Queue: "queue", Line: "queue", State: jobs.Queued,
		CreatedAt: day, UpdatedAt: day,
	}
}

// fullJob returns a job with every field set that is stored.
func fullJob() *jobs.Job {
	at := func(n int) time.Time { return day.Add(time.Duration(n) * 1_234_567_891) }
	return &jobs.Job{
		Task: "images.resize", Title: "Resize ümläuts", Args: []byte(`{"files":["a","b"]}`),
		ArgsVersion: 3, ArgsSchema: 1<<64 - 5, Queue: "images", Priority: -7,
		Group: "tenant", Batch: "import", Tags: []string{"b", "a", "c"},
		Meta: map[string]string{"k": "v", "empty": "", "": "no key"}, Actor: "user:ada",
		Unique: "one of a kind", Parent: 17, Definition: "nightly", MaxAttempts: 25,
		Timeout: 90 * time.Second, Deadline: at(9), CreatedAt: at(1), Generation: 2,
		After: []jobs.Dependency{{Name: "crawl", Job: 3, Need: jobs.NeedAll}, {Job: 1 << 40}}, Each: "crawl#/files",
		ParentClaim: 3, ChildPolicy: jobs.NeedEnd, Due: at(6), Pending: 2, Awaited: true, Blocker: 5, Brood: 4, Joining: true,
		CheckpointVersion: 2,

		State: jobs.Retrying, Attempt: 2, Claims: 5, Crashes: 1, Snoozes: 4, Logged: 7, Session: 1 << 40,
		RunAt: at(8), StartedAt: at(3), FinishedAt: at(4), UpdatedAt: at(5),
		Cancelling: true, Partial: true, Message: "connection refused",
		Errors: []jobs.AttemptError{
			{Attempt: 1, Time: at(2), Kind: jobs.ErrorPanic, Message: "boom", Stack: "goroutine 1"},
			{Attempt: 2, Time: at(4), Kind: jobs.ErrorReturned, Message: "refused"},
		},
		Warnings: 4, LoggedErrors: 6, Counters: map[string]int64{"files": 12, "less": -3, "none": 0},
		Result: []byte(`{"ok":true}`), Checkpoint: []byte(`[1,2]`), Progress: &jobs.Report{
			Name: "resize", Current: 3, Total: 9, Status: "b", Started: at(3), Updated: at(4),
			Children: []*jobs.Report{{Name: "a", Current: 3, Total: 3}},
		},
		Line: "images/tenant", Stamp: 1<<63 + 9,
	}
}

// save saves the jobs in one transaction.
func save(ctx context.Context, s jobs.Store, list ...*jobs.Job) error {
	return s.Update(ctx, func(tx jobs.Tx) error {
		for _, job := range list {
			if err := tx.Save(job); err != nil {
				return fmt.Errorf("saving %v: %w", job, err)
			}
		}
		return nil
	})
}

func remove(ctx context.Context, s jobs.Store, ids ...jobs.ID) error {
	return s.Update(ctx, func(tx jobs.Tx) error {
		for _, id := range ids {
			if err := tx.Remove(id); err != nil {
				return fmt.Errorf("removing job %d: %w", id, err)
			}
		}
		return nil
	})
}

func load(ctx context.Context, s jobs.Store, id jobs.ID) (job *jobs.Job, err error) {
	err = s.View(ctx, func(tx jobs.Tx) (err error) {
		job, err = tx.Job(id)
		return err
	})
	return job, err
}

// wantJob returns an error if the stored job is not want.
func wantJob(ctx context.Context, s jobs.Store, want *jobs.Job) error {
	got, err := load(ctx, s, want.ID)
	if err != nil {
		return err
	}
	return diff(got, want)
}

// diff returns an error that names the fields in which two jobs differ.
func diff(got, want *jobs.Job) error {
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	var b strings.Builder
	for i := range g.NumField() {
		if x, y := g.Field(i).Interface(), w.Field(i).Interface(); !reflect.DeepEqual(x, y) {
			fmt.Fprintf(&b, "\n\t%s is %#v, want %#v", g.Type().Field(i).Name, x, y)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return fmt.Errorf("job %d:%s", want.ID, b.String())
}

// ids returns the IDs of the jobs that a query selects.
func ids(tx jobs.Tx, q jobs.Query) ([]jobs.ID, error) {
	list, err := collect(tx.Jobs(q))
	var got []jobs.ID
	for _, job := range list {
		got = append(got, job.ID)
	}
	return got, err
}

func collect[V any](seq iter.Seq2[V, error]) (list []V, err error) {
	for v, err := range seq {
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
}

// wantIDs returns an error if a query does not select exactly these jobs in this order.
func wantIDs(ctx context.Context, s jobs.Store, q jobs.Query, want ...jobs.ID) error {
	return s.View(ctx, func(tx jobs.Tx) error { return wantIDsIn(tx, q, want...) })
}

func wantIDsIn(tx jobs.Tx, q jobs.Query, want ...jobs.ID) error {
	got, err := ids(tx, q)
	if err != nil {
		return err
	}
	if len(got) == 0 && len(want) == 0 || reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("query %+v selects %v, want %v", q, got, want)
}

func setRecord(ctx context.Context, s jobs.Store, space, key string, value []byte) error {
	return s.Update(ctx, func(tx jobs.Tx) error { return tx.SetRecord(space, key, value) })
}

func wantRecord(ctx context.Context, s jobs.Store, space, key string, want []byte) error {
	return s.View(ctx, func(tx jobs.Tx) error { return wantRecordIn(tx, space, key, want) })
}

func wantRecordIn(tx jobs.Tx, space, key string, want []byte) error {
	got, err := tx.Record(space, key)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		return fmt.Errorf("record %q of space %q is %#v, want %#v", key, space, got, want)
	}
	return nil
}

// wantError returns an error if err does not wrap want.
func wantError(what string, err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("the error of %s is %s, want one that wraps %q", what, fmt.Sprint(err), fmt.Sprint(want))
	}
	return nil
}

// same reports whether an error of fn was returned as it is.
func same(err, want error) bool {
	return err == want //nolint:errorlint // It must not be wrapped.
}

// empty returns an error if there is anything in the store.
func empty(ctx context.Context, s jobs.Store, spaces ...string) error {
	return s.View(ctx, func(tx jobs.Tx) error {
		if err := wantIDsIn(tx, jobs.Query{}); err != nil {
			return err
		}
		for by := jobs.ByTotal; by <= jobs.ByLabels; by++ {
			rows, err := collect(tx.Tallies(by, jobs.Labels{}))
			if err != nil {
				return err
			}
			if len(rows) > 0 {
				return fmt.Errorf("tallies of dimension %d are %+v, want none", by, rows)
			}
		}
		for _, space := range spaces {
			list, err := collect(tx.Records(space, "", ""))
			if err != nil {
				return err
			}
			if len(list) > 0 {
				return fmt.Errorf("records of space %q are %q, want none", space, list)
			}
		}
		return nil
	})
}
