package graph_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs/graph"
)

// parse makes a graph of a text such as "a b c; a→b b→c".
func parse(s string) *graph.Graph {
	g := new(graph.Graph)
	nodes, edges, _ := strings.Cut(s, ";")
	for id := range strings.FieldsSeq(nodes) {
		id, state, _ := strings.Cut(id, ":")
		g.Nodes = append(g.Nodes, graph.Node{ID: id, State: state})
	}
	for edge := range strings.FieldsSeq(edges) {
		from, to, ok := strings.Cut(edge, "→")
		if !ok {
			from, to, _ = strings.Cut(edge, "⇢")
		}
		g.Edges = append(g.Edges, graph.Edge{From: from, To: to, Weak: !ok})
	}
	return g
}

// drawGraph draws a graph that may have any fault.
func drawGraph(t *rapid.T) *graph.Graph {
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "resize", "<&\"'>", `\N \`, "名前", "a\nb", "\u202e"}))
	states := rapid.SampledFrom([]string{"", "waiting", "running", "failed", "skipped", "not_built", "success", "?"})
	links := rapid.SampledFrom([]string{"", "/jobs/1", "https://example.com/?a=1&b=2", "javascript:alert(1)"})
	g := new(graph.Graph)
	n := rapid.IntRange(0, 24).Draw(t, "nodes")
	for i := range n {
		node := graph.Node{ID: fmt.Sprint("node ", i), State: states.Draw(t, "state"), Link: links.Draw(t, "link")}
		if rapid.Bool().Draw(t, "labelled") {
			node.Label, node.Note = texts.Draw(t, "label"), texts.Draw(t, "note")
		}
		if rapid.IntRange(0, 19).Draw(t, "odd") == 0 {
			node.ID = texts.Draw(t, "id")
		}
		g.Nodes = append(g.Nodes, node)
	}
	faulty := rapid.Bool().Draw(t, "faulty")
	for range rapid.IntRange(0, 40).Draw(t, "edges") {
		a, b := rapid.IntRange(0, n).Draw(t, "from"), rapid.IntRange(0, n).Draw(t, "to")
		if !faulty && (a >= b || b == n) {
			continue
		}
		e := graph.Edge{From: fmt.Sprint("node ", a), To: fmt.Sprint("node ", b), Weak: rapid.Bool().Draw(t, "weak")}
		if rapid.IntRange(0, 4).Draw(t, "named") == 0 {
			e.Label = texts.Draw(t, "edge label")
		}
		g.Edges = append(g.Edges, e)
	}
	return g
}

func TestGraph_Sort(t *testing.T) {
	for _, c := range []struct{ name, graph, want string }{
		{"nothing", "", ""},
		{"order of nodes", "c b a", "c b a"},
		{"order of edges first", "c b a; a→b", "c a b"},
		{"what is in order stays", "a b c d; a→c b→c a→d", "a b c d"},
		{"diamond", "d c b a; a→b a→c b→d c→d", "a c b d"},
		{"first ready node first", "a x b y; x→b a→y", "a x b y"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.graph).Sort()
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
}

func TestGraph_Sort_faults(t *testing.T) {
	for _, c := range []struct{ name, graph, want string }{
		{"cycle", "a b c; a→b b→c c→a", "cycle: a → b → c → a"},
		{"cycle begins with its first node", "x c b a; x→a a→b b→c c→a", "cycle: c → a → b → c"},
		{"shortest cycle", "a b c d; a→b b→c c→d d→a c→b b→a", "cycle: a → b → a"},
		{"behind a cycle", "z a b; a→b b→a b→z", "cycle: a → b → a"},
		{"self", "a b; a→b b→b", "cycle: b → b"},
		{"twice", "a b a", `graph: node "a" is there twice`},
		{"unknown from", "a; b→a", `graph: edge "b" → "a": unknown node "b"`},
		{"unknown to", "a; a→b", `graph: edge "a" → "b": unknown node "b"`},
		{"edge twice", "a b; a→b a⇢b", `graph: edge "a" → "b" is there twice`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse(c.graph).Sort()
			if err == nil || err.Error() != c.want {
				t.Fatalf("got %v, %v, want %v", got, err, c.want)
			}
			cycle, ok := errors.AsType[*graph.CycleError](err)
			if ok != strings.HasPrefix(c.want, "cycle") {
				t.Errorf("%T", err)
			}
			if ok && "cycle: "+strings.Join(cycle.Path, " → ") != c.want {
				t.Errorf("the path is %v", cycle.Path)
			}
		})
	}
}

func TestCycleError_leavesOutTheMiddle(t *testing.T) {
	g := chain(1000)
	g.Edges = append(g.Edges, graph.Edge{From: "999", To: "0"})
	_, err := g.Sort()
	cycle, ok := errors.AsType[*graph.CycleError](err)
	if !ok || len(cycle.Path) != 1001 {
		t.Fatalf("got %v", err)
	}
	text := err.Error()
	if len(text) > 300 || !strings.HasPrefix(text, "cycle: 0 → 1 → ") || !strings.HasSuffix(text, " → 999 → 0") {
		t.Errorf("got %v", text)
	}
}

func TestGraph_Sort_isValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		order, err := g.Sort()
		if cycle, ok := errors.AsType[*graph.CycleError](err); ok {
			if len(cycle.Path) < 2 || cycle.Path[0] != cycle.Path[len(cycle.Path)-1] {
				t.Fatalf("%v is no cycle", cycle)
			}
			for i, id := range cycle.Path[1:] {
				if !slices.ContainsFunc(g.Edges, func(e graph.Edge) bool { return e.From == cycle.Path[i] && e.To == id }) {
					t.Fatalf("%v: there is no edge to %v", cycle, id)
				}
			}
			return
		}
		if err != nil {
			return
		}
		at := make(map[string]int)
		for i, id := range order {
			at[id] = i
		}
		if len(at) != len(g.Nodes) {
			t.Fatalf("%v: not each node once", order)
		}
		for _, e := range g.Edges {
			if at[e.From] >= at[e.To] {
				t.Fatalf("%v: %v is not before %v", order, e.From, e.To)
			}
		}
		// In that order, it is sorted already.
		slices.SortFunc(g.Nodes, func(a, b graph.Node) int { return at[a.ID] - at[b.ID] })
		if again, err := g.Sort(); err != nil || !slices.Equal(again, order) {
			t.Fatalf("sorted again, %v becomes %v, %v", order, again, err)
		}
	})
}

// Nothing may recurse as deep as the graph is.
func TestGraph_longChain(t *testing.T) {
	g := chain(100_000)
	order, err := g.Sort()
	if err != nil || len(order) != len(g.Nodes) || order[99_999] != "99999" {
		t.Errorf("%d nodes are sorted, %v", len(order), err)
	}
	if text := g.Text(); strings.Count(text, "\n") != len(g.Nodes) || len(text) > 100*len(g.Nodes) {
		t.Errorf("%d bytes of text", len(text))
	}
	g.Edges = append(g.Edges, graph.Edge{From: "99999", To: "0"})
	if _, err := g.Sort(); !errors.As(err, new(*graph.CycleError)) {
		t.Errorf("got %v", err)
	}
}

func TestGraph_manyNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	graphs := hard()
	ring := chain(10_000)
	ring.Edges = append(ring.Edges, graph.Edge{From: "9999", To: "0"})
	graphs["ring of 10,000"] = ring
	for name, g := range graphs {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := g.Sort()
			if cycle := errors.As(err, new(*graph.CycleError)); cycle != strings.HasPrefix(name, "ring") {
				t.Error(err)
			}
			if lines := strings.Count(g.Text(), "\n"); lines != len(g.Nodes) {
				t.Errorf("%d lines", lines)
			}
			if nodes := strings.Count(string(g.SVG(nil)), `<g class="node`); nodes != len(g.Nodes) {
				t.Errorf("%d nodes", nodes)
			}
			if took := time.Since(began); took > time.Minute { // a second or two; quadratic ones take minutes
				t.Errorf("it took %v", took)
			}
		})
	}
}
