package jobs_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

func TestRunner_Recover_RunsAJobAloneAfterFourCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reg jobs.Registry
		var (
			mu      sync.Mutex
			order   []string
			running int
		)
		task := jobs.Register(&reg, jobs.Task{Name: "task"}, func(ctx context.Context, _ struct{}) (struct{}, error) {
			mu.Lock()
			running++
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			running--
			order = append(order, jobs.Current(ctx).Group)
			return struct{}{}, nil
		})
		store := memory.New()
		r, err := jobs.NewRunner(store, &reg, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range []string{"first", "second", "suspect"} {
			req := task.Request(struct{}{})
			req.Group = group
			job := jobstest.Enqueue(t, r, req)
			if group != "suspect" {
				continue
			}
			err := store.Update(t.Context(), func(tx jobs.Tx) error { // as a process that died left it
				dead, err := tx.Job(job.ID)
				if err != nil {
					return err
				}
				dead.State, dead.Line, dead.Attempt, dead.Claims, dead.Crashes = jobs.Running, "", 4, 4, 3
				return tx.Save(dead)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		r = jobstest.RunStore(t, store, &reg, nil)
		synctest.Wait()
		mu.Lock()
		if running != 1 {
			t.Errorf("%d jobs run at first, want the suspect alone", running)
		}
		mu.Unlock()
		jobstest.DrainAll(t, r)
		if len(order) == 0 || order[0] != "suspect" {
			t.Errorf("the jobs ended in the order %q, want the suspect first", order)
		}
		if err := jobstest.Check(t.Context(), store); err != nil {
			t.Error(err)
		}
	})
}
