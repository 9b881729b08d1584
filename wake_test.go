package jobs_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
)

// These tests have the loop sleep where it once overlooked a job in line.

func TestRunner_Claim_GoesOnAfterAThousandJobsThatCannotRun(t *testing.T) {
	onBoth(t, func(e env) {
		r := newRunner(e.t, e.store, registry("task", nothing), &jobs.Options{Workers: 3})
		late := jobs.Request{Task: "task", Deadline: time.Now().Add(time.Minute), Priority: 1}
		fill(e.t, r, 2500, late)
		job := enqueue(e.t, r, jobs.Request{Task: "task"})
		time.Sleep(time.Hour)
		start(e.t, r)
		synctest.Wait()
		wantState(e.t, get(e.t, r, job.ID), jobs.Succeeded)
		if n := count(e.t, r, jobs.Query{States: []jobs.State{jobs.Failed}}); n != 2500 {
			e.t.Errorf("%d jobs have failed, want those whose deadline has passed", n)
		}
	})
}

// crashed has a job stand in line as one that was there at some crashes.
func crashed(t *testing.T, store jobs.Store, id jobs.ID, crashes int) {
	t.Helper()
	err := store.Update(t.Context(), func(tx jobs.Tx) error {
		job, err := tx.Job(id)
		if err != nil {
			return err
		}
		job.Crashes = crashes
		return tx.Save(job)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunner_Suspects_OneAtATimeInAllQueues(t *testing.T) {
	onBoth(t, func(e env) {
		var mu sync.Mutex
		running, most := 0, 0
		r := newRunner(e.t, e.store, registry("task", func(context.Context) error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			defer mu.Unlock()
			running--
			return nil
		}), nil)
		for _, queue := range []string{"one", "two", "three"} {
			crashed(e.t, e.store, enqueue(e.t, r, jobs.Request{Task: "task", Queue: queue}).ID, 2)
		}
		start(e.t, r)
		jobstest.Drain(e.t, r)
		if most != 1 {
			e.t.Errorf("%d suspects ran at once", most)
		}
	})
}

func TestRunner_Suspects_NextOneBeforeALowerPriority(t *testing.T) {
	onBoth(t, func(e env) {
		var mu sync.Mutex
		var order []string
		r := newRunner(e.t, e.store, registry("task", func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, jobs.Current(ctx).Title)
			return nil
		}), &jobs.Options{Workers: 1})
		enqueue(e.t, r, jobs.Request{Task: "task", Title: "fresh", Priority: -1})
		for range 3 {
			crashed(e.t, e.store, enqueue(e.t, r, jobs.Request{Task: "task", Title: "suspect"}).ID, 2)
		}
		start(e.t, r)
		synctest.Wait()
		if want := []string{"suspect", "suspect", "suspect", "fresh"}; !slices.Equal(order, want) {
			e.t.Errorf("they ran in the order %q, want %q", order, want)
		}
	})
}

func TestRunner_Suspects_OneThatCannotRunHoldsUpNoOther(t *testing.T) {
	onBoth(t, func(e env) {
		r := newRunner(e.t, e.store, registry("task", nothing), nil)
		late := enqueue(e.t, r, jobs.Request{Task: "task", Deadline: time.Now().Add(time.Minute)})
		other := enqueue(e.t, r, jobs.Request{Task: "task"})
		crashed(e.t, e.store, late.ID, 2)
		crashed(e.t, e.store, other.ID, 2)
		time.Sleep(time.Hour)
		start(e.t, r)
		synctest.Wait()
		wantState(e.t, get(e.t, r, late.ID), jobs.Failed)
		wantState(e.t, get(e.t, r, other.ID), jobs.Succeeded)
	})
}

func TestRunner_Resume_ByAnotherRunnerWhileAllJobsAreHeld(t *testing.T) {
	onBoth(t, func(e env) {
		g := newGate()
		opts := &jobs.Options{Queues: []jobs.Queue{{Name: "default", Workers: 5, GroupLimit: 1}}}
		worker := run(e.t, e.store, registry("task", g.handler), opts)
		manager := newRunner(e.t, e.store, registry("task", nothing), opts)
		req := jobs.Request{Task: "task", Group: "a"}
		all := enqueueAll(e.t, worker, req, req, req)
		synctest.Wait()
		if err := manager.Pause(e.t.Context(), "default"); err != nil {
			e.t.Fatal(err)
		}
		close(g.open) // the first one ends; the others are held
		synctest.Wait()
		if err := manager.Resume(e.t.Context(), "default"); err != nil {
			e.t.Fatal(err)
		}
		synctest.Wait()
		for _, job := range all {
			wantState(e.t, get(e.t, worker, job.ID), jobs.Succeeded)
		}
	})
}

