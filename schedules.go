package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

const (
	spaceSchedule = "schedule" // ID of a definition → what has become of its schedule
	spaceDue      = "due"      // time + ID of a definition → its schedule is due then
)

// late is how long after its time a run is not yet one that was missed.
const late = time.Minute

// A ScheduleState is what has become of the schedule of a definition.
type ScheduleState struct {
	// Next is when it is due next; the zero time if never, or while it is paused or inactive.
	Next time.Time `json:"next,omitzero"`
	// Last is up to when its times have been dealt with.
	Last time.Time `json:"last,omitzero"`
	// Skipped is how many times have passed without a job of their own: missed ones, those at
	// which the run before was not over, and those at which no job could be made.
	Skipped int `json:"skipped,omitempty"`
	// Problem says why no job could be made the last time; "" if one could.
	Problem string `json:"problem,omitempty"`
}

func readSchedule(tx Tx, id string) (*ScheduleState, error) {
	data, err := tx.Record(spaceSchedule, id)
	state := new(ScheduleState)
	if err != nil || data == nil {
		return state, err
	}
	if err := json.Unmarshal(data, state); err != nil {
		return nil, corrupt("state of the schedule of definition "+id, err)
	}
	return state, nil
}

func dueKey(t time.Time, id string) string {
	return string(fromNumber(uint64(max(t.UnixNano(), 0)))) + id
}

