package jobs

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// live redacts a job and adds what is not stored with it: what its attempt has not stored yet, and
// what its children have done.
func (r *Runner) live(tx Tx, job *Job) (*Job, error) {
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
	if job.Brood == 0 {
		return job, nil
	}
	b, err := readBrood(tx, job.ID)
	if err != nil || b == nil || b.Claim != job.Brood {
		return job, err
	}
	return job, r.rollUp(tx, job, b)
}

// Bounds of a rolled up report.
const (
	maxKids  = 100  // children that are shown of those that run or wait
	maxNodes = 1000 // in all; beyond that their details are left out
)

// rollUp sets the counts and the progress of a job with children. Its count is that of its children.
func (r *Runner) rollUp(tx Tx, job *Job, b *brood) error {
	job.Children = &b.ChildCounts
	root := &Report{
		Name: r.title(job), Current: b.Done(), Total: b.Total, Started: b.Since.UTC(), Updated: b.Last.UTC(),
	}
	if own := job.Progress; own != nil && (own.Total != 0 || own.Current != 0 || own.Status != "" || len(own.Children) > 0) {
		c := *own
		c.Name = "own work"
		root.Children = append(root.Children, &c)
	}
	if b.Pending() > 0 && !job.State.Final() {
		root.Updated = time.Now().UTC()
		shown, err := r.kids(tx, job, root)
		if err != nil {
			return err
		}
		root.Cut = int(b.Total) - shown
	}
	if countNodes(root) > maxNodes {
		for _, child := range root.Children {
			child.Cut += len(child.Children)
			child.Children = nil
		}
	}
	job.Progress = root
	return nil
}

// kids adds the reports of the children that run, or wait for children of their own, and returns how
// many there are.
func (r *Runner) kids(tx Tx, job *Job, root *Report) (shown int, err error) {
	for child, err := range childrenOf(tx, job, Running, Waiting) {
		if err != nil {
			return shown, err
		}
		if child.State == Waiting && child.Brood == 0 { // for what it comes after
			continue
		}
		if child, err = r.live(tx, child); err != nil {
			return shown, err
		}
		if f, ok := child.Progress.Fraction(); ok {
			root.Underway += f
		}
		if shown < maxKids {
			shown++
			report := child.Progress.Clone()
			if report == nil {
				report = new(Report)
			}
			report.Name = fmt.Sprintf("%s %d", r.title(child), child.ID)
			root.Children = append(root.Children, report)
		}
		job.Children.count(child.Counters, 1)
		if child.Children != nil {
			job.Children.count(child.Children.Counters, 1)
		}
	}
	return shown, nil
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
