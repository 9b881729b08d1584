package progress_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/embedjobs/jobs/progress"
)

// want checks the count and the total of a report.
func want(t *testing.T, r *progress.Report, current, total int64) {
	t.Helper()
	if r == nil {
		t.Fatal("no such node")
	}
	if r.Current != current || r.Total != total {
		t.Errorf("%q: got %d of %d, want %d of %d", r.Name, r.Current, r.Total, current, total)
	}
}

func ExampleTracker() {
	progress := progress.New("import") // in a handler: jobs.Progress(ctx)

	files := progress.Child("files")
	files.SetTotal(4)
	files.Add(3)
	index := progress.Child("index")
	index.SetTotal(4)
	index.SetStatus("waiting for files")

	fmt.Println(progress.Report())
	// Output:
	// import     ███████▌░░░░░░░░░░░░  37%  3/8
	// ├── files  ███████████████░░░░░  75%  3/4
	// └── index  ░░░░░░░░░░░░░░░░░░░░   0%  0/4  waiting for files
}

func ExampleTracker_SetFraction() {
	progress := progress.New("train")
	progress.SetFraction(0.5)
	for range 100 {
		progress.AddFraction(0.001)
	}
	done, ok := progress.Report().Fraction()
	fmt.Println(done, ok)
	// Output: 0.6 true
}

func TestTracker_Sums(t *testing.T) {
	t.Run("a node that was not set is the sum of its children", func(t *testing.T) {
		root := progress.New("root")
		for i := range 3 {
			leaf := root.Child("branch").Child(fmt.Sprint(i))
			leaf.SetTotal(10)
			leaf.Add(int64(i))
		}
		want(t, root.Report(), 3, 30)
		want(t, root.Report().Child("branch"), 3, 30)
		want(t, root.Report().Child("branch", "2"), 2, 10)
	})
	t.Run("a node that was set speaks for itself", func(t *testing.T) {
		for _, set := range []func(*progress.Tracker){
			func(n *progress.Tracker) { n.Add(2) },
			func(n *progress.Tracker) { n.Set(2) },
		} {
			root := progress.New("root")
			root.Child("branch").Child("leaf").SetTotal(100)
			root.Child("branch").Child("leaf").Add(50)
			set(root.Child("branch"))
			want(t, root.Report().Child("branch"), 2, 0)
			root.Child("branch").SetTotal(5)
			want(t, root.Report().Child("branch"), 2, 5)
			want(t, root.Report(), 2, 5)
			want(t, root.Report().Child("branch", "leaf"), 50, 100)
		}
	})
	t.Run("a node set to zero speaks for itself", func(t *testing.T) {
		root := progress.New("root")
		root.Child("leaf").Add(50)
		root.Set(0)
		want(t, root.Report(), 0, 0)
	})
	t.Run("a total alone replaces the sum of the totals until it is unknown again", func(t *testing.T) {
		root := progress.New("root")
		root.Child("a").SetTotal(10)
		root.Child("a").Add(4)
		root.SetTotal(40)
		want(t, root.Report(), 4, 40)
		root.SetTotal(-1)
		want(t, root.Report(), 4, 10)
	})
	t.Run("a part without a total leaves the sum open", func(t *testing.T) {
		root := progress.New("root")
		root.Child("known").SetTotal(10)
		root.Child("idle")
		if _, ok := root.Report().Fraction(); !ok {
			t.Error("fraction is unknown, though the child without a total has no count")
		}
		root.Child("unknown").Add(20)
		r := root.Report()
		want(t, r, 20, 10)
		if _, ok := r.Fraction(); ok || !r.Open || r.Done() {
			t.Errorf("got fraction known %v, open %v, done %v; want unknown, open, not done", ok, r.Open, r.Done())
		}
		root.SetTotal(40)
		if f, ok := root.Report().Fraction(); !ok || f != 0.5 {
			t.Errorf("with a total of its own: fraction %v, %v; want 0.5", f, ok)
		}
	})
	t.Run("counts and sums stay at their limit", func(t *testing.T) {
		root := progress.New("root")
		for i := range 2 {
			leaf := root.Child(fmt.Sprint(i))
			leaf.Add(math.MaxInt64 - 1)
			leaf.Add(5)
			leaf.SetTotal(math.MaxInt64)
		}
		want(t, root.Report().Child("0"), math.MaxInt64, math.MaxInt64)
		want(t, root.Report(), math.MaxInt64, math.MaxInt64)
		root.Add(math.MinInt64)
		root.Add(-1)
		want(t, root.Report(), math.MinInt64, 0)
	})
}

