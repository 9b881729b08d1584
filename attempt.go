package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/embedjobs/jobs/internal/joblog"
	"github.com/embedjobs/jobs/internal/stacks"
	"github.com/embedjobs/jobs/progress"
)

// An attempt is one execution of a job, from its claim until its end is stored.
type attempt struct {
	// Fixed at creation.
	id        ID
	runner    *Runner
	task      *task
	queue     *queue
	claimed   *Job // as it was claimed
	claimedAt time.Time
	settled   chan struct{} // closed when the end is stored; nil unless the task is Sync

	// Guarded by Runner.mu.
	dirty bool // it is in Runner.dirty
	gone  bool // it is settled

	mu        sync.Mutex              // Runner.mu is locked before it, if both are
	cancel    context.CancelCauseFunc // nil until the handler starts
	cause     error                   // why it was cancelled
	stuck     *time.Timer             // runs from the cancellation to the end
	late      string                  // the stack of a handler that ignored its cancellation for long
	ended     bool                    // the handler has returned
	job       *Job                    // as stored last by this attempt; replaced, never changed
	tracker   *Tracker                // nil until it is used, because many jobs do not; so is log
	log       *joblog.Log
	report    *Report // the latest one taken from tracker
	goroutine string
	deferred  [][]prepared
	spawned   [][]prepared
	own       json.RawMessage // what its handler returned, for Join
	secrets   []string        // that the handler was given
	counters  map[string]int64
	tempDir   string
	completed bool // by Complete, in a transaction that may or may not commit

	// How it ended; set by the worker before it hands the attempt over.
	took    time.Duration
	result  json.RawMessage
	err     error
	text    string // of err
	retryIn time.Duration
	stopped error // the cause, if it was cancelled before it ended

	last update // what it had to tell at the end

	tried bool   // its end was written, by a transaction that may have committed
	where string // the stack of a handler that does not return, when Run gave up on it
	saved *Job   // set by transactions of the loop, for when they have committed
}

// An update is what an attempt has to tell: a snapshot, so that a transaction may run again.
type update struct {
	attempt          *attempt
	progress         *Report // nil if it has not changed
	counters         map[string]int64
	log              joblog.Chunk
	warnings, errors int
}

type attemptKey struct{}

func current(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// attempts makes attempts of the jobs that a claim took.
func (r *Runner) attempts(c *claim) []*attempt {
	all := slices.Grow(c.attempts[:0], len(c.jobs))
	now := time.Now()
	for _, job := range c.jobs {
		a := &attempt{
			id: job.ID, runner: r, task: r.registry.lookup(job.Task), queue: c.queue, job: job, claimed: job,
			claimedAt: now,
		}
		if a.task.Sync {
			a.settled = make(chan struct{})
		}
		if job.Checkpoint != nil || job.Snoozes > 0 || job.Joining {
			a.counters = cloneMap(job.Counters)
		}
		all = append(all, a)
	}
	return all
}

// launch starts the handlers of claimed jobs, as far as there are workers. It must be called with
// mu held.
func (r *Runner) launch(c *claim) {
	q := c.queue
	q.reserved -= c.n
	switch {
	case c.more:
		q.look()
	case c.emptied:
		q.atMost(q.arrivals - c.arrivals)
	}
	if q.limiter != nil {
		q.limiter.AllowN(time.Now(), len(c.jobs))
	}
	for _, a := range c.attempts {
		r.takeOn(a)
		if a.claimed.Crashes >= suspects {
			r.suspect = a.id
		}
	}
	q.ahead = append(q.ahead, c.attempts...)
	r.dispatch(q)
	if q.ready && q.room() > 0 || len(q.ahead) > 0 {
		r.poke()
	}
}

// takeOn takes note of an attempt whose claim has committed. It must be called with mu held.
func (r *Runner) takeOn(a *attempt) {
	r.running[a.id] = a
	if r.early[a.id] {
		delete(r.early, a.id)
		a.interrupt(ErrCancelled)
	}
}

// dispatch gives attempts to workers that are free. While jobs are claimed ahead, a worker is called
// only when the one that was called before has come: where handlers are quick, the first few workers
// do everything, and the others need not be woken for a job each. It must be called with mu held.
func (r *Runner) dispatch(q *queue) {
	for r.active && len(q.ahead) > 0 && q.busy < q.Workers && (!q.calling || !q.isBrisk()) {
		q.calling = true
		r.hire(q) <- q.take()
	}
}

// take returns the next attempt of those that wait for a worker.
func (q *queue) take() *attempt {
	a := q.ahead[0]
	q.ahead[0] = nil
	q.ahead = q.ahead[1:]
	return a
}

// progress returns the attempt's progress tree.
func (a *attempt) progress() *Tracker {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tracker == nil {
		a.tracker = progress.New(cmp.Or(a.claimed.Title, a.task.Title))
		a.tracker.OnChange(func() { a.tell(false) })
	}
	return a.tracker
}

// journal returns the attempt's log.
func (a *attempt) journal() *joblog.Log {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log == nil {
		config := joblog.Config{
			Attempt: a.claimed.Attempt, Seq: a.claimed.Logged, Warnings: a.claimed.Warnings, Errors: a.claimed.LoggedErrors,
			Limit: a.runner.opts.LogLimit, Level: a.runner.opts.LogLevel, Tell: a.tell,
			Host: a.runner.opts.Logger.Handler().WithAttrs([]slog.Attr{
				slog.Uint64("job", uint64(a.id)), slog.String("task", a.task.Name),
			}),
		}
		if len(a.secrets) > 0 {
			config.Mask = a.hide
		}
		a.log = joblog.New(config)
	}
	return a.log
}

// used returns the progress tree and the log, if they have been used.
func (a *attempt) used() (*Tracker, *joblog.Log) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tracker, a.log
}

