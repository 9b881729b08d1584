package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

func TestRegistry_BadTasks(t *testing.T) {
	upgrade := func(int, json.RawMessage) (json.RawMessage, error) { return nil, nil }
	for name, task := range map[string]jobs.Task{
		"no name":                {},
		"a long name":            {Name: strings.Repeat("x", 101)},
		"a control character":    {Name: "a\nb"},
		"a name that is taken":   {Name: "taken"},
		"an alias that is taken": {Name: "x", Aliases: []string{"taken"}},
		"its own alias":          {Name: "x", Aliases: []string{"x"}},
		"the same alias twice":   {Name: "x", Aliases: []string{"y", "y"}},
		"an empty alias":         {Name: "x", Aliases: []string{""}},
		"a bad queue":            {Name: "x", Queue: "\x00"},
		"a high priority":        {Name: "x", Priority: 101},
		"many attempts":          {Name: "x", MaxAttempts: 10_001},
		"negative attempts":      {Name: "x", MaxAttempts: -1},
		"a negative timeout":     {Name: "x", Timeout: -1},
		"a negative version":     {Name: "x", Version: -1},
		"a version, no Upgrade":  {Name: "x", Version: 1},
		"two kinds of unique":    {Name: "x", Version: 1, Upgrade: upgrade, Unique: jobs.Unique{Key: "k", Args: true}},
	} {
		t.Run(name+" panics and registers nothing", func(t *testing.T) {
			reg := registry("taken", nothing)
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "jobs: task ") {
					t.Errorf("the panic says %s", text)
				}
				if n := len(reg.Tasks()); n != 1 {
					t.Errorf("%d tasks are registered", n)
				}
				if _, ok := reg.Task("y"); ok {
					t.Error("an alias is registered")
				}
			}()
			handle(reg, task, nothing)
		})
	}
}

func TestTask_Aliases(t *testing.T) {
	onBothNamed(t, "stored and new jobs of the old name run, and its successes count", func(e env) {
		t, store := e.t, e.store
		old := newRunner(t, store, registry("old", nothing), nil)
		stop := start(t, old)
		first := end(t, old, enqueue(t, old, jobs.Request{Task: "old", Args: json.RawMessage(`{}`)}).ID)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		stored := enqueue(t, old, jobs.Request{Task: "old", Args: json.RawMessage(`{}`)})

		var reg jobs.Registry
		ran := 0
		task := jobs.Register(&reg, jobs.Task{Name: "new", Aliases: []string{"old", "older"}}, func(_ context.Context, _ sinceArgs) (int, error) {
			ran++
			return ran, nil
		})
		r := newRunner(t, store, &reg, nil)
		job, err := task.Enqueue(t.Context(), r, sinceArgs{})
		if err != nil {
			t.Fatal(err)
		}
		if args, err := task.Args(job); err != nil || args.Last != first.ID {
			t.Errorf("the last success is %d, %v, want %d", args.Last, err, first.ID)
		}
		if err := r.Delete(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		start(t, r)
		wantState(t, end(t, r, stored.ID), jobs.Succeeded)
		again := enqueue(t, r, jobs.Request{Task: "older", Args: json.RawMessage(`{}`)})
		if again.Task != "new" || !strings.Contains(string(again.Args), fmt.Sprint(stored.ID)) {
			t.Errorf("got %v with %s", again, again.Args)
		}
		end(t, r, again.ID)
		if ran != 2 {
			t.Errorf("%d have run", ran)
		}
	})
}

type sinceArgs struct {
	Last jobs.ID `json:"last,omitempty"`
}

func (a *sinceArgs) SetDefaults(last *jobs.Job) {
	if last != nil && a.Last == 0 {
		a.Last = last.ID
	}
}

func TestDefaulter(t *testing.T) {
	onBothNamed(t, "it gets the job that succeeded last", func(e env) {
		t, store := e.t, e.store
		var reg jobs.Registry
		fail := false
		task := jobs.Register(&reg, jobs.Task{Name: "import", MaxAttempts: 1}, func(context.Context, sinceArgs) (struct{}, error) {
			if fail {
				return struct{}{}, errBroken
			}
			return struct{}{}, nil
		})
		r := run(t, store, &reg, nil)
		next := func(want jobs.ID) *jobs.Job {
			t.Helper()
			job, err := task.Enqueue(t.Context(), r, sinceArgs{})
			if err != nil {
				t.Fatal(err)
			}
			if args, _ := task.Args(job); args.Last != want {
				t.Errorf("the last success is %d, want %d", args.Last, want)
			}
			return end(t, r, job.ID)
		}
		next(0)
		next(1)
		third := next(2)
		fail = true
		next(3)
		if _, err := r.Retry(t.Context(), third.ID); err != nil {
			t.Fatal(err)
		}
		wantState(t, end(t, r, third.ID), jobs.Failed)
		next(2) // the third has succeeded once, but not last
		if err := r.Delete(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		next(1)
		if err := r.Delete(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		next(0)
		if all, err := r.Enqueue(t.Context(), task.Request(sinceArgs{Last: 77})); err != nil || !strings.Contains(string(all[0].Args), "77") {
			t.Errorf("what was given is gone: %v", err)
		}
	})
}

func TestTask_Upgrade(t *testing.T) {
	versions := func(version int, fail error) *jobs.Registry {
		var reg jobs.Registry
		reg.Handle(jobs.Task{Name: "task", Version: version, Upgrade: func(from int, args json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(fmt.Sprintf(`{"from":%d,"was":%s}`, from, args)), fail
		}}, func(_ context.Context, args json.RawMessage) (json.RawMessage, error) { return args, nil })
		return &reg
	}
	for _, c := range []struct {
		name      string
		made, now int
		fail      error
		want      jobs.State
		result    string
	}{
		{"old arguments go through each version", 1, 3, nil, jobs.Succeeded, `{"from":2,"was":{"from":1,"was":{}}}`},
		{"those of today stay", 3, 3, nil, jobs.Succeeded, `{}`},
		{"an error fails the job", 1, 3, errBroken, jobs.Failed, "upgrade from version 1: broken"},
		{"newer ones fail the job", 4, 3, nil, jobs.Failed, "version 4 is newer than this program's 3"},
	} {
		onBothNamed(t, c.name, func(e env) {
			t, store := e.t, e.store
			job := enqueue(t, newRunner(t, store, versions(c.made, nil), nil), jobs.Request{Task: "task", Args: json.RawMessage(`{}`)})
			r := run(t, store, versions(c.now, c.fail), nil)
			job = end(t, r, job.ID)
			wantState(t, job, c.want)
			if c.want == jobs.Succeeded && string(job.Result) != c.result || c.want == jobs.Failed && !strings.HasSuffix(job.Message, c.result) {
				t.Errorf("result %s, message %q", job.Result, job.Message)
			}
			if c.want == jobs.Failed && job.Errors[0].Kind != jobs.ErrorArgs {
				t.Errorf("kind is %s", job.Errors[0].Kind)
			}
		})
	}

	t.Run("arguments that do not fit the Go type fail the job", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			job := enqueue(t, newRunner(t, store, versions(0, nil), nil), jobs.Request{Task: "task", Args: json.RawMessage(`{"last":"x"}`)})
			var reg jobs.Registry
			jobs.Register(&reg, jobs.Task{Name: "task"}, func(context.Context, sinceArgs) (int, error) { return 0, nil })
			job = end(t, run(t, store, &reg, nil), job.ID)
			if job.State != jobs.Failed || job.Errors[0].Kind != jobs.ErrorArgs || job.Attempt != 1 {
				t.Errorf("got %v, %+v", job, job.Errors)
			}
		})
	})
}

