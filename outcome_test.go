package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

var errBroken = errors.New("broken")

// An outcomeWant is what becomes of a job when its handler is first done.
type outcomeWant struct {
	state   jobs.State // when the handler is first done
	kind    jobs.ErrorKind
	message string
	attempt int
	in      time.Duration // until the next attempt
	result  string
}

var outcomes = []struct {
	name    string
	handler func(context.Context) (any, error)
	want    outcomeWant
}{
	{
		"nil ends the job as succeeded with its result", func(context.Context) (any, error) { return 7, nil },
		outcomeWant{state: jobs.Succeeded, attempt: 1, result: "7"},
	},
	{
		"an error has it tried again", func(context.Context) (any, error) { return 7, errBroken },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorReturned, message: "broken", attempt: 1, in: time.Second},
	},
	{
		"Fail fails it at once", func(context.Context) (any, error) { return 7, jobs.Fail(errBroken) },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorReturned, message: "broken", attempt: 1},
	},
	{
		"a wrapped Fail fails it and says all", func(context.Context) (any, error) { return 7, fmt.Errorf("step 2: %w", jobs.Fail(errBroken)) },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorReturned, message: "step 2: broken", attempt: 1},
	},
	{
		"RetryIn sets the time of the next attempt", func(context.Context) (any, error) { return 7, jobs.RetryIn(time.Hour, errBroken) },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorReturned, message: "broken", attempt: 1, in: time.Hour},
	},
	{
		"an absurd RetryIn waits for a hundred years", func(context.Context) (any, error) { return 7, jobs.RetryIn(math.MaxInt64, errBroken) },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorReturned, message: "broken", attempt: 1, in: 100 * 365 * day},
	},
	{
		"Snooze counts no attempt", func(context.Context) (any, error) { return 7, jobs.Snooze(time.Minute, "not ready") },
		outcomeWant{state: jobs.Scheduled, message: "not ready", in: time.Minute},
	},
	{
		"Skip ends the job as skipped", func(context.Context) (any, error) { return 7, jobs.Skip("nothing new") },
		outcomeWant{state: jobs.Skipped, message: "nothing new", attempt: 1},
	},
	{
		"Partial ends the job as succeeded and keeps the result", func(context.Context) (any, error) { return 7, jobs.Partial(errBroken) },
		outcomeWant{state: jobs.Succeeded, message: "broken", attempt: 1, result: "7"},
	},
	{
		"a nil error inside an outcome is an unknown error", func(context.Context) (any, error) { return 7, jobs.Fail(nil) },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorReturned, message: "unknown error", attempt: 1},
	},
	{
		"a panic is an error", func(context.Context) (any, error) { panic("oh no") },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorPanic, message: "panic: oh no", attempt: 1, in: time.Second},
	},
	{
		"a panic with an error is one too", func(context.Context) (any, error) { panic(errBroken) },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorPanic, message: "panic: broken", attempt: 1, in: time.Second},
	},
	{
		"runtime.Goexit is an error", func(context.Context) (any, error) { runtime.Goexit(); return 7, nil },
		outcomeWant{state: jobs.Retrying, kind: jobs.ErrorPanic, message: "panic: the handler called runtime.Goexit", attempt: 1, in: time.Second},
	},
	{
		"a result that cannot be encoded fails the job", func(context.Context) (any, error) { return func() {}, nil },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorResult, message: "the result cannot be stored: json: unsupported type: func()", attempt: 1},
	},
	{
		"a result beside Partial that cannot be encoded fails the job", func(context.Context) (any, error) { return func() {}, jobs.Partial(errBroken) },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorResult, message: "the result cannot be stored: json: unsupported type: func()", attempt: 1},
	},
	{
		"a result that is too large fails the job", func(context.Context) (any, error) { return strings.Repeat("x", 1001), nil },
		outcomeWant{state: jobs.Failed, kind: jobs.ErrorResult, message: "the result cannot be stored: it has 1003 bytes, at most 1000 are allowed (Options.MaxResult)", attempt: 1},
	},
}