func TestTracker_SetFraction(t *testing.T) {
	fraction := func(node *progress.Tracker) float64 {
		f, _ := node.Report().Fraction()
		return f
	}
	t.Run("is clamped, and NaN is ignored", func(t *testing.T) {
		node := progress.New("")
		for _, c := range []struct{ set, want float64 }{
			{0.25, 0.25}, {-3, 0}, {7, 1}, {0.25, 0.25}, {math.NaN(), 0.25}, {math.Inf(1), 1}, {math.Inf(-1), 0},
		} {
			node.SetFraction(c.set)
			if got := fraction(node); got != c.want {
				t.Errorf("after SetFraction(%v): got %v, want %v", c.set, got, c.want)
			}
		}
		node.SetFraction(0.9)
		node.AddFraction(math.NaN())
		node.AddFraction(-0.5)
		if got := fraction(node); got != 0.4 {
			t.Errorf("0.9 less 0.5: got %v", got)
		}
	})
	t.Run("small steps add up exactly to the end and not before", func(t *testing.T) {
		node := progress.New("")
		const steps = 12_345
		for range steps - 1 {
			node.AddFraction(1.0 / steps)
		}
		if node.Report().Done() {
			t.Error("done one step too early")
		}
		node.AddFraction(1.0 / steps)
		if r := node.Report(); !r.Done() {
			t.Errorf("not done after the last step: %+v", r)
		}
	})
	t.Run("counts as that part of the total, or of 1,000", func(t *testing.T) {
		root := progress.New("root")
		root.Child("weighed").SetTotal(500)
		root.Child("weighed").SetFraction(0.5)
		root.Child("plain").SetFraction(0.25)
		r := root.Report()
		want(t, r.Child("weighed"), 250, 500)
		want(t, r.Child("plain"), 250, 1000)
		want(t, r, 500, 1500)
		if r.Child("weighed").Parts || !r.Child("plain").Parts || !r.Parts {
			t.Error("Parts must mark the plain one and the sum")
		}
	})
	t.Run("the last way of setting a node wins", func(t *testing.T) {
		node := progress.New("")
		node.Add(3)
		node.SetFraction(0.5)
		want(t, node.Report(), 500, 1000)
		node.Add(1)
		want(t, node.Report(), 4, 0)
	})
	t.Run("steps too small to be seen do not signal", func(t *testing.T) {
		signals := 0
		node := progress.New("")
		node.OnChange(func() { signals++ })
		for range 100_000 {
			node.AddFraction(1.0 / 100_000)
			node.Take()
		}
		if signals < 990 || signals > 1010 {
			t.Errorf("%d signals for 100,000 steps, want about 1,000", signals)
		}
	})
}

func TestTracker_Child(t *testing.T) {
	t.Run("returns the same node for the same name, in the order of creation", func(t *testing.T) {
		root := progress.New("root")
		for range 2 {
			for i := range 100 {
				root.Child(fmt.Sprint(i)).Add(1)
			}
		}
		for i, c := range root.Report().Children {
			if c.Name != fmt.Sprint(i) || c.Current != 2 {
				t.Fatalf("child %d: got %q with %d", i, c.Name, c.Current)
			}
		}
	})
	t.Run("on the last level returns the node itself", func(t *testing.T) {
		node := progress.New("1")
		root := node
		for i := range 1000 {
			node = node.Child(fmt.Sprint(i + 2))
			node.Add(1)
		}
		levels := 0
		last := root.Report()
		for r := last; r != nil; levels++ {
			last, r = r, r.Child(fmt.Sprint(levels+2))
		}
		if levels != 32 || last.Current != 1000-30 {
			t.Errorf("got %d levels and %d on the last, want 32 and 970", levels, last.Current)
		}
	})
	t.Run("names and status lines are bounded, valid and one line", func(t *testing.T) {
		for _, c := range []struct {
			in   string
			name string
		}{
			{"plain", "plain"},
			{"two\nlines\x1b[2J", "two lines [2J"},
			{"turned \u202e around", "turned   around"},
			{"می\u200cخواهم", "می\u200cخواهم"},
			{"bad \xff\xfe bytes", "bad ? bytes"},
			{strings.Repeat("ä", 101), strings.Repeat("ä", 100)},
			{"a" + strings.Repeat("ä", 101), "a" + strings.Repeat("ä", 99)},
			{strings.Repeat("x", 199) + "😀", strings.Repeat("x", 199)},
			{strings.Repeat("x", 196) + "😀", strings.Repeat("x", 196) + "😀"},
		} {
			root := progress.New("")
			if first := root.Child(c.in); root.Child(c.in) != first || root.Child(c.name) != first {
				t.Errorf("%q: two nodes for one name", c.in)
			}
			if got := root.Report().Children[0].Name; got != c.name {
				t.Errorf("%q: got %q, want %q", c.in, got, c.name)
			}
		}
		root := progress.New("")
		root.SetStatus(strings.Repeat("€", 1000))
		if s := root.Report().Status; len(s) != 498 || !utf8.ValidString(s) {
			t.Errorf("status of %d bytes, valid %v; want 498", len(s), utf8.ValidString(s))
		}
		root.SetStatus("")
		if s := root.Report().Status; s != "" {
			t.Errorf("cleared status: got %q", s)
		}
	})
}

