package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/embedjobs/jobs/internal/stacks"
)

// A Runner enqueues, executes and manages the jobs of one registry over one store. All methods but
// Run work whether or not Run is running. Several runners may share a store that is open in one
// process.
type Runner struct {
	// Fixed at creation.
	store    Store
	registry *Registry
	opts     Options
	told     bool // the store tells of its commits

	// Set by Run.
	session  uint64
	settling Job             // used by settle, of which one runs at a time
	base     context.Context //nolint:containedctx // what the contexts of handlers are made from

	enqueuings sync.Pool // of *enqueuing

	wake chan struct{} // of capacity 1: the loop has something to look at

	mu       sync.Mutex
	runs     bool // Run is called
	active   bool // it claims jobs
	careful  bool // the latest pass failed
	queues   map[string]*queue
	running  map[ID]*attempt   // claimed by this runner and not settled
	early    map[ID]bool       // cancelled while running, but not in running: perhaps not yet
	suspect  ID                // the one running job that may kill the process
	swept    map[string]string // line key → where to go on removing old turns
	finished []*attempt        // handlers have returned, to be settled
	doubtful []*Job            // claimed by a commit that failed, but may have happened
	dirty    []*attempt        // have progress or log records to be stored
	flushAt  time.Time         // when to store them; zero if there are none
	dueAt    time.Time         // when to look for due jobs; zero if there are none
	pruneAt  time.Time         // when to remove what is too old; zero if not known

	scheduleAt time.Time // when a schedule is due; zero if none is
	following  bool      // jobs of schedules are being made

	watchers map[ID]map[chan struct{}]bool

	workers sync.WaitGroup
	others  sync.WaitGroup // goroutines besides workers
}

// NewRunner returns a runner. The tasks must have been registered; opts may be nil.
func NewRunner(store Store, registry *Registry, opts *Options) (*Runner, error) {
	if store == nil || registry == nil {
		return nil, invalidf("runner", "store and registry must not be nil")
	}
	r := &Runner{
		store: store, registry: registry, base: context.Background(),
		wake:   make(chan struct{}, 1),
		queues: make(map[string]*queue), running: make(map[ID]*attempt), early: make(map[ID]bool),
		watchers: make(map[ID]map[chan struct{}]bool), swept: make(map[string]string),
	}
	r.enqueuings.New = func() any {
		e := &enqueuing{runner: r}
		e.update = e.write
		return e
	}
	if opts != nil {
		r.opts = *opts
	}
	if err := r.opts.fill(); err != nil {
		return nil, err
	}
	if n, ok := store.(Notifier); ok {
		r.told = true
		n.Notify(r.changed) // for as long as the store is open
	}
	for _, t := range registry.Tasks() {
		if q := r.queue(t.Queue); registry.lookup(t.Name).handle == nil && q.Workers >= 0 {
			return nil, invalidf("queue "+t.Queue, "task %s is declared only, so a program that works on its queue cannot run it; set the queue's Workers to -1 in Options.Queues", t.Name)
		}
	}
	return r, nil
}

// Run executes jobs until ctx is done. Then it claims no more, lets handlers finish for
// Options.Grace, cancels the others with cause [ErrStopping], and returns when all have returned;
// jobs that were interrupted go back to their queue and the attempt does not count. If a handler
// has not returned Options.Abandon later, Run returns an error that names its job; what the
// handler does then is refused.
//
// Jobs that were running when an earlier process died are queued again first. That attempt counts.
// One of them is failed only if it alone can have killed the process; after a second crash such
// jobs run one at a time, and after a fourth alone, before Run starts anything else.
//
// Run returns nil after a clean stop. It goes on when the store fails, and reports that to
// Options.Logger. Only one Run of a runner can be active.
func (r *Runner) Run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
			return nil // stopped before it began
		}
		return err
	}
	defer r.others.Wait()
	defer r.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := time.Duration(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-r.wake:
		case <-timer.C:
		}
		err := r.pass(ctx)
		if err != nil {
			retry = min(max(2*retry, 100*time.Millisecond), 5*time.Second)
			r.opts.Logger.Error("jobs: the store failed; trying again", "err", err, "in", retry)
			if !sleep(ctx, retry) {
				break
			}
			r.poke()
			continue
		}
		retry = 0
		timer.Stop()
		if next := r.next(); !next.IsZero() {
			timer.Reset(max(time.Until(next), 0))
		}
	}
	return r.shutDown()
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// begin takes over the jobs of dead processes and prepares the loop.
func (r *Runner) begin(ctx context.Context) error {
	r.mu.Lock()
	if r.runs {
		r.mu.Unlock()
		return fmt.Errorf("%w: Run is already running", ErrState)
	}
	r.runs = true
	r.base = context.WithoutCancel(ctx)
	r.mu.Unlock()
	names, err := r.recover(ctx)
	if err == nil {
		err = r.tryAll(ctx)
	}
	if err != nil {
		r.end()
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.queue(name)
	}
	r.active = true
	r.dueAt, r.pruneAt, r.scheduleAt = time.Now(), time.Now(), time.Now()
	r.lookAgain()
	return nil
}

