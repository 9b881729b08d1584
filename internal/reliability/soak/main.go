// Command soak works with a file for a long time, under a mixed load, while its process is killed
// again and again, and reports whether anything grows or disagrees.
//
//	go run ./internal/reliability/soak -for 1h
//
// It starts itself as the process that is killed. At the end it exits with status 1 if the file
// is not consistent, or if an acknowledged job is lost.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

func main() {
	length := flag.Duration("for", time.Minute, "how long it takes")
	between := flag.Duration("kill", 10*time.Second, "the longest time between two kills")
	pace := flag.Duration("pace", 4*time.Millisecond, "the time between two jobs")
	child := flag.String("child", "", "be the process that is killed, over this file")
	flag.Parse()
	do := func() error { return soak(*length, *between, *pace) }
	if *child != "" {
		do = func() error { return work(*child, *pace) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// keep is short, so that the file reaches a size at which it should stay.
const keep = 5 * time.Second

// work is the process that is killed. It tells of what was acknowledged and of its size.
func work(path string, pace time.Duration) error {
	store, err := bolt.Open(path, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	var reg jobs.Registry
	m := register(&reg)
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{
		Workers: 16, Logger: slog.New(slog.DiscardHandler), KeepEvents: keep,
		Keep: map[jobs.State]time.Duration{jobs.Succeeded: keep, jobs.Failed: keep, jobs.Cancelled: keep, jobs.Skipped: keep},
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := r.Definitions().Sync(ctx, jobs.CodeWins, jobs.Definition{
		ID: "tick", Request: m.Log.Request(jobstest.LogArgs{Message: "tick"}), Schedule: jobs.Schedule{Every: time.Second},
	}); err != nil {
		return err
	}
	go m.load(ctx, r, pace)
	go func() {
		for tick := range time.Tick(time.Second) {
			if _, err := r.Prune(ctx); err != nil {
				fmt.Println("error", err)
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if info, err := os.Stat(path); err == nil && tick.Unix()%2 == 0 {
				fmt.Println("size", runtime.NumGoroutine(), m.HeapAlloc>>10, info.Size()>>10)
			}
		}
	}()
	return r.Run(ctx)
}

// A mix is what the load is made of.
type mix struct {
	*jobstest.Tasks
	family *jobs.TaskOf[familyArgs, struct{}]
}

type familyArgs struct {
	Children int `json:"children"`
}

func register(reg *jobs.Registry) *mix {
	m := &mix{Tasks: jobstest.RegisterTasks(reg)}
	m.family = jobs.Register(reg, jobs.Task{Name: "soak.family", ChildPolicy: jobs.NeedEnd}, func(ctx context.Context, args familyArgs) (struct{}, error) {
		reqs := make([]jobs.Request, args.Children)
		for i := range reqs {
			reqs[i] = m.one()
		}
		return struct{}{}, jobs.Spawn(ctx, reqs...)
	})
	return m
}

// one returns a request for a job that waits for no other.
func (m *mix) one() jobs.Request {
	switch rand.IntN(7) {
	case 0:
		return m.Log.Request(jobstest.LogArgs{})
	case 1:
		return m.Sleep.Request(jobstest.SleepArgs{For: time.Duration(rand.IntN(40)) * time.Millisecond})
	case 2:
		return m.FailOnce.Request(struct{}{})
	case 3:
		return m.Skip.Request(jobstest.SkipArgs{})
	case 4:
		return m.Fail.Request(jobstest.FailArgs{})
	case 5:
		return m.Progress.Request(jobstest.ProgressArgs{Branches: map[string]int{"a/b": 10, "c": 5}})
	}
	return m.Echo.Request(map[string]any{"text": strings.Repeat("x", rand.IntN(2000))})
}

// some returns requests for one call of Enqueue: mostly for a single job, else for many, for one that
// comes after another, or for a family.
func (m *mix) some() []jobs.Request {
	first := m.one()
	first.Group = fmt.Sprint(rand.IntN(5))
	switch rand.IntN(40) {
	case 0:
		many := make([]jobs.Request, 50)
		for i := range many {
			many[i] = m.one()
		}
		return many
	case 1, 2:
		first.Name = "first"
		second := m.one()
		second.After = []jobs.Dependency{{Name: "first", Need: []jobs.Need{jobs.NeedSuccess, jobs.NeedEnd}[rand.IntN(2)]}}
		return []jobs.Request{first, second}
	case 3, 4:
		return []jobs.Request{m.family.Request(familyArgs{Children: rand.IntN(5)})}
	case 5, 6, 7, 8:
		first.RunAt = time.Now().Add(time.Second)
	case 9, 10, 11, 12:
		first.Unique.Key = fmt.Sprint(rand.IntN(20))
	}
	return []jobs.Request{first}
}

// load enqueues a mix of everything at each tick.
func (m *mix) load(ctx context.Context, r *jobs.Runner, pace time.Duration) {
	for range time.Tick(pace) {
		all, err := r.Enqueue(ctx, m.some()...)
		if err != nil {
			fmt.Println("error", err)
			continue
		}
		for _, job := range all {
			fmt.Println("enqueued", job.ID)
		}
		if rand.IntN(20) == 0 {
			if _, err := r.Cancel(ctx, all[0].ID, "enough"); err != nil && !errors.Is(err, jobs.ErrState) {
				fmt.Println("error", err)
			}
		}
	}
}

// A watch is what the witness has heard.
type watch struct {
	pace     time.Duration
	enqueued map[string]time.Time
	count    int
	errs     []error
	sizes    [][3]int // goroutines, KiB of heap, KiB of the file
}

func soak(length, between, pace time.Duration) error {
	dir, err := os.MkdirTemp("", "soak-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "jobs.db")
	began := time.Now()
	w := watch{pace: pace, enqueued: make(map[string]time.Time)}
	kills, reported := 0, 0
	fmt.Println("     time  kills     jobs  goroutines  heap KiB  file KiB")
	for time.Since(began) < length {
		if err := w.watch(path, time.Duration(rand.Int64N(int64(between)))); err != nil {
			return err
		}
		kills++
		if err := w.check(path); err != nil {
			return fmt.Errorf("after kill %d: %w", kills, err)
		}
		if n := len(w.sizes); n > 0 && int(time.Since(began)/(length/20+1)) > reported {
			reported = int(time.Since(began) / (length/20 + 1))
			s := w.sizes[n-1]
			fmt.Printf("%9s %6d %8d %11d %9d %9d\n", time.Since(began).Round(time.Second), kills, w.count, s[0], s[1], s[2])
		}
	}
	return w.end(path)
}

// watch runs the child for d and kills it.
func (w *watch) watch(path string, d time.Duration) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "-child", path, "-pace", w.pace.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(d, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text := lines.Text()
		switch said := strings.Fields(text); {
		case len(said) == 2 && said[0] == "enqueued":
			w.enqueued[said[1]] = time.Now()
			w.count++
		case len(said) == 4 && said[0] == "size":
			var s [3]int
			if _, err := fmt.Sscan(strings.Join(said[1:], " "), &s[0], &s[1], &s[2]); err == nil {
				w.sizes = append(w.sizes, s)
			}
		default:
			w.errs = append(w.errs, errors.New(text))
		}
	}
	_ = cmd.Wait() // it was killed
	return errors.Join(w.errs...)
}

// check looks at what a kill has left.
func (w *watch) check(path string) error {
	store, err := bolt.Open(path, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	ctx := context.Background()
	errs := []error{jobstest.Check(ctx, store)}
	err = store.View(ctx, func(tx jobs.Tx) error {
		for text, at := range w.enqueued {
			if time.Since(at) > keep { // it may have ended and been removed
				delete(w.enqueued, text)
				continue
			}
			var id jobs.ID
			if err := json.Unmarshal([]byte(text), &id); err != nil {
				return err
			}
			if _, err := tx.Job(id); err != nil {
				errs = append(errs, fmt.Errorf("an acknowledged job is lost: %w", err))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err, store.Close())...)
}

// end compares the second half with the first.
func (w *watch) end(path string) error {
	half := len(w.sizes) / 2
	var most [2][3]int
	for i, s := range w.sizes {
		for j := range s {
			h := 0
			if i >= half {
				h = 1
			}
			most[h][j] = max(most[h][j], s[j])
		}
	}
	fmt.Printf("at most, in the first half and the second: goroutines %d, %d; heap %d, %d KiB; file %d, %d KiB\n",
		most[0][0], most[1][0], most[0][1], most[1][1], most[0][2], most[1][2])
	floor := [3]int{100, 32 << 10, 32 << 10} // what is no growth worth a word
	for j, what := range [...]string{"goroutines", "heap", "file"} {
		if most[1][j] > most[0][j]*3/2 && most[1][j] > floor[j] && half > 5 {
			return fmt.Errorf("%s grow: %d after %d", what, most[1][j], most[0][j])
		}
	}
	return w.check(path)
}
