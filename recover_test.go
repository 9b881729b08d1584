package jobs_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// A world is a bolt file that goes through crashes.
type world struct {
	t    *testing.T
	path string
	n    int
	r    *jobs.Runner
	stop func() error
}

// boot runs a runner on the file.
func (w *world) boot(reg *jobs.Registry, opts *jobs.Options) {
	w.t.Helper()
	w.r = newRunner(w.t, openBolt(w.t, w.path), reg, opts)
	w.stop = start(w.t, w.r)
	synctest.Wait()
}

// crash leaves the process behind as it is, and goes on with a copy of its file.
func (w *world) crash() {
	w.t.Helper()
	w.n++
	next := filepath.Join(w.t.TempDir(), "jobs.db")
	from, err := os.Open(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.Create(next)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		w.t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.path = next
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{t: t, path: filepath.Join(t.TempDir(), "jobs.db")}
}

// untilDone is a handler that waits for the end of its context.
func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// hasty has a runner stop without grace.
var hasty = &jobs.Options{Grace: -1}

func TestRunner_Recover(t *testing.T) {
	t.Run("a job that ran is queued at once, its attempt counts, its checkpoint stays", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("task", func(ctx context.Context) error {
				if err := jobs.Checkpoint(ctx, 7); err != nil {
					return err
				}
				return untilDone(ctx)
			}), hasty)
			job := enqueue(t, w.r, jobs.Request{Task: "task"})
			synctest.Wait()
			w.crash()
			var restored int
			w.boot(registry("task", func(ctx context.Context) error {
				_, err := jobs.Restore(ctx, &restored)
				return err
			}), hasty)
			job = get(t, w.r, job.ID)
			wantState(t, job, jobs.Succeeded)
			if job.Attempt != 2 || job.Crashes != 1 && job.Crashes != 0 || restored != 7 || len(job.Errors) != 1 ||
				job.Errors[0].Kind != jobs.ErrorCrash || !strings.Contains(job.Errors[0].Message, "process died") {
				t.Errorf("got %+v, restored %d", job, restored)
			}
		})
	})

	t.Run("one that ran alone fails at its limit", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("killer", untilDone), hasty)
			job := enqueue(t, w.r, jobs.Request{Task: "killer", MaxAttempts: 3})
			for range 3 {
				synctest.Wait()
				wantState(t, get(t, w.r, job.ID), jobs.Running)
				w.crash()
				w.boot(registry("killer", untilDone), hasty)
			}
			job = get(t, w.r, job.ID)
			wantState(t, job, jobs.Failed)
			if job.Attempt != 3 || job.Errors[2].Kind != jobs.ErrorCrash {
				t.Errorf("got attempt %d, %+v", job.Attempt, job.Errors)
			}
		})
	})

	t.Run("one that was being cancelled is cancelled", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			reg := registry("deaf", func(context.Context) error { time.Sleep(time.Hour); return nil })
			w.boot(reg, hasty)
			job := enqueue(t, w.r, jobs.Request{Task: "deaf"})
			synctest.Wait()
			if _, err := w.r.Cancel(t.Context(), job.ID, "enough"); err != nil {
				t.Fatal(err)
			}
			w.crash()
			w.boot(reg, hasty)
			wantState(t, get(t, w.r, job.ID), jobs.Cancelled)
			time.Sleep(2 * time.Hour)
		})
	})
}

