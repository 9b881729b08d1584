package main_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

const (
	token = "a-token-that-nobody-may-see"

	// What there is in the end, however often the program was stopped.
	words = `
garden    15 pages  1632 words
meadow    16 pages  1622 words
orchard   11 pages  1033 words
quarry     9 pages   882 words
`
	counts = "crawl-garden: 3 succeeded; crawl-meadow: 2 succeeded; crawl-orchard: 2 succeeded; " +
		"crawl-quarry: 2 failed, 1 succeeded; process-garden: 3 succeeded; process-meadow: 2 succeeded; " +
		"process-orchard: 2 succeeded; process-quarry: 2 skipped, 1 succeeded; report: 3 succeeded"
)

func TestHarvest(t *testing.T) {
	t.Parallel()
	bin, dir := build(t), t.TempDir()
	db, svg := filepath.Join(dir, "harvest.db"), filepath.Join(dir, "graph.svg")
	out := run(t, bin, "-db", db, "-svg", svg)
	at := 0
	for _, want := range []string{ // in this order
		"crawl-quarry (job 7) has failed: 503 Service Unavailable: closed, even to holders of " + jobs.Redacted,
		"After round 1 of 2:", "process-quarry   not_built", "every second, next at",
		"After round 2 of 2:", "every second, paused\n",
		"Made by hand: crawl-garden\n", "≠ process-garden", "✗ crawl-quarry", "∅ process-quarry", "✓ report",
		"Made by hand: report, process-garden, process-quarry, crawl-quarry\n",
		"✓ process-garden", "✓ process-quarry", words,
	} {
		i := strings.Index(out[at:], want)
		if i < 0 {
			t.Fatalf("there is no %q where it should be in\n%s", want, out)
		}
		at += i + len(want)
	}
	if got := made(t, db); got != counts {
		t.Errorf("the jobs of definitions are\n%s\nwant\n%s", got, counts)
	}
	again := run(t, bin, "-db", db)
	if strings.Contains(again, "by hand") || !strings.Contains(again, words) {
		t.Errorf("after the end it says\n%s", again)
	}
	drawn := read(t, svg)
	if !bytes.HasPrefix(drawn, []byte("<svg")) {
		t.Errorf("the drawing is %.100s", drawn)
	}
	for name, data := range map[string][]byte{"output": []byte(out + again), "drawing": drawn, "file": read(t, db)} {
		if bytes.Contains(data, []byte(token)) {
			t.Errorf("the token is in the %s", name)
		}
	}
}

// Whenever it is stopped, or killed, it goes on: with the same words in the end, and no more jobs.
func TestHarvest_SurvivesKills(t *testing.T) {
	t.Parallel()
	bin, db := build(t), filepath.Join(t.TempDir(), "harvest.db")
	for i := range 6 {
		cmd := command(t, bin, "-db", db)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Scan() // it has begun
		end := cmd.Process.Kill
		if i == 0 && runtime.GOOS != "windows" {
			end = func() error { return cmd.Process.Signal(os.Interrupt) }
		}
		timer := time.AfterFunc(time.Duration(rand.IntN(500))*time.Millisecond, func() { _ = end() })
		last := ""
		for lines.Scan() {
			last = lines.Text()
		}
		err = cmd.Wait()
		timer.Stop()
		t.Logf("%v: %s", err, last)
		var exit *exec.ExitError
		if i == 0 && runtime.GOOS != "windows" && (!errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.Contains(last, "stopped")) {
			t.Errorf("interrupted, it ended with %v and %q", err, last)
		}
	}
	if out := run(t, bin, "-db", db); !strings.Contains(out, words) {
		t.Errorf("in the end it says\n%s\nwant\n%s", out, words)
	}
	if got := made(t, db); got != counts {
		t.Errorf("the jobs of definitions are\n%s\nwant\n%s", got, counts)
	}
}

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	bin := filepath.Join(t.TempDir(), "harvest")
	if runtime.GOOS == "windows" {
		bin += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func command(t *testing.T, bin string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"-every", "1s", "-pace", "5ms"}, args...)...)
	cmd.Env = append(os.Environ(), "HARVEST_TOKEN="+token)
	return cmd
}

// run runs the program to its end and returns what it printed.
func run(t *testing.T, bin string, args ...string) string {
	t.Helper()
	out, err := command(t, bin, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// made says how the jobs of each definition have ended that are in a file.
func made(t *testing.T, file string) string {
	t.Helper()
	store, err := bolt.Open(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(map[string]map[jobs.State]int)
	err = store.View(t.Context(), func(tx jobs.Tx) error {
		for job, err := range tx.Jobs(jobs.Query{}) {
			if err != nil {
				return err
			}
			if ended[job.Definition] == nil {
				ended[job.Definition] = make(map[jobs.State]int)
			}
			ended[job.Definition][job.State]++
		}
		return nil
	})
	if err := errors.Join(err, store.Check(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	delete(ended, "") // the pages
	var all []string
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		var states []string
		for _, state := range slices.Sorted(maps.Keys(ended[id])) {
			states = append(states, fmt.Sprintf("%d %s", ended[id][state], state))
		}
		all = append(all, id+": "+strings.Join(states, ", "))
	}
	return strings.Join(all, "; ")
}
