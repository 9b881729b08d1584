package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

func TestUnique(t *testing.T) {
	args := func(a, b int) json.RawMessage { return json.RawMessage(fmt.Sprintf(`{"a":%d, "b":%d}`, a, b)) }
	fields := jobs.Unique{Fields: []string{"a"}}
	for _, c := range []struct {
		name          string
		first, second jobs.Request
		duplicate     bool
	}{
		{"the same key", jobs.Request{Unique: jobs.Unique{Key: "k"}}, jobs.Request{Task: "other", Unique: jobs.Unique{Key: "k"}}, true},
		{"another key", jobs.Request{Unique: jobs.Unique{Key: "k"}}, jobs.Request{Unique: jobs.Unique{Key: "l"}}, false},
		{
			"the same arguments in another order",
			jobs.Request{Args: args(1, 2), Unique: jobs.Unique{Args: true}},
			jobs.Request{Args: json.RawMessage(`{"b":2,"a":1}`), Unique: jobs.Unique{Args: true}},
			true,
		},
		{"other arguments", jobs.Request{Args: args(1, 2), Unique: jobs.Unique{Args: true}}, jobs.Request{Args: args(1, 3), Unique: jobs.Unique{Args: true}}, false},
		{
			"the same arguments of another task",
			jobs.Request{Args: args(1, 2), Unique: jobs.Unique{Args: true}},
			jobs.Request{Task: "other", Args: args(1, 2), Unique: jobs.Unique{Args: true}},
			false,
		},
		{"the same field", jobs.Request{Args: args(1, 2), Unique: fields}, jobs.Request{Args: args(1, 3), Unique: fields}, true},
		{"another field", jobs.Request{Args: args(1, 2), Unique: fields}, jobs.Request{Args: args(2, 2), Unique: fields}, false},
		{"no key", jobs.Request{}, jobs.Request{}, false},
		{
			"large numbers",
			jobs.Request{Args: json.RawMessage(`{"a":9007199254740993}`), Unique: fields},
			jobs.Request{Args: json.RawMessage(`{"a":9007199254740992}`), Unique: fields},
			false,
		},
	} {
		onBothNamed(t, c.name, func(e env) {
			t, store := e.t, e.store
			reg := registry("task", nothing)
			handle(reg, jobs.Task{Name: "other"}, nothing)
			r := newRunner(t, store, reg, nil)
			c := c // the stores are tried at once
			for _, req := range []*jobs.Request{&c.first, &c.second} {
				if req.Task == "" {
					req.Task = "task"
				}
			}
			first := enqueue(t, r, c.first)
			for i := range 2 { // the second duplicate is one of the job, too
				second := enqueue(t, r, c.second)
				if c.duplicate && (!second.Duplicate || second.ID != first.ID) || !c.duplicate && i == 0 && (second.Duplicate || second.ID == first.ID) {
					t.Errorf("got job %d, duplicate: %t", second.ID, second.Duplicate)
				}
			}
			if get(t, r, first.ID).Duplicate {
				t.Error("the mark was stored")
			}
		})
	}

	onBothNamed(t, "requests of one call see each other", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		req := jobs.Request{Task: "task", Unique: jobs.Unique{Key: "k"}}
		all := enqueueAll(t, r, req, req, jobs.Request{Task: "task"})
		if all[0].ID != all[1].ID || all[0].Duplicate || !all[1].Duplicate || all[2].ID == all[0].ID {
			t.Errorf("got %v", all)
		}
	})
}

