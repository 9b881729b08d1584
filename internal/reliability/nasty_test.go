package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

// nasty is a handler that misbehaves, and what must become of its job.
type nasty struct {
	name    string
	opts    jobs.Options
	task    jobs.Task
	handler func(ctx context.Context, r *jobs.Runner) (json.RawMessage, error)
	want    jobs.State
	message string // part of Job.Message
	check   func(t *testing.T, r *jobs.Runner, job *jobs.Job)
}

// What is many and huge: a million and 100 MB, but for a quick look.
var million, huge = scale(50_000, 1_000_000, 1_000_000), scale(10<<20, 100<<20, 100<<20)

func giant(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n) + `"`) }

var nasties = []nasty{
	{
		name: "it panics", want: jobs.Failed, message: "panic: oh", task: jobs.Task{MaxAttempts: 1},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { panic("oh") },
	},
	{
		name: "it panics with nil", want: jobs.Failed, message: "panic", task: jobs.Task{MaxAttempts: 1},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { panic(nil) },
	},
	{
		name: "it calls Goexit", want: jobs.Failed, message: "Goexit", task: jobs.Task{MaxAttempts: 1},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { runtime.Goexit(); return nil, nil },
	},
	{
		name: "its error panics", want: jobs.Failed, task: jobs.Task{MaxAttempts: 1},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { return nil, nastyError{} },
	},
	{
		name: "it ignores its timeout", want: jobs.Failed, message: "timed out", task: jobs.Task{MaxAttempts: 1, Timeout: time.Second},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) {
			timer := time.NewTimer(time.Hour)
			<-timer.C
			return nil, errors.New("late")
		},
		check: func(t *testing.T, r *jobs.Runner, job *jobs.Job) {
			if !strings.Contains(logOf(t, r, job.ID), "ignores the end of its context") {
				t.Error("its log does not say so")
			}
			if len(job.Errors) != 2 || job.Errors[0].Kind != jobs.ErrorStuck || !strings.Contains(job.Errors[0].Stack, "reliability_test") {
				t.Errorf("its errors are %+v, want one that says where the handler was", job.Errors)
			}
		},
	},
	{
		name: "a result that is huge is refused", want: jobs.Failed, message: "MaxResult",
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { return giant(100 << 20), nil },
	},
	{
		name: "a result that is no JSON is refused", want: jobs.Failed, message: "not valid JSON",
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) { return json.RawMessage("{"), nil },
	},
	{
		name: "a checkpoint that is huge is refused", want: jobs.Failed, message: "MaxResult", task: jobs.Task{MaxAttempts: 1},
		handler: func(ctx context.Context, _ *jobs.Runner) (json.RawMessage, error) {
			return nil, jobs.Checkpoint(ctx, giant(huge))
		},
	},
	{
		name: "an error that is huge is cut", want: jobs.Failed, message: "xxx", task: jobs.Task{MaxAttempts: 1},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) {
			return nil, errors.New(strings.Repeat("x", huge))
		},
		check: func(t *testing.T, _ *jobs.Runner, job *jobs.Job) {
			if len(job.Message) > 10<<10 || len(job.Errors[0].Message) > 10<<10 {
				t.Errorf("the message has %d bytes", len(job.Message))
			}
		},
	},
	{
		name: "a log record that is huge is cut", want: jobs.Succeeded,
		handler: func(ctx context.Context, _ *jobs.Runner) (json.RawMessage, error) {
			jobs.Logger(ctx).Info(strings.Repeat("x", huge), "attr", strings.Repeat("y", 1<<20))
			return nil, nil
		},
		check: func(t *testing.T, r *jobs.Runner, job *jobs.Job) {
			if n := len(logOf(t, r, job.ID)); n > 32<<10 || n == 0 {
				t.Errorf("the log has %d bytes", n)
			}
		},
	},
	{
		name: "many log records are cut at the limit", want: jobs.Succeeded, opts: jobs.Options{LogLimit: 1000},
		handler: func(ctx context.Context, _ *jobs.Runner) (json.RawMessage, error) {
			logger := jobs.Logger(ctx)
			for range million {
				logger.Warn("again")
			}
			return nil, nil
		},
		check: func(t *testing.T, r *jobs.Runner, job *jobs.Job) {
			if text := logOf(t, r, job.ID); strings.Count(text, "\n") != 1001 || !strings.Contains(text, "the log is cut here") {
				t.Errorf("%d records are kept", strings.Count(text, "\n"))
			}
			if job.Warnings < million {
				t.Errorf("%d warnings were counted", job.Warnings)
			}
		},
	},
	{
		name: "many progress nodes are bounded", want: jobs.Succeeded,
		handler: func(ctx context.Context, _ *jobs.Runner) (json.RawMessage, error) {
			p := jobs.Progress(ctx)
			for i := range million {
				p.Child(fmt.Sprint(i)).Add(1)
			}
			return nil, nil
		},
		check: func(t *testing.T, _ *jobs.Runner, job *jobs.Job) {
			data, err := json.Marshal(job.Progress)
			if err != nil || len(data) > 4<<20 {
				t.Errorf("the report has %d bytes, %v", len(data), err)
			}
		},
	},
	{
		name: "many counters are bounded", want: jobs.Succeeded,
		handler: func(ctx context.Context, _ *jobs.Runner) (json.RawMessage, error) {
			for i := range million {
				jobs.Count(ctx, fmt.Sprint(i), 1)
			}
			return nil, nil
		},
		check: func(t *testing.T, _ *jobs.Runner, job *jobs.Job) {
			if len(job.Counters) > 1000 {
				t.Errorf("there are %d counters", len(job.Counters))
			}
		},
	},
	{
		name: "it cancels itself", want: jobs.Cancelled, message: "enough",
		handler: func(ctx context.Context, r *jobs.Runner) (json.RawMessage, error) {
			if _, err := r.Cancel(ctx, jobs.Current(ctx).ID, "enough"); err != nil {
				return nil, err
			}
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
	},
	{
		name: "it deletes itself, which is refused", want: jobs.Succeeded,
		handler: func(ctx context.Context, r *jobs.Runner) (json.RawMessage, error) {
			if err := r.Delete(ctx, jobs.Current(ctx).ID); !errors.Is(err, jobs.ErrState) {
				return nil, jobs.Fail(fmt.Errorf("got %w", err))
			}
			return nil, nil
		},
	},
	{
		name: "it waits for itself until its timeout", want: jobs.Failed, message: "timed out", task: jobs.Task{MaxAttempts: 1, Timeout: time.Second},
		handler: func(ctx context.Context, r *jobs.Runner) (json.RawMessage, error) {
			_, err := r.Wait(ctx, jobs.Current(ctx).ID)
			return nil, err
		},
	},
	{
		name: "it enqueues itself again and again", want: jobs.Succeeded,
		handler: func(ctx context.Context, r *jobs.Runner) (json.RawMessage, error) {
			if n, err := r.Count(ctx, jobs.Query{}); n >= 500 || err != nil {
				return nil, err
			}
			_, err := r.Enqueue(ctx, jobs.Request{Task: "nasty"}, jobs.Request{Task: "nasty"})
			return nil, err
		},
	},
	{
		name: "it runs again at once, for ever, until its attempts are used up", want: jobs.Failed, task: jobs.Task{MaxAttempts: 500},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) {
			return nil, jobs.RetryIn(-time.Hour, errors.New("again"))
		},
		check: func(t *testing.T, _ *jobs.Runner, job *jobs.Job) {
			if job.Attempt != 500 || len(job.Errors) > 32 {
				t.Errorf("%d attempts, %d errors", job.Attempt, len(job.Errors))
			}
		},
	},
	{
		name: "it asks to be retried in centuries", want: jobs.Failed, task: jobs.Task{MaxAttempts: 2},
		handler: func(context.Context, *jobs.Runner) (json.RawMessage, error) {
			return nil, jobs.RetryIn(1<<63-1, errors.New("much later"))
		},
	},
}

