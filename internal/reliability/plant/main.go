// Command plant shows that the checks of package reliability can fail. It copies the module,
// plants one bug at a time, and runs the quick form of the checks, which must find it.
//
//	go run ./internal/reliability/plant [part of a name]
//
// It prints a row of a table for each bug, with the tests that failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A bug is a change of one place in the source.
type bug struct{ name, file, old, planted string }

var bugs = []bug{
	{"an index update left out", "internal/kv/save.go", "	if err := tx.leave(from, key[:n]); err != nil {\n		return err\n	}\n	return tx.enter(to", "	return tx.enter(to"},
	{"a tally not undone", "internal/kv/save.go", "tx.tally(l, h.state, 0, h.created, h.updated)", ""},
	{"the body of an edited job not written", "internal/kv/save.go", "return tx.setBody(id, h, job, body, flags)", "_, _ = body, flags\n	return nil"},
	{"a sync left out", "bolt/bolt.go", "s := &Store{db: db, name", "db.NoSync = true\n	s := &Store{db: db, name"},
	{"a failed commit acknowledged", "bolt/commit.go", "	if err := btx.Commit(); err != nil {\n		s.doubt()\n		return err\n	}\n	s.del", "	if err := btx.Commit(); err != nil {\n		return nil\n	}\n	s.del"},
	{"acknowledged before the commit", "bolt/commit.go", "	if err := btx.Commit(); err != nil {\n		s.doubt()\n		return err\n	}\n	s.del", "	go func() { time.Sleep(time.Millisecond); _ = btx.Commit() }()\n	s.del"},
	{"told before the commit", "bolt/commit.go", "	if err := btx.Commit(); err != nil {\n		s.doubt()\n		return err\n	}\n	s.deliveries.committed(told)\n", "	s.deliveries.committed(told)\n	if err := btx.Commit(); err != nil {\n		return err\n	}\n"},
	{"a host's transaction not flushed", "bolt/deliver.go", "kv.Through", "kv.Buffered"},
	{"no fence: any attempt may end a running job", "settle.go", "return stored.State == Running && stored.Claims == a.claimed.Claims", "return stored.State == Running"},
	{"no fence: any attempt may change any job", "settle.go", "return stored.State == Running && stored.Claims == a.claimed.Claims", "return true"},
	{"an interrupted attempt not refunded", "settle.go", "		job.Attempt--\n		job.Message = \"interrupted", "		job.Message = \"interrupted"},
	{"a log key used again", "log.go", "string(fromNumber(uint64(c.First)))", "string(fromNumber(1))"},
	{"a unique key not removed", "change.go", "err = tx.SetRecord(spaceUnique, job.Unique, nil)", "err = nil"},
	{"a crash not counted", "recover.go", "job.Crashes++", ""},
	{"orphans not recovered", "recover.go", "return job.Session != r.session && r.running[job.ID] == nil", "return false"},
	{"a suspect blamed for a fresh job", "recover.go", "job.Crashes >= suspects && fresh == 0", "job.Crashes >= suspects"},
	{"a line of a group that nobody looks at", "claim.go", "if err := tx.SetRecord(spaceHeld, job.Queue+\"\\x00\"+job.Group, []byte{}); err != nil {\n		return err\n	}", ""},
	{"a turn not stored", "claim.go", "return tx.SetRecord(spaceTurn, line+job.Group, fromNumber(job.Stamp))", "return nil"},
	{"an early cancellation forgotten", "runner.go", "r.early[c.ID] = true", ""},
	{"doubtful claims forgotten", "loop.go", "r.doubtful = append(r.doubtful, c.jobs...)", ""},
	{"an event left out", "events.go", "return tx.SetRecord(spaceEvent, string(fromNumber(e.Seq)), data)", "if from == Retrying {\n		return nil\n	}\n	return tx.SetRecord(spaceEvent, string(fromNumber(e.Seq)), data)"},
	{"jobs left in line behind one that cannot run", "claim.go", " && len(c.jobs) < n { // all", " { // all"},
	{"a suspect of each queue at once", "loop.go", "		suspect = c.suspect\n", ""},
	{"a job on trial forgotten", "recover.go", "if job.Crashes >= solitary {", "if job.Crashes >= 1<<20 {"},
	{"a limit of groups ignored", "claim.go", "groups[job.Group] >= settings.GroupLimit:", "groups[job.Group] >= 1<<20:"},
	{"a rate ignored", "attempt.go", "q.limiter.AllowN(time.Now(), len(c.jobs))", "_ = time.Now"},
	{"an end that releases nobody", "depend.go", "		if s.job.Awaited {", "		if s.job.Awaited && s.job.Group != \"\" {"},
	{"released by the first of two", "depend.go", "	if d.Pending > 0 {", "	if d.Pending > 1 {"},
	{"the end of a child not counted", "brood.go", "	b.add(&c, n)\n", "	_, _ = c, n\n"},
	{"a parent that ends before its last child", "brood.go", "err != nil || b.Open || b.Pending() > 0 {", "err != nil || b.Open || b.Pending() > 1 {"},
	{"a time of a schedule made twice", "schedules.go", "Last: now.UTC(), Skipped", "Last: seen.Last, Skipped"},
	{"a schedule that nobody finds", "schedules.go", "	return tx.SetRecord(spaceDue, dueKey(s.Next, id), []byte{})", "	return nil"},
	{"a job that came during a claim forgotten", "attempt.go", "q.atMost(q.arrivals - c.arrivals)", "q.atMost(0)"},
	{"a new job that starts despite a limit of groups", "enqueue.go", " && q.GroupLimit == 0 && !q.held", ""},
	{"a new job that starts and was never queued", "enqueue.go", "	if err := r.entered(tx, job, \"\"); err != nil {\n		return err\n	}\n", ""},
	{"a start remembered that was rolled back", "enqueue.go", "			e.forget() // the next", "			_ = e.forget // the next"},
	{"a job read ahead that has changed since", "internal/kv/memo.go", "s.id, s.header, s.job = id, *h, nil", "s.id, s.header = id, *h"},
	{"a retried job keeps its end", "change.go", "job.FinishedAt, job.Result = time.Time{}, nil", "job.Result = nil"},
}

