package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

const (
	files = 4000
	part  = "1500" // files that one scan job finds
	pace  = "20us"
	kills = 8
)

func TestTour(t *testing.T) {
	bin := build(t)
	t.Run("survives kills", func(t *testing.T) {
		t.Parallel()
		testKills(t, bin)
	})
	t.Run("refuses the file of another directory", func(t *testing.T) {
		t.Parallel()
		db := filepath.Join(t.TempDir(), "jobs.db")
		run(t, bin, "-db", db, t.TempDir())
		out, err := exec.CommandContext(t.Context(), bin, "-db", db, t.TempDir()).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "start over with -fresh") {
			t.Errorf("got %v, %s", err, out)
		}
	})
}

// testKills kills the program at random moments. In the end its report is that of a
// run that nobody disturbed, and no job that had ended was touched again.
func testKills(t *testing.T, bin string) {
	t.Helper()
	dir := tree(t)
	calm := filepath.Join(t.TempDir(), "calm.db")
	begin := time.Now()
	run(t, bin, "-db", calm, "-part", part, "-pace", pace, dir)
	took := time.Since(begin)
	want := read(t, calm)
	if want.report == "" || want.jobs["hash"] < files/200 || want.jobs["scan"] != 3 {
		t.Fatalf("an undisturbed run has jobs %v and the report %q", want.jobs, want.report)
	}

	killed := filepath.Join(t.TempDir(), "killed.db")
	var seen state
	for i := range kills {
		cmd := exec.CommandContext(t.Context(), bin, "-db", killed, "-part", part, "-pace", pace, dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i > 0 { // some are killed while they start
			_, _ = out.Read(make([]byte, 1)) // when the file is open
		}
		timer := time.AfterFunc(rand.N(took/3), func() { _ = cmd.Process.Kill() })
		_, _ = io.Copy(io.Discard, out)
		err = cmd.Wait()
		timer.Stop()
		if _, err := os.Stat(killed); err != nil {
			continue // killed before it had made the file
		}
		got := read(t, killed)
		t.Logf("kill %d (%v): jobs that have ended: %v", i, err, got.jobs)
		seen.unchanged(t, &got)
		seen = got
	}
	run(t, bin, "-db", killed, "-part", part, dir)
	got := read(t, killed)
	seen.unchanged(t, &got)
	if got.report != want.report {
		t.Errorf("after kills the report is\n%s\nwant\n%s", got.report, want.report)
	}
	if fmt.Sprint(got.jobs) != fmt.Sprint(want.jobs) {
		t.Errorf("after kills there are jobs %v, want %v", got.jobs, want.jobs)
	}

	again := run(t, bin, "-db", killed, dir)
	if !strings.Contains(again, "-fresh") {
		t.Errorf("a run after the end says %q", again)
	}
	fresh := run(t, bin, "-db", killed, "-fresh", dir)
	if !strings.Contains(fresh, "4,000 of 4,000 files") {
		t.Errorf("a fresh run says %q", fresh)
	}
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	bin := filepath.Join(t.TempDir(), "tour")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// run runs the program to its end and returns what it printed.
func run(t *testing.T, bin string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// tree makes a directory with many small files, some of them alike.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range files {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%7))
		if i < 7 {
			if err := os.Mkdir(sub, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		name := filepath.Join(sub, fmt.Sprintf("%d.%s", i, []string{"go", "md", "dat"}[i%3]))
		if err := os.WriteFile(name, []byte(strings.Repeat("line\n", i%1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A state is what a file of jobs holds.
type state struct {
	jobs   map[string]int     // that have succeeded, by task
	ended  map[jobs.ID]uint64 // their versions
	report string
}

// read reads a file of jobs that no process uses. It fails if a path is in two hash jobs.
func read(t *testing.T, file string) state {
	t.Helper()
	store, err := bolt.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := store.Check(t.Context()); err != nil {
		t.Error(err)
	}
	s := state{jobs: make(map[string]int), ended: make(map[jobs.ID]uint64)}
	paths := make(map[string]jobs.ID)
	err = store.View(t.Context(), func(tx jobs.Tx) error {
		for job, err := range tx.Jobs(jobs.Query{}) {
			if err != nil {
				return err
			}
			if job.Task == "hash" {
				var args struct{ Files []string }
				if err := json.Unmarshal(job.Args, &args); err != nil {
					return err
				}
				for _, path := range args.Files {
					if other := paths[path]; other != 0 {
						t.Errorf("%s is in the jobs %d and %d", path, job.ID, other)
					}
					paths[path] = job.ID
				}
			}
			if job.State != jobs.Succeeded {
				continue
			}
			s.jobs[job.Task]++
			s.ended[job.ID] = job.Version
			if job.Task == "report" {
				s.report = string(job.Result)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// unchanged fails the test unless all jobs that had ended in s are the same in later: none of them
// was claimed again, because that would have saved it.
func (s *state) unchanged(t *testing.T, later *state) {
	t.Helper()
	for id, version := range s.ended {
		if later.ended[id] != version {
			t.Errorf("job %d had ended with version %d and has version %d now", id, version, later.ended[id])
		}
	}
}