func TestTracker_nil(t *testing.T) {
	var node *progress.Tracker
	node.Child("a").Add(1)
	node.Set(1)
	node.SetTotal(1)
	node.SetFraction(1)
	node.AddFraction(1)
	node.SetStatus("a")
	r := node.Report()
	_, known := r.Fraction()
	_, left := r.Remaining()
	if r != nil || r.Clone() != nil || r.Child("a") != nil || known || left || r.Rate() != 0 || r.Done() || r.String() != "" {
		t.Error("a nil tracker or report says something")
	}
}

func TestTracker_Times(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := progress.New("root")
		node := root.Child("node")
		node.SetTotal(100)
		if r := node.Report(); !r.Started.IsZero() || r.Rate() != 0 {
			t.Error("a total alone starts a node")
		}
		time.Sleep(time.Hour)
		began := time.Now()
		node.Set(40) // from an earlier attempt
		root.Report()
		time.Sleep(4 * time.Second)
		node.Add(20)
		root.Report()
		updated := time.Now()
		time.Sleep(time.Minute) // in which nothing happens

		for _, r := range []*progress.Report{root.Report(), root.Report().Child("node")} {
			if !r.Started.Equal(began) || !r.Updated.Equal(updated) {
				t.Errorf("%s: started %v, updated %v; want %v, %v", r.Name, r.Started, r.Updated, began, updated)
			}
			if got := r.Rate(); got != 5 {
				t.Errorf("%s: 20 in 4 s: got %v per second, want 5", r.Name, got)
			}
			if left, ok := r.Remaining(); !ok || left != 8*time.Second {
				t.Errorf("%s: 40 left at 5/s: got %v, %v; want 8s", r.Name, left, ok)
			}
		}
		root.SetStatus("late")
		if r := root.Report(); !r.Started.Equal(began) || r.Updated.Equal(updated) {
			t.Errorf("a later status: started %v, updated %v", r.Started, r.Updated)
		}
		node.Add(40)
		if left, ok := root.Report().Remaining(); !ok || left != 0 {
			t.Errorf("done: got %v, %v left", left, ok)
		}
		node.SetTotal(math.MaxInt64)
		if left, ok := root.Report().Remaining(); ok {
			t.Errorf("longer than a Duration can say: got %v", left)
		}
	})
}

func TestTracker_ReportIsBounded(t *testing.T) {
	count := func(r *progress.Report) (nodes, cut int) {
		var walk func(*progress.Report)
		walk = func(r *progress.Report) {
			nodes++
			cut += r.Cut
			for _, c := range r.Children {
				walk(c)
			}
		}
		walk(r)
		return nodes, cut
	}
	t.Run("many children", func(t *testing.T) {
		root := progress.New("root")
		const n = 100_000
		for i := range n {
			c := root.Child(fmt.Sprint(i))
			c.SetTotal(2)
			c.Add(2)
		}
		root.Child("70000").Add(-1) // the only one still at work
		r := root.Report()
		want(t, r, 2*n-1, 2*n)
		if nodes, cut := count(r); nodes != 1000 || cut != n-999 {
			t.Errorf("got %d nodes and %d cut, want 1000 and %d", nodes, cut, n-999)
		}
		if r.Child("70000") == nil || r.Child("997") == nil || r.Child("998") != nil {
			t.Error("the child at work must be there, beside the first ones")
		}
	})
	t.Run("a large branch cuts no sibling of its root", func(t *testing.T) {
		root := progress.New("root")
		for i := range 2000 {
			root.Child("large").Child(fmt.Sprint(i)).Add(1)
		}
		root.Child("small").Child("leaf").Add(7)
		r := root.Report()
		want(t, r, 2007, 0)
		want(t, r.Child("large"), 2000, 0)
		want(t, r.Child("small"), 7, 0)
		if nodes, cut := count(r); nodes != 1000 || nodes+cut != 2004 {
			t.Errorf("got %d nodes, %d cut", nodes, cut)
		}
	})
}