// write stores the state of a schedule, in place of the one before.
func (s *ScheduleState) write(tx Tx, id string) error {
	if err := clearSchedule(tx, id); err != nil {
		return err
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := tx.SetRecord(spaceSchedule, id, data); err != nil || s.Next.IsZero() || s.Next.After(maxTime) {
		return err
	}
	return tx.SetRecord(spaceDue, dueKey(s.Next, id), []byte{})
}

func clearSchedule(tx Tx, id string) error {
	state, err := readSchedule(tx, id)
	if err != nil {
		return err
	}
	if !state.Next.IsZero() {
		if err := tx.SetRecord(spaceDue, dueKey(state.Next, id), nil); err != nil {
			return err
		}
	}
	return tx.SetRecord(spaceSchedule, id, nil)
}

// setSchedule works out when a definition is due next that is about to be stored. As long as its
// schedule stays the same, nothing is lost and nothing repeated.
func setSchedule(tx Tx, def, stored *Definition, now time.Time) error {
	state, err := readSchedule(tx, def.ID)
	if err != nil {
		return err
	}
	active := func(d *Definition) bool { return !d.Inactive && !d.Schedule.Paused && !d.Schedule.IsZero() }
	same := stored != nil && active(stored) && def.Schedule == stored.Schedule
	switch {
	case def.Schedule.IsZero():
		return clearSchedule(tx, def.ID)
	case !active(def):
		state.Next = time.Time{}
	case !same:
		state.Last = now.UTC() // times before it was set, or while it was paused, are none
		state.Next = def.Schedule.Next(now).UTC()
		state.Problem = ""
	}
	return state.write(tx, def.ID)
}

// schedulesChanged has the loop look when the first schedule is due.
func (r *Runner) schedulesChanged() {
	r.mu.Lock()
	r.scheduleAt = time.Now()
	r.mu.Unlock()
	r.poke()
}

// PauseSchedule has the schedule of a definition make no jobs until ResumeSchedule. Times that pass
// meanwhile are not made up for.
func (d *Definitions) PauseSchedule(ctx context.Context, id string) error {
	return d.edit(ctx, id, func(def *Definition) { def.Schedule.Paused = true })
}

// ResumeSchedule undoes PauseSchedule.
func (d *Definitions) ResumeSchedule(ctx context.Context, id string) error {
	return d.edit(ctx, id, func(def *Definition) { def.Schedule.Paused = false })
}

// edit changes a stored definition in a way that needs no check.
func (d *Definitions) edit(ctx context.Context, id string, change func(*Definition)) error {
	now := time.Now()
	err := d.r.update(ctx, func(tx Tx) error {
		stored, err := readDefinition(tx, id)
		if err != nil {
			return err
		}
		def := *stored
		change(&def)
		return d.r.storeDefinition(ctx, tx, &def, stored, now)
	})
	if err == nil {
		d.r.schedulesChanged()
	}
	return err
}

// follow makes the jobs of the schedules that are due, and notes when the next one is. Run calls it in
// a goroutine of its own, because requests are checked outside of transactions.
func (r *Runner) follow(ctx context.Context) {
	next, err := r.makeDue(ctx)
	if err != nil && ctx.Err() == nil {
		r.opts.Logger.Error("jobs: cannot follow schedules; trying again", "err", err, "in", 5*time.Second)
		next = time.Now().Add(5 * time.Second)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.following = false
	if !next.IsZero() && (r.scheduleAt.IsZero() || next.Before(r.scheduleAt)) {
		r.scheduleAt = next
	}
	r.poke()
}

// makeDue makes jobs until no schedule is due, and returns when one is next.
func (r *Runner) makeDue(ctx context.Context) (next time.Time, err error) {
	for ctx.Err() == nil {
		var due []string
		next, now := time.Time{}, time.Now()
		err := r.store.View(ctx, func(tx Tx) error {
			for rec, err := range tx.Records(spaceDue, "", "") {
				if err != nil {
					return err
				}
				if at, _ := splitDue(rec.Key); at.After(now) {
					next = at
					break
				}
				if due = append(due, rec.Key); len(due) == bulk {
					break
				}
			}
			return nil
		})
		if err != nil || len(due) == 0 {
			return next, err
		}
		for _, key := range due {
			_, id := splitDue(key)
			if e := r.makeDueOf(ctx, key, id, now); e != nil { // the others are not held up
				err = errors.Join(err, fmt.Errorf("definition %q: %w", id, e))
			}
		}
		if err != nil {
			return next, err
		}
	}
	return time.Time{}, nil
}

func splitDue(key string) (at time.Time, id string) {
	if len(key) < 8 {
		return time.Time{}, key
	}
	return time.Unix(0, int64(toNumber([]byte(key[:8])))).UTC(), key[8:]
}

// makeDueOf makes the jobs of a definition whose schedule is due, unless somebody else has done so.
func (r *Runner) makeDueOf(ctx context.Context, key, id string, now time.Time) error {
	for {
		var def *Definition
		var seen *ScheduleState
		err := r.store.View(ctx, func(tx Tx) (err error) {
			if seen, err = readSchedule(tx, id); err == nil {
				def, err = readDefinition(tx, id)
			}
			return err
		})
		if errors.Is(err, ErrNotFound) || err == nil && dueKey(seen.Next, id) != key {
			return r.update(ctx, func(tx Tx) error {
				if now, err := readSchedule(tx, id); err == nil && dueKey(now.Next, id) == key {
					return clearSchedule(tx, id) // of a definition that is gone
				}
				return tx.SetRecord(spaceDue, key, nil)
			})
		}
		if err != nil {
			return err
		}
		due, skipped, next := def.Schedule.Due(seen.Last, now, late)
		state := &ScheduleState{Next: next.UTC(), Last: now.UTC(), Skipped: seen.Skipped + skipped}
		var plans []*plan
		for _, at := range due {
			p, err := r.plan(WithActor(ctx, "schedule:"+id), id, &Trigger{Confirm: true, due: at})
			if errors.Is(err, ErrInvalid) || errors.Is(err, ErrState) || errors.Is(err, ErrMissing) {
				state.Skipped++
				state.Problem = shorten(err.Error(), 8<<10)
				r.opts.Logger.Error("jobs: a schedule is due and no job can be made", "definition", id, "due", at, "err", err)
				continue
			}
			if err != nil {
				return err
			}
			plans = append(plans, p)
		}
		err = r.update(ctx, func(tx Tx) error {
			now, err := readSchedule(tx, id)
			if err != nil {
				return err
			}
			if !now.Next.Equal(seen.Next) || !now.Last.Equal(seen.Last) {
				return errReplan
			}
			s := *state
			for _, p := range plans {
				if err := r.carryOut(tx, p, def, &s); err != nil {
					return err
				}
			}
			return s.write(tx, id)
		})
		if !errors.Is(err, errReplan) {
			return err
		}
	}
}

// carryOut makes the jobs of a plan for a time of a schedule, if the run before does not stand in the
// way.
func (r *Runner) carryOut(tx Tx, p *plan, def *Definition, state *ScheduleState) error {
	runs, err := readRuns(tx, def.ID)
	if err != nil {
		return err
	}
	var before *Job
	if def.Schedule.Overlap != OverlapAllow && runs.Counts.Active() > 0 {
		if def.Schedule.Overlap != OverlapQueue {
			state.Skipped++
			return nil
		}
		active, err := collect(tx.Jobs(Query{Definition: def.ID, States: activeStates(), Limit: 1, Lean: true}))
		if err != nil {
			return err
		}
		if len(active) > 0 {
			before = active[0]
		}
	}
	_, err = r.execute(tx, p, before)
	return err
}

func activeStates() (active []State) {
	for _, s := range States() {
		if !s.Final() {
			active = append(active, s)
		}
	}
	return active
}
