package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// Options are the settings of a [Runner]. The zero Options, and nil, are the defaults.
type Options struct {
	// Queues are settings of queues. Those that SetQueue, Pause or Resume stored come first.
	Queues []Queue
	// Workers is the number of jobs that run at once in a queue without settings of its own;
	// 0 means 10.
	Workers int

	// Grace is how long Run, once its context is done, lets handlers finish before it cancels
	// them; 0 means 30 s, a negative duration not at all.
	Grace time.Duration
	// Abandon is how long a handler may go on after its context was cancelled. Then its stack is
	// logged; a Run that is stopping returns without it. 0 means 5 s.
	Abandon time.Duration

	// Logger gets what the runner has to say, and all records of the jobs' own loggers. Nil
	// means slog.Default().
	Logger *slog.Logger
	// LogLevel is the lowest level that is kept in the log of a job; nil means slog.LevelDebug.
	LogLevel slog.Leveler
	// LogLimit is the greatest number of records kept in the log of one job; 0 means 10,000. A
	// record of more than 8 KiB is cut.
	LogLimit int

	// MaxArgs and MaxResult are the greatest sizes in bytes of the arguments of a job, and of
	// its result or a checkpoint; 0 means 1 MiB.
	MaxArgs, MaxResult int

	// Keep says how long jobs are kept after they have ended in a state. A state that is not
	// there has its default, 30 days for Succeeded and Skipped, 90 for Failed and Cancelled; a
	// negative duration means for ever. The latest success of each task is never removed.
	Keep map[State]time.Duration
	// KeepLog says how long log records are kept, by level. A level that is not there has its
	// default: debug 15 days, info 30, warn 91, error 183; a negative duration means as long as
	// the job.
	KeepLog map[slog.Level]time.Duration
	// KeepEvents is how long events are kept for Events; 0 means that none are written.
	KeepEvents time.Duration

	// Secret returns the secret of that name, for arguments that refer to it, see [Secret]. It is
	// called in the goroutine of the handler, just before it.
	Secret func(ctx context.Context, name string) (string, error)

	// Middleware is called around each attempt, the first one outermost.
	Middleware []Middleware
	// OnEnd is called after a job has ended, however it did, for notifications: in a goroutine of
	// its own while Run is running, otherwise by the method that has ended it. It is not called
	// again if the process dies before or during the call; Events loses none.
	OnEnd func(ctx context.Context, job *Job)
}

// Middleware runs code around the attempts of jobs: it calls next, with ctx or one made from it,
// and returns its error or another.
type Middleware func(ctx context.Context, job *Job, next func(ctx context.Context) error) error

func (o *Options) fill() error {
	for _, d := range []struct {
		value *int
		name  string
		def   int
	}{
		{&o.Workers, "Workers", 10},
		{&o.LogLimit, "LogLimit", 10_000},
		{&o.MaxArgs, "MaxArgs", 1 << 20},
		{&o.MaxResult, "MaxResult", 1 << 20},
	} {
		if *d.value < 0 {
			return invalidf("Options."+d.name, "%d is negative", *d.value)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.Grace == 0 {
		o.Grace = 30 * time.Second
	}
	if o.Abandon == 0 {
		o.Abandon = 5 * time.Second
	}
	if err := errors.Join(checkDuration("Options.Abandon", o.Abandon), checkDuration("Options.KeepEvents", o.KeepEvents)); err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.LogLevel == nil {
		o.LogLevel = slog.LevelDebug
	}
	for state := range o.Keep {
		if !state.Final() {
			return invalidf("Options.Keep", "%q is no final state", state)
		}
	}
	for _, q := range o.Queues {
		if err := q.check(); err != nil {
			return err
		}
	}
	o.Queues = slices.Clone(o.Queues)
	return nil
}