func TestTracker_Concurrent(t *testing.T) {
	root := progress.New("root")
	const workers, rounds = 8, 2000
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				root.Child("shared").Add(1)
				root.Child("many").Child(fmt.Sprint(i % 50)).Add(1)
				root.Child("own").Child(fmt.Sprint(w)).Set(int64(i + 1))
				root.Child("fraction").AddFraction(1.0 / (workers * rounds))
				root.Child("shared").SetTotal(workers * rounds)
				if i%100 == 0 {
					root.Child("shared").SetStatus(fmt.Sprint(i))
					root.Report()
				}
			}
		})
	}
	wg.Wait()
	r := root.Report()
	want(t, r.Child("shared"), workers*rounds, workers*rounds)
	want(t, r.Child("many"), workers*rounds, 0)
	want(t, r.Child("own"), workers*rounds, 0)
	want(t, r.Child("fraction"), 1000, 1000)
}

func TestTracker_Signals(t *testing.T) {
	t.Run("once until the next take", func(t *testing.T) {
		signals := 0
		root := progress.New("root")
		root.OnChange(func() { signals++ })
		node := root.Child("node")
		updates := []func(){
			func() { node.Add(1) },
			func() { node.Set(2) },
			func() { node.SetTotal(3) },
			func() { node.SetFraction(0.5) },
			func() { node.AddFraction(0.1) },
			func() { node.SetStatus("s") },
			func() { node.Child("new") },
		}
		for i, update := range updates {
			root.Take()
			signals = 0
			for _, update := range append([]func(){update}, updates...) {
				update()
			}
			if signals != 1 {
				t.Errorf("update %d: %d signals, want 1", i, signals)
			}
		}
		root.Take()
		signals = 0
		root.Report()
		root.Child("node")
		if signals != 0 {
			t.Error("reading signals")
		}
	})
	t.Run("after the update", func(t *testing.T) {
		var seen *progress.Report
		root := progress.New("root")
		root.OnChange(func() { seen = root.Take() })
		root.Add(1)
		want(t, seen, 1, 0)
		root.SetTotal(10)
		want(t, seen, 1, 10)
		root.Set(2)
		want(t, seen, 2, 10)
		root.SetFraction(0.5)
		want(t, seen, 5, 10)
		root.AddFraction(0.25)
		want(t, seen, 7, 10)
		root.SetStatus("s")
		root.Child("new")
		if seen.Status != "s" || seen.Child("new") == nil {
			t.Errorf("status %q, child %v", seen.Status, seen.Child("new"))
		}
	})
}

func TestTracker_Take(t *testing.T) {
	t.Run("returns nil if nothing has changed", func(t *testing.T) {
		signals := 0
		root := progress.New("root")
		root.OnChange(func() { signals++ })
		if root.Take() != nil {
			t.Error("a new tracker has changed")
		}
		root.Add(1)
		want(t, root.Take(), 1, 0)
		if root.Take() != nil {
			t.Error("taken twice")
		}
		root.Add(1)
		root.Close()
		want(t, root.Take(), 2, 0)
		if signals != 2 {
			t.Errorf("%d signals, want one after each take", signals)
		}
	})
	t.Run("never loses the last update", func(t *testing.T) {
		for range 200 {
			var stored atomic.Int64
			wake := make(chan struct{}, 1)
			root := progress.New("root")
			root.OnChange(func() {
				select {
				case wake <- struct{}{}:
				default:
				}
			})
			var flusher, workers sync.WaitGroup
			flusher.Go(func() {
				for range wake {
					if r := root.Take(); r != nil {
						stored.Store(r.Current)
					}
				}
			})
			for w := range 4 {
				node := root.Child(fmt.Sprint(w % 2))
				workers.Go(func() {
					for range 100 {
						node.Add(1)
					}
				})
			}
			workers.Wait()
			close(wake) // what was signalled is still received
			flusher.Wait()
			if got := stored.Load(); got != 400 {
				t.Fatalf("the last report says %d, want 400", got)
			}
		}
	})
}

func TestTracker_AfterTheEndOfItsJob(t *testing.T) {
	t.Run("ignores updates", func(t *testing.T) {
		signals := 0
		root := progress.New("root")
		root.OnChange(func() { signals++ })
		node := root.Child("node")
		node.SetTotal(5)
		node.Add(1)
		signals = 0
		root.Close()
		node.Add(1)
		node.Set(9)
		node.SetTotal(9)
		node.SetFraction(1)
		node.AddFraction(1)
		node.SetStatus("late")
		root.Child("late").Child("later").Add(1)
		r := root.Take()
		want(t, r, 1, 5)
		if len(r.Children) != 1 || r.Children[0].Status != "" || signals != 0 {
			t.Errorf("got %d children, status %q, %d signals", len(r.Children), r.Children[0].Status, signals)
		}
		if root.Take() != nil {
			t.Error("late updates can be taken")
		}
	})
}

func TestTracker_AddDoesNotAllocate(t *testing.T) {
	node := progress.New("root").Child("node")
	if n := testing.AllocsPerRun(100, func() {
		node.Add(1)
		node.Set(1)
		node.SetTotal(1)
		node.AddFraction(0.001)
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
