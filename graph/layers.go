package graph

// Bounds that keep the layout from taking long. None of them is reached by graphs that can be read.
const (
	// bendsFree and bendsPerNode are how many bends all edges together may have. Beyond them,
	// edges that pass most layers are drawn as two stubs.
	bendsFree    = 20_000
	bendsPerNode = 6
)

// A drawing is a connected part of a graph on its way to the page. Its vertices are the nodes, then
// the bends: an edge has one in each layer that it passes.
type drawing struct {
	net      *net
	node     []int32   // of a vertex, or -1 for a bend
	layer    []int32   // of a vertex
	up, down [][]int32 // neighbours in the layer before and after
	layers   [][]int32 // vertices in order
	pos      []int32   // of a vertex in its layer
	at       []float64 // where the middle of a vertex is along its layer
	routes   []route
}

// A route is how an edge runs: from its first vertex over bends to its last one.
type route struct {
	edge     int32
	from, to int32
	bends    []int32
	cut      bool // too long to be drawn
}

// parts returns the nodes of each connected part, in the order of the graph.
func (n *net) parts() [][]int32 {
	root := make([]int32, len(n.out))
	for v := range root {
		root[v] = int32(v)
	}
	find := func(v int32) int32 {
		for root[v] != v {
			root[v] = root[root[v]]
			v = root[v]
		}
		return v
	}
	for i := range n.edges {
		a, b := find(n.edges[i].from), find(n.edges[i].to)
		root[max(a, b)] = min(a, b)
	}
	var parts [][]int32
	index := make([]int32, len(n.out)) // of the part of a root
	for v := range root {
		r := find(int32(v))
		if int(r) == v {
			index[r] = int32(len(parts))
			parts = append(parts, nil)
		}
		parts[index[r]] = append(parts[index[r]], int32(v))
	}
	return parts
}

// longest returns how many layers an edge may lead on without being cut.
func (n *net) longest(layer []int32) int32 {
	budget := bendsFree + bendsPerNode*len(n.out)
	limit := int32(1)
	for v := range n.out {
		for _, e := range n.out[v] {
			limit = max(limit, layer[n.edges[e].to]-layer[v])
		}
	}
	for ; limit > 1; limit = limit * 3 / 4 {
		bends := 0
		for v := range n.out {
			var span [2]int32 // of edges that share their bends
			for _, i := range n.out[v] {
				e := &n.edges[i]
				switch s := layer[e.to] - layer[v]; {
				case s > limit:
				case e.back:
					bends += int(s) - 1
				default:
					span[kind(e.weak)] = max(span[kind(e.weak)], s-1)
				}
			}
			bends += int(span[0] + span[1])
		}
		if bends <= budget {
			break
		}
	}
	return limit
}

func kind(weak bool) int {
	if weak {
		return 1
	}
	return 0
}

// newDrawing returns the vertices of a part, in layers but not in order. The edges of a node share
// their bends, so that they run together until their ways part. vertex is scratch space, one for
// each node of the graph.
func newDrawing(n *net, nodes, layer []int32, longest int32, vertex []int32) *drawing {
	d := &drawing{net: n}
	first := layer[nodes[0]]
	for _, v := range nodes {
		first = min(first, layer[v])
	}
	for _, v := range nodes {
		vertex[v] = d.add(v, layer[v]-first)
	}
	for _, v := range nodes {
		var shared [2][]int32
		for _, i := range n.out[v] {
			e := &n.edges[i]
			span := layer[e.to] - layer[v]
			r := route{edge: i, from: vertex[v], to: vertex[e.to], cut: span > longest}
			if !r.cut {
				bends := &shared[kind(e.weak)]
				if e.back {
					bends = new([]int32)
				}
				last := vertex[v]
				if len(*bends) > 0 {
					last = (*bends)[len(*bends)-1]
				}
				for len(*bends) < int(span)-1 {
					b := d.add(-1, d.layer[last]+1)
					d.join(last, b)
					*bends, last = append(*bends, b), b
				}
				r.bends = (*bends)[:span-1]
				if span > 1 {
					last = r.bends[span-2]
				} else {
					last = vertex[v]
				}
				d.join(last, r.to)
			}
			d.routes = append(d.routes, r)
		}
	}
	return d
}

// add adds a vertex.
func (d *drawing) add(node, layer int32) int32 {
	d.node = append(d.node, node)
	d.layer = append(d.layer, layer)
	d.up, d.down = append(d.up, nil), append(d.down, nil)
	return int32(len(d.node) - 1)
}

// join joins two vertices of neighbouring layers.
func (d *drawing) join(from, to int32) {
	d.down[from] = append(d.down[from], to)
	d.up[to] = append(d.up[to], from)
}
