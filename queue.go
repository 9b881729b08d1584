package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A Queue is a named line of jobs and the settings by which runners work on it.
type Queue struct {
	// Name has 1 to 100 bytes.
	Name string `json:"name"`
	// Workers is the number of jobs of this queue that run at once; 0 means Options.Workers,
	// -1 that runners with these settings do not work on this queue.
	Workers int `json:"workers,omitempty"`
	// GroupLimit is the number of jobs of one group that run at once; 0 means no limit. Jobs
	// without a group are not limited by it.
	GroupLimit int `json:"group_limit,omitempty"`
	// Rate is the number of jobs started per second, such as 0.5 or 100; 0 means no limit. Burst
	// is how many may start at once after a pause; 0 means Rate, but at least 1. Each process
	// counts for itself, from its start.
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
	// Paused queues take jobs but start none.
	Paused bool `json:"paused,omitempty"`
}

func (q *Queue) check() error {
	if err := checkName("queue name", q.Name, 100); err != nil {
		return err
	}
	if q.Workers < -1 || q.Workers > 1_000_000 {
		return invalidf("Workers of queue "+q.Name, "%d is not between -1 and 1,000,000", q.Workers)
	}
	if q.GroupLimit < 0 || q.Burst < 0 {
		return invalidf("GroupLimit or Burst of queue "+q.Name, "is negative")
	}
	if q.Rate != 0 && !(q.Rate >= 1e-9 && q.Rate <= 1e9) {
		return invalidf("Rate of queue "+q.Name, "%v jobs per second are not 0 or between 1e-9 and 1e9", q.Rate)
	}
	return nil
}

// SetQueue stores the settings of a queue. They hold from the next claim on, in every runner of
// the store, and after a restart; jobs that run go on.
func (r *Runner) SetQueue(ctx context.Context, q Queue) error {
	return r.editQueue(ctx, q.Name, func(stored *Queue) { *stored = q })
}

// Pause has runners start no more jobs of a queue until Resume. Those that run go on.
func (r *Runner) Pause(ctx context.Context, queue string) error {
	return r.editQueue(ctx, queue, func(q *Queue) { q.Paused = true })
}

// Resume undoes Pause.
func (r *Runner) Resume(ctx context.Context, queue string) error {
	return r.editQueue(ctx, queue, func(q *Queue) { q.Paused = false })
}