func (r *Runner) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active, r.runs = false, false
}

// lookAgain has the next pass look at every queue. It must be called with mu held.
func (r *Runner) lookAgain() {
	for _, q := range r.queues {
		q.look()
	}
}

// changed takes note of what a commit changed. It is called by the store, in the order of commits.
func (r *Runner) changed(changes []Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wake := false
	for i := range changes {
		c := &changes[i]
		if c.ID == 0 { // a schedule was set, perhaps by another runner
			r.scheduleAt, wake = time.Now(), wake || r.active
			continue
		}
		if !c.Cancelling && len(r.early) > 0 {
			delete(r.early, c.ID)
		}
		if c.From == Running {
			if q := r.queues[c.Queue]; q != nil && q.GroupLimit > 0 { // its group has room
				q.look()
				wake = wake || r.active && q.room() > 0
			}
		}
		switch {
		case c.State == Queued:
			q := r.queue(c.Queue)
			q.arrived()
			q.edited = q.edited || c.From == Queued // see editQueue
			wake = wake || r.active && (q.room() > 0 || q.blocked() || q.edited)
		case c.State == Scheduled || c.State == Retrying:
			if r.dueAt.IsZero() || c.RunAt.Before(r.dueAt) {
				r.dueAt, wake = c.RunAt, true
			}
		case c.Cancelling:
			if a := r.running[c.ID]; a != nil {
				a.interrupt(ErrCancelled)
			} else {
				r.early[c.ID] = true
			}
		case (r.pruneAt.IsZero() || r.pruneAt.Equal(never)) && c.State.Final():
			r.pruneAt, wake = time.Now().Add(pruneEvery), true
		}
		if len(r.watchers) > 0 {
			r.notify(c.ID)
		}
	}
	if wake {
		r.poke()
	}
}

// poke has the loop look at what there is to do.
func (r *Runner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// next returns when the loop has something to do without being woken; zero if never.
func (r *Runner) next() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var next time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && !t.Equal(never) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	earliest(r.flushAt)
	earliest(r.dueAt)
	earliest(r.pruneAt)
	if !r.following {
		earliest(r.scheduleAt)
	}
	if !r.told {
		earliest(time.Now().Add(time.Second))
	}
	for _, q := range r.queues {
		if q.ready {
			earliest(q.tokenAt)
		}
		if len(q.ahead) > 0 {
			earliest(q.ahead[0].claimedAt.Add(maxAhead))
		}
	}
	return next
}

// shutDown is the end of Run: it lets handlers finish, cancels them, gives up on them.
func (r *Runner) shutDown() error {
	r.mu.Lock()
	r.active = false
	for _, q := range r.queues {
		for _, mailbox := range q.idle {
			close(mailbox)
		}
		q.idle = nil
	}
	r.mu.Unlock()
	if r.opts.Grace > 0 && r.drain(r.opts.Grace) {
		return nil
	}
	r.mu.Lock()
	for _, a := range r.running {
		a.interrupt(ErrStopping)
	}
	r.mu.Unlock()
	if r.drain(r.opts.Abandon) {
		return nil
	}
	return r.abandon()
}

// drain stores the ends of jobs until none is running, for at most d, and reports whether it got
// there.
func (r *Runner) drain(d time.Duration) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	for {
		err := r.pass(r.base)
		r.mu.Lock()
		left := len(r.running) + len(r.doubtful)
		for _, q := range r.queues {
			left += q.reserved // by an Enqueue under way
		}
		r.mu.Unlock()
		if left == 0 {
			r.workers.Wait()
			return true
		}
		again := time.NewTimer(flushEvery)
		select {
		case <-deadline.C:
			again.Stop()
			return false
		case <-again.C:
		case <-r.wakeUnless(err):
		}
		again.Stop()
	}
}

// wakeUnless returns the wake channel, or nil if the store has just failed and should rest.
func (r *Runner) wakeUnless(err error) <-chan struct{} {
	if err != nil {
		return nil
	}
	return r.wake
}

// abandon gives the jobs of handlers that do not return back to their queues.
func (r *Runner) abandon() error {
	r.mu.Lock()
	left := slices.Collect(maps.Values(r.running))
	r.mu.Unlock()
	slices.SortFunc(left, func(a, b *attempt) int { return cmp.Compare(a.id, b.id) })
	names := make([]string, len(left))
	for i, a := range left {
		names[i] = fmt.Sprintf("%d (%s)", a.id, a.task.Name)
		a.where = stacks.Of(a.worker())
	}
	gaveUp := fmt.Errorf("jobs: gave up on handlers that ignore the end of their context, of job %s", strings.Join(names, ", "))
	err := r.update(r.base, func(tx Tx) error {
		for _, a := range left {
			if err := r.giveBack(tx, a, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(gaveUp, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled(left)
	return gaveUp
}
