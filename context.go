package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
)

type actorKey struct{}

// WithActor returns a context whose requests, cancellations and retries are caused by actor: a
// user, a program, such as "user:ada".
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// actor returns who acts: that of WithActor, or the running job.
func actor(ctx context.Context) string {
	if name, ok := ctx.Value(actorKey{}).(string); ok {
		return name
	}
	if a := current(ctx); a != nil {
		return "job:" + a.id.String()
	}
	return ""
}

// Current returns the job that a handler executes, as it was when it was stored last. Outside a
// job it returns an empty one.
func Current(ctx context.Context) *Job {
	a := current(ctx)
	if a == nil {
		return &Job{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.job.Clone()
}

// Logger returns the running job's logger. Its records are kept in the job's log, see
// [Runner.Log], and go on to Options.Logger with the job's ID and task. Records of slog.LevelWarn
// and slog.LevelError are counted on the job. Outside a job it returns slog.Default().
//
// A handler that logs faster than the store can write is made to wait, for at most 250 ms at a
// time; after that its records are dropped, and the log says so.
func Logger(ctx context.Context) *slog.Logger {
	if a := current(ctx); a != nil {
		return a.journal().Logger()
	}
	return slog.Default()
}

// Count adds n to a counter of the running job, such as "inserted" or "skipped". Counters are
// stored with the progress. A retry counts anew, but goes on from the stored ones if the job has a
// checkpoint or has snoozed, and so does [TaskOf.Join]. Outside a job Count does nothing.
func Count(ctx context.Context, name string, n int64) {
	a := current(ctx)
	if a == nil {
		return
	}
	a.mu.Lock()
	if a.counters == nil {
		a.counters = make(map[string]int64)
	}
	if _, known := a.counters[name]; known || len(a.counters) < maxCounters {
		a.counters[shorten(name, 200)] += n
	}
	a.mu.Unlock()
	a.tell(false)
}

const maxCounters = 100 // of one job; further names are not counted

// Checkpoint stores v, encoded as JSON, with the running job; a later attempt gets it by Restore.
// When it returns nil, the checkpoint is durable. It works after ctx was cancelled, so that a
// handler that is stopped can keep what it has. It returns [ErrStale] if the attempt no longer holds
// the job. Outside a job it does nothing.
func Checkpoint(ctx context.Context, v any) error {
	a := current(ctx)
	if a == nil {
		return nil
	}
	data, err := a.encode("checkpoint", v)
	if err != nil {
		return err
	}
	a.mu.Lock()
	counters := cloneMap(a.counters)
	a.mu.Unlock()
	var saved *Job
	err = a.runner.update(context.WithoutCancel(ctx), func(tx Tx) error {
		return a.change(tx, func(job *Job) error {
			job.Checkpoint, job.CheckpointVersion, job.Counters = data, a.task.Version, counters
			saved = job
			return tx.Save(job)
		})
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if saved.Version > a.job.Version {
		a.job = saved
	}
	return nil
}

// Restore decodes the latest checkpoint of the running job into v and reports whether there is one.
// Outside a job there is none.
func Restore(ctx context.Context, v any) (bool, error) {
	a := current(ctx)
	if a == nil {
		return false, nil
	}
	a.mu.Lock()
	job := a.job
	a.mu.Unlock()
	data, t := job.Checkpoint, a.task
	if data == nil || job.CheckpointVersion != t.Version && t.UpgradeCheckpoint == nil {
		return false, nil
	}
	data, err := t.upgrade(t.UpgradeCheckpoint, job.CheckpointVersion, data)
	if err != nil {
		return false, fmt.Errorf("jobs: checkpoint of job %d: %w", a.id, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return false, fmt.Errorf("jobs: checkpoint of job %d: %w", a.id, err)
	}
	return true, nil
}

// Defer has jobs enqueued together with the success of the running job, or not at all: in the same
// transaction, and only if it succeeds. In a job that spawns children this is when its handler has
// succeeded, before they have ended. Bad requests are refused at once. Outside a job the
// requests are dropped.
func Defer(ctx context.Context, reqs ...Request) error {
	a := current(ctx)
	if a == nil {
		return nil
	}
	all, err := a.runner.prepare(ctx, nil, reqs, nil)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deferred = append(slices.Clip(a.deferred), all)
	return nil
}

// TempDir returns a directory for the running attempt, the same one at each call. It is removed
// when the handler has returned. Outside a job each call makes a directory, which stays.
func TempDir(ctx context.Context) (string, error) {
	a := current(ctx)
	if a == nil {
		return os.MkdirTemp("", "job-")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tempDir == "" {
		dir, err := os.MkdirTemp("", "job-"+a.id.String()+"-")
		if err != nil {
			return "", err
		}
		a.tempDir = dir
	}
	return a.tempDir, nil
}

// encode encodes a result or a checkpoint, if it is not too large.
func (a *attempt) encode(what string, v any) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("jobs: %s of job %d: %w", what, a.id, err)
	}
	if limit := a.runner.opts.MaxResult; len(data) > limit {
		return nil, invalidf(what, "%d bytes, at most %d are allowed (Options.MaxResult)", len(data), limit)
	}
	return data, nil
}
