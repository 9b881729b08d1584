// Package graph draws directed graphs of dependencies, such as those between jobs: as text for
// terminals and logs, as Graphviz source, and as an SVG that it lays out itself. It needs no other
// program, and can be used alone.
//
//	g := graph.Graph{
//		Nodes: []graph.Node{{ID: "crawl", State: "succeeded"}, {ID: "process", State: "running"}},
//		Edges: []graph.Edge{{From: "crawl", To: "process"}},
//	}
//	fmt.Print(g.Text())
//
// # Faulty graphs
//
// [Graph.Sort] reports what is wrong with a graph. The drawings take any graph and show what can be
// shown: of nodes with the same ID each is drawn and edges lead to the first one, edges to unknown
// nodes are left out, those between the same two nodes are one, and edges that close a cycle are
// drawn backwards and marked.
//
// # Concurrency
//
// No method changes the graph, so they may be called concurrently.
package graph

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
)

// A Graph is a directed graph. Edges go from what comes first to what comes after it. The zero
// value is an empty graph.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// A Node is a thing that depends on others, or on which others depend.
type Node struct {
	// ID names the node in edges. It is unique.
	ID string `json:"id"`
	// Label is what is shown. "" means the ID.
	Label string `json:"label,omitempty"`
	// Note is a second, smaller line, such as "job 12, 3.2 s".
	Note string `json:"note,omitempty"`
	// State chooses colour and mark: a state of a job (waiting, scheduled, queued, running,
	// retrying, succeeded, failed, cancelled, skipped, partial) or a status of a definition
	// (not_built, running, success, failed, outdated). Any other is drawn neutrally.
	State string `json:"state,omitempty"`
	// Link is where the drawn node leads to: a URL with the scheme http or https, or a relative
	// one. Others are left out.
	Link string `json:"link,omitempty"`
}

// An Edge says that node To comes after node From.
type Edge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Label string `json:"label,omitempty"`
	// Weak edges are dashed, such as those of a dependency that only has to end.
	Weak bool `json:"weak,omitempty"`
}

// A CycleError is returned by [Graph.Sort] for a graph with a cycle.
type CycleError struct {
	// Path is the IDs along the cycle, its first node first and again last.
	Path []string
}

// cycleShown is how many nodes of a cycle an error spells out.
const cycleShown = 30

// Error spells the cycle out: "cycle: a → b → c → a". Of a long one it leaves out the middle.
func (e *CycleError) Error() string {
	path := e.Path
	if len(path) > cycleShown {
		path = slices.Concat(path[:cycleShown/2], []string{"…"}, path[len(path)-cycleShown/2:])
	}
	return "cycle: " + strings.Join(path, " → ")
}

// Sort returns the IDs so that each node comes after those that lead to it, and otherwise in the
// order of Nodes: a graph that is in order stays as it is. Two nodes with one ID, an edge from or to
// an unknown node, and an edge that is there twice are errors; a cycle, also an edge from a node to
// itself, is a [*CycleError]. It takes O((n + m) log n) time for n nodes and m edges.
func (g *Graph) Sort() ([]string, error) {
	index := make(map[string]int32, len(g.Nodes))
	for i := range g.Nodes {
		id := g.Nodes[i].ID
		if _, ok := index[id]; ok {
			return nil, fmt.Errorf("graph: node %q is there twice", id)
		}
		index[id] = int32(i)
	}
	edges := make([]link, len(g.Edges))
	seen := make(map[[2]int32]bool, len(g.Edges))
	for i := range g.Edges {
		e := &g.Edges[i]
		from, ok := index[e.From]
		if !ok {
			return nil, fmt.Errorf("graph: edge %q → %q: unknown node %q", e.From, e.To, e.From)
		}
		to, ok := index[e.To]
		if !ok {
			return nil, fmt.Errorf("graph: edge %q → %q: unknown node %q", e.From, e.To, e.To)
		}
		if seen[[2]int32{from, to}] {
			return nil, fmt.Errorf("graph: edge %q → %q is there twice", e.From, e.To)
		}
		seen[[2]int32{from, to}] = true
		edges[i] = link{from: from, to: to}
	}
	n := newNet(len(g.Nodes), edges)
	order := n.sort()
	if len(order) < len(g.Nodes) {
		return nil, &CycleError{Path: g.ids(n.cycle(order))}
	}
	return g.ids(order), nil
}

func (g *Graph) ids(nodes []int32) []string {
	ids := make([]string, len(nodes))
	for i, v := range nodes {
		ids[i] = g.Nodes[v].ID
	}
	return ids
}

// sort returns the nodes in order, always taking the first that is ready. Nodes on and behind a
// cycle are left out.
func (n *net) sort() []int32 {
	order := make([]int32, 0, len(n.in))
	missing := make([]int32, len(n.in))
	var ready minHeap
	for v := range n.in {
		missing[v] = int32(len(n.in[v]))
		if missing[v] == 0 {
			ready = append(ready, int32(v)) // ascending, and so a heap
		}
	}
	for len(ready) > 0 {
		v := ready[0]
		order = append(order, v)
		// A successor often takes the place of v: replacing is cheaper than removing.
		replaced := false
		for _, e := range n.out[v] {
			to := n.edges[e].to
			if missing[to]--; missing[to] > 0 {
				continue
			}
			if !replaced {
				replaced = true
				ready[0] = to
				heap.Fix(&ready, 0)
			} else {
				heap.Push(&ready, to)
			}
		}
		if !replaced {
			heap.Pop(&ready)
		}
	}
	return order
}

// cycle returns a cycle among the nodes that are not in order: a shortest one through one of its
// nodes, beginning with the one that is first in the graph.
func (n *net) cycle(order []int32) []int32 {
	sorted := make([]bool, len(n.in))
	for _, v := range order {
		sorted[v] = true
	}
	// Each node that is left has a predecessor that is left. Going back leads into a cycle.
	v := int32(slices.Index(sorted, false))
	for visited := make([]bool, len(n.in)); !visited[v]; {
		visited[v] = true
		for _, e := range n.in[v] {
			if from := n.edges[e].from; !sorted[from] {
				v = from
				break
			}
		}
	}
	start := v
	before := make([]int32, len(n.in))
	for i := range before {
		before[i] = -1
	}
	for queue := []int32{start}; before[start] < 0; queue = queue[1:] {
		for _, e := range n.out[queue[0]] {
			if to := n.edges[e].to; before[to] < 0 {
				before[to] = queue[0]
				queue = append(queue, to)
			}
		}
	}
	path := []int32{start}
	for v := before[start]; v != start; v = before[v] {
		path = append(path, v)
	}
	slices.Reverse(path)
	first := slices.Index(path, slices.Min(path))
	path = slices.Concat(path[first:], path[:first])
	return append(path, path[0])
}

// A minHeap is a heap of nodes, the first of the graph on top.
type minHeap []int32

func (h minHeap) Len() int           { return len(h) }
func (h minHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h minHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minHeap) Push(x any)        { *h = append(*h, x.(int32)) }
func (h *minHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