// hire returns the mailbox of a worker that waits, or of a new one. It must be called with mu held.
func (r *Runner) hire(q *queue) chan<- *attempt {
	q.busy++
	if n := len(q.idle); n > 0 {
		mailbox := q.idle[n-1]
		q.idle = q.idle[:n-1]
		return mailbox
	}
	mailbox := make(chan *attempt, 1)
	r.workers.Go(func() { r.work(mailbox) })
	return mailbox
}

// work is a worker: it executes what comes by its mailbox, until that is closed.
func (r *Runner) work(mailbox chan *attempt) {
	goroutine := stacks.Self()
	dismissed := false
	var a *attempt
	defer func() {
		if !dismissed { // the handler called runtime.Goexit, which ends this goroutine
			if a != nil {
				mailbox <- a
			}
			r.workers.Go(func() { r.work(mailbox) })
		}
	}()
	for a = range mailbox {
		r.came(a.queue)
		for a != nil {
			func() {
				defer func() { a = r.handOver(a, mailbox) }()
				a.execute(goroutine)
			}()
		}
	}
	dismissed = true
}

// came notes that a worker that was called has come, so that the next one is called.
func (r *Runner) came(q *queue) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q.calling = false
	r.dispatch(q)
}

// execute calls the handler, whatever it does.
func (a *attempt) execute(goroutine string) {
	started := time.Now()
	returned := false
	defer func() {
		if v := recover(); v != nil {
			a.err = &panicError{v, stacks.Panic()}
		} else if !returned {
			a.err = &panicError{errors.New("the handler called runtime.Goexit"), stacks.Panic()}
		}
		a.conclude(started)
	}()
	ctx, cancel := context.WithCancelCause(context.WithValue(a.runner.base, attemptKey{}, a))
	defer cancel(nil)
	defer func() { a.stopped = context.Cause(ctx) }()
	if a.begin(goroutine, cancel) {
		if end := a.deadline(started); !end.IsZero() {
			var stop context.CancelFunc
			ctx, stop = context.WithDeadlineCause(ctx, end, ErrTimeout)
			defer stop()
			defer context.AfterFunc(ctx, func() { a.interrupt(ErrTimeout) })()
			defer func() {
				if errors.Is(context.Cause(ctx), ErrTimeout) {
					a.interrupt(ErrTimeout) // the handler may have returned before AfterFunc's goroutine
				}
			}()
		}
		a.result, a.err = a.call(ctx)
	}
	returned = true
}

// begin notes that the handler starts; it reports false if the job was cancelled before.
func (a *attempt) begin(goroutine string, cancel context.CancelCauseFunc) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.goroutine, a.cancel, a.err = goroutine, cancel, a.cause
	if a.cause != nil {
		cancel(a.cause)
	}
	return a.cause == nil
}

func (a *attempt) deadline(started time.Time) time.Time {
	end := a.claimed.Deadline
	if a.claimed.Timeout > 0 {
		if t := started.Add(a.claimed.Timeout); end.IsZero() || t.Before(end) {
			end = t
		}
	}
	return end
}

// conclude prepares everything about the end that can be prepared outside a transaction.
func (a *attempt) conclude(started time.Time) {
	a.took = time.Since(started)
	a.mu.Lock()
	a.ended = true
	if a.stuck != nil {
		a.stuck.Stop()
	}
	tracker, log, dir := a.tracker, a.log, a.tempDir
	a.mu.Unlock()
	a.text = a.words()
	if a.mayRetry() {
		a.retryIn = a.backoff()
	}
	tracker.Close()
	if log != nil {
		log.Close()
	}
	a.last = a.snapshot()
	if dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			a.runner.opts.Logger.Warn("jobs: cannot remove a temporary directory", "job", a.id, "err", err)
		}
	}
}

