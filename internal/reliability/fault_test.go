//go:build linux

package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

// faulty opens a store whose disk fails on demand, over an own database.
func faulty(t *testing.T) (*disk, *bolt.Store) {
	t.Helper()
	d := openDisk(t, t.TempDir())
	d.db.NoSync = noSync
	store, err := bolt.New(d.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, store
}

var faults = []struct {
	name  string
	err   error
	meta  bool // fails the write of the meta page, not of a page of data
	doubt bool // the commit may have happened although it failed
}{
	{"writing fails", syscall.EIO, false, false},
	{"the disk is full", syscall.ENOSPC, false, false},
	{"a write is short", errShort, false, false},
	{"syncing fails", errNoSync, false, false},
	{"writing the meta page fails", syscall.EIO, true, false},
	{"writing the meta page is short", errShort, true, true},
	{"syncing the meta page fails", errNoSync, true, true},
}

// TestFault_enqueue has each write of an Enqueue fail.
func TestFault_enqueue(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			d, store := faulty(t)
			var reg jobs.Registry
			killTasks(&reg, nil)
			r, err := jobs.NewRunner(store, &reg, &jobs.Options{Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			acknowledged := 0
			request := jobs.Request{Task: "quick", Args: json.RawMessage(`{"text":"` + strings.Repeat("x", 6000) + `"}`)}
			for n := 1; ; n++ {
				left := n
				hit := false
				d.setFault(func(w fault) error {
					if w.meta == f.meta {
						left--
					}
					if left == 0 && w.meta == f.meta {
						hit = true
						return f.err
					}
					return nil
				})
				_, err := r.Enqueue(t.Context(), request)
				d.setFault(nil)
				if hit != (err != nil) {
					t.Fatalf("write %d failed: %t, Enqueue returned %v", n, hit, err)
				}
				if err := jobstest.Check(t.Context(), store); err != nil {
					t.Fatalf("after write %d: %v", n, err)
				}
				total, err := r.Count(t.Context(), jobs.Query{})
				if err != nil {
					t.Fatal(err)
				}
				if f.doubt && int(total) == acknowledged+1 {
					acknowledged++ // it may be there
				} else if !hit {
					acknowledged++
				}
				if int(total) != acknowledged {
					t.Fatalf("after write %d failed there are %d jobs, want %d", n, total, acknowledged)
				}
				if _, err := r.Enqueue(t.Context(), request); err != nil {
					t.Fatalf("after write %d failed, though the disk works again: %v", n, err)
				}
				acknowledged++
				if !hit {
					break
				}
			}
			if err := errors.Join(store.Close(), d.db.Close()); err != nil {
				t.Fatal(err)
			}
			if acknowledged < 3 {
				t.Errorf("no write has failed: %d jobs", acknowledged)
			}
		})
	}
}

// TestFault_run has each write of a running runner fail, one after the other, and then all for a
// while.
func TestFault_run(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			for n := 1; n <= scale(15, 40, 150); n += 2 {
				synctest.Test(t, func(t *testing.T) { failOnce(t, n, 1+3*(n%5), f.meta, f.err) })
			}
		})
	}
}

// failOnce lets a runner work while writes fail, from the nth one on.
func failOnce(t *testing.T, n, times int, meta bool, fails error) {
	d := openDisk(t, t.TempDir())
	w, err := newWorld(d.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.brief = true
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.runner.Run(ctx) }()
	first, err := w.runner.Enqueue(ctx, jobs.Request{Task: "note"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.runner.Wait(ctx, first[0].ID); err != nil { // so it runs
		t.Fatal(err)
	}
	seen := 0
	d.setFault(func(f fault) error {
		if f.meta != meta {
			return nil
		}
		if seen++; seen >= n && seen < n+times {
			return fails
		}
		return nil
	})
	acknowledged := make(map[jobs.ID]bool)
	for i := range 12 {
		task := []string{"note", "flaky", "snooze", "slow"}[i%4]
		all, err := w.runner.Enqueue(ctx, jobs.Request{Task: task, Meta: map[string]string{"pair": fmt.Sprint(i)}},
			jobs.Request{Task: task, Meta: map[string]string{"pair": fmt.Sprint(i)}})
		if err != nil {
			continue
		}
		for _, job := range all {
			acknowledged[job.ID] = true
		}
		if i%3 == 0 {
			timer := time.NewTimer(time.Second)
			<-timer.C
		}
	}
	deadline, cancel := context.WithTimeout(ctx, 1000*time.Hour)
	defer cancel()
	if err := w.drain(deadline); err != nil {
		t.Errorf("from write %d on %d fail: %v", n, times, err)
	}
	for id := range acknowledged {
		job, err := w.runner.Get(ctx, id)
		if err != nil || job.State != jobs.Succeeded {
			t.Errorf("from write %d on %d fail: %v was acknowledged, %v", n, times, job, err)
		}
	}
	stop()
	if err := errors.Join(<-done, w.check(context.Background()), w.store.Close(), d.db.Close()); err != nil {
		t.Errorf("from write %d on %d fail: %v", n, times, err)
	}
}

// TestFault_open opens files that cannot be written.
func TestFault_open(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobs.db")
	store := reopen(t, path)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, db, nil)
	d.setFault(func(fault) error { return syscall.ENOSPC })
	if _, err := bolt.New(db, nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("New on a full disk returned %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := reopen(t, path).Close(); err != nil {
		t.Error(err)
	}
}
