package jobs

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Spaces of records.
const (
	spaceQueue  = "queue"  // settings: queue name → JSON
	spaceClock  = "clock"  // virtual times: line key → just after the stamp of the latest claim
	spaceTurn   = "turn"   // line key + group → the group's last stamp
	spaceHeld   = "held"   // queue + group → the group has a line of its own
	spaceUnique = "unique" // key → ID of the job made with it last
	spaceLast   = "last"   // task → ID of its latest success
	spaceLog    = "log"    // job ID + number of the first record → a chunk of records
	spaceLogAge = "logage" // class + time of a chunk's latest record of it + key of the chunk
	spaceTrial  = "trial"  // ID → the job has to run alone, see solitary
	spaceBrood  = "brood"  // ID → counts of the children that the job has spawned
	spaceOwn    = "own"    // ID → what the handler of a job with children has returned
	spaceMeta   = "meta"
)

const (
	maxRound = 1000 // jobs that are promoted, held or released in one transaction, besides claims
	suspects = 2    // crashes after which a job runs with no other suspect beside it
	solitary = 4    // crashes after which it runs alone, before Run claims anything else
)

// A claim takes up to n jobs of a queue out of its line.
type claim struct {
	queue  *queue
	n      int
	inline bool // in the transaction that enqueues
	first  bool // the line was empty when the claim was made
	enough bool // for all jobs that it enqueues in the queue

	arrivals int // of the queue, when the claim was made

	// Set by the transaction; reset when it runs again.
	direct  bool // the jobs need not stand in line, see direct
	jobs    []*Job
	left    departures
	more    bool // the line may have more
	emptied bool // the line has none now

	attempts []*attempt // of the jobs, when the transaction has committed
	suspect  bool       // a suspect runs, or is claimed; at first, beside or before this claim
}

// move saves job in its next state, or says why it cannot be, and carries its end on to the jobs that
// wait for it.
func (r *Runner) move(tx Tx, job *Job, to State, now time.Time) error {
	from := job.State
	if err := r.shift(tx, job, to, now); err != nil {
		return err
	}
	if job.Parent == 0 && !job.Awaited {
		return nil
	}
	return r.spread(tx, job, from, now)
}

// shift is the part of move that concerns the job itself.
func (r *Runner) shift(tx Tx, job *Job, to State, now time.Time) error {
	from := job.State
	if err := enter(tx, job, to, now); err != nil {
		return err
	}
	if err := tx.Save(job); err != nil {
		return err
	}
	return r.entered(tx, job, from)
}

// enter is what happens to a job before it is saved in its next state. It is the only place where a job
// changes its state.
func enter(tx Tx, job *Job, to State, now time.Time) error {
	from := job.State
	if !from.CanBecome(to) {
		return fmt.Errorf("%w: %v cannot become %s", ErrState, job, to)
	}
	job.State, job.UpdatedAt, job.Line = to, now, ""
	if to == Queued {
		job.Line = job.Queue
		if from != Running && from != Queued { // what was interrupted keeps its place
			if err := stamp(tx, job); err != nil {
				return err
			}
		}
	}
	if to.Final() {
		job.FinishedAt, job.Cancelling = now, false
	}
	return nil
}

// entered is what else there is to store when a job was saved in its next state.
func (r *Runner) entered(tx Tx, job *Job, from State) error {
	to := job.State
	if to == Succeeded {
		if err := tx.SetRecord(spaceLast, job.Task, fromID(job.ID)); err != nil {
			return err
		}
	}
	if to.Final() {
		noteEnd(tx, job)
	}
	if job.Definition != "" {
		if err := countRun(tx, job, from, to); err != nil {
			return err
		}
	}
	return r.record(tx, job, from)
}

// stamp gives a job its place in line by self-clocked fair queueing (Golestani, 1994): the virtual
// time of the line, which is just after the job claimed last, but after the last job of its own
// group. So groups take turns, however many jobs each of them has.
func stamp(tx Tx, job *Job) error {
	line := lineKey(job.Queue, job.Priority)
	clock, err := tx.Record(spaceClock, line)
	if err != nil {
		return err
	}
	turn, err := tx.Record(spaceTurn, line+job.Group)
	if err != nil {
		return err
	}
	job.Stamp = toNumber(clock)
	if turn != nil {
		job.Stamp = max(job.Stamp, toNumber(turn)+1)
	}
	return tx.SetRecord(spaceTurn, line+job.Group, fromNumber(job.Stamp))
}

// lineKey names the jobs that are in order by their stamps: those of one queue and priority.
func lineKey(queue string, priority int) string {
	return queue + "\x00" + string(rune('Ā'+priority))
}

