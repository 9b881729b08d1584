package jobs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedjobs/jobs"
)

func TestLogger(t *testing.T) {
	onBothNamed(t, "records are kept with all they have, in order", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			log := jobs.Logger(ctx)
			log.Debug("plain")
			log.With("a", 1).WithGroup("g").With("b", "x").Info("grouped", "c", true, slog.Group("h", "d", 2.5), "level", "mine", "msg", "")
			log.Log(ctx, slog.LevelError+4, strings.Repeat("ä", 5000), "big", strings.Repeat("x", 9000))
			log.Warn("failing attribute", "f", func() {})
			return errBroken
		}), nil)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 2}).ID)
		all := readLog(t, r, job.ID, jobs.LogQuery{})
		if len(all) != 8 || job.Logged != 8 || job.Warnings != 2 || job.LoggedErrors != 2 {
			t.Fatalf("%d records; the job says %d, %d warnings, %d errors", len(all), job.Logged, job.Warnings, job.LoggedErrors)
		}
		for i, e := range all {
			if e.Seq != i+1 || e.Attempt != 1+i/4 || !strings.HasPrefix(e.Source, "log_test.go:") {
				t.Errorf("record %d is %d of attempt %d from %s", i, e.Seq, e.Attempt, e.Source)
			}
		}
		if e := all[0]; e.Level != slog.LevelDebug || e.Message != "plain" || e.Attrs != nil {
			t.Errorf("got %+v", e)
		}
		if e := all[1]; string(e.Attrs) != `{"a":1,"g":{"b":"x","c":true,"h":{"d":2.5},"level":"mine","msg":""}}` {
			t.Errorf("attributes are %s", e.Attrs)
		}
		if e := all[2]; e.Level != slog.LevelError+4 || len(e.Message) > 8300 || !strings.HasSuffix(e.Message, "… (cut)") || len(e.Attrs) > 9000 || !json.Valid(e.Attrs) {
			t.Errorf("got %d and %d bytes", len(e.Message), len(e.Attrs))
		}
		if e := all[3]; !json.Valid(e.Attrs) {
			t.Errorf("attributes are %s", e.Attrs)
		}
	})

	t.Run("records go on to the host's handler, by its own level", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var buf bytes.Buffer
			host := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo}))
			r := run(t, store, registry("task", func(ctx context.Context) error {
				jobs.Logger(ctx).Debug("quiet")
				jobs.Logger(ctx).With("a", 1).Info("loud")
				return nil
			}), &jobs.Options{Logger: host, LogLevel: slog.LevelWarn})
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			if text := buf.String(); !strings.Contains(text, "msg=loud job=1 task=task a=1") || strings.Contains(text, "quiet") {
				t.Errorf("the host got %s", text)
			}
			if n := len(readLog(t, r, job.ID, jobs.LogQuery{})); n != 0 {
				t.Errorf("%d records are kept", n)
			}
		})
	})
}

func TestLogger_Bounds(t *testing.T) {
	onBothNamed(t, "a log at its limit says so, once, over all attempts", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			for range 7 {
				jobs.Logger(ctx).Warn("again")
			}
			return errBroken
		}), &jobs.Options{LogLimit: 10})
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 3}).ID)
		all := readLog(t, r, job.ID, jobs.LogQuery{})
		if len(all) != 11 || !strings.Contains(all[10].Message, "limit of 10 records") || job.Warnings != 21 {
			t.Errorf("%d records, %d warnings: %v", len(all), job.Warnings, all[len(all)-1])
		}
	})

	t.Run("a late record of a handler that has returned changes nothing", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var log *slog.Logger
			r := run(t, store, registry("task", func(ctx context.Context) error {
				log = jobs.Logger(ctx)
				return nil
			}), nil)
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
			log.Error("late")
			time.Sleep(time.Minute)
			if now := get(t, r, job.ID); now.Version != job.Version || len(readLog(t, r, job.ID, jobs.LogQuery{})) != 0 {
				t.Errorf("got %+v", now)
			}
		})
	})

	t.Run("a store that does not get on blocks a handler for less than a quarter of a second at a time, and the log says what is missing", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			s := &stuck{spy: spy{Store: store}}
			var took time.Duration
			r := run(t, s, registry("task", func(ctx context.Context) error {
				s.mu2.Lock()
				s.wait = make(chan struct{})
				s.mu2.Unlock()
				for range 600 { // more than is kept in memory
					began := time.Now()
					jobs.Logger(ctx).Info(strings.Repeat("x", 8000))
					took = max(took, time.Since(began))
				}
				return nil
			}), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			time.Sleep(time.Hour)
			s.mu2.Lock()
			close(s.wait)
			s.mu2.Unlock()
			job = end(t, r, job.ID)
			if took == 0 || took >= 250*time.Millisecond {
				t.Errorf("a record took %v", took)
			}
			all := readLog(t, r, job.ID, jobs.LogQuery{})
			last := all[len(all)-1]
			if len(all) < 500 || last.Level != slog.LevelWarn || last.Message != fmt.Sprintf("%d records are missing here: the handler logged faster than the store could write", 601-len(all)) {
				t.Errorf("%d records are there, the last is %.100s", len(all), last.Message)
			}
		})
	})
}

