package jobstest

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/embedjobs/jobs"
)

// The spaces of records of jobs that wait for others, and of schedules.
const (
	spaceBrood    = "brood"
	spaceSchedule = "schedule"
	spaceDue      = "due"
)

// waiting checks that what waits has something to wait for, which knows of it, and that it is counted.
func (a *audit) waiting() error {
	for job, err := range a.tx.Jobs(jobs.Query{States: []jobs.State{jobs.Waiting}, Order: jobs.Oldest}) {
		if err != nil {
			return err
		}
		if job.Brood != 0 {
			err = a.children(job)
		} else {
			err = a.dependencies(job)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *audit) dependencies(job *jobs.Job) error {
	pending := 0
	for _, d := range job.After {
		if k := a.known[d.Job]; k == nil || k.state.Final() {
			continue
		}
		pending++
		on, err := a.tx.Job(d.Job)
		if err != nil {
			return err
		}
		if !on.Awaited {
			a.report("%v waits for %v, which is not marked as awaited", job, on)
		}
	}
	if pending != job.Pending {
		a.report("%v waits for %d jobs, and %d of those it comes after have not ended", job, job.Pending, pending)
	}
	if job.Pending == 0 {
		a.report("%v waits for nothing", job)
	}
	return nil
}

// A brood is what package jobs keeps of the children of a job.
type brood struct {
	jobs.ChildCounts
	Claim int  `json:"claim"`
	Open  bool `json:"open"`
}

func (a *audit) children(job *jobs.Job) error {
	data, err := a.tx.Record(spaceBrood, string(binary.BigEndian.AppendUint64(nil, uint64(job.ID))))
	if err != nil {
		return err
	}
	var b brood
	if err := json.Unmarshal(data, &b); err != nil {
		a.report("%v waits for children whose counts cannot be read: %v", job, err)
		return nil
	}
	if b.Claim != job.Brood || b.Open {
		a.report("%v waits for the children of claim %d, and those of claim %d are counted", job, job.Brood, b.Claim)
	}
	pending := int64(0)
	for child, err := range a.tx.Jobs(jobs.Query{Parent: job.ID}) {
		if err != nil {
			return err
		}
		if child.ParentClaim == job.Brood && !child.State.Final() {
			pending++
		}
	}
	if pending != b.Pending() || pending == 0 {
		a.report("%v has %d children that have not ended, and waits for %d of %d", job, pending, b.Pending(), b.Total)
	}
	return nil
}

// schedules checks that the times at which schedules are due are those that the schedules wait for.
func (a *audit) schedules() error {
	next := make(map[string]time.Time)
	err := a.each(spaceSchedule, func(key string, value []byte) {
		var state jobs.ScheduleState
		if err := json.Unmarshal(value, &state); err != nil {
			a.report("the schedule of definition %q cannot be read: %v", key, err)
		} else if !state.Next.IsZero() {
			next[key] = state.Next
		}
	})
	if err != nil {
		return err
	}
	err = a.each(spaceDue, func(key string, _ []byte) {
		if len(key) < 8 {
			a.report("the time of a schedule has a key of %d bytes", len(key))
			return
		}
		id, at := key[8:], time.Unix(0, int64(binary.BigEndian.Uint64([]byte(key)))) //nolint:gosec // times are stored so
		if !next[id].Equal(at) {
			a.report("the schedule of definition %q is due at %v, and it waits for %v", id, at, next[id])
		}
		delete(next, id)
	})
	for id, at := range next {
		if at.Year() < 2200 {
			a.report("the schedule of definition %q waits for %v, and is not due then", id, at)
		}
	}
	return err
}
