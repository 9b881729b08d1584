package jobs

import (
	"cmp"
	"context"
	"time"
)

// live redacts a job and adds what is not stored with it: what its attempt has not stored yet, and
// what its children have done.
func (r *Runner) live(tx Tx, job *Job) (*Job, error) {
	job = r.own(job)
	_, err := r.rollUp(tx, job)
	return job, err
}

// own redacts a job and adds what its attempt has not stored yet.
func (r *Runner) own(job *Job) *Job {
	job = r.redact(job)
	r.mu.Lock()
	a := r.running[job.ID]
	r.mu.Unlock()
	if a != nil && a.holds(job) {
		if tracker, _ := a.used(); tracker != nil {
			job.Progress = tracker.Report()
		}
		a.mu.Lock()
		job.Counters = cloneMap(a.counters)
		a.mu.Unlock()
	}
	return job
}

// Bounds of a rolled up report.
const (
	maxKids  = 100  // children that are shown of those that run or wait
	maxAll   = 10   // children up to which also those are shown that have not begun, or have ended
	maxNodes = 1000 // in all; beyond that the details of children are left out
)

// rollUp sets the counts and the progress of a job with children, and returns what these have counted.
// Its own count is that of its children.
func (r *Runner) rollUp(tx Tx, job *Job) (*brood, error) {
	if job.Brood == 0 {
		return nil, nil
	}
	b, err := readBrood(tx, job.ID)
	if err != nil || b == nil || b.Claim != job.Brood {
		return nil, err
	}
	job.Children = &b.ChildCounts
	root := &Report{
		Name: r.title(job), Current: b.Done(), Total: b.Total, Started: b.Since.UTC(), Updated: b.Last.UTC(),
	}
	if own := b.ownWork(job.Progress); own != nil {
		root.Children = append(root.Children, own)
	}
	pending := b.Pending() > 0 && !job.State.Final()
	if pending {
		root.Updated = time.Now().UTC()
	}
	var kids []*kid
	if pending || b.Total <= maxAll {
		if kids, err = r.kids(tx, job, b, root, pending); err != nil {
			return nil, err
		}
	}
	b.arrange(root, kids)
	job.Progress = root
	return b, nil
}

// A kid is a child that is shown in the progress of its parent.
type kid struct {
	title  string
	alive  bool
	report *Report
}

// kids returns the children that run, or wait for children of their own, and of few children those that
// are the only one of their kind in any case. It adds what the former have done so far to what is
// counted.
func (r *Runner) kids(tx Tx, job *Job, b *brood, root *Report, pending bool) ([]*kid, error) {
	states := []State{Running, Waiting}
	if b.Total <= maxAll {
		states = nil
	}
	var kids []*kid
	for child, err := range childrenOf(tx, job, states...) {
		if err != nil {
			return nil, err
		}
		kid := &kid{title: r.title(child), report: new(Report)}
		// A job that waits without children waits for what it comes after.
		kid.alive = pending && (child.State == Running || child.State == Waiting && child.Brood != 0)
		if k := b.kind(kid.title); !kid.alive && (b.Total > maxAll || k != nil && k.Jobs > 1) {
			continue
		}
		child = r.own(child)
		own := child.Progress
		below, err := r.rollUp(tx, child)
		if err != nil {
			return nil, err
		}
		if child.Progress != nil {
			*kid.report = *child.Progress
		}
		kid.report.Name = kid.title
		k := b.kind(kid.title)
		switch {
		case k == nil:
			kid.report.Name += " " + child.ID.String()
		case k.Jobs > 1:
			kid.report.Name = "job " + child.ID.String()
		}
		if kid.alive {
			if f, ok := kid.report.Fraction(); ok {
				root.Underway += f
			}
			if k != nil && own != nil && own.Total > 0 && !own.Open {
				k.Known++
			}
			b.sum(kid.title, own, below, 1)
			b.ChildCounts.count(child.Counters, 1)
			if child.Children != nil {
				b.ChildCounts.count(child.Children.Counters, 1)
			}
		}
		kids = append(kids, kid)
	}
	return kids, nil
}

// arrange adds the children to the report of their parent, those of a kind below the sum of it.
func (b *brood) arrange(root *Report, kids []*kid) {
	byTitle := make(map[string][]*kid)
	for _, kid := range kids {
		if b.kind(kid.title) == nil {
			byTitle[""] = append(byTitle[""], kid)
		} else {
			byTitle[kid.title] = append(byTitle[kid.title], kid)
		}
	}
	left := maxKids
	for i := range b.Kinds {
		k := &b.Kinds[i]
		at, alive := root, byTitle[k.Title]
		if k.Jobs > 1 {
			at = k.report()
			if len(alive) > 0 {
				at.Updated = root.Updated
			}
			if len(alive) > 0 || at.Current != 0 || at.Total != 0 {
				root.Children = append(root.Children, at)
			}
		}
		left = hang(at, alive, left)
	}
	hang(root, byTitle[""], left)
	if countNodes(root) > maxNodes {
		for _, kid := range kids {
			kid.report.Cut += len(kid.report.Children)
			kid.report.Children = nil
		}
	}
}

// hang adds at most n children to a report, and returns how many more there may be.
func hang(at *Report, kids []*kid, n int) int {
	shown := min(len(kids), n)
	for _, kid := range kids[:shown] {
		at.Children = append(at.Children, kid.report)
	}
	at.Cut += len(kids) - shown
	return n - shown
}

func (r *Runner) title(job *Job) string {
	if job.Title == "" {
		if t := r.registry.lookup(job.Task); t != nil {
			return t.Title
		}
	}
	return cmp.Or(job.Title, job.Task)
}

func countNodes(report *Report) int {
	n := 1
	for _, c := range report.Children {
		n += countNodes(c)
	}
	return n
}

// watchBrood returns a channel that gets a value when anything happens to any job, if job waits for
// its children, and otherwise nil.
func (r *Runner) watchBrood(job *Job) (wake <-chan struct{}, stop func()) {
	if job.State != Waiting || job.Brood == 0 {
		return nil, func() {}
	}
	return r.watch(0)
}

// stirs reports whether the progress of a job may change without a commit: it, or a job that may be
// one of its children, runs in this process.
func (r *Runner) stirs(job *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[job.ID] != nil || job.State == Waiting && job.Brood != 0 && len(r.running) > 0
}

// await waits for a change of a job, or for the time to show its progress: when rest of a wait is
// left, or, while that may change in this process, after a whole one.
func (r *Runner) await(ctx context.Context, job *Job, wake <-chan struct{}, rest time.Duration) error {
	tick := r.poll()
	if stirs := r.stirs(job); stirs || rest > 0 {
		if rest <= 0 {
			rest = watchEvery
		}
		timer := time.NewTimer(rest)
		defer timer.Stop()
		tick = timer.C
	}
	any, stop := r.watchBrood(job)
	defer stop()
	if rest > 0 {
		any = nil // not before it may be shown
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-wake:
	case <-any:
	case <-tick:
	}
	return nil
}