func toNumber(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func fromNumber(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func fromID(id ID) []byte { return fromNumber(uint64(id)) }

func recordID(tx Tx, space, key string) (ID, error) {
	data, err := tx.Record(space, key)
	return ID(toNumber(data)), err
}

// reset undoes what the transaction has set when it ran before.
func (c *claim) reset() {
	c.jobs, c.left = c.jobs[:0], c.left[:0]
	c.direct, c.more, c.emptied = false, false, false
}

// claim moves jobs from their line to running. It may run more than once.
func (r *Runner) claim(tx Tx, c *claim, now time.Time) error {
	c.reset()
	if err := r.refresh(tx, c.queue); err != nil {
		return err
	}
	if c.n == 0 {
		c.more = true
		return nil
	}
	r.mu.Lock()
	settings, lines := c.queue.Queue, c.queue.held
	n := min(c.n, c.queue.room()+c.n) // there may be fewer workers than when the room was reserved
	r.mu.Unlock()
	if settings.Paused || settings.Workers < 0 {
		return nil
	}
	if n <= 0 {
		c.more = true
		return nil
	}
	groups, err := r.limits(tx, &settings, lines, c)
	if err != nil {
		return err
	}
	gone, stays := 0, false // from and in the line
	// Large arguments are read by the worker: it need not hold up a commit.
	line := Query{Order: InLine, Line: settings.Name, Limit: n, Lean: true}
	for passed := 0; passed < maxRound && len(c.jobs) < n; line.Limit = min(2*line.Limit, maxRound) {
		candidates, err := collect(tx.Jobs(line))
		if err != nil {
			return err
		}
		for _, job := range candidates {
			if len(c.jobs) == n {
				break
			}
			suspicious := job.Crashes >= suspects
			switch {
			case suspicious && (c.suspect || c.inline):
				stays = true // in line
				continue
			case settings.GroupLimit > 0 && job.Group != "" && groups[job.Group] >= settings.GroupLimit:
				if err := hold(tx, job); err != nil {
					return err
				}
				gone++
				continue
			}
			gone++
			c.left.add(job)
			if err := r.claimOne(tx, c, job, now); err != nil {
				return err
			}
			if job.State == Running { // otherwise it cannot run at all
				c.suspect = c.suspect || suspicious
				if groups != nil {
					groups[job.Group]++
				}
			}
		}
		passed += len(candidates)
		if len(candidates) < line.Limit && len(c.jobs) < n { // all were looked at
			c.emptied = !c.more && !stays
			return r.advance(tx, c)
		}
	}
	c.more = c.more || gone > 0 // otherwise there are only suspects
	return r.advance(tx, c)
}

// collect returns the jobs of a sequence, or its error.
func collect(jobs iter.Seq2[*Job, error]) ([]*Job, error) {
	var all []*Job
	for job, err := range jobs {
		if err != nil {
			return nil, err
		}
		all = append(all, job)
	}
	return all, nil
}

// claimOne claims a job that may run now, or ends it if it cannot run at all.
func (r *Runner) claimOne(tx Tx, c *claim, job *Job, now time.Time) error {
	t := r.registry.lookup(job.Task)
	kind, why := ErrorKind(""), ""
	if gone, err := parentCancelled(tx, job); err != nil {
		return err
	} else if gone {
		job.Message = "its parent was cancelled"
		return r.move(tx, job, Cancelled, now)
	}
	switch {
	case t == nil || t.handle == nil:
		kind, why = ErrorArgs, fmt.Sprintf("task %q is not registered in this program; %s", job.Task, r.registry.known())
	case !job.Deadline.IsZero() && !now.Before(job.Deadline):
		kind, why = ErrorTimeout, fmt.Sprintf("the deadline %s passed before the job could start", job.Deadline.Format(time.RFC3339))
	}
	if kind != "" {
		job.fault(kind, why, "", now)
		return r.move(tx, job, Failed, now)
	}
	r.begins(job, now)
	if err := r.move(tx, job, Running, now); err != nil {
		return err
	}
	c.jobs = append(c.jobs, job)
	return nil
}

// begins makes the claim of a job one of this runner.
func (r *Runner) begins(job *Job, now time.Time) {
	job.Attempt++
	job.Claims++
	job.Session = r.session
	job.StartedAt = now
	job.Message = ""
}

// departures tell of the jobs of one queue that a claim took, by priority.
type departures []departure

type departure struct {
	priority int
	stamp    uint64 // the greatest
	grouped  int    // how many have a group
}

func (all *departures) add(job *Job) {
	i := slices.IndexFunc(*all, func(d departure) bool { return d.priority == job.Priority })
	if i < 0 {
		i = len(*all)
		*all = append(*all, departure{priority: job.Priority})
	}
	d := &(*all)[i]
	d.stamp = max(d.stamp, job.Stamp)
	if job.Group != "" {
		d.grouped++
	}
}

// advance moves the virtual times to just after the jobs that left. Turns that lie before them mean
// nothing any more; up to two are removed for each job, so they cannot pile up.
func (r *Runner) advance(tx Tx, c *claim) error {
	for _, d := range c.left {
		line := lineKey(c.queue.Name, d.priority)
		clock, err := tx.Record(spaceClock, line)
		if err != nil {
			return err
		}
		now := d.stamp + 1
		if stored := toNumber(clock); now <= stored {
			now = stored
		} else if err := tx.SetRecord(spaceClock, line, fromNumber(now)); err != nil {
			return err
		}
		if d.grouped > 0 {
			if err := r.sweep(tx, line, now, 2*d.grouped); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweep looks at the next n turns of a line and removes those before the virtual time now.
func (r *Runner) sweep(tx Tx, line string, now uint64, n int) error {
	r.mu.Lock()
	from := r.swept[line]
	r.mu.Unlock()
	var old []string
	next := ""
	for turn, err := range tx.Records(spaceTurn, line, from) {
		if err != nil {
			return err
		}
		if n == 0 {
			next = turn.Key
			break
		}
		n--
		if toNumber(turn.Value) < now {
			old = append(old, turn.Key)
		}
	}
	for _, key := range old {
		if err := tx.SetRecord(spaceTurn, key, nil); err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.swept[line] = next
	r.mu.Unlock()
	return nil
}

// limits returns the number of running jobs of each group, if the queue limits it, and moves jobs
// of groups that are below the limit again back to the queue's line.
func (r *Runner) limits(tx Tx, settings *Queue, held bool, c *claim) (map[string]int, error) {
	if settings.GroupLimit == 0 && !held {
		return nil, nil
	}
	running := make(map[string]int)
	for job, err := range tx.Jobs(Query{States: []State{Running}, Queue: settings.Name, Lean: true}) {
		if err != nil {
			return nil, err
		}
		running[job.Group]++
	}
	var groups []string
	for rec, err := range tx.Records(spaceHeld, settings.Name+"\x00", "") {
		if err != nil {
			return nil, err
		}
		groups = append(groups, rec.Key[len(settings.Name)+1:])
	}
	moved := 0
	for _, group := range groups {
		free := maxRound - moved
		if settings.GroupLimit > 0 {
			free = min(free, settings.GroupLimit-running[group])
		}
		n, err := unhold(tx, settings.Name, group, free)
		if err != nil {
			return nil, err
		}
		moved += n
	}
	if len(groups) == 0 {
		r.mu.Lock()
		c.queue.held = settings.GroupLimit > 0
		r.mu.Unlock()
	}
	c.more = c.more || moved >= maxRound
	return running, nil
}

// heldLine is where the queued jobs of a group at its limit stand.
func heldLine(queue, group string) string { return queue + "\x01" + group }

// hold moves a queued job to the line of its group, with its place in order.
func hold(tx Tx, job *Job) error {
	job.Line = heldLine(job.Queue, job.Group)
	if err := tx.SetRecord(spaceHeld, job.Queue+"\x00"+job.Group, []byte{}); err != nil {
		return err
	}
	return tx.Save(job)
}

// unhold moves up to n jobs of a group back to the line of their queue.
func unhold(tx Tx, queue, group string, n int) (int, error) {
	if n <= 0 {
		return 0, nil
	}
	back, err := collect(tx.Jobs(Query{Order: InLine, Line: heldLine(queue, group), Limit: n, Lean: true}))
	if err != nil {
		return 0, err
	}
	for _, job := range back {
		job.Line = job.Queue
		if err := tx.Save(job); err != nil {
			return 0, err
		}
	}
	if len(back) < n {
		return len(back), tx.SetRecord(spaceHeld, queue+"\x00"+group, nil)
	}
	return len(back), nil
}

// promote queues the jobs that are due, and returns when the next one is.
func (r *Runner) promote(tx Tx, now time.Time) (next time.Time, err error) {
	var due []*Job
	for job, err := range tx.Jobs(Query{Order: Due, Limit: maxRound, Lean: true}) {
		if err != nil {
			return next, err
		}
		if job.RunAt.After(now) {
			next = job.RunAt
			break
		}
		due = append(due, job)
	}
	if len(due) == maxRound {
		next = now
	}
	for _, job := range due {
		if err := r.move(tx, job, Queued, now); err != nil {
			return next, err
		}
	}
	return next, nil
}

// maxErrors is how many errors a job keeps.
const maxErrors = 32

// fault adds an error to the job's history.
func (j *Job) fault(kind ErrorKind, message, stack string, now time.Time) {
	message, stack = shorten(message, 8<<10), shorten(stack, 16<<10)
	j.Message = message
	if len(j.Errors) >= maxErrors { // keep the first, which often tells most
		j.Errors = append(j.Errors[:1:1], j.Errors[2:]...)
	}
	j.Errors = append(j.Errors[:len(j.Errors):len(j.Errors)], AttemptError{
		Attempt: j.Attempt, Time: now, Kind: kind, Message: message, Stack: stack,
	})
}
