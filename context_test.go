package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

func TestCheckpoint(t *testing.T) {
	onBothNamed(t, "a later attempt goes on from it, with its counters", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			n := 0
			found, err := jobs.Restore(ctx, &n)
			if err != nil || found != (n > 0) || n != jobs.Current(ctx).Attempt-1 {
				return jobs.Fail(fmt.Errorf("restored %d, %t, %w", n, found, err))
			}
			jobs.Count(ctx, "steps", 1)
			if err := jobs.Checkpoint(ctx, n+1); err != nil {
				return err
			}
			jobs.Count(ctx, "late", 1)
			if found, err := jobs.Restore(ctx, &n); !found || err != nil || n != jobs.Current(ctx).Attempt {
				return jobs.Fail(fmt.Errorf("restored %d, %t, %w", n, found, err))
			}
			if n < 4 {
				return errBroken
			}
			return nil
		}), nil)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		wantState(t, job, jobs.Succeeded)
		if job.Counters["steps"] != 4 || string(job.Checkpoint) != "4" {
			t.Errorf("counters %v, checkpoint %s", job.Counters, job.Checkpoint)
		}
	})

	onBothNamed(t, "what cannot be kept is refused and the old one stays", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			if err := jobs.Checkpoint(ctx, 1); err != nil {
				return err
			}
			if err := jobs.Checkpoint(ctx, func() {}); err == nil {
				t.Error("a function was taken")
			}
			wantError(t, jobs.Checkpoint(ctx, strings.Repeat("x", 100)), jobs.ErrInvalid)
			return nil
		}), &jobs.Options{MaxResult: 100})
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		if string(job.Checkpoint) != "1" || job.State != jobs.Succeeded {
			t.Errorf("got %v with checkpoint %s", job, job.Checkpoint)
		}
	})
}

func TestCheckpoint_Version(t *testing.T) {
	t.Run("its version is that of the program that made it", func(t *testing.T) {
		for _, upgrade := range []bool{false, true} {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				old := newRunner(t, store, registry("task", nothing), nil)
				job := enqueue(t, old, jobs.Request{Task: "task", Args: json.RawMessage(`{}`)})
				var reg jobs.Registry
				task := jobs.Task{Name: "task", Version: 1, Upgrade: func(int, json.RawMessage) (json.RawMessage, error) {
					return json.RawMessage(`{"new":true}`), nil
				}}
				if upgrade {
					task.UpgradeCheckpoint = func(_ int, c json.RawMessage) (json.RawMessage, error) {
						return nil, errors.New("it is no old one")
					}
				}
				reg.Handle(task, func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
					if string(args) != `{"new":true}` {
						t.Errorf("arguments are %s", args)
					}
					n := 0
					if jobs.Current(ctx).Attempt == 1 {
						return nil, errors.Join(jobs.Checkpoint(ctx, 7), errBroken)
					}
					if found, err := jobs.Restore(ctx, &n); !found || err != nil || n != 7 {
						t.Errorf("restored %d, %t, %v", n, found, err)
					}
					return nil, nil
				})
				r := run(t, store, &reg, nil)
				wantState(t, end(t, r, job.ID), jobs.Succeeded)
			})
		}
	})

	t.Run("one of an older version is upgraded or dropped", func(t *testing.T) {
		for _, upgrade := range []bool{false, true} {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				old := newRunner(t, store, registry("task", func(ctx context.Context) error {
					return errors.Join(jobs.Checkpoint(ctx, 1), jobs.RetryIn(time.Hour, errBroken))
				}), nil)
				stop := start(t, old)
				job := enqueue(t, old, jobs.Request{Task: "task", Args: json.RawMessage(`{}`)})
				synctest.Wait()
				if err := stop(); err != nil {
					t.Fatal(err)
				}
				same := func(_ int, d json.RawMessage) (json.RawMessage, error) { return d, nil }
				task := jobs.Task{Name: "task", Version: 3, Upgrade: same}
				if upgrade {
					task.UpgradeCheckpoint = func(from int, c json.RawMessage) (json.RawMessage, error) {
						return append(c, byte('0'+from)), nil
					}
				}
				var reg jobs.Registry
				n, found := 0, false
				handle(&reg, task, func(ctx context.Context) (err error) {
					found, err = jobs.Restore(ctx, &n)
					return err
				})
				r := run(t, store, &reg, nil)
				wantState(t, end(t, r, job.ID), jobs.Succeeded)
				if found != upgrade || upgrade && n != 1012 {
					t.Errorf("restored %d, %t", n, found)
				}
			})
		}
	})
}

