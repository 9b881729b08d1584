package jobstest_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

// worked returns a store in which a runner has worked, and the IDs of a job that has ended, one
// that is scheduled and one that stands in line, in this order.
func worked(t *testing.T) (jobs.Store, [3]jobs.ID) {
	t.Helper()
	store := memory.New()
	var reg jobs.Registry
	tasks := jobstest.RegisterTasks(&reg)
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{KeepEvents: time.Hour, Queues: []jobs.Queue{{Name: "paused", Paused: true}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := jobstest.Enqueue(t, r, tasks.Log.Request(jobstest.LogArgs{}))
	later, line := tasks.Echo.Request(map[string]any{}), tasks.Echo.Request(map[string]any{})
	later.RunAt = time.Now().Add(time.Hour)
	line.Queue, line.Group, line.Unique.Key = "paused", "group", "one"
	ids := [3]jobs.ID{ended.ID, jobstest.Enqueue(t, r, later).ID, jobstest.Enqueue(t, r, line).ID}
	jobstest.Enqueue(t, r, tasks.Skip.Request(jobstest.SkipArgs{}))
	if _, err := r.Wait(ctx, ended.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.SetQueue(ctx, jobs.Queue{Name: "default", Workers: 3}); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return store, ids
}

func TestCheck(t *testing.T) {
	set := func(space, key string, value []byte) func(jobs.Tx, [3]jobs.ID) error {
		return func(tx jobs.Tx, _ [3]jobs.ID) error { return tx.SetRecord(space, key, value) }
	}
	change := func(i int, fn func(*jobs.Job)) func(jobs.Tx, [3]jobs.ID) error {
		return func(tx jobs.Tx, ids [3]jobs.ID) error {
			job, err := tx.Job(ids[i])
			if err != nil {
				return err
			}
			fn(job)
			return tx.Save(job)
		}
	}
	for _, c := range []struct {
		name, want string
		spoil      func(jobs.Tx, [3]jobs.ID) error
	}{
		{"a unique key of no job", "does not exist", set("unique", "other", []byte{0, 0, 0, 0, 0, 0, 0, 99})},
		{"a unique key of another job", `which has "one"`, set("unique", "other", []byte{0, 0, 0, 0, 0, 0, 0, 3})},
		{"the latest success of another task", "is of task", set("last", "test.skip", []byte{0, 0, 0, 0, 0, 0, 0, 1})},
		{"a log of no job", "there is a log of job 99", set("log", "\x00\x00\x00\x00\x00\x00\x00\x63\x00\x00\x00\x00\x00\x00\x00\x01", []byte{1})},
		{"a log beyond its end", "its log has a record 9", set("log", "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09", []byte{1})},
		{"a log that retention cannot find", "retention will not find", func(tx jobs.Tx, _ [3]jobs.ID) error {
			for rec, err := range tx.Records("logage", "", "") {
				if err != nil {
					return err
				}
				if err := tx.SetRecord("logage", rec.Key, nil); err != nil {
					return err
				}
			}
			return nil
		}},
		{"settings that are none", "settings of queue", set("queue", "default", []byte("{"))},
		{"settings of another queue", `are those of "other"`, set("queue", "default", []byte(`{"name":"other"}`))},
		{"a missing event", "comes where", func(tx jobs.Tx, _ [3]jobs.ID) error {
			return tx.SetRecord("event", "\x00\x00\x00\x00\x00\x00\x00\x02", nil)
		}},
		{"a counter of events that is behind", "events were counted to 1", set("meta", "event", []byte{0, 0, 0, 0, 0, 0, 0, 1})},
		{"a line that no claim looks at", "no claim will look there", change(2, func(j *jobs.Job) { j.Line = "paused\x01group" })},
		{"a line of another queue", `in line "default"`, change(2, func(j *jobs.Job) { j.Line = "default" })},
		{"a stamp that nobody gave", "its stamp is 1000", change(2, func(j *jobs.Job) { j.Stamp = 1000 })},
		{"a line without being queued", "queued jobs stand in a line", change(1, func(j *jobs.Job) { j.Line = "default" })},
		{"an end without a time", "have a time of that", change(0, func(j *jobs.Job) { j.FinishedAt = time.Time{} })},
		{"a result without success", "has not succeeded", change(1, func(j *jobs.Job) { j.Result = json.RawMessage("1") })},
		{"running without a claim", "was not claimed", change(1, func(j *jobs.Job) { j.State = jobs.Running })},
		{"waiting for nothing", "waits for nothing", change(2, func(j *jobs.Job) { j.State, j.Line = jobs.Waiting, "" })},
		{"waiting for what has ended", "waits for 1 jobs, and 0 of those", change(2, func(j *jobs.Job) {
			j.State, j.Line, j.Pending, j.After = jobs.Waiting, "", 1, []jobs.Dependency{{Job: 1, Name: "1"}}
			j.Generation++
		})},
		{"waiting for no children", "cannot be read", change(2, func(j *jobs.Job) { j.State, j.Line, j.Brood = jobs.Waiting, "", 1 })},
		{"waiting for children that are gone", "waits for 2 of 2", func(tx jobs.Tx, ids [3]jobs.ID) error {
			key := string(binary.BigEndian.AppendUint64(nil, uint64(ids[2])))
			err := tx.SetRecord("brood", key, []byte(`{"claim":1,"total":2}`))
			return errors.Join(err, change(2, func(j *jobs.Job) { j.State, j.Line, j.Brood = jobs.Waiting, "", 1 })(tx, ids))
		}},
		{"a time at which no schedule is due", "is due at", set("due", "\x00\x00\x00\x00\x00\x00\x00\x01nothing", []byte{})},
		{"a schedule that is never due", "is not due then", set("schedule", "id", []byte(`{"next":"2030-01-01T00:00:00Z"}`))},
		{"more attempts than claims", "more attempts than claims", change(0, func(j *jobs.Job) { j.Attempt = 5 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, ids := worked(t)
			if err := jobstest.Check(t.Context(), store); err != nil {
				t.Fatalf("before anything is spoilt: %v", err)
			}
			if err := store.Update(t.Context(), func(tx jobs.Tx) error { return c.spoil(tx, ids) }); err != nil {
				t.Fatal(err)
			}
			if err := jobstest.Check(t.Context(), store); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