// words returns the text of the handler's error. The methods of an error are code of the
// application, which may panic, as that of a nil pointer does, and has no place in a transaction.
func (a *attempt) words() (text string) {
	if a.err == nil {
		return ""
	}
	defer func() {
		if v := recover(); v != nil {
			a.err = &panicError{v, stacks.Panic()}
			text = shorten(a.hide(a.err.Error()), 8<<10)
		}
	}()
	kindOf(a.err)
	return shorten(a.hide(a.err.Error()), 8<<10)
}

// mayRetry reports whether it is the retry policy that decides what follows.
func (a *attempt) mayRetry() bool {
	if a.err == nil { // o escapes
		return false
	}
	var o *outcome
	return !errors.As(a.err, &o) && a.claimed.Attempt < a.claimed.MaxAttempts
}

// backoff asks the task's retry policy.
func (a *attempt) backoff() (d time.Duration) {
	if a.task.Retry == nil {
		return Backoff(a.claimed.Attempt)
	}
	defer func() {
		if v := recover(); v != nil {
			a.runner.opts.Logger.Error("jobs: Task.Retry panicked", "task", a.task.Name, "panic", v)
			d = Backoff(a.claimed.Attempt)
		}
	}()
	return a.task.Retry(a.claimed.Clone(), a.err)
}

// handOver gives an attempt that has ended to the loop, and returns the next one for its worker, if
// one was claimed ahead. The worker does not wait for the end to be stored, unless the task says so.
func (r *Runner) handOver(a *attempt, mailbox chan *attempt) (next *attempt) {
	q := a.queue
	r.mu.Lock()
	defer r.mu.Unlock()
	q.lasted(a.took)
	r.finished = append(r.finished, a)
	// While much has been claimed ahead, the workers go on without the loop: one commit then
	// serves many ends. Some are left ahead then, and the loop looks again when they are due to go back.
	if !q.isBrisk() || len(q.ahead) <= q.most()/2+1 || !r.active {
		r.poke()
	}
	if a.settled != nil {
		r.mu.Unlock()
		<-a.settled
		r.mu.Lock()
		defer r.poke() // it has looked for room before this worker was free
	}
	switch {
	case !r.active:
		q.busy--
		close(mailbox)
	case len(q.ahead) > 0 && q.busy <= q.Workers:
		return q.take()
	default:
		q.busy--
		q.idle = append(q.idle, mailbox)
	}
	return nil
}

// interrupt cancels the context of a handler and watches over its return.
func (a *attempt) interrupt(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cause != nil || a.ended {
		return
	}
	a.cause = cause
	if a.cancel != nil {
		a.cancel(cause)
		a.stuck = time.AfterFunc(a.runner.opts.Abandon, a.reportStuck)
	}
}

// tell has the loop store what the attempt has to tell, soon or now.
func (a *attempt) tell(now bool) {
	r := a.runner
	r.mu.Lock()
	defer r.mu.Unlock()
	r.markDirty(a)
	if now && a.dirty {
		r.flushAt = time.Now()
		r.poke()
	}
	if len(r.watchers) > 0 {
		r.notify(a.id)
	}
}

// markDirty must be called with mu held.
func (r *Runner) markDirty(a *attempt) {
	if a.dirty || a.hasEnded() {
		return
	}
	a.dirty = true
	r.dirty = append(r.dirty, a)
	if r.flushAt.IsZero() {
		r.flushAt = time.Now().Add(flushEvery)
		r.poke()
	}
}

// flushEvery is how long progress and log records wait to be stored together.
const flushEvery = 250 * time.Millisecond

// snapshot takes what is to be stored next.
func (a *attempt) snapshot() update {
	tracker, log := a.used()
	u := update{attempt: a, log: joblog.Chunk{Last: a.claimed.Logged}, warnings: a.claimed.Warnings, errors: a.claimed.LoggedErrors}
	if log != nil {
		u.log, u.warnings, u.errors = log.Take()
	}
	a.mu.Lock()
	if tracker != nil {
		if report := tracker.Take(); report != nil {
			a.report = report
		}
		u.progress = a.report // that of the snapshot before may not have been stored
	}
	u.counters = cloneMap(a.counters)
	a.mu.Unlock()
	return u
}

// stored takes note that a transaction of the loop has committed an update. It must be called with
// Runner.mu held.
func (u *update) stored() {
	a := u.attempt
	_, log := a.used()
	a.mu.Lock()
	if a.saved != nil {
		a.job = a.saved
	}
	a.mu.Unlock()
	if log != nil && log.Stored(u.log) {
		a.runner.markDirty(a)
	}
}
