package graph

import "slices"

// A net is the edges of a graph by index: what the drawings work with.
type net struct {
	edges []link
	// out and in have, for each node, the indexes of its edges, in the order of edges.
	out, in [][]int32
	// loops marks nodes with an edge to themselves, which is not among edges.
	loops []bool
}

// A link is an edge between two nodes by index.
type link struct {
	from, to int32
	label    string
	weak     bool
	// back marks an edge that closes a cycle. from and to are exchanged, so that the net has none.
	back bool
}

func newNet(nodes int, edges []link) *net {
	n := &net{edges: edges, loops: make([]bool, nodes)}
	n.out = adjacency(nodes, edges, func(e *link) int32 { return e.from })
	n.in = adjacency(nodes, edges, func(e *link) int32 { return e.to })
	return n
}

// adjacency returns for each node the indexes of the edges that have it at one end.
func adjacency(nodes int, edges []link, end func(*link) int32) [][]int32 {
	count := make([]int32, nodes)
	for i := range edges {
		count[end(&edges[i])]++
	}
	lists, all := make([][]int32, nodes), make([]int32, len(edges))
	for v := range lists {
		lists[v], all = all[:0:count[v]], all[count[v]:]
	}
	for i := range edges {
		v := end(&edges[i])
		lists[v] = append(lists[v], int32(i))
	}
	return lists
}

// net returns the edges of the graph made fit to be drawn: known nodes only, one edge at most from
// one node to another, no cycles.
func (g *Graph) net() *net {
	index := make(map[string]int32, len(g.Nodes))
	for i := range g.Nodes {
		if _, ok := index[g.Nodes[i].ID]; !ok {
			index[g.Nodes[i].ID] = int32(i)
		}
	}
	edges := make([]link, 0, len(g.Edges))
	seen := make(map[[2]int32]int, len(g.Edges))
	loops := make([]bool, len(g.Nodes))
	for i := range g.Edges {
		e := &g.Edges[i]
		from, ok1 := index[e.From]
		to, ok2 := index[e.To]
		switch {
		case !ok1 || !ok2:
			continue
		case from == to:
			loops[from] = true
			continue
		}
		if first, ok := seen[[2]int32{from, to}]; ok {
			edges[first].weak = edges[first].weak && e.Weak
			continue
		}
		seen[[2]int32{from, to}] = len(edges)
		edges = append(edges, link{from: from, to: to, label: line(e.Label), weak: e.Weak})
	}
	n := newNet(len(g.Nodes), edges)
	if n.markBack() {
		n = newNet(len(g.Nodes), edges)
	}
	n.loops = loops
	return n
}

// markBack turns the edges round that lead back to a node on the way to them, by a search in depth
// that begins at the nodes without predecessors. It reports whether there are any.
func (n *net) markBack() (any bool) {
	const (
		unseen = iota
		open
		done
	)
	state := make([]uint8, len(n.out))
	next := make([]int32, len(n.out)) // which edge of a node to follow next
	var stack []int32
	search := func(root int32) {
		if state[root] != unseen {
			return
		}
		state[root] = open
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			if int(next[v]) == len(n.out[v]) {
				state[v] = done
				stack = stack[:len(stack)-1]
				continue
			}
			e := &n.edges[n.out[v][next[v]]]
			next[v]++
			switch to := e.to; state[to] {
			case unseen:
				state[to] = open
				stack = append(stack, to)
			case open:
				e.back, any = true, true
			}
		}
	}
	for v := range n.in {
		if len(n.in[v]) == 0 {
			search(int32(v))
		}
	}
	for v := range n.in {
		search(int32(v))
	}
	if any {
		for i := range n.edges {
			if e := &n.edges[i]; e.back {
				e.from, e.to = e.to, e.from
			}
		}
	}
	return any
}

// layers returns the layer of each node, from 0: that of the longest way to it. A node that leads
// to more others than lead to it goes as near to the first of them as it can, so that edges are
// short.
func (n *net) layers(order []int32) []int32 {
	layer := make([]int32, len(n.out))
	for _, v := range order {
		for _, e := range n.out[v] {
			to := n.edges[e].to
			layer[to] = max(layer[to], layer[v]+1)
		}
	}
	for _, v := range slices.Backward(order) {
		if len(n.out[v]) <= len(n.in[v]) {
			continue
		}
		nearest := layer[n.edges[n.out[v][0]].to]
		for _, e := range n.out[v] {
			nearest = min(nearest, layer[n.edges[e].to])
		}
		layer[v] = nearest - 1
	}
	return layer
}
