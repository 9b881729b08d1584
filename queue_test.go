package jobs_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// A meter measures how many handlers run at once.
type meter struct{ now, most atomic.Int64 }

func (m *meter) handler(ctx context.Context) error {
	n := m.now.Add(1)
	defer m.now.Add(-1)
	for most := m.most.Load(); n > most && !m.most.CompareAndSwap(most, n); most = m.most.Load() {
	}
	select {
	case <-time.After(time.Hour):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func TestQueue_Workers(t *testing.T) {
	t.Run("it bounds the jobs that run at once, and can be changed while all are busy", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			var m meter
			r := run(t, store, registry("task", m.handler), &jobs.Options{Workers: 2})
			other := run(t, store, registry("task", m.handler), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Workers: -1}}})
			for range 100 {
				enqueue(t, r, jobs.Request{Task: "task"})
			}
			check := func(want int64) {
				t.Helper()
				synctest.Wait()
				if n := m.now.Load(); n != want {
					t.Errorf("%d jobs run, want %d", n, want)
				}
			}
			check(2)
			set := func(by *jobs.Runner, workers int) {
				t.Helper()
				if err := by.SetQueue(t.Context(), jobs.Queue{Name: "default", Workers: workers}); err != nil {
					t.Fatal(err)
				}
			}
			set(r, 5)
			time.Sleep(time.Minute)
			check(10) // by both, for stored settings come first
			set(r, 3)
			time.Sleep(time.Hour)
			check(6)
			set(other, -1)
			time.Sleep(2 * time.Hour)
			check(0)
			set(other, 20)
			check(40)
		})
	})

	t.Run("-1 leaves the queue to others", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			opts := &jobs.Options{Queues: []jobs.Queue{{Name: "remote", Workers: -1}}}
			var reg jobs.Registry
			task := jobs.Declare[struct{}, struct{}](&reg, jobs.Task{Name: "task", Queue: "remote"})
			r := run(t, store, &reg, opts)
			job, err := task.Enqueue(t.Context(), r, struct{}{})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(day)
			wantState(t, get(t, r, job.ID), jobs.Queued)
			var here jobs.Registry
			handle(&here, jobs.Task{Name: "task", Queue: "remote"}, nothing)
			worker := run(t, store, &here, nil)
			wantState(t, end(t, worker, job.ID), jobs.Succeeded)
			wantState(t, end(t, r, job.ID), jobs.Succeeded)
		})
	})

	t.Run("a declared task in a queue that is worked on is refused", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			jobs.Declare[struct{}, struct{}](&reg, jobs.Task{Name: "task"})
			_, err := jobs.NewRunner(store, &reg, nil)
			wantError(t, err, jobs.ErrInvalid)
			opts := &jobs.Options{Queues: []jobs.Queue{{Name: "default", Workers: -1}, {Name: "far", Workers: -1}}}
			r := newRunner(t, store, &reg, opts)
			_, err = r.Enqueue(t.Context(), jobs.Request{Task: "task", Queue: "near"})
			wantError(t, err, jobs.ErrInvalid)
			job := enqueue(t, r, jobs.Request{Task: "task", Queue: "far"})
			_, err = r.Edit(t.Context(), job.ID, func(req *jobs.Request) error { req.Queue = "near"; return nil })
			wantError(t, err, jobs.ErrInvalid)
			if n := count(t, r, jobs.Query{Queue: "near"}); n != 0 {
				t.Errorf("%d jobs are in the queue", n)
			}
		})
	})
}

func TestRunner_SetQueue(t *testing.T) {
	t.Run("what it stores replaces all that Options say", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), &jobs.Options{Queues: []jobs.Queue{
				{Name: "default", Workers: 3, GroupLimit: 2, Rate: 5, Burst: 7, Paused: true},
			}})
			want := jobs.Queue{Name: "default", Workers: 1}
			if err := r.SetQueue(t.Context(), want); err != nil {
				t.Fatal(err)
			}
			all, err := r.Queues(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 1 || all[0].Queue != want {
				t.Errorf("queues are %+v, want %+v", all, want)
			}
		})
	})

	t.Run("bad settings are refused and change nothing", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			for _, q := range []jobs.Queue{
				{},
				{Name: "q\n"},
				{Name: "q", Workers: -2},
				{Name: "q", Workers: 1_000_001},
				{Name: "q", GroupLimit: -1},
				{Name: "q", Burst: -1},
				{Name: "q", Rate: -1},
				{Name: "q", Rate: math.NaN()},
				{Name: "q", Rate: math.Inf(1)},
				{Name: "q", Rate: 1e-12},
				{Name: "q", Rate: 1e300},
			} {
				wantError(t, r.SetQueue(t.Context(), q), jobs.ErrInvalid)
				if _, err := jobs.NewRunner(store, registry("task", nothing), &jobs.Options{Queues: []jobs.Queue{q}}); err == nil {
					t.Errorf("NewRunner took %+v", q)
				}
			}
			if all, err := r.Queues(t.Context()); err != nil || len(all) != 1 {
				t.Errorf("queues are %+v, %v", all, err)
			}
		})
	})
}

