package jobs_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

func TestRunner_Enqueue_BadInput(t *testing.T) {
	long := strings.Repeat("ä", 101)
	far := time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		field string // that the error names
		req   jobs.Request
	}{
		{"task", jobs.Request{Task: "unknown"}},
		{"task", jobs.Request{Task: "\x00"}},
		{"task", jobs.Request{}},
		{"arguments", jobs.Request{Args: json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)}},
		{"Queue", jobs.Request{Queue: strings.Repeat("q", 101)}},
		{"Queue", jobs.Request{Queue: "a\x00b"}},
		{"Queue", jobs.Request{Queue: "\xff"}},
		{"Title", jobs.Request{Title: long}},
		{"Group", jobs.Request{Group: long}},
		{"Group", jobs.Request{Group: "a\x01b"}},
		{"Batch", jobs.Request{Batch: "a\nb"}},
		{"Actor", jobs.Request{Actor: "\u0085"}},
		{"Tags", jobs.Request{Tags: make([]string, 33)}},
		{"Tags", jobs.Request{Tags: []string{"a", ""}}},
		{"Tags", jobs.Request{Tags: []string{long}}},
		{"Meta", jobs.Request{Meta: map[string]string{"": "x"}}},
		{"Meta", jobs.Request{Meta: map[string]string{"k": strings.Repeat("x", 4097)}}},
		{"Meta", jobs.Request{Meta: manyMeta(65)}},
		{"Priority", jobs.Request{Priority: 101}},
		{"Priority", jobs.Request{Priority: -101}},
		{"MaxAttempts", jobs.Request{MaxAttempts: -1}},
		{"MaxAttempts", jobs.Request{MaxAttempts: 10_001}},
		{"Timeout", jobs.Request{Timeout: -1}},
		{"Timeout", jobs.Request{Timeout: math.MaxInt64}},
		{"RunAt", jobs.Request{RunAt: far}},
		{"Deadline", jobs.Request{Deadline: far}},
		{"Deadline", jobs.Request{Deadline: time.Now().Add(-time.Second)}},
		{"Unique", jobs.Request{Unique: jobs.Unique{Key: "k", Args: true}}},
		{"Unique", jobs.Request{Unique: jobs.Unique{Args: true, Fields: []string{"a"}}}},
		{"Unique", jobs.Request{Unique: jobs.Unique{Period: time.Hour}}},
		{"arguments", jobs.Request{Args: json.RawMessage(`[1]`), Unique: jobs.Unique{Args: true}}},
		{"RunAt", jobs.Request{RunAt: time.Now().Add(2 * time.Hour), Deadline: time.Now().Add(time.Hour)}},
		{"Unique.Key", jobs.Request{Unique: jobs.Unique{Key: long}}},
		{"Unique.Period", jobs.Request{Unique: jobs.Unique{Key: "k", Period: -1}}},
		{"Unique.States", jobs.Request{Unique: jobs.Unique{Key: "k", States: []jobs.State{"odd"}}}},
	} {
		t.Run(c.field, func(t *testing.T) {
			store := &spy{Store: memory.New()}
			r := newRunner(t, store, registry("task", nothing), &jobs.Options{MaxArgs: 1000})
			if c.field != "task" {
				c.req.Task = "task"
			}
			good := jobs.Request{Task: "task"}
			_, err := r.Enqueue(t.Context(), good, c.req, good)
			wantError(t, err, jobs.ErrInvalid)
			if err == nil || !strings.Contains(err.Error(), "invalid "+c.field+":") || !strings.Contains(err.Error(), "request 1") {
				t.Errorf("the error says %v", err)
			}
			if len(err.Error()) > 500 {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
			if err := store.Update(t.Context(), func(tx jobs.Tx) error {
				_, err := r.EnqueueTx(t.Context(), tx, good, c.req)
				wantError(t, err, jobs.ErrInvalid)
				return err
			}); err == nil {
				t.Error("EnqueueTx took it")
			}
			if n := count(t, r, jobs.Query{}); n != 0 {
				t.Errorf("%d jobs are stored", n)
			}
		})
	}
}

func manyMeta(n int) map[string]string {
	m := make(map[string]string)
	for i := range n {
		m[fmt.Sprint(i)] = ""
	}
	return m
}