func TestRunner_Recover_Culprit(t *testing.T) {
	t.Run("the culprit fails and bystanders succeed, even with one attempt", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			var mu sync.Mutex
			killed := 0
			kill := make(chan struct{}, 1)
			makeRegistry := func() *jobs.Registry {
				dead := false
				var reg jobs.Registry
				handle(&reg, jobs.Task{Name: "killer"}, func(ctx context.Context) error {
					time.Sleep(time.Second)
					mu.Lock()
					killed++
					dead = true
					mu.Unlock()
					kill <- struct{}{}
					return untilDone(ctx)
				})
				handle(&reg, jobs.Task{Name: "bystander"}, func(ctx context.Context) error {
					select {
					case <-time.After(time.Minute):
					case <-ctx.Done():
						return ctx.Err()
					}
					mu.Lock()
					gone := dead
					mu.Unlock()
					if gone { // the process is no more
						return untilDone(ctx)
					}
					return nil
				})
				return &reg
			}
			w.boot(makeRegistry(), hasty)
			var reqs []jobs.Request
			for range 5 {
				reqs = append(reqs, jobs.Request{Task: "bystander", MaxAttempts: 1})
			}
			reqs = append(reqs, jobs.Request{Task: "killer", MaxAttempts: 2})
			all := enqueueAll(t, w.r, reqs...)
			for crashes := 0; ; crashes++ {
				if crashes > 10 {
					t.Fatal("the process dies again and again")
				}
				died := false
				select {
				case <-kill:
					died = true
				case <-time.After(time.Hour):
				}
				if !died {
					break
				}
				w.crash()
				w.boot(makeRegistry(), hasty)
			}
			for _, job := range all[:5] {
				job = end(t, w.r, job.ID)
				wantState(t, job, jobs.Succeeded)
			}
			job := end(t, w.r, all[5].ID)
			wantState(t, job, jobs.Failed)
			if killed > 4 {
				t.Errorf("the process died %d times", killed)
			}
		})
	})
}

func TestRunner_Recover_Suspects(t *testing.T) {
	t.Run("a suspect runs with no other suspect beside it, others go on", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("task", untilDone), hasty)
			fill(t, w.r, 4, jobs.Request{Task: "task"})
			synctest.Wait()
			for range 2 {
				w.crash()
				w.boot(registry("task", untilDone), hasty)
			}
			w.crash() // all four have seen two crashes by now
			g := newGate()
			w.boot(registry("task", g.handler), hasty)
			enqueue(t, w.r, jobs.Request{Task: "task"})
			synctest.Wait()
			suspects, others := 0, 0
			for len(g.started) > 0 {
				if job := <-g.started; job.Crashes >= 2 {
					suspects++
				} else {
					others++
				}
			}
			if suspects != 1 || others != 1 {
				t.Errorf("%d suspects and %d others run", suspects, others)
			}
			close(g.open)
			synctest.Wait()
			if n := count(t, w.r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 5 {
				t.Errorf("%d have succeeded", n)
			}
		})
	})

	t.Run("a suspect is not to blame while a job runs beside it that may be the culprit", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("task", untilDone), hasty)
			req := jobs.Request{Task: "task", MaxAttempts: 1}
			all := enqueueAll(t, w.r, req, req)
			for range 2 {
				w.crash()
				w.boot(registry("task", untilDone), hasty)
			}
			enqueue(t, w.r, jobs.Request{Task: "task"}) // the others run one at a time by now
			synctest.Wait()
			w.crash()
			w.boot(registry("task", untilDone), hasty)
			for _, job := range all {
				if job := get(t, w.r, job.ID); job.State == jobs.Failed {
					t.Errorf("%v: %s", job, job.Message)
				}
			}
		})
	})
}

func TestRunner_Recover_NoSuspects(t *testing.T) {
	t.Run("a job that has ended an attempt by itself is no suspect any more", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("task", untilDone), hasty)
			fill(t, w.r, 3, jobs.Request{Task: "task"})
			synctest.Wait()
			for range 2 {
				w.crash()
				w.boot(registry("task", untilDone), hasty)
			}
			w.crash()
			w.boot(registry("task", func(ctx context.Context) error {
				if jobs.Current(ctx).Snoozes == 0 {
					return jobs.Snooze(time.Hour, "later")
				}
				return untilDone(ctx)
			}), hasty)
			time.Sleep(2 * time.Hour)
			if n := count(t, w.r, jobs.Query{States: []jobs.State{jobs.Running}}); n != 3 {
				t.Errorf("%d run at once", n)
			}
		})
	})

	t.Run("jobs of a runner that stopped in order are no orphans", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			w := newWorld(t)
			w.boot(registry("task", untilDone), hasty)
			job := enqueue(t, w.r, jobs.Request{Task: "task"})
			synctest.Wait()
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			w.crash()
			w.boot(registry("task", nothing), hasty)
			job = get(t, w.r, job.ID)
			if job.State != jobs.Succeeded || job.Attempt != 1 || job.Crashes != 0 || len(job.Errors) > 0 {
				t.Errorf("got %+v", job)
			}
		})
	})
}
