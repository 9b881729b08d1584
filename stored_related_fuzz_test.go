package jobs_test

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// Whatever is stored of a definition, of its jobs and of its schedule, it is read or reported, and Run
// goes on.
func FuzzRunner_Definitions(f *testing.F) {
	f.Add("definition", []byte(`{"id":"d","task":"task","version":1,"schedule":{"every":"1h"},"after":[{"name":"d"}]}`))
	f.Add("definition", []byte(`{"id":"d","task":"task","version":1,"schedule":{"cron":"* * * * *"}}`))
	f.Add("runs", []byte(`{"counts":{"succeeded":-1},"last":{"succeeded":9},"newest":7}`))
	f.Add("schedule", []byte(`{"next":"2000-01-01T00:00:00Z","last":"0001-01-01T00:00:00Z"}`))
	f.Add("schedule", []byte(`null`))
	f.Add("due", []byte{})
	f.Fuzz(func(t *testing.T, space string, value []byte) {
		switch space {
		case "definition", "runs", "schedule":
		default:
			return
		}
		synctest.Test(t, func(t *testing.T) {
			r, store := damaged(t, space, "d", value)
			if err := store.Update(t.Context(), func(tx jobs.Tx) error {
				return tx.SetRecord("due", firstJob+"d", []byte{})
			}); err != nil {
				t.Fatal(err)
			}
			stop := start(t, r)
			synctest.Wait()
			defs := r.Definitions()
			_, _ = defs.List(t.Context()) // each may be an error, none may panic or hang
			_, _ = defs.Status(t.Context())
			_, _ = defs.Graph(t.Context())
			_, _ = defs.Trigger(t.Context(), "d", &jobs.Trigger{Build: jobs.BuildAll, Dependents: true, Confirm: true})
			_ = defs.PauseSchedule(t.Context(), "d")
			_ = defs.Delete(t.Context(), "d")
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	})
}

// Whatever is stored of children, it is read or reported.
func FuzzRunner_Children(f *testing.F) {
	f.Add([]byte(`{"total":3,"succeeded":1,"claim":1,"since":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"total":-3,"counters":{"a":9223372036854775807},"claim":0}`))
	f.Add([]byte(`{"total":1e99}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		r, store := damaged(t, "brood", firstJob, value)
		err := store.Update(t.Context(), func(tx jobs.Tx) error {
			parent, err := tx.Job(1)
			if err != nil {
				return err
			}
			parent.State, parent.Line, parent.Brood, parent.Claims = jobs.Waiting, "", 1, 1
			if err := tx.Save(parent); err != nil {
				return err
			}
			child := *parent
			child.ID, child.Version, child.Parent, child.ParentClaim, child.Brood = 0, 0, 1, 1, 0
			child.State, child.Line = jobs.Queued, "default"
			return tx.Save(&child)
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = r.Get(t.Context(), 1) // each may be an error, none may panic
		_, _ = r.List(t.Context(), jobs.Query{}, "")
		_, _ = r.Cancel(t.Context(), 2, "")
		_, _ = r.Retry(t.Context(), 2)
		_, _ = r.Cancel(t.Context(), 1, "")
		_, _ = r.Retry(t.Context(), 1)
	})
}

// Whatever stands in arguments for something else, it is refused or kept.
func FuzzRunner_Enqueue_refs(f *testing.F) {
	f.Add([]byte(`{"pages":{"$result":"a#/x"}}`), "")
	f.Add([]byte(`{"pages":[{"$item":"/0"}],"label":{"$secret":"x"}}`), "a#")
	f.Add([]byte(`{"$result":"a"}`), "a#/~2")
	f.Add([]byte(`{"pages":{"\u0024result":"a"}}`), "$item")
	f.Fuzz(func(t *testing.T, args []byte, each string) {
		s := newStages()
		r := newRunner(t, memory.New(), &s.reg, nil)
		first := s.crawl.Request(crawlArgs{})
		first.Name = "a"
		made, err := r.Enqueue(t.Context(), first, jobs.Request{
			Task: "process", Args: args, After: []jobs.Dependency{{Name: "a"}}, Each: jobs.Ref(each),
		})
		if err != nil {
			return
		}
		if !json.Valid(made[1].Args) {
			t.Fatalf("%q became %q", args, made[1].Args)
		}
		var v any
		if err := json.Unmarshal(made[1].Args, &v); err != nil {
			t.Fatal(err)
		}
	})
}