// A stuck store makes updates wait.
type stuck struct {
	spy
	mu2  sync.Mutex
	wait chan struct{}
}

func (s *stuck) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	s.mu2.Lock()
	wait := s.wait
	s.mu2.Unlock()
	if wait != nil {
		<-wait
	}
	return s.spy.Update(ctx, fn)
}

func TestRunner_Log(t *testing.T) {
	onBothNamed(t, "a query selects", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			for i, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				jobs.Logger(ctx).Log(ctx, level, fmt.Sprint(jobs.Current(ctx).Attempt, i))
				time.Sleep(time.Minute)
			}
			return jobs.RetryIn(time.Minute, errBroken)
		}), nil)
		began := time.Now()
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 2}).ID)
		for _, c := range []struct {
			q    jobs.LogQuery
			want string
		}{
			{jobs.LogQuery{}, "10 11 12 13 20 21 22 23"},
			{jobs.LogQuery{Level: slog.LevelWarn}, "12 13 22 23"},
			{jobs.LogQuery{After: 5}, "21 22 23"},
			{jobs.LogQuery{Attempt: 2, Limit: 2}, "20 21"},
			{jobs.LogQuery{From: began.Add(time.Minute), To: began.Add(3 * time.Minute)}, "11 12"},
			{jobs.LogQuery{After: 100}, ""},
			{jobs.LogQuery{Follow: true, Limit: 1}, "10"},
			{jobs.LogQuery{Follow: true}, "10 11 12 13 20 21 22 23"},
		} {
			var got []string
			for _, e := range readLog(t, r, job.ID, c.q) {
				got = append(got, strings.ReplaceAll(e.Message, " ", ""))
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("%+v: got %s, want %s", c.q, text, c.want)
			}
		}
		for _, err := range r.Log(t.Context(), 99, jobs.LogQuery{}) {
			wantError(t, err, jobs.ErrNotFound)
		}
	})
}

func TestRunner_Log_Follow(t *testing.T) {
	onBothNamed(t, "following shows each record once, within a quarter of a second, through all attempts", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			for range 30 {
				jobs.Logger(ctx).Info(time.Now().String())
				time.Sleep(37 * time.Millisecond)
			}
			return jobs.RetryIn(time.Hour, errBroken)
		}), nil)
		other := newRunner(t, store, registry("task", nothing), nil)
		job := enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 3})
		var wg sync.WaitGroup
		var logs [2][]jobs.LogEntry
		for i, reader := range []*jobs.Runner{r, other} {
			wg.Go(func() {
				for e, err := range reader.Log(t.Context(), job.ID, jobs.LogQuery{Follow: true}) {
					if err != nil {
						t.Error(err)
						return
					}
					if late := time.Since(e.Time); late > 250*time.Millisecond {
						t.Errorf("reader %d sees record %d after %v", i, e.Seq, late)
					}
					logs[i] = append(logs[i], e)
				}
			})
		}
		wg.Wait()
		want := readLog(t, r, job.ID, jobs.LogQuery{})
		if len(want) != 90 {
			t.Errorf("%d records", len(want))
		}
		for i := range logs {
			if diff := cmp.Diff(want, logs[i]); diff != "" {
				t.Errorf("reader %d (-want +got):\n%s", i, diff)
			}
		}
	})

	t.Run("following ends with the cause of its context", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := newRunner(t, store, registry("task", nothing), nil)
			job := enqueue(t, r, jobs.Request{Task: "task"})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Hour, func() { cancel(errBroken) })
			n := 0
			for _, err := range r.Log(ctx, job.ID, jobs.LogQuery{Follow: true}) {
				wantError(t, err, errBroken)
				n++
			}
			if n != 1 {
				t.Errorf("%d results", n)
			}
		})
	})
}

func TestRunner_Log_Delete(t *testing.T) {
	onBothNamed(t, "deleting the job removes its log and no other", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", func(ctx context.Context) error {
			jobs.Logger(ctx).Info("hello")
			time.Sleep(time.Second)
			jobs.Logger(ctx).Error("bye")
			return nil
		}), nil)
		a, b := enqueue(t, r, jobs.Request{Task: "task"}), enqueue(t, r, jobs.Request{Task: "task"})
		end(t, r, a.ID)
		end(t, r, b.ID)
		synctest.Wait()
		if err := r.Delete(t.Context(), a.ID); err != nil {
			t.Fatal(err)
		}
		if n := len(readLog(t, r, b.ID, jobs.LogQuery{})); n != 2 {
			t.Errorf("the other log has %d records", n)
		}
		if err := r.Delete(t.Context(), b.ID); err != nil {
			t.Fatal(err)
		}
		for _, space := range []string{"log", "logage"} {
			if n := records(t, store, space); n != 0 {
				t.Errorf("%d records of space %s are left", n, space)
			}
		}
	})
}

// records counts the records of a space.
func records(t *testing.T, store jobs.Store, space string) (n int) {
	t.Helper()
	if err := store.View(t.Context(), func(tx jobs.Tx) error {
		for _, err := range tx.Records(space, "", "") {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}
