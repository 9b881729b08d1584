package jobs

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// A StatusTree says how the jobs with certain labels stand, in all and part by part: for all jobs by
// group, for a group by batch, for a batch by queue, for a queue by task.
type StatusTree struct {
	// Label is the group, batch, queue or task; "" for all jobs, and for jobs without that label.
	Label string `json:"label"`
	Counts
	// First is when the first of the jobs was created, Last when one of them changed last.
	First time.Time     `json:"first"`
	Last  time.Time     `json:"last"`
	Parts []*StatusTree `json:"parts,omitempty"`
}

// Tree returns how jobs stand: all, or those with the labels that are set in within. The cost depends
// on the number of different labels, not on that of jobs.
func (r *Runner) Tree(ctx context.Context, within Labels) (*StatusTree, error) {
	rows, err := r.Stats(ctx, ByLabels, within)
	if err != nil {
		return nil, err
	}
	root := new(StatusTree)
	for _, row := range rows {
		at := root
		at.add(&row)
		for _, label := range [...]string{row.Group, row.Batch, row.Queue, row.Task} {
			// The rows are ordered by their labels.
			if n := len(at.Parts); n == 0 || at.Parts[n-1].Label != label {
				at.Parts = append(at.Parts, &StatusTree{Label: label})
			}
			at = at.Parts[len(at.Parts)-1]
			at.add(&row)
		}
	}
	return root, nil
}

func (t *StatusTree) add(row *Tally) {
	for _, s := range States() {
		t.Add(s, row.Of(s))
	}
	if t.First.IsZero() || row.First.Before(t.First) {
		t.First = row.First
	}
	if row.Last.After(t.Last) {
		t.Last = row.Last
	}
}

// Took returns how long the jobs took, from the creation of the first one to the last change, or up to
// now while some have not ended.
func (t *StatusTree) Took() time.Duration {
	switch {
	case t.First.IsZero():
		return 0
	case t.Active() > 0:
		return time.Since(t.First)
	}
	return t.Last.Sub(t.First)
}

// Remaining returns how long the jobs that have not ended will take at the rate so far, and whether
// that can be said.
func (t *StatusTree) Remaining() (d time.Duration, ok bool) {
	if t.Active() == 0 {
		return 0, true
	}
	if t.Finished() == 0 {
		return 0, false
	}
	left := t.Took().Seconds() / float64(t.Finished()) * float64(t.Active())
	if left > maxDuration.Seconds() {
		return 0, false
	}
	return time.Duration(left * float64(time.Second)), true
}

// String lays the tree out for a terminal or a log. The layout may change.
func (t *StatusTree) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "\tactive\tfinished\tfailed\ttook\tremaining") // a Builder takes everything
	t.write(w, "all jobs", 0)
	_ = w.Flush()
	return b.String()
}

func (t *StatusTree) write(w *tabwriter.Writer, label string, depth int) {
	left := ""
	if d, ok := t.Remaining(); ok && t.Active() > 0 {
		left = d.Round(time.Second).String()
	}
	_, _ = fmt.Fprintf(w, "%s%s\t%d\t%d\t%d\t%s\t%s\n", strings.Repeat("  ", depth), cmp.Or(label, "(none)"),
		t.Active(), t.Finished(), t.Failed, t.Took().Round(time.Millisecond), left)
	for _, part := range t.Parts {
		part.write(w, part.Label, depth+1)
	}
}
