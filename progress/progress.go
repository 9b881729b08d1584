// Package progress counts what is done and what there is to do, in a tree of named nodes that costs an
// atomic addition to update. It is what jobs report their progress with, through jobs.Progress, and can
// be used alone.
//
//	files := tracker.Child("resizing")
//	files.SetTotal(100)
//	files.Add(1)
//	fmt.Println(tracker.Report())
package progress

import (
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of a tracker. They keep a report small enough to be stored a few times a second, whatever
// a handler does.
const (
	trackerReported = 1000 // nodes in a report
	trackerDepth    = 32   // levels, the root being the first
	trackerName     = 200  // bytes of a name
	trackerStatus   = 500  // bytes of a status line
	trackerIndexed  = 8    // children from which on a map is kept
	trackerParts    = 1000 // what SetFraction(1) counts without a total
)

// A Tracker is the handle through which a running job reports its progress. It is a node of a
// tree: each has a name, a count, a total, a status line and children.
//
// A node that was not set itself is the sum of its children. [Tracker.Add], [Tracker.Set],
// [Tracker.SetFraction] and [Tracker.AddFraction] set a node: from then on it speaks for itself,
// and its children are details. [Tracker.SetTotal] alone replaces only the sum of the totals.
//
// A total of 0 is unknown. Whatever is counted is in units of the caller's choice; children whose
// sum is to mean something share a unit, or have a parent that is set itself.
//
// All methods may be called concurrently, and on a nil Tracker, where they do nothing. After the
// end of its job a tracker ignores updates.
type Tracker struct {
	tree  *trackerTree
	name  string
	depth int

	count    atomic.Int64
	total    atomic.Int64
	fraction atomic.Uint64 // bits of a float64
	mode     atomic.Uint32 // what set the node
	status   atomic.Pointer[string]

	started atomic.Int64 // when the node was first set, Unix nanoseconds
	base    atomic.Int64 // what it was set to then, in counts or parts

	// Guarded by tree.mu.

	children []*Tracker
	index    map[string]*Tracker // of children, once there are many
	// What the latest report said. Comparing with it tells when a node changed without reading
	// the clock at each update.
	last       trackerSum
	lastStatus *string
	updated    int64
}

// Values of Tracker.mode.
const (
	trackerSums     uint32 = iota // not set: the sum of the children
	trackerCounts                 // by Add or Set
	trackerFraction               // by SetFraction or AddFraction
)

// A trackerTree is what the nodes of a tree share.
type trackerTree struct {
	state   atomic.Uint32 // of the bits below
	changed func()        // see OnChange
	_       [64]byte
	// mu keeps its distance from state, which every update reads.
	mu sync.RWMutex
}

// The bits of trackerTree.state.
const (
	trackerChanged uint32 = 1 << iota // since the latest take
	trackerClosed
)

// New returns the root of a new tree. Handlers get theirs from jobs.Progress; this one is for
// use without a job.
func New(name string) *Tracker {
	return &Tracker{tree: new(trackerTree), name: cleanLine(name, trackerName), depth: 1}
}

// OnChange has the first update, and the first one after each take, call fn from the goroutine
// that updates. It must be called before the tree is used.
func (t *Tracker) OnChange(fn func()) { t.tree.changed = fn }

// Child returns the child of that name. The first call makes it; children are reported in the
// order in which they were made. Names are cut at 200 bytes. A tree has 32 levels: on the last
// one, Child returns the node itself.
func (t *Tracker) Child(name string) *Tracker {
	if t == nil || t.depth >= trackerDepth {
		return t
	}
	t.tree.mu.RLock()
	c := t.find(name)
	t.tree.mu.RUnlock()
	if c != nil {
		return c
	}
	name = cleanLine(name, trackerName)
	t.tree.mu.Lock()
	if c = t.find(name); c != nil {
		t.tree.mu.Unlock()
		return c
	}
	c = &Tracker{tree: t.tree, name: name, depth: t.depth + 1}
	if !t.closed() { // otherwise nobody will see it
		t.children = append(t.children, c)
		switch n := len(t.children); {
		case n == trackerIndexed:
			t.index = make(map[string]*Tracker, 2*n)
			for _, c := range t.children {
				t.index[c.name] = c
			}
		case n > trackerIndexed:
			t.index[name] = c
		}
	}
	t.tree.mu.Unlock()
	t.touch()
	return c
}

// find returns the child of that name, or nil. tree.mu must be held.
func (t *Tracker) find(name string) *Tracker {
	if t.index != nil {
		return t.index[name]
	}
	for _, c := range t.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// Add adds n, which may be negative, to the count. It costs an atomic addition: no lock, no
// allocation, no clock. A count that would overflow stays at its limit.
func (t *Tracker) Add(n int64) {
	if t == nil || t.closed() {
		return
	}
	count := t.count.Add(n)
	if before := count - n; (before^count)&(n^count) < 0 {
		t.count.Store(addSaturated(before, n))
	}
	if t.mode.Load() != trackerCounts {
		t.begin(trackerCounts, 0)
	}
	t.touch()
}

// Set sets the count. If it is the first update of the node, n is taken as done before, such as by
// an earlier attempt, and does not count for the rate.
func (t *Tracker) Set(n int64) {
	if t == nil || t.closed() {
		return
	}
	t.count.Store(n)
	if t.mode.Load() != trackerCounts {
		t.begin(trackerCounts, n)
	}
	t.touch()
}

// SetTotal sets what the count will be in the end; 0 or less means that it is not known.
func (t *Tracker) SetTotal(n int64) {
	if t == nil || t.closed() {
		return
	}
	t.total.Store(max(n, 0))
	t.touch()
}

// SetFraction sets how much is done, between 0 and 1; other values are clamped and NaN is ignored.
// The node then counts as that fraction of its total, or in 1,000 parts if it has none, which is
// also its weight beside its siblings.
func (t *Tracker) SetFraction(f float64) { t.changeFraction(f, false) }

// AddFraction adds to the fraction done, see [Tracker.SetFraction]. Small steps add up; they are
// passed on to the store once they make a thousandth.
func (t *Tracker) AddFraction(f float64) { t.changeFraction(f, true) }

func (t *Tracker) changeFraction(f float64, add bool) {
	if t == nil || t.closed() || math.IsNaN(f) {
		return
	}
	var before, after float64
	for swapped := false; !swapped; {
		bits := t.fraction.Load()
		before, after = math.Float64frombits(bits), f
		if add {
			after += before
		}
		after = min(max(after, 0), 1)
		swapped = t.fraction.CompareAndSwap(bits, math.Float64bits(after))
	}
	parts := partOf(after, trackerParts)
	switch {
	case t.mode.Load() != trackerFraction && add:
		t.begin(trackerFraction, 0)
	case t.mode.Load() != trackerFraction:
		t.begin(trackerFraction, parts)
	case parts == partOf(before, trackerParts):
		return
	}
	t.touch()
}

// partOf returns the part f of total, rounded down but for what adding up floats loses.
func partOf(f float64, total int64) int64 {
	if f >= 1 {
		return total
	}
	return min(int64(f*float64(total)+1e-6), total)
}

// SetStatus sets a line that says what is going on. It is cut at 500 bytes.
func (t *Tracker) SetStatus(s string) {
	if t == nil || t.closed() {
		return
	}
	s = cleanLine(s, trackerStatus)
	t.status.Store(&s)
	t.start()
	t.touch()
}

// begin notes what sets the node from now on, and what it is set to first.
func (t *Tracker) begin(mode uint32, base int64) {
	t.start()
	t.base.Store(base)
	t.mode.Store(mode)
}

func (t *Tracker) start() {
	if t.started.Load() == 0 {
		t.started.CompareAndSwap(0, time.Now().UnixNano())
	}
}

func (t *Tracker) closed() bool { return t.tree.state.Load()&trackerClosed != 0 }

// touch tells that the tree has changed. It comes after the change: if the tree is found changed
// already, the next take includes it. No lock is held.
func (t *Tracker) touch() {
	if t.tree.state.Load() == 0 {
		t.signal()
	}
}

func (t *Tracker) signal() {
	if t.tree.state.CompareAndSwap(0, trackerChanged) && t.tree.changed != nil {
		t.tree.changed()
	}
}

// Take returns a report, or nil if nothing has changed since the one before. With OnChange it stores
// or shows what is new, and no more often than it is called.
func (t *Tracker) Take() *Report {
	// First the state, then the report: an update that the report misses signals anew.
	if t.tree.state.And(^trackerChanged)&trackerChanged == 0 {
		return nil
	}
	return t.Report()
}

// Close makes the whole tree ignore updates. What came before can still be taken.
func (t *Tracker) Close() {
	if t != nil {
		t.tree.state.Or(trackerClosed)
	}
}

// cleanLine makes s a single line of valid UTF-8 of at most n bytes. What could move a cursor or
// turn the direction of writing becomes a space; the joiners that some scripts need stay.
func cleanLine(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for i := 0; i < utf8.UTFMax && len(s) > 0; i++ { // the rune that was cut in two
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size != 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || r == '\u200c' || r == '\u200d' {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
}