func TestDefer(t *testing.T) {
	for _, c := range []struct {
		returns error
		want    int64
	}{{nil, 2}, {jobs.Partial(errBroken), 2}, {jobs.Fail(errBroken), 0}, {jobs.Skip("no"), 0}, {jobs.RetryIn(day, errBroken), 0}, {jobs.Snooze(day, "later"), 0}} {
		onBothNamed(t, fmt.Sprintf("after %v there are %d jobs", c.returns, c.want), func(e env) {
			t, store := e.t, e.store
			reg := registry("task", func(ctx context.Context) error {
				if err := jobs.Defer(ctx, jobs.Request{Task: "next"}); err != nil {
					return err
				}
				if err := jobs.Defer(ctx, jobs.Request{Task: "next"}); err != nil {
					return err
				}
				wantError(t, jobs.Defer(ctx, jobs.Request{Task: "next"}, jobs.Request{Task: "unknown"}), jobs.ErrInvalid)
				return c.returns
			})
			handle(reg, jobs.Task{Name: "next"}, nothing)
			r := run(t, store, reg, nil)
			enqueue(t, r, jobs.Request{Task: "task"})
			synctest.Wait()
			page, err := r.List(t.Context(), jobs.Query{Task: "next"}, "")
			if err != nil || int64(len(page.Jobs)) != c.want {
				t.Fatalf("got %v, %v", page, err)
			}
			for _, job := range page.Jobs {
				wantState(t, job, jobs.Succeeded)
				if job.Actor != "job:1" {
					t.Errorf("the actor is %q", job.Actor)
				}
			}
		})
	}

	t.Run("an attempt's requests are not those of the next", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			reg := registry("task", func(ctx context.Context) error {
				if err := jobs.Defer(ctx, jobs.Request{Task: "next"}); err != nil {
					return err
				}
				if jobs.Current(ctx).Attempt < 3 {
					return errBroken
				}
				return nil
			})
			handle(reg, jobs.Task{Name: "next"}, nothing)
			r := run(t, store, reg, nil)
			end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			if n := count(t, r, jobs.Query{Task: "next"}); n != 1 {
				t.Errorf("%d jobs", n)
			}
		})
	})
}

func TestCount(t *testing.T) {
	onBothNamed(t, "a retry counts anew, after a snooze it goes on", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			jobs.Count(ctx, "n", 1)
			switch job := jobs.Current(ctx); {
			case job.Attempt < 3:
				return errBroken
			case job.Snoozes < 2:
				return jobs.Snooze(time.Hour, "later")
			}
			return nil
		}), nil)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		if job.Counters["n"] != 3 {
			t.Errorf("counted %v", job.Counters)
		}
	})

	t.Run("it is live, and the number of names is bounded", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			g := newGate()
			r := run(t, store, registry("task", func(ctx context.Context) error {
				for i := range 200 {
					jobs.Count(ctx, fmt.Sprint("name", i), 2)
				}
				return g.handler(ctx)
			}), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			<-g.started
			if c := get(t, r, job.ID).Counters; len(c) != 100 || c["name7"] != 2 {
				t.Errorf("counted %v", c)
			}
			close(g.open)
		})
	})
}