func TestRunner_Outcomes(t *testing.T) {
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			onBoth(t, func(e env) {
				t, store := e.t, e.store
				var reg jobs.Registry
				task := jobs.Register(&reg, jobs.Task{Name: "task"}, func(ctx context.Context, _ struct{}) (any, error) { return c.handler(ctx) })
				r := run(t, store, &reg, &jobs.Options{MaxResult: 1000})
				began := time.Now()
				job, err := task.Enqueue(t.Context(), r, struct{}{})
				if err != nil {
					t.Fatal(err)
				}
				job = reach(t, r, job.ID, c.want.state)
				got := outcomeWant{state: job.State, message: job.Message, attempt: job.Attempt, result: string(job.Result)}
				if len(job.Errors) > 0 {
					got.kind = job.Errors[0].Kind
					if e := job.Errors[0]; e.Message != job.Message || e.Attempt != 1 || !e.Time.Equal(began) {
						t.Errorf("the history says %+v", e)
					}
				}
				if !job.State.Final() {
					got.in = job.RunAt.Sub(began)
					if c.want.in == time.Second { // with jitter
						got.in = got.in.Round(time.Second / 2)
					}
				} else if !job.FinishedAt.Equal(began) {
					t.Errorf("finished at %v, want %v", job.FinishedAt, began)
				}
				if got != c.want {
					t.Errorf("got %+v, want %+v", got, c.want)
				}
				if partial := strings.Contains(c.name, "keeps the result"); job.Partial != partial {
					t.Errorf("Partial is %t, want %t", job.Partial, partial)
				}
			})
		})
	}
}

func TestRunner_Panic(t *testing.T) {
	t.Run("the stack begins where the handler panicked", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(context.Context) error { panicHere(); return nil }), nil)
			job := reach(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID, jobs.Retrying)
			stack := job.Errors[0].Stack
			if first, _, _ := strings.Cut(stack, "\n"); !strings.Contains(first, "panicHere") {
				t.Errorf("the stack begins with %q:\n%s", first, stack)
			}
		})
	})

	t.Run("the worker survives any number of panics and Goexits", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			n := 0
			r := run(t, store, registry("task", func(context.Context) error {
				n++
				switch n % 3 {
				case 0:
					panic(n)
				case 1:
					runtime.Goexit()
				}
				return nil
			}), &jobs.Options{Workers: 1})
			for range 30 {
				enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1})
			}
			last := enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1})
			end(t, r, last.ID)
			if got := count(t, r, jobs.Query{States: []jobs.State{jobs.Failed}}); got != 21 {
				t.Errorf("%d jobs failed, want 21", got)
			}
		})
	})
}

func panicHere() { panic("here") }

