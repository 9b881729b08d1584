package jobs

import (
	"context"

	"github.com/embedjobs/jobs/progress"
)

// A Tracker is the handle through which a running job reports its progress: a node of a tree of
// named counters, each the sum of its children unless it was set itself. See package progress.
type Tracker = progress.Tracker

// A Report is a snapshot of a progress tree. It computes fraction, rate and time left, and prints
// itself as bars. See package progress.
type Report = progress.Report

// Progress returns the root of the running job's progress tree. Outside a job it returns a tree
// that nobody reads.
func Progress(ctx context.Context) *Tracker {
	if a := current(ctx); a != nil {
		return a.progress()
	}
	return progress.New("")
}
