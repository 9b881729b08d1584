package jobs_test

import (
	"context"
	"errors"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

func TestComplete_KeepsProgressWhenItsTransactionRollsBack(t *testing.T) {
	var reg jobs.Registry
	store := memory.New()
	task := jobs.Register(&reg, jobs.Task{Name: "count"}, func(ctx context.Context, _ struct{}) (int, error) {
		jobs.Progress(ctx).Add(3)
		undo := errors.New("undo")
		err := store.Update(ctx, func(tx jobs.Tx) error { return errors.Join(jobs.Complete(ctx, tx, 1), undo) })
		if !errors.Is(err, undo) {
			t.Errorf("Update = %v, want %v", err, undo)
		}
		return 2, nil
	})
	r := jobstest.RunStore(t, store, &reg, nil)
	job := jobstest.Enqueue(t, r, task.Request(struct{}{}))
	got, err := task.Wait(t.Context(), r, job.ID)
	if got != 2 || err != nil {
		t.Errorf("Wait = %d, %v, want what the handler returned, 2", got, err)
	}
	if job, err = r.Get(t.Context(), job.ID); err != nil || job.Progress == nil || job.Progress.Current != 3 {
		t.Errorf("Get = %v, %v, want progress of 3", job.Progress, err)
	}
}