func TestUnique_Holds(t *testing.T) {
	t.Run("states in which a job holds its key", func(t *testing.T) {
		for _, c := range []struct {
			unique jobs.Unique
			holds  map[jobs.State]bool
		}{
			{jobs.Unique{Key: "k"}, map[jobs.State]bool{jobs.Scheduled: true, jobs.Queued: true, jobs.Running: true, jobs.Retrying: true}},
			{jobs.Unique{Key: "k", Period: day}, map[jobs.State]bool{
				jobs.Scheduled: true, jobs.Queued: true, jobs.Running: true, jobs.Retrying: true, jobs.Succeeded: true, jobs.Skipped: true,
			}},
			{jobs.Unique{Key: "k", States: []jobs.State{jobs.Failed, jobs.Cancelled}}, map[jobs.State]bool{jobs.Failed: true, jobs.Cancelled: true}},
		} {
			for _, state := range standingStates {
				onMemory(t, func(e env) {
					t, store := e.t, e.store
					r := standingRunner(t, store, nil)
					req := jobs.Request{Task: string(state), Unique: c.unique}
					switch state {
					case jobs.Scheduled:
						req.RunAt = time.Now().Add(2 * day)
					case jobs.Queued, jobs.Cancelled:
						req.Queue = "paused"
					default:
					}
					job := enqueue(t, r, req)
					if state == jobs.Cancelled {
						if _, err := r.Cancel(t.Context(), job.ID, ""); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
					wantState(t, get(t, r, job.ID), state)
					if again := enqueue(t, r, req); again.Duplicate != c.holds[state] {
						t.Errorf("%+v: a job that is %s holds its key: %t", c.unique, state, again.Duplicate)
					}
				})
			}
		}
	})

	onBothNamed(t, "a period ends", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", nothing), nil)
		req := jobs.Request{Task: "task", Unique: jobs.Unique{Key: "k", Period: time.Hour}}
		first := end(t, r, enqueue(t, r, req).ID)
		time.Sleep(time.Hour - 1)
		if again := enqueue(t, r, req); again.ID != first.ID {
			t.Error("it ended early")
		}
		time.Sleep(time.Nanosecond)
		if again := enqueue(t, r, req); again.ID == first.ID {
			t.Error("it did not end")
		}
	})

	onBothNamed(t, "deleting the job frees the key", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		req := jobs.Request{Task: "task", Unique: jobs.Unique{Key: "k"}}
		first := enqueue(t, r, req)
		if err := r.Delete(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if again := enqueue(t, r, req); again.Duplicate || again.ID == first.ID {
			t.Errorf("got %v", again)
		}
	})
}

func TestUnique_Retry(t *testing.T) {
	onBothNamed(t, "a job whose key another one holds cannot be retried until that has ended", func(e env) {
		t, store := e.t, e.store
		fail := true
		r := run(t, store, registry("task", func(context.Context) error {
			if fail {
				return jobs.Fail(errBroken)
			}
			return nil
		}), nil)
		req := jobs.Request{Task: "task", Unique: jobs.Unique{Key: "k"}}
		first := end(t, r, enqueue(t, r, req).ID)
		fail = false
		req.RunAt = time.Now().Add(time.Hour)
		second := enqueue(t, r, req)
		_, err := r.Retry(t.Context(), first.ID)
		wantError(t, err, jobs.ErrState)
		end(t, r, second.ID)
		if err := r.Pause(t.Context(), "default"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Retry(t.Context(), first.ID); err != nil {
			t.Fatal(err)
		}
		if third := enqueue(t, r, req); third.ID != first.ID || !third.Duplicate {
			t.Errorf("the job that was retried does not hold its key: %v", third)
		}
		if n, err := r.RetryAll(t.Context(), jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 0 || err != nil {
			t.Errorf("RetryAll: %d, %v", n, err)
		}
	})
}

func TestUnique_Race(t *testing.T) {
	t.Run("many goroutines that race for a key get one job", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", newGate().handler), &jobs.Options{Grace: -1})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					all, err := r.Enqueue(t.Context(), jobs.Request{Task: "task", Unique: jobs.Unique{Key: "k"}})
					if err != nil || all[0].ID != 1 {
						t.Errorf("got %v, %v", all, err)
					}
				})
			}
			wg.Wait()
			if n := count(t, r, jobs.Query{}); n != 1 {
				t.Errorf("%d jobs are stored", n)
			}
		})
	})

	t.Run("the task's is used for requests that have none", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			handle(&reg, jobs.Task{Name: "task", Unique: jobs.Unique{Key: "k"}}, nothing)
			r := newRunner(t, store, &reg, nil)
			enqueue(t, r, jobs.Request{Task: "task"})
			if again := enqueue(t, r, jobs.Request{Task: "task"}); !again.Duplicate {
				t.Error("no duplicate")
			}
			if other := enqueue(t, r, jobs.Request{Task: "task", Unique: jobs.Unique{Key: "l"}}); other.Duplicate {
				t.Error("a duplicate of another key")
			}
		})
	})
}
