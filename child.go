package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
)

// Spawn has jobs enqueued as children of the running job when its handler has succeeded: together
// with that, or not at all. The job then waits for its children without holding a worker, and ends
// when they have: by a call of its task's [TaskOf.Join] if there is one, otherwise as its ChildPolicy
// says. Children without a group have that of their parent. To cancel a job that waits cancels its
// children, which are taken up again with it only; to retry one that has ended retries those of its children that have failed or were
// cancelled, if there are such.
//
// Meanwhile the progress of the job counts its children. Children with the same title share a node of
// that name that sums up what they count. A handler that knows what this will be in the end says so as
// the total of a child of its own progress with that name:
//
//	jobs.Progress(ctx).Child("Resize images").SetTotal(images)
//
// Bad requests are refused at once. Outside a job the requests are dropped.
func Spawn(ctx context.Context, reqs ...Request) error {
	a := current(ctx)
	if a == nil {
		return nil
	}
	all, err := a.runner.prepare(ctx, nil, reqs, nil)
	if err != nil {
		return err
	}
	var after []ID
	for i := range all {
		for _, d := range all[i].job.After {
			if d.Job != 0 {
				after = append(after, d.Job)
			}
		}
	}
	if err := a.checkAfter(ctx, after); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spawned = append(a.spawned, all)
	return nil
}

// checkAfter refuses jobs to come after that wait themselves, through others, for the running job or
// for one that waits for it: none of them would ever end.
func (a *attempt) checkAfter(ctx context.Context, after []ID) error {
	if len(after) == 0 {
		return nil
	}
	return a.runner.store.View(ctx, func(tx Tx) error {
		waits := map[ID]bool{a.id: true} // for the children
		for id := a.claimed.Parent; id != 0; {
			parent, err := tx.Job(id)
			if err != nil {
				break
			}
			waits[id] = true
			id = parent.Parent
		}
		seen := make(map[ID]bool)
		for len(after) > 0 {
			id := after[0]
			after = after[1:]
			if waits[id] {
				return invalidf("After", "a child of job %d would wait for job %d, which waits for it", a.id, id)
			}
			if seen[id] || len(seen) == maxGraph {
				continue
			}
			seen[id] = true
			if job, err := tx.Job(id); err == nil && job.State == Waiting {
				for _, d := range job.After {
					after = append(after, d.Job)
				}
			}
		}
		return nil
	})
}

// Children returns the children of the running job that have ended, in the order in which they were
// spawned. It is for [TaskOf.Join]; elsewhere there are none.
func Children(ctx context.Context) iter.Seq2[*Job, error] {
	return func(yield func(*Job, error) bool) {
		a := current(ctx)
		if a == nil {
			return
		}
		for q := (Query{Parent: a.id, Order: Oldest, Limit: bulk}); ; {
			var page []*Job
			err := a.runner.store.View(ctx, func(tx Tx) (err error) {
				page, err = collect(tx.Jobs(q))
				return err
			})
			if err != nil {
				yield(nil, err)
				return
			}
			for _, child := range page {
				if child.State.Final() && child.ParentClaim == a.claimed.Brood && !yield(a.runner.redact(child), nil) {
					return
				}
			}
			if len(page) < q.Limit {
				return
			}
			q.After = page[len(page)-1].ID
		}
	}
}

// Dependencies returns the jobs that the running job comes after, in the order of Request.After: each with
// its name in After, as it stands now. Outside a job there are none.
func Dependencies(ctx context.Context) iter.Seq2[string, *Job] {
	return func(yield func(string, *Job) bool) {
		a := current(ctx)
		if a == nil {
			return
		}
		for _, d := range a.claimed.After {
			job, err := a.runner.Get(ctx, d.Job)
			if err != nil {
				job = &Job{ID: d.Job} // it was deleted
			}
			if !yield(d.Name, job) {
				return
			}
		}
	}
}

// Join has fn called when all children of a job of the task have ended, however they did, with the
// arguments of the job and the result that its handler returned. What fn returns is what the job ends
// with; it is tried again like a handler. [Children] gives the children, Current their counts. For a job
// with Request.Each it is not called.
//
// It must be called before the registry is given to NewRunner. It panics if it was called before, or
// with a nil function, or if the task is declared only.
func (t *TaskOf[Args, Result]) Join(fn func(ctx context.Context, args Args, own Result) (Result, error)) {
	if fn == nil || t.task.handle == nil || t.task.join != nil {
		panic(fmt.Sprintf("jobs: task %q: Join needs a function, and a handler, and can be called once", t.name))
	}
	t.task.join = func(ctx context.Context, data, own json.RawMessage) (json.RawMessage, error) {
		var args Args
		if err := json.Unmarshal(data, &args); err != nil {
			return nil, &argsError{err}
		}
		var result Result
		if len(own) > 0 {
			if err := json.Unmarshal(own, &result); err != nil {
				return nil, &resultError{err}
			}
		}
		return encodeResult(fn(ctx, args, result))
	}
}

// RegisterSeq registers a task whose handler yields results one by one. The result of a job is the
// list of them; the node "yielded" of its progress counts them, and the handler may set its total. The first error
// ends the sequence and is that of the job, as if a handler had returned it. What holds for
// Register holds for RegisterSeq.
func RegisterSeq[Args, Item any](reg *Registry, t Task, fn func(ctx context.Context, args Args) iter.Seq2[Item, error]) *TaskOf[Args, []Item] {
	if fn == nil {
		panic(fmt.Sprintf("jobs: task %q: nil function", t.Name))
	}
	return Register(reg, t, func(ctx context.Context, args Args) ([]Item, error) {
		items := []Item{}
		yielded := Progress(ctx).Child("yielded")
		for item, err := range fn(ctx, args) {
			if err != nil {
				return items, err
			}
			items = append(items, item)
			yielded.Add(1)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
		return items, nil
	})
}
