package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

// chatty is a value that logs when it is logged.
type chatty struct{ ctx context.Context } //nolint:containedctx // a value that does what it should not

func (c chatty) LogValue() slog.Value {
	jobs.Logger(c.ctx).Info("inner")
	return slog.StringValue("value")
}

func TestLogger_AValueMayLog(t *testing.T) {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "log"}, func(ctx context.Context, _ struct{}) (struct{}, error) {
		jobs.Logger(ctx).Info("outer", "v", chatty{ctx})
		return struct{}{}, nil
	})
	rec := jobstest.Run(t, &reg, task.Request(struct{}{}))
	var got []string
	for _, e := range rec.Log {
		got = append(got, e.Message)
	}
	if !slices.Contains(got, "outer") || !slices.Contains(got, "inner") {
		t.Errorf("the log has %q, want an inner and the outer record", got)
	}
}

func TestHandler_APanicIsAFailureWhateverItsValue(t *testing.T) {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "panic", MaxAttempts: 1}, func(context.Context, struct{}) (struct{}, error) {
		panic(jobs.Partial(errors.New("half")))
	})
	if job := jobstest.Run(t, &reg, task.Request(struct{}{})).Job; job.State != jobs.Failed || job.Errors[0].Kind != jobs.ErrorPanic {
		t.Errorf("%v with %v, want failed by a panic", job, job.Errors)
	}
}

func TestFairLine_TurnsOfGroupsThatComeAndGoDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reg jobs.Registry
		task := jobs.Register(&reg, jobs.Task{Name: "nothing"}, func(context.Context, struct{}) (struct{}, error) {
			return struct{}{}, nil
		})
		store := memory.New()
		r := jobstest.RunStore(t, store, &reg, nil)
		for i := range 500 {
			req := task.Request(struct{}{})
			req.Group = strconv.Itoa(i)
			jobstest.Enqueue(t, r, req)
			jobstest.Drain(t, r)
		}
		if n := records(t, store, "turn"); n > 10 {
			t.Errorf("%d turns of groups that have no jobs", n)
		}
	})
}

func TestRunner_Stack(t *testing.T) {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "wait"}, waitForTheEnd)
	r := jobstest.NewRunner(t, &reg, nil)
	job := jobstest.Enqueue(t, r, task.Request(struct{}{}))
	for job, err := range r.Watch(t.Context(), job.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if job.Progress != nil { // the handler is at work
			break
		}
	}
	if stack, err := r.Stack(job.ID); err != nil || !strings.Contains(stack, "waitForTheEnd") {
		t.Errorf("Stack = %q, %v, want that of the handler", stack, err)
	}
	if _, err := r.Cancel(t.Context(), job.ID, ""); err != nil {
		t.Fatal(err)
	}
	jobstest.Drain(t, r)
	if stack, err := r.Stack(job.ID); !errors.Is(err, jobs.ErrState) {
		t.Errorf("Stack of a job that has ended = %q, %v, want ErrState", stack, err)
	}
}

func waitForTheEnd(ctx context.Context, _ struct{}) (struct{}, error) {
	jobs.Progress(ctx).Add(1)
	<-ctx.Done()
	return struct{}{}, ctx.Err()
}

func TestRunner_PruneLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reg jobs.Registry
		tasks := jobstest.RegisterTasks(&reg)
		r := jobstest.NewRunner(t, &reg, nil)
		old := jobstest.Enqueue(t, r, tasks.Log.Request(jobstest.LogArgs{Message: "m"}))
		jobstest.Drain(t, r)
		time.Sleep(2 * time.Hour)
		young := jobstest.Enqueue(t, r, tasks.Log.Request(jobstest.LogArgs{Message: "m"}))
		jobstest.Drain(t, r)
		if err := r.PruneLogs(t.Context(), slog.LevelInfo, time.Hour); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[jobs.ID]int{old.ID: 2, young.ID: 4} {
			n := 0
			for e, err := range r.Log(t.Context(), id, jobs.LogQuery{}) {
				if err != nil {
					t.Fatal(err)
				}
				if n++; id == old.ID && e.Level < slog.LevelWarn {
					t.Errorf("a record of level %v was kept", e.Level)
				}
			}
			if n != want {
				t.Errorf("job %d has %d records, want %d", id, n, want)
			}
		}
	})
}