func TestRegistry_Handle_Results(t *testing.T) {
	for _, c := range []struct {
		name, result string
		want         jobs.State
	}{
		{"valid JSON is kept", `{"a":1}`, jobs.Succeeded},
		{"no result is fine", "", jobs.Succeeded},
		{"what is not JSON fails the job", `{"a":`, jobs.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			onMemory(t, func(e env) {
				t, store := e.t, e.store
				var reg jobs.Registry
				reg.Handle(jobs.Task{Name: "raw"}, func(context.Context, json.RawMessage) (json.RawMessage, error) {
					return json.RawMessage(c.result), nil
				})
				r := run(t, store, &reg, nil)
				job := end(t, r, enqueue(t, r, jobs.Request{Task: "raw"}).ID)
				wantState(t, job, c.want)
				if c.want == jobs.Succeeded && string(job.Result) != c.result {
					t.Errorf("result is %s", job.Result)
				}
				if c.want == jobs.Failed && job.Errors[0].Kind != jobs.ErrorResult {
					t.Errorf("kind is %s", job.Errors[0].Kind)
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	for attempt, base := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second,
		12: 2048 * time.Second, 13: time.Hour, 20: time.Hour, math.MaxInt: time.Hour,
	} {
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 1000 {
			d := jobs.Backoff(attempt)
			least, most = min(least, d), max(most, d)
		}
		if least < base*9/10 || most > base*11/10 || most-least < base/10 {
			t.Errorf("attempt %d waits between %v and %v, want %v ± 10 %%", attempt, least, most, base)
		}
	}
}

func TestTask_Retry(t *testing.T) {
	policy := func(t *testing.T, retry func(*jobs.Job, error) time.Duration, max int, err error) (*jobs.Job, time.Duration) {
		t.Helper()
		var reg jobs.Registry
		handle(&reg, jobs.Task{Name: "task", Retry: retry, MaxAttempts: max}, func(context.Context) error { return err })
		store := memory.New()
		r := run(t, store, &reg, nil)
		began := time.Now()
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		return job, job.FinishedAt.Sub(began)
	}

	t.Run("its duration counts", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			job, took := policy(t, func(job *jobs.Job, err error) time.Duration {
				if !errors.Is(err, errBroken) {
					t.Errorf("the policy got %v", err)
				}
				return time.Duration(job.Attempt) * time.Hour
			}, 4, errBroken)
			if job.Attempt != 4 || took != 6*time.Hour {
				t.Errorf("%d attempts took %v", job.Attempt, took)
			}
		})
	})

	t.Run("a negative one fails the job", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			job, _ := policy(t, func(*jobs.Job, error) time.Duration { return -1 }, 4, errBroken)
			if job.Attempt != 1 || job.State != jobs.Failed {
				t.Errorf("got %v after %d attempts", job, job.Attempt)
			}
		})
	})

	t.Run("one that panics is replaced by Backoff", func(t *testing.T) {
		bubble(t, func(e env) {
			t := e.t
			job, took := policy(t, func(*jobs.Job, error) time.Duration { panic("bad policy") }, 2, errBroken)
			if job.Attempt != 2 || took < 900*time.Millisecond || took > 1100*time.Millisecond {
				t.Errorf("%d attempts took %v", job.Attempt, took)
			}
		})
	})

	t.Run("it is asked only when there is a next attempt to time", func(t *testing.T) {
		for _, err := range []error{errBroken, jobs.Fail(errBroken), jobs.Skip("no"), jobs.Partial(errBroken)} {
			bubble(t, func(e env) {
				t := e.t
				var asked atomic.Int64
				policy(t, func(*jobs.Job, error) time.Duration { asked.Add(1); return 0 }, 1, err)
				if n := asked.Load(); n != 0 {
					t.Errorf("%v: the policy was asked %d times", err, n)
				}
			})
		}
	})
}

func TestJob_Errors(t *testing.T) {
	t.Run("of more than 32 the first and the latest stay", func(t *testing.T) {
		onBoth(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(ctx context.Context) error {
				return fmt.Errorf("attempt %d", jobs.Current(ctx).Attempt)
			}), nil)
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 40}).ID)
			wantState(t, job, jobs.Failed)
			if len(job.Errors) != 32 {
				t.Fatalf("%d errors are kept", len(job.Errors))
			}
			for i, e := range job.Errors {
				want := i + 9
				if i == 0 {
					want = 1
				}
				if e.Attempt != want || e.Message != fmt.Sprintf("attempt %d", want) {
					t.Errorf("error %d is of attempt %d (%s), want %d", i, e.Attempt, e.Message, want)
				}
			}
		})
	})

	t.Run("a long message is cut", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", func(context.Context) error { return errors.New(strings.Repeat("ä", 10_000)) }), nil)
			job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", MaxAttempts: 1}).ID)
			if n := len(job.Message); n != 8<<10 {
				t.Errorf("the message has %d bytes", n)
			}
		})
	})
}