func (r *Runner) editQueue(ctx context.Context, name string, edit func(*Queue)) error {
	if err := checkName("queue name", name, 100); err != nil {
		return err
	}
	err := r.update(ctx, func(tx Tx) error {
		settings, _, err := r.settings(tx, name)
		if err != nil {
			return err
		}
		edit(&settings)
		if err := settings.check(); err != nil {
			return err
		}
		data, err := json.Marshal(settings)
		if err != nil {
			return err
		}
		if err := tx.SetRecord(spaceQueue, name, data); err != nil {
			return err
		}
		// Saving a job of the queue has every runner of the store look at the queue.
		next, err := firstInLine(tx, name)
		if err != nil || next == nil {
			return err
		}
		return tx.Save(next)
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	q := r.queue(name)
	q.look()
	q.edited = true
	r.mu.Unlock()
	r.poke()
	return nil
}

// firstInLine returns the first job in the line of a queue, or in the first one of its groups that are
// at their limit; nil if there is none.
func firstInLine(tx Tx, queue string) (*Job, error) {
	lines := []string{queue}
	for rec, err := range tx.Records(spaceHeld, queue+"\x00", "") {
		if err != nil {
			return nil, err
		}
		lines = append(lines, heldLine(queue, rec.Key[len(queue)+1:]))
	}
	for _, line := range lines {
		for job, err := range tx.Jobs(Query{Order: InLine, Line: line, Limit: 1, Lean: true}) {
			return job, err
		}
	}
	return nil, nil
}

// A QueueStatus is a queue with the number of its jobs in each state.
type QueueStatus struct {
	Queue
	Counts
}

// Queues returns every queue that has settings, a task or a job, ordered by name. Workers is
// never 0: the default is filled in.
func (r *Runner) Queues(ctx context.Context) ([]QueueStatus, error) {
	names := make(map[string]Counts)
	for _, q := range r.opts.Queues {
		names[q.Name] = Counts{}
	}
	for _, t := range r.registry.Tasks() {
		names[t.Queue] = Counts{}
	}
	var all []QueueStatus
	err := r.store.View(ctx, func(tx Tx) error {
		for rec, err := range tx.Records(spaceQueue, "", "") {
			if err != nil {
				return err
			}
			names[rec.Key] = Counts{}
		}
		for tally, err := range tx.Tallies(ByQueue, Labels{}) {
			if err != nil {
				return err
			}
			names[tally.Queue] = tally.Counts
		}
		for _, name := range sortedKeys(names) {
			settings, _, err := r.settings(tx, name)
			if err != nil {
				return err
			}
			if settings.Workers == 0 {
				settings.Workers = r.opts.Workers
			}
			all = append(all, QueueStatus{settings, names[name]})
		}
		return nil
	})
	return all, err
}

// settings returns the stored settings of a queue, otherwise those of Options, otherwise the
// defaults; and the stored bytes.
func (r *Runner) settings(tx Tx, name string) (Queue, []byte, error) {
	data, err := tx.Record(spaceQueue, name)
	if err != nil {
		return Queue{}, nil, err
	}
	settings := r.configured(name)
	if data != nil {
		settings = Queue{Name: name} // fields that are zero are not in data
		if err := json.Unmarshal(data, &settings); err != nil {
			return Queue{}, nil, corrupt("settings of queue "+name, err)
		}
	}
	return settings, data, nil
}

func (r *Runner) configured(name string) Queue {
	for _, q := range r.opts.Queues {
		if q.Name == name {
			return q
		}
	}
	return Queue{Name: name}
}

const (
	// In a queue whose handlers last less than brisk on average, over the last briskRow or so,
	// jobs are claimed ahead, so that a commit serves many of them: at most aheadJobs, half of
	// which are worked off while the other half is committed, and no more than the workers can
	// do in half of maxAhead. After maxAhead without a worker they go back to their line.
	brisk     = time.Millisecond
	briskRow  = 64
	aheadJobs = 2048
	maxAhead  = 50 * time.Millisecond
)

// queue is what a runner knows of a queue; guarded by Runner.mu.
type queue struct {
	Queue           // the settings, refreshed by each claim
	stored   []byte // as which they were stored
	limiter  *rate.Limiter
	tokenAt  time.Time       // when the limiter lets the next job start; zero if now
	ready    bool            // there may be jobs in line
	line     int             // how many at the most, as far as is known
	arrivals int             // in line, so far
	edited   bool            // the stored settings may have changed
	held     bool            // there may be lines of groups that were at their limit
	busy     int             // workers at work
	idle     []chan *attempt // mailboxes of workers that wait
	calling  bool            // a worker was called and has not come yet
	reserved int             // places that a claim under way may fill
	ahead    []*attempt      // claimed, waiting for a worker
	ended    int             // handlers, up to briskRow
	mean     time.Duration   // of how long the latest of them lasted
}

// queue returns the state of a queue; it must be called with mu held, or before the runner is
// shared.
func (r *Runner) queue(name string) *queue {
	q := r.queues[name]
	if q == nil {
		q = &queue{held: true}
		q.look()
		q.set(r.configured(name), r.opts.Workers)
		r.queues[name] = q
	}
	return q
}

func (q *queue) set(settings Queue, workers int) {
	if settings.Rate != q.Rate || settings.Burst != q.Burst {
		q.limiter, q.tokenAt = nil, time.Time{}
		if settings.Rate > 0 {
			burst := settings.Burst
			if burst == 0 {
				burst = max(int(settings.Rate), 1)
			}
			q.limiter = rate.NewLimiter(rate.Limit(settings.Rate), burst)
		}
	}
	q.Queue, q.held = settings, true
	if q.Workers == 0 {
		q.Workers = workers
	}
}

// refresh takes over stored settings that have changed.
func (r *Runner) refresh(tx Tx, q *queue) error {
	data, err := tx.Record(spaceQueue, q.Name)
	if err != nil || bytes.Equal(data, q.stored) {
		return err
	}
	settings, data, err := r.settings(tx, q.Name)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q.stored = data
	q.set(settings, r.opts.Workers)
	return nil
}

// lasted takes note of how long a handler lasted. A single long one, which may have been one that
// had to wait for a processor, does not outweigh many short ones.
func (q *queue) lasted(d time.Duration) {
	q.ended = min(q.ended+1, briskRow)
	q.mean += (min(d, 8*brisk) - q.mean) / briskRow
}

func (q *queue) isBrisk() bool { return q.ended == briskRow && q.mean < brisk }

// most returns how many jobs may be claimed ahead.
func (q *queue) most() int {
	if !q.isBrisk() {
		return 0
	}
	return min(aheadJobs, int(time.Duration(q.Workers)*maxAhead/2/max(q.mean, time.Microsecond)))
}

// blocked reports whether no job may be claimed, unless the stored settings have changed.
func (q *queue) blocked() bool { return q.Paused || q.Workers < 0 }

// room returns how many more jobs may be claimed.
func (q *queue) room() int {
	if q.blocked() {
		return 0
	}
	return q.Workers + q.most() - q.busy - len(q.ahead) - q.reserved
}

// reserve reserves places for up to most jobs, as far as there is room and the rate allows, and
// returns how many.
func (q *queue) reserve(now time.Time, most int) int {
	n := min(q.room(), most)
	if q.blocked() {
		n = 1 // the claim refreshes the settings
	}
	q.tokenAt = time.Time{}
	if n > 0 && q.limiter != nil {
		tokens := q.limiter.TokensAt(now) - float64(q.reserved)
		if tokens < 1 {
			// At least a nanosecond, or the loop would not let the time pass in a bubble of
			// testing/synctest.
			q.tokenAt = now.Add(time.Duration(math.Ceil((1 - tokens) / q.Rate * float64(time.Second))))
		}
		n = min(n, int(tokens))
	}
	n = max(n, 0)
	q.reserved += n
	return n
}

// look has the loop look at the whole line.
func (q *queue) look() { q.ready, q.line = true, math.MaxInt }

// arrived takes note of a job that has come into line.
func (q *queue) arrived() {
	q.ready = true
	q.arrivals++
	if q.line < math.MaxInt {
		q.line++
	}
}

// atMost takes note that there are not more than n jobs in line.
func (q *queue) atMost(n int) { q.line = min(q.line, n) }
