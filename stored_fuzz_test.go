package jobs_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// damaged returns a runner over a store with a job and a record of these bytes.
func damaged(t *testing.T, space, key string, value []byte) (*jobs.Runner, jobs.Store) {
	t.Helper()
	store := memory.New()
	r := newRunner(t, store, registry("task", nothing), &jobs.Options{KeepEvents: time.Hour, KeepLog: map[slog.Level]time.Duration{slog.LevelInfo: 1}})
	enqueue(t, r, jobs.Request{Task: "task"})
	if value == nil {
		value = []byte{}
	}
	if err := store.Update(t.Context(), func(tx jobs.Tx) error { return tx.SetRecord(space, key, value) }); err != nil {
		t.Fatal(err)
	}
	return r, store
}

// firstJob is the ID of the first job as it is part of keys.
const firstJob = "\x00\x00\x00\x00\x00\x00\x00\x01"

// Whatever a chunk of a log holds, it is read or reported, and can be pruned and deleted.
func FuzzRunner_Log(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1})
	f.Add([]byte("\x01\x01\x02\x00\x01\x05hello\x02{}\x00"))
	f.Add([]byte("\x01\x01\x02\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01hello"))
	f.Add([]byte("\x02\x01\x02\x00\x01\x05hello\x00\x00"))
	f.Fuzz(func(t *testing.T, chunk []byte) {
		r, _ := damaged(t, "log", firstJob+firstJob, chunk)
		seq := 0
		for e, err := range r.Log(t.Context(), 1, jobs.LogQuery{}) {
			if err != nil {
				break
			}
			if e.Seq <= seq {
				t.Fatalf("record %d comes after record %d", e.Seq, seq)
			}
			seq = e.Seq
		}
		if err := r.PruneLogs(t.Context(), slog.LevelError, 0); err != nil {
			t.Fatal(err)
		}
		if err := r.Delete(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever a cursor says, it is refused or gives a page.
func FuzzRunner_List_cursor(f *testing.F) {
	store := memory.New()
	var reg jobs.Registry
	handle(&reg, jobs.Task{Name: "task"}, nothing)
	r, err := jobs.NewRunner(store, &reg, nil)
	if err != nil {
		f.Fatal(err)
	}
	for range 5 {
		if _, err := r.Enqueue(context.Background(), jobs.Request{Task: "task"}); err != nil {
			f.Fatal(err)
		}
	}
	page, err := r.List(context.Background(), jobs.Query{Limit: 2}, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(page.Next)
	f.Add("")
	f.Add("AAAAAAA")
	f.Add(page.Next + "A")
	f.Add(strings.Repeat("_", 20))
	f.Fuzz(func(t *testing.T, cursor string) {
		page, err := r.List(t.Context(), jobs.Query{Limit: 2}, cursor)
		if err != nil {
			wantError(t, err, jobs.ErrInvalid)
			return
		}
		if len(page.Jobs) > 2 {
			t.Errorf("the page has %d jobs", len(page.Jobs))
		}
	})
}

// Whatever the stored settings of a queue are, they are read or reported, and can be set anew.
func FuzzRunner_Queues(f *testing.F) {
	f.Add([]byte(`{"name":"default","workers":3,"rate":0.5}`))
	f.Add([]byte(`{"name":"default","workers":-9,"rate":-1,"group_limit":-1}`))
	f.Add([]byte(`{"rate":1e308,"burst":9000000000}`))
	f.Add([]byte(`null`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, settings []byte) {
		r, _ := damaged(t, "queue", "default", settings)
		if _, err := r.Queues(t.Context()); err == nil {
			return
		}
		if json.Valid(settings) {
			return
		}
		_ = r.Pause(t.Context(), "default") // may be refused, must not panic
	})
}

// Whatever a stored event is, it is read or reported, and retention removes it.
func FuzzRunner_Events(f *testing.F) {
	f.Add([]byte(`{"seq":2,"time":"2026-01-01T00:00:00Z","job":1,"task":"task","queue":"default","state":"queued"}`))
	f.Add([]byte(`{"seq":-1}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, event []byte) {
		r, _ := damaged(t, "event", "\x00\x00\x00\x00\x00\x00\x00\x02", event)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		n := 0
		for _, err := range r.Events(ctx, 0) {
			if err != nil {
				break
			}
			if n++; n == 2 {
				stop()
			}
		}
		if _, err := r.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
