package reliability_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

// childFile names the file of a process that is to be killed; it is set in that process only.
const childFile = "JOBS_CHILD_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := child(path, os.Stdout); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// killTasks are the tasks of the process that is killed. started is called when a handler begins;
// it is nil where the witness looks at what is left.
func killTasks(reg *jobs.Registry, started func(job *jobs.Job)) {
	handle := func(t jobs.Task, fn func(ctx context.Context, job *jobs.Job) error) {
		reg.Handle(t, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			job := jobs.Current(ctx)
			if started != nil {
				started(job)
			}
			return json.RawMessage(job.ID.String()), fn(ctx, job)
		})
	}
	wait := func(ctx context.Context, d time.Duration) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	handle(jobs.Task{Name: "quick"}, func(ctx context.Context, job *jobs.Job) error {
		jobs.Logger(ctx).Info("here")
		return jobs.Defer(ctx, jobs.Request{Task: "after", Meta: map[string]string{"after": job.ID.String()}})
	})
	handle(jobs.Task{Name: "parent"}, func(ctx context.Context, _ *jobs.Job) error {
		return jobs.Spawn(ctx, jobs.Request{Task: "child"}, jobs.Request{Task: "child"}, jobs.Request{Task: "child"})
	})
	handle(jobs.Task{Name: "child"}, func(ctx context.Context, _ *jobs.Job) error { return wait(ctx, time.Millisecond) })
	handle(jobs.Task{Name: "after"}, func(context.Context, *jobs.Job) error { return nil })
	// A job that merely ran beside those that kill may be there at many a crash.
	handle(jobs.Task{Name: "beside", MaxAttempts: 2}, func(ctx context.Context, job *jobs.Job) error {
		return wait(ctx, 3*time.Millisecond)
	})
	handle(jobs.Task{Name: "killer", MaxAttempts: 3}, func(context.Context, *jobs.Job) error {
		if started != nil {
			os.Exit(3)
		}
		return errors.New("this would kill the process")
	})
}

// child enqueues and works, and tells of each thing that was acknowledged, until it is killed.
func child(path string, out io.Writer) error {
	var mu sync.Mutex
	say := func(args ...any) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Fprintln(out, args...) // nobody may hear it any more
	}
	store, err := bolt.Open(path, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	var reg jobs.Registry
	killTasks(&reg, func(job *jobs.Job) { say("started", job.ID) })
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{Workers: 6, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	enqueuers := 4
	if os.Getenv("JOBS_CHILD_ONLY_WORKS") != "" {
		enqueuers = 0
		go func() {
			defer cancel()
			if err := waitAll(ctx, r); err != nil {
				say("error", err)
			}
		}()
	}
	for i := range enqueuers {
		go func() {
			for {
				task := []string{"quick", "quick", "beside", "parent"}[i]
				reqs := []jobs.Request{{Name: "first", Task: task, Group: strconv.Itoa(i)}, {Name: "second", Task: task}}
				if task == "parent" { // the last one waits for both families
					reqs[1].After = []jobs.Dependency{{Name: "first"}}
					reqs = append(reqs, jobs.Request{Task: "parent", After: []jobs.Dependency{{Name: "first"}, {Name: "second"}}})
					slices.Reverse(reqs) // so that the first one is the last
				}
				all, err := r.Enqueue(ctx, reqs...)
				if err != nil {
					say("error", err)
					return
				}
				for _, job := range all {
					say("enqueued", job.ID, task)
				}
				if job, err := r.Wait(ctx, all[0].ID); err != nil {
					say("error", err)
				} else {
					say("ended", job.ID, job.State)
				}
			}
		}()
	}
	return r.Run(ctx)
}

// waitAll returns when all jobs have ended.
func waitAll(ctx context.Context, r *jobs.Runner) error {
	page, err := r.List(ctx, jobs.Query{Limit: 1000}, "")
	if err != nil {
		return err
	}
	for _, job := range page.Jobs {
		if _, err := r.Wait(ctx, job.ID); err != nil {
			return err
		}
	}
	return nil
}

// A witness keeps what processes have said.
type witness struct {
	enqueued map[jobs.ID]string
	ended    map[jobs.ID]jobs.State
	errs     []error
	starts   int
}

// watch runs a child until it ends, and kills it d after it has begun, or has said that many
// things; if that is -1, it ends by itself.
func (w *witness) watch(path string, times int, d time.Duration, env ...string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), append(env, childFile+"="+path)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := start(cmd); err != nil {
		return err
	}
	kill := func() { _ = cmd.Process.Signal(syscall.SIGKILL) }
	timer := time.AfterFunc(time.Minute, kill)
	defer timer.Stop()
	if times == 0 {
		timer.Reset(d)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if times--; times == 0 {
			timer.Reset(d)
		}
		w.hear(strings.Fields(lines.Text()))
	}
	_ = cmd.Wait() // it was killed
	return nil
}