func main() {
	part := ""
	if len(os.Args) > 1 {
		part = os.Args[1]
	}
	if err := run(part); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(part string) error {
	dir, err := os.MkdirTemp("", "plant-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := copyModule(dir); err != nil {
		return err
	}
	fmt.Println("| planted | found by |\n| --- | --- |")
	var missed []error
	for _, b := range bugs {
		if !strings.Contains(b.name, part) {
			continue
		}
		found, err := b.try(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		if len(found) == 0 {
			missed = append(missed, fmt.Errorf("%s: nothing has found it", b.name))
		}
		fmt.Printf("| %s | %s |\n", b.name, strings.Join(found, ", "))
	}
	return errors.Join(missed...)
}

// copyModule copies the sources of the module in the working directory.
func copyModule(to string) error {
	return filepath.WalkDir(".", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "bench" || len(e.Name()) > 1 && strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		case !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".md") && !strings.HasPrefix(filepath.Base(path), "go.") && !strings.Contains(path, "testdata"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), data, 0o600)
	})
}

var failedTest = regexp.MustCompile(`(?m)^--- FAIL: (\w+)|^\t*.*/reliability_test\.(Test\w+)\(`)

// checks are the tests that look for a bug, in this order, each in a process of its own.
var checks = []struct{ pkg, test string }{
	{"./internal/reliability", "TestPowerCut"},
	{"./internal/reliability", "TestFault"},
	{"./internal/reliability", "TestKill"},
	{"./internal/reliability", "TestModel"},
	{"./internal/reliability", "TestLinearizable"},
	{"./internal/reliability", "TestNasty"},
	{".", "Test"},
}

// try plants the bug, runs the checks until one fails, and takes it out again. It returns the tests that
// failed.
func (b *bug) try(dir string) ([]string, error) {
	path := filepath.Join(dir, b.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(source), b.old); n != 1 {
		return nil, fmt.Errorf("%s has the place %d times", b.file, n)
	}
	text := strings.Replace(string(source), b.old, b.planted, 1)
	if strings.Contains(b.planted, "time.") && !strings.Contains(text, "\t\"time\"\n") {
		text = strings.Replace(text, "import (\n", "import (\n\t\"time\"\n", 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, err
	}
	defer func() { _ = os.WriteFile(path, source, 0o600) }()
	if out, err := command(dir, "build", "./...").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("it does not compile: %s", out)
	}
	found := make(map[string]bool)
	for _, c := range checks {
		out, err := command(dir, "test", "-count=1", "-timeout=90s", "-run", "^"+c.test, c.pkg).CombinedOutput()
		if err == nil {
			continue
		}
		if os.Getenv("PLANT_VERBOSE") != "" {
			fmt.Fprintf(os.Stderr, "%s\n", out)
		}
		named := false
		for _, m := range failedTest.FindAllStringSubmatch(string(out), -1) {
			if test := m[1] + m[2]; test != "TestMain" {
				found[test] = true
				named = true
			}
		}
		if !named { // the process died
			found[c.test+" in "+c.pkg] = true
		}
		break // one is enough
	}
	var names []string
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func command(dir string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Cancel = func() error { cancel(); return cmd.Process.Kill() }
	cmd.Dir = dir
	return cmd
}
