package kv_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/internal/kv"
	"github.com/embedjobs/jobs/memory"
)

// label draws a string without zero bytes.
func label(name string) func(*rapid.T) string {
	return func(t *rapid.T) string {
		return strings.ReplaceAll(rapid.StringN(0, 6, 20).Draw(t, name), "\x00", "")
	}
}

func timeOf(t *rapid.T, name string) time.Time {
	if rapid.Bool().Draw(t, name+" is zero") {
		return time.Time{}
	}
	return time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(t, name),
		rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
}

func bytesOf(t *rapid.T, name string) []byte {
	b := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, name)
	if len(b) == 0 {
		return nil
	}
	return b
}

// jobOf draws a job with everything that is stored.
func jobOf(t *rapid.T) *jobs.Job {
	job := &jobs.Job{
		Task: label("task")(t), Title: rapid.String().Draw(t, "title"), Args: bytesOf(t, "args"),
		ArgsVersion: rapid.Int().Draw(t, "args version"), ArgsSchema: rapid.Uint64().Draw(t, "schema"),
		Queue: label("queue")(t), Priority: rapid.IntRange(-100, 100).Draw(t, "priority"),
		Group: label("group")(t), Batch: label("batch")(t),
		Actor: rapid.String().Draw(t, "actor"), Unique: rapid.String().Draw(t, "unique"),
		Parent: jobs.ID(rapid.Uint64().Draw(t, "parent")), Definition: label("definition")(t),
		MaxAttempts: rapid.Int().Draw(t, "attempts"), Timeout: time.Duration(rapid.Int64().Draw(t, "timeout")),
		Deadline: timeOf(t, "deadline"), CreatedAt: timeOf(t, "created"), Generation: rapid.Int().Draw(t, "generation"),

		Each: jobs.Ref(rapid.String().Draw(t, "each")), ParentClaim: rapid.Int().Draw(t, "parent claim"),
		ChildPolicy: jobs.Need(rapid.String().Draw(t, "policy")), Due: timeOf(t, "due"),
		Pending: rapid.Int().Draw(t, "pending"), Awaited: rapid.Bool().Draw(t, "awaited"),
		Blocker: jobs.ID(rapid.Uint64().Draw(t, "blocker")), Brood: rapid.Int().Draw(t, "brood"),
		Joining: rapid.Bool().Draw(t, "joining"), CheckpointVersion: rapid.Int().Draw(t, "checkpoint version"),

		State:   rapid.SampledFrom(jobs.States()).Draw(t, "state"),
		Attempt: rapid.Int().Draw(t, "attempt"), Claims: rapid.Int().Draw(t, "claims"),
		Crashes: rapid.Int().Draw(t, "crashes"), Session: rapid.Uint64().Draw(t, "session"),
		RunAt: timeOf(t, "run at"), StartedAt: timeOf(t, "started"), FinishedAt: timeOf(t, "finished"),
		UpdatedAt: timeOf(t, "updated"), Cancelling: rapid.Bool().Draw(t, "cancelling"),
		Partial: rapid.Bool().Draw(t, "partial"), Message: rapid.String().Draw(t, "message"),
		Warnings: rapid.Int().Draw(t, "warnings"), LoggedErrors: rapid.Int().Draw(t, "errors"),
		Result: bytesOf(t, "result"), Checkpoint: bytesOf(t, "checkpoint"),
		Line: label("line")(t), Stamp: rapid.Uint64().Draw(t, "stamp"), Version: rapid.Uint64().Draw(t, "version"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "number of entries") {
		if job.Meta == nil {
			job.Meta, job.Counters = map[string]string{}, map[string]int64{}
		}
		job.Tags = append(job.Tags, label("tag")(t))
		job.After = append(job.After, jobs.Dependency{
			Name: rapid.String().Draw(t, "name"), Job: jobs.ID(rapid.Uint64().Draw(t, "before")), Need: jobs.Need(rapid.String().Draw(t, "need")),
		})
		job.Meta[rapid.String().Draw(t, "key")] = rapid.String().Draw(t, "value")
		job.Counters[rapid.String().Draw(t, "counter")] = rapid.Int64().Draw(t, "count")
		job.Errors = append(job.Errors, jobs.AttemptError{
			Attempt: i, Time: timeOf(t, "time"), Kind: jobs.ErrorKind(rapid.String().Draw(t, "kind")),
			Message: rapid.String().Draw(t, "message"), Stack: rapid.String().Draw(t, "stack"),
		})
	}
	if rapid.Bool().Draw(t, "large") {
		job.Args = bytes.Repeat([]byte("x"), rapid.IntRange(400, 600).Draw(t, "size")) // arguments apart, or almost
	}
	if rapid.Bool().Draw(t, "large title") {
		job.Title = strings.Repeat("x", rapid.IntRange(400, 600).Draw(t, "size of the title")) // a body apart, or almost
	}
	if rapid.Bool().Draw(t, "progress") {
		job.Progress = new(jobs.Report)
	}
	return job
}

func TestCodec_roundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := jobOf(t)
		head, body, args, tail, err := kv.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := kv.Decode(head, body, args, tail)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n\t%#v, want\n\t%#v", got, want)
		}
		// Every cut is noticed, or it is the end of a field.
		for i := range head {
			if _, err := kv.Decode(head[:i], body, args, tail); err == nil {
				t.Fatalf("a header of %d of %d bytes was accepted", i, len(head))
			}
		}
	})
}