type nastyError struct{}

func (nastyError) Error() string { panic("no text") }

func logOf(t *testing.T, r *jobs.Runner, id jobs.ID) string {
	t.Helper()
	var b strings.Builder
	for e, err := range r.Log(t.Context(), id, jobs.LogQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, e.Message, string(e.Attrs))
	}
	return b.String()
}

// TestNasty lets handlers misbehave, beside one that does not.
func TestNasty(t *testing.T) {
	for _, n := range nasties {
		t.Run(n.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, err := bolt.Open(filepath.Join(t.TempDir(), "jobs.db"), &bolt.Options{NoSync: true})
				if err != nil {
					t.Fatal(err)
				}
				var reg jobs.Registry
				var r *jobs.Runner
				n.task.Name = "nasty"
				reg.Handle(n.task, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) { return n.handler(ctx, r) })
				jobstest.RegisterTasks(&reg)
				n.opts.Logger = slog.New(slog.DiscardHandler)
				if r, err = jobs.NewRunner(store, &reg, &n.opts); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				job := jobstest.Enqueue(t, r, jobs.Request{Task: "nasty"})
				beside := jobstest.Enqueue(t, r, jobs.Request{Task: "test.log"})
				if job, err = r.Wait(ctx, job.ID); err != nil {
					t.Fatal(err)
				}
				if job.State != n.want || !strings.Contains(job.Message, n.message) {
					t.Errorf("%v: %.300q, want %s: %q", job, job.Message, n.want, n.message)
				}
				if n.check != nil {
					n.check(t, r, job)
				}
				if job, err := r.Wait(ctx, beside.ID); err != nil || job.State != jobs.Succeeded {
					t.Errorf("the one beside it: %v, %v", job, err)
				}
				jobstest.DrainAll(t, r)
				stop()
				if err := errors.Join(<-done, jobstest.Check(context.Background(), store), store.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestNasty_afterTheEnd uses everything that a handler was given after its job has ended.
func TestNasty_afterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reg jobs.Registry
		kept := make(chan context.Context, 1)
		reg.Handle(jobs.Task{Name: "task"}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			jobs.Progress(ctx).Add(1)
			jobs.Logger(ctx).Info("in time")
			kept <- ctx
			return nil, nil
		})
		store := memory.New()
		r := jobstest.RunStore(t, store, &reg, &jobs.Options{Logger: slog.New(slog.DiscardHandler)})
		job := jobstest.Enqueue(t, r, jobs.Request{Task: "task"})
		before, err := r.Wait(t.Context(), job.ID)
		if err != nil {
			t.Fatal(err)
		}
		ctx := <-kept
		jobs.Progress(ctx).Child("late").Add(5)
		jobs.Progress(ctx).SetTotal(7)
		jobs.Logger(ctx).Error("late")
		jobs.Count(ctx, "late", 1)
		if err := jobs.Checkpoint(ctx, "late"); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("Checkpoint returned %v, want ErrStale", err)
		}
		if err := store.Update(t.Context(), func(tx jobs.Tx) error { return jobs.Complete(ctx, tx, 1) }); !errors.Is(err, jobs.ErrStale) {
			t.Errorf("Complete returned %v, want ErrStale", err)
		}
		_ = jobs.Defer(ctx, jobs.Request{Task: "task"}) // whatever it says
		timer := time.NewTimer(time.Minute)
		<-timer.C
		after, err := r.Get(t.Context(), job.ID)
		if err != nil || after.Version != before.Version || after.Logged != 1 || after.Progress.Current != 1 || after.Counters != nil {
			t.Errorf("after its end the job has become %+v, %v", after, err)
		}
		if n, err := r.Count(t.Context(), jobs.Query{}); n != 1 || err != nil {
			t.Errorf("there are %d jobs, %v", n, err)
		}
		if err := jobstest.Check(t.Context(), store); err != nil {
			t.Error(err)
		}
	})
}

