package progress

import (
	"math"
	"slices"
	"time"

	"github.com/embedjobs/jobs/internal/bars"
)

// A Report says how far a job or a part of it has come: a snapshot of a [Tracker]. Its methods may
// be called on a nil Report, which says nothing.
type Report struct {
	Name string `json:"name"`
	// Current is the count, Total what it will be in the end, or 0 if that is not known.
	Current int64 `json:"current"`
	Total   int64 `json:"total,omitempty"`
	// Underway is what is done of units that are not complete, such as the jobs that run among
	// Total children of a job.
	Underway float64 `json:"underway,omitempty"`
	// Base is what was done before Started, such as by an earlier attempt.
	Base int64 `json:"base,omitempty"`
	// Open marks a sum to which a node without a total contributes: Total may yet grow.
	Open bool `json:"open,omitempty"`
	// Parts marks a node that was given as a fraction, or a sum with one: Current and Total
	// mean something only in relation to each other.
	Parts  bool   `json:"parts,omitempty"`
	Status string `json:"status,omitempty"`
	// Started is when the node or one below it was first set, except for its total. The zero
	// time means not yet.
	Started time.Time `json:"started,omitzero"`
	// Updated is when the first report was made that said what this one says. For a running
	// job it lags behind the update by less than a second.
	Updated  time.Time `json:"updated,omitzero"`
	Children []*Report `json:"children,omitempty"`
	// Cut is the number of children left out, because a report has 1,000 nodes at most. Nodes
	// near the root stay, and of siblings those that have begun and are not done. What is left
	// out is still in the sums.
	Cut int `json:"cut,omitempty"`
}

// Clone returns a deep copy.
func (r *Report) Clone() *Report {
	if r == nil {
		return nil
	}
	c := *r
	c.Children = slices.Clone(r.Children)
	for i, child := range c.Children {
		c.Children[i] = child.Clone()
	}
	return &c
}

// Child returns the node at the end of a path of names, or nil if there is none. The empty path
// is r itself.
func (r *Report) Child(path ...string) *Report {
	for _, name := range path {
		if r == nil {
			return nil
		}
		i := slices.IndexFunc(r.Children, func(c *Report) bool { return c != nil && c.Name == name })
		if i < 0 {
			return nil
		}
		r = r.Children[i]
	}
	return r
}

// Fraction returns how much is done, from 0 to 1, and whether that is known: it is not without a
// total, or with an open one.
func (r *Report) Fraction() (f float64, ok bool) {
	if r == nil || r.Total <= 0 || r.Open {
		return 0, false
	}
	return min(max((float64(r.Current)+r.Underway)/float64(r.Total), 0), 1), true
}

// Done reports whether the count has reached a known total. That is not the end of the job, and a
// job may end without it.
func (r *Report) Done() bool {
	return r != nil && r.Total > 0 && !r.Open && r.Current >= r.Total
}

// Rate returns how much was done per second between Started and Updated, and 0 as long as nothing
// can be said: in the first tenth of a second, and until something was done.
func (r *Report) Rate() float64 {
	if r == nil {
		return 0
	}
	took := r.Updated.Sub(r.Started)
	done := float64(r.Current) + r.Underway - float64(r.Base)
	if r.Started.IsZero() || took < time.Second/10 || done <= 0 {
		return 0
	}
	return done / took.Seconds()
}