func TestTempDir(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	onMemory(t, func(e env) {
		t, store := e.t, e.store
		var dirs []string
		r := run(t, store, registry("task", func(ctx context.Context) error {
			a, err := jobs.TempDir(ctx)
			if err != nil {
				return err
			}
			if b, err := jobs.TempDir(ctx); a != b || err != nil {
				t.Errorf("got %s and %s, %v", a, b, err)
			}
			dirs = append(dirs, a)
			if err := os.WriteFile(filepath.Join(a, "file"), nil, 0o600); err != nil {
				return err
			}
			panic("out")
		}), nil)
		end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 2}).ID)
		if len(dirs) != 2 || dirs[0] == dirs[1] {
			t.Errorf("directories are %v", dirs)
		}
		for _, dir := range dirs {
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", dir, err)
			}
		}
	})
}

func TestComplete(t *testing.T) {
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("in the host's transaction, committed: %t", commit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db, err := bbolt.Open(filepath.Join(t.TempDir(), "host.db"), 0o600, &bbolt.Options{NoSync: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				store, err := bolt.New(db, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = store.Close() })
				reg := registry("task", func(ctx context.Context) error {
					jobs.Progress(ctx).Add(3)
					jobs.Logger(ctx).Info("before")
					if err := jobs.Defer(ctx, jobs.Request{Task: "next"}); err != nil {
						return err
					}
					err := db.Update(func(tx *bbolt.Tx) error {
						bucket, err := tx.CreateBucketIfNotExists([]byte("host"))
						if err != nil {
							return err
						}
						if err := bucket.Put([]byte("k"), []byte("v")); err != nil {
							return err
						}
						if err := jobs.Complete(ctx, store.Tx(tx), "done"); err != nil {
							return err
						}
						if !commit {
							return errBroken
						}
						return nil
					})
					if commit {
						wantError(t, jobs.Checkpoint(ctx, 1), jobs.ErrStale)
						return errors.New("it does not matter")
					}
					wantError(t, err, errBroken)
					return jobs.Fail(err)
				})
				handle(reg, jobs.Task{Name: "next"}, nothing)
				ends := 0
				r := run(t, store, reg, &jobs.Options{OnEnd: func(_ context.Context, job *jobs.Job) {
					if job.Task == "task" {
						ends++
					}
				}})
				job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
				synctest.Wait()
				want, next := jobs.Failed, int64(0)
				if commit {
					want, next = jobs.Succeeded, 1
				}
				wantState(t, job, want)
				if commit != (string(job.Result) == `"done"`) || job.Progress == nil || job.Progress.Current != 3 || job.Logged != 1 || ends != 1 {
					t.Errorf("got %+v, progress %v, %d ends", job, job.Progress, ends)
				}
				if log := readLog(t, r, job.ID, jobs.LogQuery{}); len(log) != 1 || log[0].Message != "before" {
					t.Errorf("the log is %v", log)
				}
				if n := count(t, r, jobs.Query{Task: "next"}); n != next {
					t.Errorf("%d jobs were deferred", n)
				}
				if err := db.View(func(tx *bbolt.Tx) error {
					if got := tx.Bucket([]byte("host")) != nil; got != commit {
						t.Errorf("the host's data is there: %t", got)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func TestContext_OutsideOfAJob(t *testing.T) {
	ctx := t.Context()
	var v int
	found, err := jobs.Restore(ctx, &v)
	if err := errors.Join(err, jobs.Checkpoint(ctx, 1), jobs.Defer(ctx, jobs.Request{Task: "x"}), jobs.Complete(ctx, nil, 1)); err != nil || found {
		t.Errorf("got %v, %t", err, found)
	}
	jobs.Count(ctx, "n", 1)
	jobs.Progress(ctx).Child("a").Add(1)
	jobs.Logger(ctx).Debug("nobody reads this")
	if job := jobs.Current(ctx); job.ID != 0 {
		t.Errorf("the current job is %v", job)
	}
	dir, err := jobs.TempDir(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Error(err)
	}
}
