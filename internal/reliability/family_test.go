//go:build linux

package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

// What jobs have to do with each other: dependencies, children, schedules.

const (
	kids  = 3 // of each parent
	every = 120 * time.Hour
)

type familyArgs struct {
	Slow bool `json:"slow,omitempty"` // the children wait for their cancellation
}

// registerFamilies registers parents and children.
func (w *world) registerFamilies() {
	kid := jobs.Register(&w.reg, jobs.Task{Name: "kid", MaxAttempts: 5}, func(ctx context.Context, args familyArgs) (int, error) {
		jobs.Count(ctx, "kids", 1)
		if args.Slow && !w.brief {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		return 1, nil
	})
	spawn := func(ctx context.Context, args familyArgs) (int, error) {
		for range kids - 1 {
			if err := jobs.Spawn(ctx, kid.Request(args)); err != nil {
				return 0, err
			}
		}
		return 0, jobs.Spawn(ctx, kid.Request(args))
	}
	jobs.Register(&w.reg, jobs.Task{Name: "parent", MaxAttempts: 5}, spawn)
	jobs.Register(&w.reg, jobs.Task{Name: "gather", MaxAttempts: 5}, spawn).Join(func(ctx context.Context, _ familyArgs, own int) (int, error) {
		for child, err := range jobs.Children(ctx) {
			if err != nil {
				return 0, err
			}
			n, err := kid.Result(child)
			if err != nil {
				return 0, err
			}
			own += n
		}
		return own, nil
	})
	jobs.Register(&w.reg, jobs.Task{Name: "tick", MaxAttempts: 5}, func(context.Context, struct{}) (int, error) { return 0, nil })
}

// graph enqueues jobs that come after each other.
func (d *driver) graph(ctx context.Context) error {
	meta := map[string]string{"graph": d.label()}
	all, err := d.enqueue(
		ctx,
		jobs.Request{Name: "first", Task: "flaky", Meta: meta},
		jobs.Request{Name: "beside", Task: "note", Meta: meta, RunAt: time.Now().Add(time.Hour)},
		jobs.Request{Name: "second", Task: "note", Meta: meta, After: []jobs.Dependency{{Name: "first"}}},
		jobs.Request{Name: "last", Task: "note", Meta: meta, After: []jobs.Dependency{{Name: "second"}, {Name: "beside", Need: jobs.NeedEnd}}},
	)
	if err != nil || d.rng.IntN(2) == 0 {
		return err
	}
	return d.end(ctx, all[3].ID)
}

// family enqueues a job that has children.
func (d *driver) family(ctx context.Context) error {
	task := "parent"
	if d.rng.IntN(2) == 0 {
		task = "gather"
	}
	all, err := d.enqueue(ctx, jobs.Request{Task: task, Group: d.name, Args: json.RawMessage(`{}`)})
	if err != nil {
		return err
	}
	return d.end(ctx, all[0].ID)
}

// cancelFamily cancels a job while its children are at work.
func (d *driver) cancelFamily(ctx context.Context) error {
	all, err := d.enqueue(ctx, jobs.Request{Task: "parent", Queue: "slow-" + d.name, Args: json.RawMessage(`{"slow":true}`)})
	if err != nil {
		return err
	}
	id := all[0].ID
	for job, err := range d.runner.Watch(ctx, id) {
		if err != nil {
			return err
		}
		if job.State == jobs.Waiting {
			break
		}
	}
	if _, err := d.runner.Cancel(ctx, id, "enough"); err != nil {
		return err
	}
	return d.end(ctx, id)
}

// define saves a definition whose schedule makes jobs, the same each time, and sometimes triggers it.
func (d *driver) define(ctx context.Context) error {
	id := "every-" + d.name
	def := jobs.Definition{
		ID: id, Request: jobs.Request{Task: "tick", Args: json.RawMessage(`{}`)},
		Schedule: jobs.Schedule{Every: every, Missed: jobs.MissedAll, Overlap: jobs.OverlapAllow},
	}
	stored, err := d.runner.Definitions().Get(ctx, id)
	if err == nil {
		def.Version = stored.Version
	} else if !errors.Is(err, jobs.ErrNotFound) {
		return err
	}
	saved, err := d.runner.Definitions().Save(ctx, def)
	if err != nil {
		return err
	}
	d.ack(id, fmt.Sprintf("definition %s was saved", id), func(ctx context.Context, w *world) error {
		got, err := w.runner.Definitions().Get(ctx, id)
		if err == nil && got.Version < saved.Version {
			return fmt.Errorf("its version is %d, not %d", got.Version, saved.Version)
		}
		return err
	})
	if d.rng.IntN(2) == 0 {
		return nil
	}
	all, err := d.runner.Definitions().Trigger(ctx, id, nil)
	if err != nil {
		return err
	}
	d.ackJob(all[0])
	return d.end(ctx, all[0].ID)
}

// families checks what jobs have to do with each other.
func (w *world) families(ctx context.Context, all map[jobs.ID]*jobs.Job) error {
	var errs []error
	graphs, children := make(map[string]int), make(map[jobs.ID][]*jobs.Job)
	for _, job := range all {
		if g := job.Meta["graph"]; g != "" {
			graphs[g]++
		}
		if job.Parent != 0 {
			children[job.Parent] = append(children[job.Parent], job)
		}
		if len(job.After) > 0 {
			errs = append(errs, released(job, all))
		}
	}
	for g, n := range graphs {
		if n != 4 {
			errs = append(errs, fmt.Errorf("of graph %s there are %d jobs", g, n))
		}
	}
	for _, job := range all {
		if job.Task == "parent" || job.Task == "gather" {
			errs = append(errs, w.family(ctx, job, children[job.ID]))
		}
	}
	return errors.Join(append(errs, w.ticks(ctx, all))...)
}

// family checks a job that has children, or is to have some.
func (w *world) family(ctx context.Context, job *jobs.Job, children []*jobs.Job) error {
	ended := 0
	for _, child := range children {
		if child.State.Final() {
			ended++
		}
		if child.ParentClaim != job.Brood || child.Group != job.Group {
			return fmt.Errorf("%v is a child of another attempt than %v waits for", child, job)
		}
	}
	waits := job.State == jobs.Waiting
	switch {
	case len(children) != 0 && len(children) != kids:
		return fmt.Errorf("%v has %d children", job, len(children))
	case (waits || job.Joining || job.State == jobs.Succeeded) && len(children) == 0:
		return fmt.Errorf("%v has no children", job)
	case len(children) > 0 && !waits && !job.Joining && !job.State.Final():
		return fmt.Errorf("%v has children before its handler has succeeded", job)
	case waits && ended == kids, (job.Joining || job.State == jobs.Succeeded) && ended < kids:
		return fmt.Errorf("%v, and %d of its children have ended", job, ended)
	}
	if job.State != jobs.Succeeded {
		return nil
	}
	got, err := w.runner.Get(ctx, job.ID)
	if err != nil {
		return err
	}
	if c := got.Children; c == nil || c.Total != kids || c.Succeeded != kids || c.Counters["kids"] != kids {
		return fmt.Errorf("%v counts its children as %+v", job, c)
	}
	if job.Task == "gather" && string(got.Result) != fmt.Sprint(kids) {
		return fmt.Errorf("%v has gathered %s", job, got.Result)
	}
	return nil
}

// ticks checks that each time of a schedule has made one job.
func (w *world) ticks(ctx context.Context, all map[jobs.ID]*jobs.Job) error {
	due := make(map[string][]time.Time)
	for _, job := range all {
		if job.Definition != "" && !job.Due.IsZero() {
			due[job.Definition] = append(due[job.Definition], job.Due)
		}
	}
	return w.store.View(ctx, func(tx jobs.Tx) error {
		for id, times := range due {
			slices.SortFunc(times, time.Time.Compare)
			data, err := tx.Record("schedule", id)
			if err != nil {
				return err
			}
			var state jobs.ScheduleState
			if err := json.Unmarshal(data, &state); err != nil {
				return fmt.Errorf("the schedule of %s: %w", id, err)
			}
			if state.Skipped != 0 || state.Problem != "" {
				return fmt.Errorf("the schedule of %s: %+v", id, state)
			}
			for i, t := range append(times[1:], state.Next) {
				if !t.Equal(times[0].Add(time.Duration(i+1) * every)) {
					return fmt.Errorf("the schedule of %s made jobs for %v and is due next at %v", id, times, state.Next)
				}
			}
		}
		return nil
	})
}
