package jobs_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRunner_Prune_needed(t *testing.T) {
	keep := &jobs.Options{Keep: map[jobs.State]time.Duration{jobs.Succeeded: time.Hour, jobs.Failed: time.Hour}, Workers: 1}
	gone := func(e env, r *jobs.Runner, job *jobs.Job) bool {
		e.t.Helper()
		if _, err := r.Prune(e.t.Context()); err != nil {
			e.t.Fatal(err)
		}
		n, err := r.Count(e.t.Context(), jobs.Query{Unique: job.Unique})
		if err != nil {
			e.t.Fatal(err)
		}
		return n == 0
	}
	// marked is a request whose job is found again by its key.
	marked := func(req jobs.Request) jobs.Request {
		req.Unique = jobs.Unique{Key: "marked"}
		return req
	}
	t.Run("a result stays until the job that comes after has it", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, keep)
			reqs := s.pair("a", jobs.NeedSuccess)
			reqs[0].RunAt, reqs[1] = time.Now().Add(5*time.Hour), marked(reqs[1])
			made := enqueueAll(e.t, r, reqs...)
			end(e.t, r, made[1].ID)
			end(e.t, r, enqueue(e.t, r, s.crawl.Request(crawlArgs{})).ID) // now this is the latest success
			time.Sleep(3 * time.Hour)
			if gone(e, r, made[1]) {
				e.t.Fatal("it was removed while it is needed")
			}
			wantState(e.t, end(e.t, r, made[0].ID), jobs.Succeeded)
			time.Sleep(2 * time.Hour)
			if !gone(e, r, made[1]) {
				e.t.Error("it stayed after that")
			}
		})
	})
	t.Run("a child stays until its parent has ended", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(true)
			r := run(e.t, e.store, &f.reg, keep)
			job := enqueue(e.t, r, parent.Request(kids("", "fail", "wait")))
			synctest.Wait()
			time.Sleep(3 * time.Hour)
			if n, err := r.Prune(e.t.Context()); n != 0 || err != nil {
				e.t.Errorf("removed %d, %v", n, err)
			}
			close(f.gate)
			job = end(e.t, r, job.ID)
			if n, err := parent.Result(job); n != 1000+1+3 || err != nil {
				e.t.Errorf("the result is %d, %v", n, err)
			}
			time.Sleep(3 * time.Hour)
			if n, err := r.Prune(e.t.Context()); err != nil || n != 2 && n != 0 { // Run may have been first
				e.t.Errorf("then removed %d, %v", n, err)
			}
			if n, err := r.Count(e.t.Context(), jobs.Query{Task: "kid", States: []jobs.State{jobs.Failed}}); n != 0 || err != nil {
				e.t.Errorf("%d are left, %v", n, err)
			}
		})
	})
	t.Run("the latest success of a definition stays", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, keep)
			save(e.t, r, jobs.Definition{ID: "d", Request: marked(s.crawl.Request(crawlArgs{Site: "a"}))})
			job := end(e.t, r, trigger(e.t, r, "d", nil)[0].ID)
			end(e.t, r, enqueue(e.t, r, s.crawl.Request(crawlArgs{})).ID)
			time.Sleep(3 * time.Hour)
			if gone(e, r, job) {
				e.t.Error("it was removed")
			}
		})
	})
}
