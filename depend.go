package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Need says what is needed of a job that others wait for, and of the children of a job.
type Need string

const (
	// NeedSuccess asks for success, even if it is partial. Of children it asks that they succeed
	// or are skipped: if some do not, their parent succeeds in part, and it fails if none did.
	NeedSuccess Need = ""
	// NeedAll asks for success with nothing missing: neither of a part of the work, nor of a child.
	NeedAll Need = "all"
	// NeedEnd asks for the end, whichever.
	NeedEnd Need = "end"
)

func (n Need) check(field string) error {
	if n != NeedSuccess && n != NeedAll && n != NeedEnd {
		return invalidf(field, "%q is not one of %q, %q, %q", string(n), string(NeedSuccess), string(NeedAll), string(NeedEnd))
	}
	return nil
}

// meets reports whether the end of a job is what is needed.
func (n Need) meets(job *Job) bool {
	switch n {
	case NeedEnd:
		return job.State.Final()
	case NeedAll:
		return job.State == Succeeded && !job.Partial
	case NeedSuccess:
	}
	return job.State == Succeeded
}

// A Dependency names a job that has to end before another one starts.
type Dependency struct {
	// Name is what references call the job, see [ResultOf]. In a Request without Job it is the
	// Name of another request of the same Enqueue; in a [Definition] the ID of another one. "" means
	// the number of Job.
	Name string `json:"name,omitempty"`
	// Job is the job.
	Job ID `json:"job,omitempty"`
	// Need says how it has to end.
	Need Need `json:"need,omitempty"`
}

const maxAfter = 1000 // dependencies of one job

// dependency returns the entry of After with that name, or nil.
func (j *Job) dependency(name string) *Dependency {
	for i := range j.After {
		if j.After[i].Name == name {
			return &j.After[i]
		}
	}
	return nil
}

// checkAfter refuses dependencies that cannot be, and gives each of them its name.
func checkAfter(after []Dependency) error {
	if len(after) > maxAfter {
		return invalidf("After", "%d jobs, at most %d are allowed; let one job come after some of them", len(after), maxAfter)
	}
	for i := range after {
		d := &after[i]
		if d.Name == "" && d.Job != 0 {
			d.Name = d.Job.String()
		}
		if err := checkRefName("After", d.Name); err != nil {
			return err
		}
		if err := d.Need.check("After"); err != nil {
			return err
		}
		for _, other := range after[:i] {
			if other.Name == d.Name {
				return invalidf("After", "%q is there twice", d.Name)
			}
		}
	}
	return nil
}

// link finds the requests that others of the same call come after, and returns all in an order in
// which to store them: these before the others.
func link(all []prepared) ([]prepared, error) {
	linked := false
	for i := range all {
		linked = linked || len(all[i].job.After) > 0
	}
	if !linked {
		return all, nil
	}
	named := make(map[string]int)
	for i := range all {
		name := all[i].name
		if _, twice := named[name]; twice && name != "" {
			return nil, invalidf("Name", "%q is that of two requests", name)
		}
		named[name] = i
	}
	delete(named, "")
	for i := range all {
		after := all[i].job.After
		all[i].links = make([]int, len(after))
		for k, d := range after {
			all[i].links[k] = -1
			if d.Job != 0 {
				continue
			}
			other, ok := named[d.Name]
			if !ok {
				return nil, invalidf("After", "%q is neither a job nor the Name of another request", d.Name)
			}
			all[i].links[k] = other
			all[other].job.Awaited = true
		}
	}
	order, err := sortLinked(all)
	if err != nil {
		return nil, err
	}
	sorted := make([]prepared, len(all))
	for i, from := range order {
		sorted[i] = all[from]
	}
	return sorted, nil
}

// sortLinked orders requests so that each comes behind those it comes after, by depth-first search.
func sortLinked(all []prepared) ([]int, error) {
	const unseen, open, done = 0, 1, 2
	state := make([]byte, len(all))
	next := make([]int, len(all)) // which link to look at
	order := make([]int, 0, len(all))
	var path []int
	for start := range all {
		if state[start] == unseen {
			path = append(path, start)
			state[start] = open
		}
		for len(path) > 0 {
			at := path[len(path)-1]
			if next[at] == len(all[at].links) {
				state[at] = done
				order = append(order, at)
				path = path[:len(path)-1]
				continue
			}
			other := all[at].links[next[at]]
			next[at]++
			switch {
			case other < 0 || state[other] == done:
			case state[other] == open:
				return nil, invalidf("After", "the requests wait for each other: %s", spellCycle(all, path, other))
			default:
				state[other] = open
				path = append(path, other)
			}
		}
	}
	return order, nil
}

// spellCycle names the requests of a path from one of them to its end, and that one again, in the
// order in which they would run.
func spellCycle(all []prepared, path []int, from int) string {
	names := []string{all[from].name}
	for i := len(path) - 1; ; i-- {
		names = append(names, all[path[i]].name)
		if path[i] == from {
			return strings.Join(names, " → ")
		}
	}
}