// Remaining returns how long it will take from Updated on, at the rate so far, and whether that
// can be said.
func (r *Report) Remaining() (d time.Duration, ok bool) {
	if r.Done() {
		return 0, true
	}
	rate := r.Rate()
	if _, known := r.Fraction(); !known || rate == 0 {
		return 0, false
	}
	seconds := max(float64(r.Total)-float64(r.Current)-r.Underway, 0) / rate
	if seconds > math.MaxInt64/float64(2*time.Second) { // a century and a half
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// String returns the report as [Report.Format] lays it out in 80 columns.
func (r *Report) String() string { return r.Format(80) }

// Format lays the report out as a tree for a terminal or a log, one line per node: the name, a bar
// and the percentage or, once done, a check mark, the count, the rate, the time left or taken, the
// status line. Lines are not longer than width columns, 40 at the least, have no space at their
// end, and are separated by newlines; the last one has none. When there is not enough room, the
// status is cut first, then columns are left out. The layout may change.
func (r *Report) Format(width int) string {
	if r == nil {
		return ""
	}
	return bars.Format(r.rows(nil, "", ""), width)
}

// rows appends the row of r, whose label begins with first, and those of its children, which begin
// with rest.
func (r *Report) rows(rows []bars.Row, first, rest string) []bars.Row {
	if r == nil { // in a report that was not made by a Tracker
		return rows
	}
	row := bars.Row{Label: first + r.Name, Status: r.Status, Done: r.Done(), Fraction: -1}
	if f, ok := r.Fraction(); ok {
		row.Fraction = f
	}
	if !r.Parts {
		row.Current, row.Rate = r.Current, r.Rate()
		if !r.Open {
			row.Total = r.Total
		}
	}
	if !r.Started.IsZero() {
		row.Took = r.Updated.Sub(r.Started)
	}
	row.Left, _ = r.Remaining()
	rows = append(rows, row)
	for i, c := range r.Children {
		if i == len(r.Children)-1 && r.Cut == 0 {
			rows = c.rows(rows, rest+"└── ", rest+"    ")
		} else {
			rows = c.rows(rows, rest+"├── ", rest+"│   ")
		}
	}
	if r.Cut > 0 {
		more := "… " + bars.Thousands(int64(r.Cut)) + " more"
		rows = append(rows, bars.Row{Label: rest + "└── " + more, Fraction: -1})
	}
	return rows
}

// A trackerSum is a node with its children added up.
type trackerSum struct {
	count, total, base, started int64
	open, parts                 bool
}

// Report returns a snapshot of the node and those below it. The nodes are read one after the
// other while updates go on.
func (t *Tracker) Report() *Report {
	if t == nil {
		return nil
	}
	t.tree.mu.Lock()
	defer t.tree.mu.Unlock()
	t.sum(time.Now().UnixNano())

	// Level by level, so that a large branch cuts no node that is nearer to the root.
	root := t.report()
	type pair struct {
		node   *Tracker
		report *Report
	}
	left := trackerReported - 1
	for level := []pair{{t, root}}; len(level) > 0; {
		var next []pair
		for _, p := range level {
			chosen := p.node.choose(left)
			left -= len(chosen)
			p.report.Cut = len(p.node.children) - len(chosen)
			for _, c := range chosen {
				r := c.report()
				p.report.Children = append(p.report.Children, r)
				if len(c.children) > 0 {
					next = append(next, pair{c, r})
				}
			}
		}
		level = next
	}
	return root
}

// choose returns at most n children in their order, preferring those that are being worked on.
func (t *Tracker) choose(n int) []*Tracker {
	if len(t.children) <= n {
		return t.children
	}
	busy := 0
	for _, c := range t.children {
		if c.last.busy() {
			busy++
		}
	}
	idle := max(n-busy, 0)
	chosen := make([]*Tracker, 0, n)
	for _, c := range t.children {
		switch {
		case len(chosen) == n:
			return chosen
		case c.last.busy():
			chosen = append(chosen, c)
		case idle > 0:
			chosen = append(chosen, c)
			idle--
		}
	}
	return chosen
}

func (s *trackerSum) busy() bool {
	return s.started != 0 && (s.open || s.total == 0 || s.count < s.total)
}

// sum adds up the node and all below it into last. It visits every node, reported or not, and
// allocates nothing.
func (t *Tracker) sum(now int64) {
	var s trackerSum
	for _, c := range t.children {
		c.sum(now)
		l := &c.last
		s.count = addSaturated(s.count, l.count)
		s.total = addSaturated(s.total, l.total)
		s.base = addSaturated(s.base, l.base)
		s.open = s.open || l.open || l.total == 0 && l.count != 0
		s.parts = s.parts || l.parts
		if l.started != 0 && (s.started == 0 || l.started < s.started) {
			s.started = l.started
		}
	}
	if own := t.started.Load(); own != 0 && (s.started == 0 || own < s.started) {
		s.started = own
	}
	total := t.total.Load()
	switch t.mode.Load() {
	case trackerSums:
		if total > 0 {
			s.total, s.open = total, false
		}
	case trackerCounts:
		s.count, s.total, s.open, s.parts = t.count.Load(), total, false, false
		s.base = t.base.Load()
	case trackerFraction:
		if s.parts = total == 0; s.parts {
			total = trackerParts
		}
		s.count = partOf(math.Float64frombits(t.fraction.Load()), total)
		s.total, s.open, s.base = total, false, partOf(float64(t.base.Load())/trackerParts, total)
	}
	status := t.status.Load()
	if s != t.last || status != t.lastStatus {
		t.last, t.lastStatus, t.updated = s, status, now
	}
}

func (t *Tracker) report() *Report {
	r := &Report{
		Name:    t.name,
		Current: t.last.count,
		Total:   t.last.total,
		Base:    t.last.base,
		Open:    t.last.open,
		Parts:   t.last.parts,
	}
	if t.lastStatus != nil {
		r.Status = *t.lastStatus
	}
	if t.last.started != 0 {
		r.Started = time.Unix(0, t.last.started).UTC()
	}
	if t.updated != 0 {
		r.Updated = time.Unix(0, t.updated).UTC()
	}
	return r
}

func addSaturated(a, b int64) int64 {
	c := a + b
	if (a^c)&(b^c) < 0 {
		if b > 0 {
			return math.MaxInt64
		}
		return math.MinInt64
	}
	return c
}
