package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
)

// Large arguments are left out when a job is claimed. Nobody may notice.
func TestRunner_LargeArguments(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		want := `{"text":"` + strings.Repeat("x", 100_000) + `"}`
		var reg jobs.Registry
		tries := 0
		reg.Handle(jobs.Task{Name: "large"}, func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
			tries++
			if string(args) != want {
				t.Errorf("the handler got %d bytes, want %d", len(args), len(want))
			}
			if got := jobs.Current(ctx).Args; string(got) != want {
				t.Errorf("Current has %d bytes, want %d", len(got), len(want))
			}
			jobs.Count(ctx, "tries", 1)
			if err := jobs.Checkpoint(ctx, tries); err != nil {
				t.Error(err)
			}
			if tries == 1 {
				return nil, errors.New("again")
			}
			return nil, nil
		})
		ended := make(chan string, 1)
		r := jobstest.RunStore(t, store, &reg, &jobs.Options{
			OnEnd: func(_ context.Context, job *jobs.Job) { ended <- string(job.Args) },
		})
		made, err := r.Enqueue(t.Context(), jobs.Request{Task: "large", Args: json.RawMessage(want)})
		if err != nil {
			t.Fatal(err)
		}
		jobstest.DrainAll(t, r)
		job, err := r.Get(t.Context(), made[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if job.State != jobs.Succeeded || tries != 2 || string(job.Args) != want {
			t.Errorf("%v after %d tries, with %d bytes", job, tries, len(job.Args))
		}
		if got := <-ended; got != want {
			t.Errorf("OnEnd got %d bytes, want %d", len(got), len(want))
		}
	})
}
