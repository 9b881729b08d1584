package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

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