func (w *witness) hear(said []string) {
	if len(said) < 2 || said[0] == "error" {
		w.errs = append(w.errs, fmt.Errorf("the process said: %v", said))
		return
	}
	id, err := jobs.ParseID(said[1])
	if err != nil {
		w.errs = append(w.errs, err)
		return
	}
	switch said[0] {
	case "enqueued":
		w.enqueued[id] = said[2]
	case "ended":
		w.ended[id] = jobs.State(said[2])
	case "started":
		w.starts++
		if state, ok := w.ended[id]; ok {
			w.errs = append(w.errs, fmt.Errorf("job %d runs again after its end, %s, was acknowledged", id, state))
		}
	}
}

// check compares what is left with what was acknowledged.
func (w *witness) check(ctx context.Context, store jobs.Store) error {
	errs := append([]error{jobstest.Check(ctx, store)}, w.errs...)
	err := store.View(ctx, func(tx jobs.Tx) error {
		for id, task := range w.enqueued {
			job, err := tx.Job(id)
			if err != nil || job.Task != task {
				errs = append(errs, fmt.Errorf("job %d (%s) was enqueued, and there is %v, %w", id, task, job, err))
			}
		}
		for id, state := range w.ended {
			if job, err := tx.Job(id); err != nil || job.State != state {
				errs = append(errs, fmt.Errorf("job %d has ended as %s, and there is %v, %w", id, state, job, err))
			}
		}
		after := make(map[string]int)
		for job, err := range tx.Jobs(jobs.Query{Task: "after"}) {
			if err != nil {
				return err
			}
			after[job.Meta["after"]]++
		}
		for job, err := range tx.Jobs(jobs.Query{Task: "quick"}) {
			if err != nil {
				return err
			}
			if n := after[job.ID.String()]; n > 1 || (n == 1) != (job.State == jobs.Succeeded) {
				errs = append(errs, fmt.Errorf("%v has %d jobs after it", job, n))
			}
		}
		errs = append(errs, families(tx))
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// families checks the jobs that come after others, and those with children.
func families(tx jobs.Tx) error {
	var errs []error
	all, children := make(map[jobs.ID]*jobs.Job), make(map[jobs.ID]int)
	for job, err := range tx.Jobs(jobs.Query{}) {
		if err != nil {
			return err
		}
		all[job.ID] = job
		if job.Parent != 0 {
			children[job.Parent]++
		}
	}
	for id, job := range all {
		if len(job.After) > 0 {
			errs = append(errs, released(job, all))
		}
		if job.Task != "parent" {
			continue
		}
		want := 0
		if job.State == jobs.Succeeded || job.State == jobs.Waiting && job.Brood != 0 {
			want = 3
		}
		if children[id] != want {
			errs = append(errs, fmt.Errorf("%v has %d children, want %d", job, children[id], want))
		}
	}
	return errors.Join(errs...)
}

// released checks that a job has started if, and only if, those that it comes after have ended.
func released(job *jobs.Job, all map[jobs.ID]*jobs.Job) error {
	var open []string
	for _, d := range job.After {
		on := all[d.Job]
		if on == nil {
			return fmt.Errorf("%v comes after job %d, which is not there", job, d.Job)
		}
		if !on.State.Final() {
			open = append(open, on.String())
		}
	}
	if waits := job.State == jobs.Waiting && job.Brood == 0; waits != (len(open) > 0) {
		return fmt.Errorf("%v comes after %v, of which have not ended: %q", job, job.After, open)
	}
	return nil
}

// TestKill kills a process that works, again and again.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := scale(4, 15, 200)
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 2))
	path := filepath.Join(t.TempDir(), "jobs.db")
	w := &witness{enqueued: make(map[jobs.ID]string), ended: make(map[jobs.ID]jobs.State)}
	for i := range kills {
		times, d := 40+rng.IntN(460), time.Duration(rng.IntN(20_000))*time.Microsecond
		if i%4 == 0 {
			times, d = 0, 5*d // it is killed while it opens the file, or has not done much
		}
		if err := w.watch(path, times, d); err != nil {
			t.Fatal(err)
		}
		store := reopen(t, path)
		if err := w.check(t.Context(), store); err != nil {
			t.Fatalf("seed %d, after kill %d: %v", seed, i+1, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store := reopen(t, path)
	var reg jobs.Registry
	killTasks(&reg, nil)
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	jobstest.DrainAll(t, r)
	stop()
	if err := errors.Join(<-done, w.check(t.Context(), store)); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	failed, err := r.Count(t.Context(), jobs.Query{States: []jobs.State{jobs.Failed}})
	if err != nil || failed != 0 {
		t.Errorf("seed %d: %d jobs have failed, %v", seed, failed, err)
	}
	if len(w.enqueued) == 0 || len(w.ended) == 0 {
		t.Error("nothing was done at all")
	}
	t.Logf("%d kills, %d jobs enqueued, %d ends acknowledged, %d starts", kills, len(w.enqueued), len(w.ended), w.starts)
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// TestKill_culprit has jobs kill their process, beside others that do not.
func TestKill_culprit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "jobs.db")
	store := reopen(t, path)
	var reg jobs.Registry
	killTasks(&reg, nil)
	r, err := jobs.NewRunner(store, &reg, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range scale(12, 40, 200) {
		task := "beside"
		if i%6 == 3 {
			task = "killer"
		}
		jobstest.Enqueue(t, r, jobs.Request{Task: task})
	}
	left := jobs.Query{States: []jobs.State{jobs.Queued, jobs.Running, jobs.Retrying, jobs.Scheduled}}
	w := &witness{enqueued: make(map[jobs.ID]string), ended: make(map[jobs.ID]jobs.State)}
	crashes := 0
	for ; ; crashes++ {
		n, err := r.Count(t.Context(), left)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if crashes > 20*scale(12, 40, 200) {
			t.Fatalf("%d jobs are left after %d crashes", n, crashes)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.watch(path, -1, 0, "JOBS_CHILD_ONLY_WORKS=1"); err != nil {
			t.Fatal(err)
		}
		store = reopen(t, path)
		if r, err = jobs.NewRunner(store, &reg, nil); err != nil {
			t.Fatal(err)
		}
	}
	page, err := r.List(t.Context(), jobs.Query{Limit: 1000}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range page.Jobs {
		want := jobs.Succeeded
		if job.Task == "killer" {
			want = jobs.Failed
			if n := len(job.Errors); n == 0 || job.Errors[n-1].Kind != jobs.ErrorCrash || !strings.Contains(job.Message, "the process died") {
				t.Errorf("%v: it does not say that the process died: %q, %+v", job, job.Message, job.Errors)
			}
		}
		if job.State != want {
			t.Errorf("%v after %d attempts and %d crashes: %s; want %s", job, job.Attempt, job.Crashes, job.Message, want)
		}
	}
	t.Logf("%d crashes, %d jobs", crashes, len(page.Jobs))
	if err := errors.Join(w.check(t.Context(), store), store.Close()); err != nil {
		t.Error(err)
	}
}

func reopen(t *testing.T, path string) *bolt.Store {
	t.Helper()
	store, err := bolt.Open(path, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return store
}
