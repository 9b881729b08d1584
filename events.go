package jobs

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

const spaceEvent = "event" // number → event

// An Event tells of one change of a job's state. Events are kept if Options.KeepEvents says so.
type Event struct {
	// Seq numbers all events of a store, from 1, in the order of their commits, without gaps.
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Job     ID        `json:"job"`
	Task    string    `json:"task"`
	Queue   string    `json:"queue"`
	Group   string    `json:"group,omitempty"`
	From    State     `json:"from,omitempty"` // "" for a new job
	State   State     `json:"state"`          // "" for a job that was deleted
	Attempt int       `json:"attempt,omitempty"`
	Message string    `json:"message,omitempty"`
}

// record writes the event of a change in the transaction that makes it.
func (r *Runner) record(tx Tx, job *Job, from State) error {
	if r.opts.KeepEvents <= 0 {
		return nil
	}
	data, err := tx.Record(spaceMeta, "event")
	if err != nil {
		return err
	}
	e := Event{
		Seq: toNumber(data) + 1, Time: time.Now(), Job: job.ID, Task: job.Task, Queue: job.Queue, Group: job.Group,
		From: from, State: job.State, Attempt: job.Attempt, Message: job.Message,
	}
	if err := tx.SetRecord(spaceMeta, "event", fromNumber(e.Seq)); err != nil {
		return err
	}
	if data, err = json.Marshal(e); err != nil {
		return err
	}
	return tx.SetRecord(spaceEvent, string(fromNumber(e.Seq)), data)
}

// Events returns what has happened to jobs since event number after, and goes on as it happens,
// until ctx is done. A reader that remembers the Seq of the last event it has dealt with misses
// none, across restarts, as long as it comes back within Options.KeepEvents. All runners that
// change jobs of the store must keep events.
func (r *Runner) Events(ctx context.Context, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if r.opts.KeepEvents <= 0 {
			yield(Event{}, invalidf("Options.KeepEvents", "is 0, so no events are written"))
			return
		}
		wake, stop := r.watch(0)
		defer stop()
		for {
			events, err := r.readEvents(ctx, after)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if err != nil {
				yield(Event{}, err)
				return
			}
			if len(events) == bulk {
				continue
			}
			select {
			case <-ctx.Done():
				yield(Event{}, context.Cause(ctx))
				return
			case <-wake:
			case <-r.poll():
			}
		}
	}
}

// readEvents returns the next events, at most bulk.
func (r *Runner) readEvents(ctx context.Context, after uint64) (events []Event, err error) {
	err = r.store.View(ctx, func(tx Tx) error {
		for rec, err := range tx.Records(spaceEvent, "", string(fromNumber(after+1))) {
			if err != nil {
				return err
			}
			var e Event
			if err := json.Unmarshal(rec.Value, &e); err != nil {
				return corrupt("event "+ID(toNumber([]byte(rec.Key))).String(), err)
			}
			if events = append(events, e); len(events) == bulk {
				return nil
			}
		}
		return nil
	})
	return events, err
}

// pruneEvents removes events from before a time. The number of the latest one stays known.
func (r *Runner) pruneEvents(ctx context.Context, before time.Time) error {
	for more := true; more; {
		err := r.update(ctx, func(tx Tx) error {
			more = false
			var old []string
			for rec, err := range tx.Records(spaceEvent, "", "") {
				if err != nil {
					return err
				}
				var e Event
				if err := json.Unmarshal(rec.Value, &e); err == nil && !e.Time.Before(before) {
					break
				}
				if old = append(old, rec.Key); len(old) == bulk {
					more = true
					break
				}
			}
			for _, key := range old {
				if err := tx.SetRecord(spaceEvent, key, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
