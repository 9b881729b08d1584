package jobs_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// A job for which a worker is free is stored once, as running.
func TestRunner_Enqueue_StartsAtOnce(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		proceed := make(chan struct{})
		var reg jobs.Registry
		var given json.RawMessage
		reg.Handle(jobs.Task{Name: "task"}, func(_ context.Context, args json.RawMessage) (json.RawMessage, error) {
			given = args
			<-proceed
			return nil, nil
		})
		r := run(t, store, &reg, &jobs.Options{Workers: 1, KeepEvents: day})
		synctest.Wait() // it has looked for jobs
		args := json.RawMessage(`{"a":1}`)
		job := enqueue(t, r, jobs.Request{Task: "task", Args: args, Group: "g"})
		args[5] = '9'
		job.Args[5] = '8'
		if stored := get(t, r, job.ID); job.State != jobs.Running || job.Version != 1 || stored.State != jobs.Running || stored.Attempt != 1 || stored.StartedAt.IsZero() {
			t.Errorf("got %v, version %d, and in the store %v, attempt %d", job, job.Version, stored, stored.Attempt)
		}
		next := enqueue(t, r, jobs.Request{Task: "task", Group: "g"})
		wantState(t, next, jobs.Queued)
		close(proceed)
		done, last := end(t, r, job.ID), end(t, r, next.ID)
		if done.Version != 2 || last.Version != 3 || last.Stamp <= done.Stamp {
			t.Errorf("the jobs were saved %d and %d times, want 2 and 3; their stamps are %d and %d", done.Version, last.Version, done.Stamp, last.Stamp)
		}
		if string(given) != `{}` { // of the latest one
			t.Errorf("the handler was given %s", given)
		}
		if string(done.Args) != `{"a":1}` {
			t.Errorf("the arguments are %s, though neither the caller's slice nor the job that it got belongs to them", done.Args)
		}
		var states []jobs.State
		for event, err := range r.Events(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if event.Job == job.ID {
				states = append(states, event.State)
			}
			if event.Job == last.ID && event.State.Final() {
				break
			}
		}
		if want := []jobs.State{jobs.Queued, jobs.Running, jobs.Succeeded}; !slices.Equal(states, want) {
			t.Errorf("the events tell of %v, want %v", states, want)
		}
	})
}

// inTheWay has requests and the states in which Enqueue returns them.
var inTheWay = map[string]struct {
	queue jobs.Queue
	reqs  []jobs.Request
	want  []jobs.State
}{
	"one worker for two": {
		jobs.Queue{Workers: 1},
		[]jobs.Request{{}, {Priority: 1}},
		[]jobs.State{jobs.Queued, jobs.Queued}, // as they were stored; then the second one was claimed
	},
	"two workers for two": {
		jobs.Queue{Workers: 2},
		[]jobs.Request{{}, {Priority: 1}},
		[]jobs.State{jobs.Running, jobs.Running},
	},
	"a limit of groups": {
		jobs.Queue{Workers: 2, GroupLimit: 1},
		[]jobs.Request{{Group: "g"}, {Group: "g"}},
		[]jobs.State{jobs.Queued, jobs.Queued},
	},
	"a pause": {
		jobs.Queue{Workers: 2, Paused: true},
		[]jobs.Request{{}},
		[]jobs.State{jobs.Queued},
	},
	"a rate": {
		jobs.Queue{Workers: 2, Rate: 1, Burst: 1},
		[]jobs.Request{{}, {}},
		[]jobs.State{jobs.Queued, jobs.Queued},
	},
	"large arguments": {
		jobs.Queue{Workers: 2},
		[]jobs.Request{{Args: json.RawMessage(`{"a":"` + strings.Repeat("x", 5000) + `"}`)}},
		[]jobs.State{jobs.Queued},
	},
	"a time to come": {
		jobs.Queue{Workers: 2},
		[]jobs.Request{{RunAt: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}, {}},
		[]jobs.State{jobs.Scheduled, jobs.Running},
	},
	"another job": {
		jobs.Queue{Workers: 2},
		[]jobs.Request{{After: []jobs.Dependency{{Name: "first"}}}, {Name: "first"}},
		[]jobs.State{jobs.Waiting, jobs.Running},
	},
	"a key that is taken": {
		jobs.Queue{Workers: 2},
		[]jobs.Request{{Unique: jobs.Unique{Key: "k"}}, {Unique: jobs.Unique{Key: "k"}}},
		[]jobs.State{jobs.Running, jobs.Running}, // the same job
	},
}

// What stands in the way of a job sends it to the line.
func TestRunner_Enqueue_StandsInLine(t *testing.T) {
	for name, c := range inTheWay {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				proceed := make(chan struct{})
				queue := c.queue
				queue.Name = jobs.DefaultQueue
				r := run(t, store, registry("task", func(context.Context) error { <-proceed; return nil }), &jobs.Options{Queues: []jobs.Queue{queue}})
				time.Sleep(time.Minute)
				reqs := slices.Clone(c.reqs)
				for i := range reqs {
					reqs[i].Task = "task"
				}
				var states []jobs.State
				for _, job := range enqueueAll(t, r, reqs...) {
					states = append(states, job.State)
				}
				if !slices.Equal(states, c.want) {
					t.Errorf("the jobs are %v, want %v", states, c.want)
				}
				synctest.Wait()
				if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Running}}); n > int64(c.queue.Workers) {
					t.Errorf("%d jobs run", n)
				}
				close(proceed)
				if err := r.Resume(t.Context(), jobs.DefaultQueue); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Queued, jobs.Running, jobs.Waiting}}); n > 0 {
					t.Errorf("%d jobs have not ended", n)
				}
			})
		})
	}
}

// Jobs that were enqueued while all workers were busy run before those that come when one is free.
func TestRunner_Enqueue_PassesNobody(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		var order []jobs.ID
		proceed := make(chan struct{})
		r := run(t, store, registry("task", func(ctx context.Context) error {
			order = append(order, jobs.Current(ctx).ID)
			<-proceed
			return nil
		}), &jobs.Options{Workers: 1})
		synctest.Wait()
		for range 3 {
			enqueue(t, r, jobs.Request{Task: "task"})
		}
		for range 6 { // one comes whenever one has ended
			proceed <- struct{}{}
			enqueue(t, r, jobs.Request{Task: "task"})
		}
		close(proceed)
		end(t, r, 9)
		if !slices.IsSorted(order) || len(order) != 9 {
			t.Errorf("they ran in the order %v", order)
		}
	})
}

// A call that fails leaves no trace, also of jobs that it had started: their IDs are those of the next.
func TestRunner_Enqueue_FailsAfterAStart(t *testing.T) {
	onBoth(t, func(e env) {
		t, store := e.t, e.store
		calls := make(map[jobs.ID]int)
		r := run(t, store, registry("task", func(ctx context.Context) error {
			calls[jobs.Current(ctx).ID]++ // one at a time
			time.Sleep(time.Second)
			return nil
		}), &jobs.Options{Workers: 2})
		synctest.Wait()
		const n = 50
		for range n {
			_, err := r.Enqueue(t.Context(), jobs.Request{Task: "task"},
				jobs.Request{Task: "task", After: []jobs.Dependency{{Job: 1 << 40}}})
			wantError(t, err, jobs.ErrInvalid)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			wantState(t, end(t, r, job.ID), jobs.Succeeded)
			if calls[job.ID] != 1 {
				t.Errorf("job %d ran %d times", job.ID, calls[job.ID])
			}
		}
		if len(calls) != n {
			t.Errorf("%d jobs ran, want %d", len(calls), n)
		}
	})
}