func TestCodec_skipsUnknownFields(t *testing.T) {
	job := &jobs.Job{State: jobs.Running, Title: strings.Repeat("x", 1000), Args: make([]byte, 1000), Message: "message"}
	head, body, args, tail, err := kv.Encode(job)
	if err != nil {
		t.Fatal(err)
	}
	unknown := append([]byte{100, 3}, "new"...)
	body, tail = append(body, unknown...), append(tail, unknown...)
	got, err := kv.Decode(head, body, args, tail)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, job) {
		t.Errorf("got %#v, want %#v", got, job)
	}
}

// Whatever the bytes, Decode returns a job or an error; what it returns can be stored again.
func FuzzDecode(f *testing.F) {
	for _, job := range []*jobs.Job{
		{State: jobs.Queued},
		{
			State: jobs.Failed, Task: "task", Group: "group", Tags: []string{"a"}, Meta: map[string]string{"k": "v"},
			Args: []byte("{}"), Counters: map[string]int64{"n": -1}, CreatedAt: time.Unix(1e9, 1),
			Errors:   []jobs.AttemptError{{Attempt: 1, Time: time.Unix(1e9, 2), Kind: jobs.ErrorPanic, Message: "m", Stack: "s"}},
			Progress: new(jobs.Report), Result: []byte("1"), Deadline: time.Unix(2e9, 0), Line: "line",
		},
	} {
		head, body, args, tail, err := kv.Encode(job)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(head, body, args, tail)
	}
	f.Fuzz(func(t *testing.T, head, body, args, tail []byte) {
		job, err := kv.Decode(head, body, args, tail)
		if err != nil {
			return
		}
		head, body, args, tail, err = kv.Encode(job)
		if err != nil {
			t.Fatal(err)
		}
		again, err := kv.Decode(head, body, args, tail)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(again, job) {
			t.Errorf("got %#v, want %#v", again, job)
		}
	})
}

// What keys cannot hold is refused, and stores nothing.
func TestTx_refusesWhatKeysCannotHold(t *testing.T) {
	for name, spoil := range map[string]func(*jobs.Job){
		"task":       func(j *jobs.Job) { j.Task = "a\x00b" },
		"queue":      func(j *jobs.Job) { j.Queue = "\x00" },
		"group":      func(j *jobs.Job) { j.Group = "a\x00" },
		"batch":      func(j *jobs.Job) { j.Batch = strings.Repeat("x", 5000) },
		"definition": func(j *jobs.Job) { j.Definition = "\x00a" },
		"tag":        func(j *jobs.Job) { j.Tags = []string{"fine", "a\x00b"} },
		"line":       func(j *jobs.Job) { j.Line = "a\x00b" },
		"priority":   func(j *jobs.Job) { j.Priority = 1000 },
		"state":      func(j *jobs.Job) { j.State = "lost" },
	} {
		t.Run(name, func(t *testing.T) {
			s := memory.New()
			err := s.Update(t.Context(), func(tx jobs.Tx) error {
				job := &jobs.Job{State: jobs.Queued}
				if err := tx.Save(job); err != nil {
					return err
				}
				spoil(job)
				job.Generation++
				fresh := *job
				fresh.ID, fresh.Version = 0, 0
				for _, job := range []*jobs.Job{job, &fresh} {
					err := tx.Save(job)
					if err == nil || !strings.HasPrefix(err.Error(), "jobs: invalid "+name) {
						t.Errorf("got %v", err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
