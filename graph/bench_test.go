package graph_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/embedjobs/jobs/graph"
)

// layered returns a graph of layers of equal width, with edges from each node to some of the next
// layer and a few that pass layers.
func layered(layers, width int) *graph.Graph {
	r := rand.New(rand.NewPCG(1, 2))
	states := []string{"waiting", "queued", "running", "succeeded", "failed"}
	g := new(graph.Graph)
	id := func(layer, i int) string { return fmt.Sprintf("step %d.%d", layer, i) }
	for l := range layers {
		for i := range width {
			g.Nodes = append(g.Nodes, graph.Node{ID: id(l, i), Note: "job 12, 3.2 s", State: states[r.IntN(len(states))]})
			if l == 0 {
				continue
			}
			for range 2 {
				from := id(l-1, (i+r.IntN(5)-2+width)%width)
				g.Edges = append(g.Edges, graph.Edge{From: from, To: id(l, i)})
			}
			if r.IntN(20) == 0 {
				g.Edges = append(g.Edges, graph.Edge{From: id(r.IntN(l), r.IntN(width)), To: id(l, i)})
			}
		}
	}
	return g
}

func fan(n int) *graph.Graph {
	g := &graph.Graph{Nodes: []graph.Node{{ID: "list"}, {ID: "merge"}}}
	for i := range n {
		id := fmt.Sprint("fetch ", i)
		g.Nodes = append(g.Nodes, graph.Node{ID: id})
		g.Edges = append(g.Edges, graph.Edge{From: "list", To: id}, graph.Edge{From: id, To: "merge"})
	}
	return g
}

// allToAll returns a graph of two layers with all edges from the first to the second.
func allToAll(n int) *graph.Graph {
	g := new(graph.Graph)
	for i := range n {
		g.Nodes = append(g.Nodes, graph.Node{ID: fmt.Sprint("a", i)}, graph.Node{ID: fmt.Sprint("b", i)})
		for j := range n {
			g.Edges = append(g.Edges, graph.Edge{From: fmt.Sprint("a", i), To: fmt.Sprint("b", j)})
		}
	}
	return g
}

func chain(n int) *graph.Graph {
	g := new(graph.Graph)
	for i := range n {
		g.Nodes = append(g.Nodes, graph.Node{ID: fmt.Sprint(i)})
		if i > 0 {
			g.Edges = append(g.Edges, graph.Edge{From: fmt.Sprint(i - 1), To: fmt.Sprint(i)})
		}
	}
	return g
}

// hard are graphs that naive algorithms take long for.
func hard() map[string]*graph.Graph {
	graphs := map[string]*graph.Graph{
		"12 nodes":           layered(4, 3),
		"1,000 in layers":    layered(20, 50),
		"10,000 in layers":   layered(100, 100),
		"10,000 in 5 layers": layered(5, 2000),
		"fan of 10,000":      fan(10_000),
		"chain of 10,000":    chain(10_000),
		"10,000 alone":       layered(1, 10_000),
	}
	// Every node leads to the last one: the bends of all edges would be 50 million.
	long := chain(10_000)
	for i := range 9_998 {
		long.Edges = append(long.Edges, graph.Edge{From: fmt.Sprint(i), To: "9999"})
	}
	graphs["10,000 long edges"] = long
	// Ancestors of the nodes behind the chain are far apart.
	far := chain(10_000)
	for i := range 5_000 {
		id := fmt.Sprint("far ", i)
		far.Nodes = append(far.Nodes, graph.Node{ID: id})
		far.Edges = append(far.Edges, graph.Edge{From: "9999", To: id}, graph.Edge{From: "1", To: id})
	}
	graphs["5,000 far ancestors"] = far
	return graphs
}

func BenchmarkGraph_SVG(b *testing.B) {
	for name, g := range hard() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				g.SVG(nil)
			}
		})
	}
}

func BenchmarkGraph_Text(b *testing.B) {
	for name, g := range hard() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = g.Text()
			}
		})
	}
}

func BenchmarkGraph_Sort(b *testing.B) {
	for name, g := range map[string]*graph.Graph{
		"chain of 100,000":  chain(100_000),
		"100,000 in layers": layered(100, 1000),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = g.Sort()
			}
		})
	}
}