// TestNasty_clock has a store that was written with a clock that was years ahead or behind.
func TestNasty_clock(t *testing.T) {
	for _, years := range []int{-50, -1, 1, 50} {
		t.Run(fmt.Sprintf("%d years", years), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memory.New()
				var reg jobs.Registry
				jobstest.RegisterTasks(&reg)
				r, err := jobs.NewRunner(store, &reg, &jobs.Options{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				for _, task := range []string{"test.log", "test.fail_once", "test.skip", "test.sleep"} {
					req := jobs.Request{Task: task, Unique: jobs.Unique{Key: task, Period: time.Hour}}
					if task == "test.sleep" {
						req.Args = json.RawMessage(`{"for":"1s"}`)
					}
					jobstest.Enqueue(t, r, req)
				}
				shift := func(at *time.Time) {
					if !at.IsZero() {
						*at = at.AddDate(years, 0, 0)
					}
				}
				err = store.Update(t.Context(), func(tx jobs.Tx) error {
					for id := jobs.ID(1); id <= 4; id++ {
						job, err := tx.Job(id)
						if err != nil {
							return err
						}
						if id == 4 { // an orphan of that time
							job.State, job.Line, job.Claims, job.Attempt, job.StartedAt = jobs.Running, "", 1, 1, time.Now()
						}
						for _, at := range []*time.Time{&job.CreatedAt, &job.UpdatedAt, &job.RunAt, &job.StartedAt} {
							shift(at)
						}
						job.Generation++
						if err := tx.Save(job); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
				defer stop()
				done := make(chan error, 1)
				go func() { done <- r.Run(ctx) }()
				for id := jobs.ID(1); id <= 4; id++ {
					if job, err := r.Wait(ctx, id); err != nil || job.State == jobs.Failed {
						t.Errorf("%v, %v", job, err)
					}
				}
				if _, err := r.Prune(ctx); err != nil {
					t.Error(err)
				}
				stop()
				if err := errors.Join(<-done, jobstest.Check(context.Background(), store), store.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestNasty_hostTransaction uses a transaction of the host in ways that are wrong.
func TestNasty_hostTransaction(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	var reg jobs.Registry
	jobstest.RegisterTasks(&reg)
	r, err := jobs.NewRunner(store, &reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	req := jobs.Request{Task: "test.log"}
	misuse(t, db, store, r, req)
	if n, err := r.Count(ctx, jobs.Query{}); n != 1 || err != nil {
		t.Errorf("there are %d jobs, %v; want 1", n, err)
	}
	if _, err := r.Enqueue(ctx, req); err != nil {
		t.Errorf("after all that: %v", err)
	}
	if err := errors.Join(jobstest.Check(ctx, store), store.Close()); err != nil {
		t.Error(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		_, err := store.Tx(tx).Job(1)
		return err
	})
	if !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("a store that is closed: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// misuse makes one job in order, and tries others that must not be.
func misuse(t *testing.T, db *bbolt.DB, store *bolt.Store, r *jobs.Runner, req jobs.Request) {
	t.Helper()
	ctx := t.Context()
	var kept jobs.Tx
	wantErr := func(what string, err error) {
		t.Helper()
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		kept = store.Tx(tx)
		_, err := r.EnqueueTx(ctx, kept, req)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.EnqueueTx(ctx, kept, req)
	wantErr("a transaction that has committed", err)
	btx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	kept = store.Tx(btx)
	if err := btx.Rollback(); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }() // bbolt panics
		_, err := r.EnqueueTx(ctx, kept, req)
		wantErr("a transaction that was rolled back", err)
	}()
	err = db.View(func(tx *bbolt.Tx) error {
		_, err := r.EnqueueTx(ctx, store.Tx(tx), req)
		return err
	})
	wantErr("a read-only transaction", err)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic of the host was swallowed")
			}
		}()
		_ = db.Update(func(tx *bbolt.Tx) error {
			if _, err := r.EnqueueTx(ctx, store.Tx(tx), req); err != nil {
				t.Error(err)
			}
			panic("oh")
		})
	}()
}

// TestNasty_late has a handler return long after its runner gave it up, while its job runs again.
func TestNasty_late(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		var reg jobs.Registry
		checkpoint := make(chan error, 1)
		reg.Handle(jobs.Task{Name: "task"}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			claims := jobs.Current(ctx).Claims
			timer := time.NewTimer(time.Duration(claims) * time.Hour)
			<-timer.C // whatever becomes of ctx
			if claims == 1 {
				checkpoint <- jobs.Checkpoint(ctx, "late")
			}
			return json.RawMessage(fmt.Sprint(claims)), nil
		})
		r, err := jobs.NewRunner(store, &reg, &jobs.Options{Grace: -1, Abandon: time.Second, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		job := jobstest.Enqueue(t, r, jobs.Request{Task: "task"})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := r.Run(ctx); err == nil {
			t.Error("Run does not say that it gave up")
		}
		again, halt := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(again) }()
		timer := time.NewTimer(90 * time.Minute)
		<-timer.C
		if err := <-checkpoint; !errors.Is(err, jobs.ErrStale) {
			t.Errorf("a late Checkpoint returned %v, want ErrStale", err)
		}
		if now, err := r.Get(t.Context(), job.ID); err != nil || now.State != jobs.Running || now.Claims != 2 || now.Result != nil || now.Checkpoint != nil {
			t.Errorf("after the late return the job is %+v, %v", now, err)
		}
		if end, err := r.Wait(t.Context(), job.ID); err != nil || string(end.Result) != "2" {
			t.Errorf("the job has ended as %+v, %v", end, err)
		}
		halt()
		if err := errors.Join(<-done, jobstest.Check(context.Background(), store), store.Close()); err != nil {
			t.Error(err)
		}
	})
}