func TestRunner_Pause(t *testing.T) {
	t.Run("a paused queue starts nothing, also after a restart, until another runner resumes it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jobs.db")
			store := openBolt(t, path)
			reg := registry("task", nothing)
			r := newRunner(t, store, reg, nil)
			stop := start(t, r)
			if err := r.Pause(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			job := enqueue(t, r, jobs.Request{Task: "task"})
			other := enqueue(t, r, jobs.Request{Task: "task", Queue: "other"})
			wantState(t, end(t, r, other.ID), jobs.Succeeded)
			wantState(t, get(t, r, job.ID), jobs.Queued)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			store = openBolt(t, path)
			r = run(t, store, reg, nil)
			time.Sleep(day)
			wantState(t, get(t, r, job.ID), jobs.Queued)
			if err := newRunner(t, store, reg, nil).Resume(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			wantState(t, get(t, r, job.ID), jobs.Succeeded)
		})
	})

	t.Run("Resume goes before Options", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", nothing), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Paused: true}}})
			job := enqueue(t, r, jobs.Request{Task: "task"})
			time.Sleep(day)
			wantState(t, get(t, r, job.ID), jobs.Queued)
			if err := r.Resume(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			wantState(t, get(t, r, job.ID), jobs.Succeeded)
		})
	})

	t.Run("what runs goes on", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			g := newGate()
			r := run(t, store, registry("task", g.handler), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			<-g.started
			if err := r.Pause(t.Context(), "default"); err != nil {
				t.Fatal(err)
			}
			close(g.open)
			wantState(t, end(t, r, job.ID), jobs.Succeeded)
		})
	})
}

func TestQueue_Rate(t *testing.T) {
	for _, c := range []struct {
		rate  float64
		burst int
		n     int
		want  time.Duration // until the last of n has started
	}{
		{3, 1, 31, 10 * time.Second},
		{0.5, 0, 11, 20 * time.Second},
		{10, 0, 110, 10 * time.Second},
		{7, 20, 90, 10 * time.Second},
		{1.0 / 3600, 1, 25, day},
	} {
		t.Run(fmt.Sprintf("%v per second and %d at once", c.rate, c.burst), func(t *testing.T) {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				r := newRunner(t, store, registry("task", nothing), &jobs.Options{
					Workers: 1000,
					Queues:  []jobs.Queue{{Name: "default", Rate: c.rate, Burst: c.burst}},
				})
				var last *jobs.Job
				for range c.n {
					last = enqueue(t, r, jobs.Request{Task: "task"})
				}
				start(t, r)
				began := time.Now()
				last = end(t, r, last.ID)
				if took := last.StartedAt.Sub(began); took < c.want-time.Millisecond || took > c.want+time.Millisecond {
					t.Errorf("%d jobs took %v, want %v", c.n, took, c.want)
				}
			})
		})
	}
}

func TestQueue_Rate_Lifted(t *testing.T) {
	t.Run("jobs that wait for their turn start at once", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", nothing), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Rate: 1e-6}}})
			for range 100 {
				enqueue(t, r, jobs.Request{Task: "task"})
			}
			time.Sleep(time.Hour)
			if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 1 {
				t.Errorf("%d jobs have run", n)
			}
			if err := newRunner(t, store, registry("task", nothing), nil).SetQueue(t.Context(), jobs.Queue{Name: "default"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 100 {
				t.Errorf("%d jobs have run", n)
			}
		})
	})
}

func TestRunner_Queues(t *testing.T) {
	t.Run("it lists queues of settings, tasks and jobs with their counts", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			handle(&reg, jobs.Task{Name: "task", Queue: "of-task"}, nothing)
			r := newRunner(t, store, &reg, &jobs.Options{Workers: 4, Queues: []jobs.Queue{{Name: "of-options", Workers: 2}}})
			enqueue(t, r, jobs.Request{Task: "task", Queue: "of-job"})
			enqueue(t, r, jobs.Request{Task: "task", Queue: "of-job", RunAt: time.Now().Add(day)})
			if err := r.Pause(t.Context(), "of-pause"); err != nil {
				t.Fatal(err)
			}
			all, err := r.Queues(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, q := range all {
				got += fmt.Sprintf("%s %d %t %d/%d, ", q.Name, q.Workers, q.Paused, q.Queued, q.Scheduled)
			}
			if want := "of-job 4 false 1/1, of-options 2 false 0/0, of-pause 4 true 0/0, of-task 4 false 0/0, "; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	})
}