func TestRunner_Trial_IsToldOfACancellationAtItsStart(t *testing.T) {
	onBoth(t, func(e env) {
		store := &spy{Store: e.store}
		r := newRunner(e.t, store, registry("task", untilDone), hasty)
		job := enqueue(e.t, r, jobs.Request{Task: "task"})
		err := store.Update(e.t.Context(), func(tx jobs.Tx) error { // as a process that died left it
			dead, err := tx.Job(job.ID)
			if err != nil {
				return err
			}
			dead.State, dead.Line, dead.Attempt, dead.Claims, dead.Crashes = jobs.Running, "", 4, 4, 3
			return tx.Save(dead)
		})
		if err != nil {
			e.t.Fatal(err)
		}
		cancel := func() {
			if _, err := r.Cancel(e.t.Context(), job.ID, "enough"); err != nil {
				e.t.Error(err)
			}
		}
		store.setAfter(func() { store.setAfter(cancel) }) // after that of recovering, that of the claim
		start(e.t, r)
		synctest.Wait()
		wantState(e.t, get(e.t, r, job.ID), jobs.Cancelled)
	})
}

func TestRunner_Claim_LaterJobsOfAGroupAtItsLimit(t *testing.T) {
	onBoth(t, func(e env) {
		var order []string
		var mu sync.Mutex
		r := run(e.t, e.store, registry("task", func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, jobs.Current(ctx).Group)
			return nil
		}), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Workers: 5, GroupLimit: 1}}})
		fill(e.t, r, 1200, jobs.Request{Task: "task", Group: "a", Priority: 1})
		enqueue(e.t, r, jobs.Request{Task: "task", Group: "b"})
		synctest.Wait()
		if len(order) != 1201 || !slices.Contains(order, "b") {
			e.t.Errorf("%d jobs have run", len(order))
		}
	})
}

func TestRunner_SetQueue_HoldsFromTheFirstClaimOfAProcess(t *testing.T) {
	onBoth(t, func(e env) {
		g := newGate()
		opts := &jobs.Options{Grace: -1, Queues: []jobs.Queue{{Name: "default", Workers: 5}}}
		r := newRunner(e.t, e.store, registry("task", g.handler), opts)
		if err := r.SetQueue(e.t.Context(), jobs.Queue{Name: "default", Workers: 2}); err != nil {
			e.t.Fatal(err)
		}
		fill(e.t, r, 5, jobs.Request{Task: "task"})
		r = run(e.t, e.store, registry("task", g.handler), opts)
		synctest.Wait()
		if n := count(e.t, r, jobs.Query{States: []jobs.State{jobs.Running}}); n != 2 {
			e.t.Errorf("%d jobs are running, want 2", n)
		}
		close(g.open)
		jobstest.Drain(e.t, r)
	})
}

func TestSchedule_SavedByARunnerThatDoesNotRun(t *testing.T) {
	onBoth(t, func(e env) {
		k := newTicks()
		run(e.t, e.store, &k.reg, nil)
		synctest.Wait()
		manager := newRunner(e.t, e.store, &k.reg, nil)
		k.define(e.t, manager, "hourly", 0, jobs.Schedule{Every: time.Hour})
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if n := len(k.of("hourly")); n != 3 {
			e.t.Errorf("it ran %d times in three hours", n)
		}
	})
}

func TestRunner_Claim_LeavesNobodyBehindOneThatCannotRun(t *testing.T) {
	onBoth(t, func(e env) {
		r := newRunner(e.t, e.store, registry("task", nothing), &jobs.Options{Workers: 2})
		enqueue(e.t, r, jobs.Request{Task: "task", Deadline: time.Now().Add(time.Minute)})
		fill(e.t, r, 3, jobs.Request{Task: "task"})
		time.Sleep(time.Hour)
		start(e.t, r)
		synctest.Wait()
		if n := count(e.t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 3 {
			e.t.Errorf("%d of 3 jobs have succeeded", n)
		}
	})
}
