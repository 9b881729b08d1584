package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRunner_Retention(t *testing.T) {
	onBothNamed(t, "by default each state has its age, and the latest success stays", func(e env) {
		t, store := e.t, e.store
		r := standingRunner(t, store, nil)
		ids := make(map[jobs.State]jobs.ID)
		first := standing(t, r, jobs.Succeeded)
		for _, s := range []jobs.State{jobs.Scheduled, jobs.Queued, jobs.Succeeded, jobs.Failed, jobs.Cancelled, jobs.Skipped} {
			ids[s] = standing(t, r, s).ID
		}
		exists := func(id jobs.ID) bool {
			_, err := r.Get(t.Context(), id)
			return err == nil
		}
		check := func(age time.Duration, gone ...jobs.ID) {
			t.Helper()
			for _, id := range append([]jobs.ID{first.ID}, ids[jobs.Queued], ids[jobs.Succeeded], ids[jobs.Failed], ids[jobs.Cancelled], ids[jobs.Skipped]) {
				want := true
				for _, g := range gone {
					want = want && g != id
				}
				if got := exists(id); got != want {
					t.Errorf("after %v job %d exists: %t", age, id, got)
				}
			}
		}
		time.Sleep(30*day - time.Minute)
		check(30 * day)
		time.Sleep(2 * time.Hour)
		check(31*day, first.ID, ids[jobs.Skipped])
		time.Sleep(60*day - 3*time.Hour)
		check(90*day, first.ID, ids[jobs.Skipped])
		time.Sleep(4 * time.Hour)
		check(91*day, first.ID, ids[jobs.Skipped], ids[jobs.Failed], ids[jobs.Cancelled])
		time.Sleep(1000 * day)
		check(1091*day, first.ID, ids[jobs.Skipped], ids[jobs.Failed], ids[jobs.Cancelled])
	})

	onBothNamed(t, "Keep says otherwise, for ever too", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(context.Context) error { return jobs.Skip("no") }), &jobs.Options{
			Keep: map[jobs.State]time.Duration{jobs.Skipped: time.Minute, jobs.Cancelled: -1},
		})
		fill(t, r, 600, jobs.Request{Task: "task"})
		cancelled := enqueue(t, r, jobs.Request{Task: "task", RunAt: time.Now().Add(day)})
		if _, err := r.Cancel(t.Context(), cancelled.ID, ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Skipped}}); n != 0 {
			t.Errorf("%d skipped jobs are left", n)
		}
		time.Sleep(5000 * day)
		wantState(t, get(t, r, cancelled.ID), jobs.Cancelled)
	})

	onBothNamed(t, "a job whose Cleanup fails stays, and others go", func(e env) {
		t, store := e.t, e.store
		var reg jobs.Registry
		fail := true
		handle(&reg, jobs.Task{Name: "task", Cleanup: func(_ context.Context, job *jobs.Job) error {
			if fail && job.ID == 1 {
				return errBroken
			}
			return nil
		}}, func(context.Context) error { return jobs.Skip("no") })
		r := run(t, store, &reg, nil)
		for range 3 {
			end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		}
		time.Sleep(31 * day)
		if n := count(t, r, jobs.Query{}); n != 1 {
			t.Errorf("%d jobs are left", n)
		}
		fail = false
		if n, err := r.Prune(t.Context()); n != 1 || err != nil {
			t.Errorf("Prune: %d, %v", n, err)
		}
	})
}

func TestRunner_Retention_Log(t *testing.T) {
	onBothNamed(t, "log records go by level and age", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelDebug + 1, slog.LevelInfo, slog.LevelWarn, slog.LevelError, slog.LevelError + 4} {
				jobs.Logger(ctx).Log(ctx, level, level.String())
			}
			return nil
		}), nil)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		age := time.Duration(0)
		for _, c := range []struct {
			age  time.Duration
			want int
		}{{15 * day, 6}, {17 * day, 4}, {30 * day, 4}, {32 * day, 3}, {90 * day, 3}, {93 * day, 2}, {182 * day, 2}, {185 * day, 0}} {
			time.Sleep(c.age - age)
			age = c.age
			if n := len(readLog(t, r, job.ID, jobs.LogQuery{})); n != c.want {
				t.Errorf("after %v there are %d records, want %d", age, n, c.want)
			}
		}
		for _, space := range []string{"log", "logage"} {
			if n := records(t, store, space); n != 0 {
				t.Errorf("%d records of space %s are left", n, space)
			}
		}
	})

	onBothNamed(t, "PruneLogs removes up to a level now", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			for i := range 600 {
				jobs.Logger(ctx).Log(ctx, []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn}[i%3], fmt.Sprint(i))
				time.Sleep(time.Second)
			}
			return nil
		}), nil)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		if err := r.PruneLogs(t.Context(), slog.LevelInfo, 300*time.Second); err != nil {
			t.Fatal(err)
		}
		last := 0
		n := map[slog.Level]int{}
		for _, e := range readLog(t, r, job.ID, jobs.LogQuery{}) {
			if e.Seq <= last {
				t.Fatalf("record %d after %d", e.Seq, last)
			}
			last = e.Seq
			n[e.Level]++
		}
		if n[slog.LevelWarn] != 200 || n[slog.LevelDebug] < 99 || n[slog.LevelDebug] > 101 || n[slog.LevelInfo] < 99 || n[slog.LevelInfo] > 101 {
			t.Errorf("left are %v", n)
		}
	})
}

func TestRunner_Retention_Stop(t *testing.T) {
	onMemoryNamed(t, "Run stops while much is removed", func(e env) {
		t, store := e.t, e.store
		var reg jobs.Registry
		handle(&reg, jobs.Task{Name: "task", Cleanup: func(ctx context.Context, _ *jobs.Job) error {
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
			}
			return ctx.Err()
		}}, func(context.Context) error { return jobs.Skip("no") })
		r := newRunner(t, store, &reg, nil)
		stop := start(t, r)
		fill(t, r, 100, jobs.Request{Task: "task"})
		time.Sleep(30*day + 2*time.Hour)
		began := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Run took %v to stop", took)
		}
	})
}

// onMemoryNamed is a single subtest on the memory store.
func onMemoryNamed(t *testing.T, name string, test func(env)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { onMemory(t, test) })
}
