package jobstest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

// Tasks are ready-made tasks for trying out what shows or stores jobs. [RegisterTasks] registers
// them.
type Tasks struct {
	// Progress makes steps in several branches of its progress tree, in random order.
	Progress *jobs.TaskOf[ProgressArgs, int]
	// FailOnce fails its first attempt; the second one succeeds.
	FailOnce *jobs.TaskOf[struct{}, string]
	// Echo returns its arguments.
	Echo *jobs.TaskOf[map[string]any, json.RawMessage]
	// Log logs a record at each level.
	Log *jobs.TaskOf[LogArgs, struct{}]
	// Skip skips.
	Skip *jobs.TaskOf[SkipArgs, struct{}]
	// Fail fails for good.
	Fail *jobs.TaskOf[FailArgs, struct{}]
	// Panic panics.
	Panic *jobs.TaskOf[struct{}, struct{}]
	// Sleep waits, unless it is cancelled.
	Sleep *jobs.TaskOf[SleepArgs, struct{}]
}

// ProgressArgs are the arguments of Tasks.Progress.
type ProgressArgs struct {
	// Branches holds the number of steps of each branch, by a path such as "download/a.zip".
	Branches map[string]int `json:"branches" jsonschema:"description=Number of steps by branch"`
	// Pause is waited after each step.
	Pause time.Duration `json:"pause,omitempty"`
}

// LogArgs are the arguments of Tasks.Log.
type LogArgs struct {
	Message string `json:"message,omitempty" jsonschema:"default=hello"`
}

// SkipArgs are the arguments of Tasks.Skip.
type SkipArgs struct {
	Reason string `json:"reason,omitempty" jsonschema:"default=nothing to do"`
}

// FailArgs are the arguments of Tasks.Fail.
type FailArgs struct {
	Message string `json:"message,omitempty" jsonschema:"default=failed as asked"`
}

// SleepArgs are the arguments of Tasks.Sleep.
type SleepArgs struct {
	For time.Duration `json:"for"`
}

// RegisterTasks registers the tasks under the names "test.progress", "test.fail_once", "test.echo",
// "test.log", "test.skip", "test.fail", "test.panic" and "test.sleep".
func RegisterTasks(reg *jobs.Registry) *Tasks {
	task := func(name, title string) jobs.Task { return jobs.Task{Name: "test." + name, Title: title} }
	return &Tasks{
		Progress: jobs.Register(reg, task("progress", "Make progress"), makeProgress),
		FailOnce: jobs.Register(reg, task("fail_once", "Fail once"), func(ctx context.Context, _ struct{}) (string, error) {
			if jobs.Current(ctx).Attempt == 1 {
				return "", errors.New("the first attempt fails")
			}
			return "the second attempt succeeds", nil
		}),
		Echo: jobs.Register(reg, task("echo", "Return the arguments"), func(ctx context.Context, _ map[string]any) (json.RawMessage, error) {
			return jobs.Current(ctx).Args, nil
		}),
		Log: jobs.Register(reg, task("log", "Log at each level"), func(ctx context.Context, args LogArgs) (struct{}, error) {
			for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
				jobs.Logger(ctx).Log(ctx, level, args.Message, "level", level.String())
			}
			return struct{}{}, nil
		}),
		Skip: jobs.Register(reg, task("skip", "Skip"), func(_ context.Context, args SkipArgs) (struct{}, error) {
			return struct{}{}, jobs.Skip(args.Reason)
		}),
		Fail: jobs.Register(reg, task("fail", "Fail"), func(_ context.Context, args FailArgs) (struct{}, error) {
			return struct{}{}, jobs.Fail(errors.New(args.Message))
		}),
		Panic: jobs.Register(reg, task("panic", "Panic"), func(context.Context, struct{}) (struct{}, error) {
			panic("as asked")
		}),
		Sleep: jobs.Register(reg, task("sleep", "Sleep"), func(ctx context.Context, args SleepArgs) (struct{}, error) {
			return struct{}{}, pause(ctx, args.For)
		}),
	}
}

func makeProgress(ctx context.Context, args ProgressArgs) (int, error) {
	var steps []*jobs.Tracker
	for path, n := range args.Branches {
		node := jobs.Progress(ctx)
		for name := range strings.SplitSeq(path, "/") {
			node = node.Child(name)
		}
		node.SetTotal(int64(n))
		for range n {
			steps = append(steps, node)
		}
	}
	rand.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, node := range steps {
		node.Add(1)
		if err := pause(ctx, args.Pause); err != nil {
			return 0, err
		}
	}
	return len(steps), nil
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