// countPending looks at the jobs that a new job comes after. It counts those that have not ended, and
// returns the one whose end is not what is needed, if there is one.
func (r *Runner) countPending(tx Tx, job *Job, after func(i int) (*Job, error)) (blocker *Job, err error) {
	job.Pending = 0
	for i := range job.After {
		d := &job.After[i]
		other, err := after(i)
		if errors.Is(err, ErrNotFound) {
			return nil, invalidf("After", "%s: there is no job %d", d.Name, d.Job)
		}
		if err != nil {
			return nil, err
		}
		if other == nil {
			continue // it has ended, and was removed since
		}
		d.Job = other.ID
		if !other.Awaited {
			other.Awaited = true
			if err := tx.Save(other); err != nil {
				return nil, err
			}
		}
		switch {
		case !other.State.Final():
			job.Pending++
		case blocker == nil && !d.Need.meets(other):
			blocker = other
		}
	}
	return blocker, nil
}

// block prepares a job for being skipped because of the end of another.
func (j *Job) block(blocker *Job) {
	j.Blocker, j.Pending = blocker.ID, 0
	name := blocker.Task
	for _, d := range j.After {
		if d.Job == blocker.ID {
			name = d.Name
		}
	}
	text := fmt.Sprintf("%s (job %d) has %s", name, blocker.ID, blocker.State)
	if blocker.State == Succeeded {
		text += " only in part"
	}
	if blocker.Message != "" {
		text += ": " + blocker.Message
	}
	j.Message = shorten(text, 8<<10)
}

// ready returns the state of a job that nothing holds any more.
func (j *Job) ready(now time.Time) State {
	if j.RunAt.After(now) {
		return Scheduled
	}
	return Queued
}

// spread carries the end of a job, or that it was taken up again, to the jobs that wait for it, and
// from these to others. It does not recurse, because chains of jobs may be long.
func (r *Runner) spread(tx Tx, job *Job, from State, now time.Time) error {
	type step struct {
		job  *Job
		from State
	}
	work := []step{{job, from}}
	moved := func(job *Job, from State) { work = append(work, step{job, from}) }
	for len(work) > 0 {
		s := work[0]
		work = work[1:]
		if s.job.State.Final() == s.from.Final() {
			continue
		}
		if s.job.Parent != 0 && s.job.State.Final() {
			if err := r.tellParent(tx, s.job, now, moved); err != nil {
				return err
			}
		}
		if s.job.Awaited {
			if err := r.tellDependents(tx, s.job, now, moved); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellDependents releases or skips the jobs that a job held which has ended, or has those wait that
// have not begun while it was taken up again.
func (r *Runner) tellDependents(tx Tx, job *Job, now time.Time, moved func(*Job, State)) error {
	states := []State{Waiting}
	if !job.State.Final() {
		states = append(states, Skipped)
	}
	dependents, err := collect(tx.Jobs(Query{DependsOn: job.ID, States: states, Order: Oldest, Lean: true}))
	if err != nil {
		return err
	}
	for _, d := range dependents {
		from := d.State
		if from == Skipped && d.Blocker == 0 || from == Waiting && d.Brood != 0 {
			continue
		}
		if d.State == Skipped || !job.State.Final() {
			err = r.holdAgain(tx, d, now)
		} else {
			err = r.release(tx, d, job, now)
		}
		if err != nil {
			return err
		}
		if d.State != from {
			moved(d, from)
		}
	}
	return nil
}

// release has a waiting job go on, as far as a job that has ended held it.
func (r *Runner) release(tx Tx, d, ended *Job, now time.Time) error {
	for _, dep := range d.After {
		if dep.Job != ended.ID {
			continue
		}
		d.Pending--
		if !dep.Need.meets(ended) {
			d.block(ended)
			return r.shift(tx, d, Skipped, now)
		}
	}
	if d.Pending > 0 {
		return tx.Save(d)
	}
	return r.shift(tx, d, d.ready(now), now)
}

// holdAgain has a job wait again for those that it comes after, if none of these has ended so that it must
// be skipped.
func (r *Runner) holdAgain(tx Tx, d *Job, now time.Time) error {
	before := d.Pending
	blocker, err := r.countPending(tx, d, func(i int) (*Job, error) {
		other, err := tx.Job(d.After[i].Job)
		if d.State == Waiting && errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return other, err
	})
	if err != nil {
		if errors.Is(err, ErrInvalid) { // one of them was removed
			return nil
		}
		return err
	}
	switch {
	case blocker != nil:
		return nil
	case d.State == Waiting && d.Pending == before:
		return nil
	case d.State == Waiting:
		return tx.Save(d)
	}
	if err := r.uncount(tx, d); err != nil {
		return err
	}
	d.Blocker, d.FinishedAt, d.Message = 0, time.Time{}, ""
	return r.shift(tx, d, Waiting, now)
}