func TestRunner_UnknownTask(t *testing.T) {
	onBothNamed(t, "a stored job of one fails with an error that names it, and others run", func(e env) {
		t, store := e.t, e.store
		old := newRunner(t, store, registry("gone", nothing), nil)
		var all []*jobs.Job
		for range 30 {
			all = append(all, enqueue(t, old, jobs.Request{Task: "gone"}))
		}
		r := newRunner(t, store, registry("here", nothing), &jobs.Options{Workers: 2})
		last := enqueue(t, r, jobs.Request{Task: "here"})
		start(t, r)
		synctest.Wait()
		wantState(t, get(t, r, last.ID), jobs.Succeeded)
		for _, job := range all {
			job = get(t, r, job.ID)
			if job.State != jobs.Failed || !strings.Contains(job.Message, `"gone"`) || !strings.Contains(job.Message, "here") || job.Attempt != 0 {
				t.Errorf("got %v: %s", job, job.Message)
			}
		}
	})
}

func TestTaskOf(t *testing.T) {
	t.Run("arguments and results keep their types", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			type pair struct {
				A int
				B time.Duration
			}
			task := jobs.Register(&reg, jobs.Task{Name: "swap"}, func(_ context.Context, p pair) (pair, error) {
				if p.A < 0 {
					return p, jobs.Fail(errBroken)
				}
				return pair{int(p.B), time.Duration(p.A)}, nil
			})
			r := run(t, store, &reg, nil)
			job, err := task.Enqueue(t.Context(), r, pair{1, 2})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := task.Wait(t.Context(), r, job.ID); err != nil || got != (pair{2, 1}) {
				t.Errorf("got %v, %v", got, err)
			}
			if job, err = task.Enqueue(t.Context(), r, pair{A: -1}); err != nil {
				t.Fatal(err)
			}
			_, err = task.Wait(t.Context(), r, job.ID)
			var ended *jobs.EndError
			if !errors.As(err, &ended) || ended.Job.State != jobs.Failed || !strings.Contains(err.Error(), "broken") {
				t.Errorf("got %v", err)
			}
		})
	})

	t.Run("arguments that cannot be encoded are refused by Enqueue", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			var reg jobs.Registry
			task := jobs.Register(&reg, jobs.Task{Name: "task"}, func(context.Context, map[string]any) (int, error) { return 0, nil })
			r := newRunner(t, store, &reg, nil)
			_, err := task.Enqueue(t.Context(), r, map[string]any{"f": func() {}})
			wantError(t, err, jobs.ErrInvalid)
		})
	})
}