func TestRunner_Enqueue_Bounds(t *testing.T) {
	t.Run("what is just within bounds is stored as it was given", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			full := strings.Repeat("ä", 100)
			req := jobs.Request{
				Task: "task", Args: json.RawMessage(`{"a":"ä"}`), Title: full, Queue: full[:100], Group: full, Batch: full, Actor: full,
				Tags: strings.Split(strings.Repeat(full+",", 31)+full, ","), Meta: manyMeta(64), Priority: -100, MaxAttempts: 10_000,
				RunAt:   time.Date(2199, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
				Timeout: 100 * 365 * day, Deadline: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
			}
			job := get(t, r, enqueue(t, r, req).ID)
			got, want := fmt.Sprintf("%+v", job.Request()), fmt.Sprintf("%+v", req)
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			wantState(t, job, jobs.Scheduled)
		})
	})

	t.Run("a time in the past means now", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			job := enqueue(t, r, jobs.Request{Task: "task", RunAt: time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)})
			if job.State != jobs.Queued || !job.RunAt.Equal(time.Now()) {
				t.Errorf("got %v, due at %v", job, job.RunAt)
			}
		})
	})

	t.Run("the actor is that of the context", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			all, err := r.Enqueue(jobs.WithActor(t.Context(), "user:ada"), jobs.Request{Task: "task"}, jobs.Request{Task: "task", Actor: "cron"})
			if err != nil || all[0].Actor != "user:ada" || all[1].Actor != "cron" {
				t.Errorf("got %+v, %v", all, err)
			}
			_, err = r.Enqueue(jobs.WithActor(t.Context(), "a\nb"), jobs.Request{Task: "task"})
			wantError(t, err, jobs.ErrInvalid)
		})
	})
}

func TestRunner_List(t *testing.T) {
	onBothNamed(t, "pages follow each other without gaps, also while jobs are added", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", nothing), nil)
		fill(t, r, 250, jobs.Request{Task: "task", Group: "a"})
		for _, order := range []jobs.Order{jobs.Newest, jobs.Oldest} {
			seen, cursor := []jobs.ID{}, ""
			for range 10 {
				page, err := r.List(t.Context(), jobs.Query{Group: "a", Order: order, Limit: 50}, cursor)
				if err != nil {
					t.Fatal(err)
				}
				for _, job := range page.Jobs {
					seen = append(seen, job.ID)
				}
				fill(t, r, 1, jobs.Request{Task: "task", Group: "b"})
				if cursor = page.Next; cursor == "" {
					break
				}
			}
			if len(seen) != 250 {
				t.Fatalf("%d jobs were listed", len(seen))
			}
			for i, id := range seen {
				want := jobs.ID(i + 1)
				if order == jobs.Newest {
					want = jobs.ID(250 - i)
				}
				if id != want {
					t.Fatalf("job %d is at %d", id, i)
				}
			}
		}
	})

	t.Run("bad queries and cursors are refused", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			fill(t, r, 5, jobs.Request{Task: "task"})
			page, err := r.List(t.Context(), jobs.Query{Limit: 2}, "")
			if err != nil || page.Next == "" {
				t.Fatalf("got %+v, %v", page, err)
			}
			if next, err := r.List(t.Context(), jobs.Query{Limit: 3}, page.Next); err != nil || len(next.Jobs) != 3 || next.Next != "" {
				t.Errorf("another limit: got %+v, %v", next, err)
			}
			for _, c := range []struct {
				q      jobs.Query
				cursor string
			}{
				{jobs.Query{Task: "task"}, page.Next},
				{jobs.Query{Order: jobs.Oldest}, page.Next},
				{jobs.Query{CreatedTo: time.Now()}, page.Next},
				{jobs.Query{}, "x"},
				{jobs.Query{}, "&&&&"},
				{jobs.Query{}, page.Next + "A"},
				{jobs.Query{}, page.Next[:len(page.Next)-2]},
				{jobs.Query{}, strings.Repeat("_", 10_000)},
				{jobs.Query{Limit: -1}, ""},
				{jobs.Query{Limit: 1001}, ""},
				{jobs.Query{States: []jobs.State{"odd"}}, ""},
				{jobs.Query{Order: 9}, ""},
				{jobs.Query{Order: jobs.InLine}, ""},
			} {
				if _, err := r.List(t.Context(), c.q, c.cursor); err == nil {
					t.Errorf("%+v with %q was taken", c.q, c.cursor)
				} else {
					wantError(t, err, jobs.ErrInvalid)
				}
			}
			_, err = r.Stats(t.Context(), 17, jobs.Labels{})
			wantError(t, err, jobs.ErrInvalid)
			_, err = r.Count(t.Context(), jobs.Query{States: []jobs.State{"odd"}})
			wantError(t, err, jobs.ErrInvalid)
		})
	})
}

func TestNewRunner_BadOptions(t *testing.T) {
	reg := registry("task", nothing)
	for name, opts := range map[string]jobs.Options{
		"Workers":    {Workers: -1},
		"LogLimit":   {LogLimit: -1},
		"MaxArgs":    {MaxArgs: -1},
		"MaxResult":  {MaxResult: -1},
		"Abandon":    {Abandon: -1},
		"KeepEvents": {KeepEvents: -1},
		"Keep":       {Keep: map[jobs.State]time.Duration{jobs.Running: 1}},
		"queue name": {Queues: []jobs.Queue{{}}},
	} {
		if _, err := jobs.NewRunner(memory.New(), reg, &opts); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		} else {
			wantError(t, err, jobs.ErrInvalid)
		}
	}
	for _, c := range []struct {
		store jobs.Store
		reg   *jobs.Registry
	}{{nil, reg}, {memory.New(), nil}} {
		_, err := jobs.NewRunner(c.store, c.reg, nil)
		wantError(t, err, jobs.ErrInvalid)
	}
}
