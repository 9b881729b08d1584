package jobs_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/embedjobs/jobs"
)

func TestRunner_Edit(t *testing.T) {
	onBothNamed(t, "all that may be changed is changed", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		job := enqueue(t, r, jobs.Request{Task: "task", Args: json.RawMessage(`{"a":1}`), Group: "g", Batch: "b", Actor: "me"})
		want := jobs.Request{
			Task: "task", Args: json.RawMessage(`{"a":2}`), Title: "title", Queue: "other", Priority: 7,
			RunAt: time.Now().Add(time.Hour).UTC(), Group: "g", Batch: "b", Tags: []string{"x"}, Meta: map[string]string{"k": "v"}, Actor: "me",
			MaxAttempts: 3, Timeout: time.Minute, Deadline: time.Now().Add(day).UTC(),
		}
		edited, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { *req = want; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, edited.Request(), cmpopts.IgnoreUnexported(jobs.Request{})); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		if edited.State != jobs.Scheduled || edited.Generation != 1 {
			t.Errorf("got %+v", edited)
		}
		if n := count(t, r, jobs.Query{Queue: "other"}); n != 1 || count(t, r, jobs.Query{Queue: "default"}) != 0 {
			t.Errorf("%d are counted in the new queue", n)
		}
		start(t, r)
		if job = end(t, r, job.ID); job.StartedAt.Sub(job.CreatedAt) != time.Hour {
			t.Errorf("it started at %v", job.StartedAt)
		}
	})

	for _, state := range standingStates {
		onBothNamed(t, "a job that is "+string(state), func(e env) {
			t, store := e.t, e.store
			r := standingRunner(t, store, nil)
			job := standing(t, r, state)
			time.Sleep(time.Minute)
			edited, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { req.Title = "new"; return nil })
			if state.Final() || state == jobs.Running {
				wantError(t, err, jobs.ErrState)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if edited.Title != "new" || edited.State != state || !edited.RunAt.Equal(job.RunAt) || edited.Stamp != job.Stamp {
				t.Errorf("got %+v, was %+v", edited, job)
			}
		})
	}

	onBothNamed(t, "a time that has passed means now", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		for _, at := range []time.Time{{}, time.Now().Add(-time.Hour), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)} {
			job := enqueue(t, r, jobs.Request{Task: "task", RunAt: time.Now().Add(time.Hour)})
			time.Sleep(time.Second)
			job, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { req.RunAt = at; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if job.State != jobs.Queued || !job.RunAt.Equal(time.Now()) {
				t.Errorf("%v: got %v, due at %v", at, job, job.RunAt)
			}
		}
	})
}

func TestRunner_Edit_Refused(t *testing.T) {
	t.Run("what may not be changed is refused and changes nothing", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			job := enqueue(t, r, jobs.Request{Task: "task", Group: "g"})
			for name, edit := range map[string]func(*jobs.Request){
				"task":     func(req *jobs.Request) { req.Task = "other" },
				"group":    func(req *jobs.Request) { req.Group = "h" },
				"batch":    func(req *jobs.Request) { req.Batch = "h" },
				"actor":    func(req *jobs.Request) { req.Actor = "h" },
				"unique":   func(req *jobs.Request) { req.Unique.Key = "h" },
				"queue":    func(req *jobs.Request) { req.Queue = "" },
				"priority": func(req *jobs.Request) { req.Priority = 101 },
				"time":     func(req *jobs.Request) { req.RunAt = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC) },
				"deadline": func(req *jobs.Request) { req.Deadline = time.Now().Add(-1) },
			} {
				if _, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { edit(req); return nil }); err == nil {
					t.Errorf("%s was taken", name)
				} else {
					wantError(t, err, jobs.ErrInvalid)
				}
			}
			_, err := r.Edit(t.Context(), job.ID, func(*jobs.Request) error { return errBroken })
			wantError(t, err, errBroken)
			if now := get(t, r, job.ID); now.Version != job.Version {
				t.Errorf("the job was saved: %+v", now)
			}
		})
	})

	onBothNamed(t, "a change in between is not lost, and a start in between ends it", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		job := enqueue(t, r, jobs.Request{Task: "task"})
		calls := 0
		edited, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error {
			if calls++; calls == 1 {
				if _, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { req.Title = "theirs"; return nil }); err != nil {
					t.Fatal(err)
				}
			}
			req.Priority = 5
			return nil
		})
		if err != nil || calls != 2 || edited.Title != "theirs" || edited.Priority != 5 {
			t.Errorf("got %+v, %v, after %d calls", edited, err, calls)
		}
		_, err = r.Edit(t.Context(), job.ID, func(*jobs.Request) error {
			start(t, r)
			synctest.Wait()
			return nil
		})
		wantError(t, err, jobs.ErrState)
	})
}

func TestRunner_Edit_Line(t *testing.T) {
	onBothNamed(t, "a priority moves the job in line", func(e env) {
		t, store := e.t, e.store
		o := &order{}
		r := newRunner(t, store, registry("task", o.handler), &jobs.Options{Workers: 1})
		fill(t, r, 3, jobs.Request{Task: "task", Group: "a"})
		job := enqueue(t, r, jobs.Request{Task: "task", Group: "b"})
		fill(t, r, 3, jobs.Request{Task: "task", Group: "a"})
		if _, err := r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { req.Priority = 1; return nil }); err != nil {
			t.Fatal(err)
		}
		start(t, r)
		synctest.Wait()
		if got := o.seen(); len(got) != 7 || got[0] != "b" {
			t.Errorf("order is %v", got)
		}
	})
}
