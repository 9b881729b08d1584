package graph

import (
	"cmp"
	"math"
	"slices"
)

// place sets where the vertices are along their layers, by the method of Brandes and Köpf (2002):
// vertices are aligned with a median neighbour into blocks, long edges first of all, and the blocks
// are pushed together; this is done from each of the four corners, and the mean of the two middle
// results is taken. size is the space that a vertex takes, gap what lies between two of them.
//
// Blocks are pushed together by the longest ways between them, forth and back, instead of by the
// classes of the article, which can overlap.
func (d *drawing) place(size func(v int32) float64, gap func(v, w int32) float64) {
	byPos := func(a, b int32) int { return cmp.Compare(d.pos[a], d.pos[b]) }
	for v := range d.node {
		slices.SortFunc(d.up[v], byPos)
		slices.SortFunc(d.down[v], byPos)
	}
	apart := make([]float64, len(d.node)) // the middle of a vertex from that of the one before it
	for _, layer := range d.layers {
		for i := 1; i < len(layer); i++ {
			v, w := layer[i-1], layer[i]
			apart[w] = size(v)/2 + gap(v, w) + size(w)/2
		}
	}
	conflicts := d.conflicts()
	var corners [4][]float64
	narrowest, width := 0, math.Inf(1)
	for i := range corners {
		a := aligner{d, i&1 != 0, i&2 != 0, conflicts, nil}
		corners[i] = a.place(apart)
		low, high := bounds(corners[i])
		if high-low < width {
			narrowest, width = i, high-low
		}
	}
	low, high := bounds(corners[narrowest])
	for i, at := range corners {
		l, h := bounds(at)
		shift := low - l
		if i&2 != 0 {
			shift = high - h
		}
		for v := range at {
			at[v] += shift
		}
	}
	d.at = make([]float64, len(d.node))
	for v := range d.at {
		four := [4]float64{corners[0][v], corners[1][v], corners[2][v], corners[3][v]}
		slices.Sort(four[:])
		d.at[v] = (four[1] + four[2]) / 2
	}
}

func bounds(at []float64) (low, high float64) { return slices.Min(at), slices.Max(at) }

// conflicts returns the segments that cross a segment between two bends. They are not aligned, so
// that long edges are straight.
func (d *drawing) conflicts() map[[2]int32]bool {
	conflicts := make(map[[2]int32]bool)
	for l := 1; l < len(d.layers); l++ {
		layer := d.layers[l]
		left, next := int32(0), 0
		for i, v := range layer {
			right := int32(len(d.layers[l-1]))
			inner := d.inner(v)
			if inner >= 0 {
				right = d.pos[inner]
			} else if i < len(layer)-1 {
				continue
			}
			for ; next <= i; next++ {
				w := layer[next]
				for _, u := range d.up[w] {
					if (d.pos[u] < left || d.pos[u] > right) && d.inner(w) < 0 {
						conflicts[[2]int32{u, w}] = true
					}
				}
			}
			left = right
		}
	}
	return conflicts
}

// inner returns the bend before bend v, or -1.
func (d *drawing) inner(v int32) int32 {
	if d.node[v] < 0 {
		if u := d.up[v][0]; d.node[u] < 0 {
			return u
		}
	}
	return -1
}

// An aligner places the vertices from one corner.
type aligner struct {
	*drawing
	fromEnd   bool // begins at the last layer
	fromRight bool // begins at the last vertex of a layer
	conflicts map[[2]int32]bool
	root      []int32 // the first vertex of the block of a vertex
}

// align sets root.
func (a *aligner) align() {
	a.root = make([]int32, len(a.node))
	next := make([]int32, len(a.node)) // in the block; the last one leads to the first
	for v := range a.root {
		a.root[v], next[v] = int32(v), int32(v)
	}
	beside := a.up
	if a.fromEnd {
		beside = a.down
	}
	for i := range a.layers {
		layer := a.layers[i]
		if a.fromEnd {
			layer = a.layers[len(a.layers)-1-i]
		}
		last := int32(-1) // up to which position of the layer before vertices are aligned
		for j := range layer {
			v := layer[j]
			if a.fromRight {
				v = layer[len(layer)-1-j]
			}
			for _, w := range a.medians(beside[v]) {
				at := a.pos[w]
				if a.fromRight {
					at = math.MaxInt32 - 1 - at
				}
				segment := [2]int32{w, v}
				if a.fromEnd {
					segment = [2]int32{v, w}
				}
				if next[v] == v && at > last && !a.conflicts[segment] {
					next[w] = v
					a.root[v] = a.root[w]
					next[v] = a.root[v]
					last = at
				}
			}
		}
	}
}

// medians returns the one or two in the middle, the nearer one first.
func (a *aligner) medians(beside []int32) []int32 {
	n := len(beside)
	switch {
	case n == 0:
		return nil
	case n%2 == 1:
		return beside[n/2 : n/2+1]
	case a.fromRight:
		return []int32{beside[n/2], beside[n/2-1]}
	}
	return beside[n/2-1 : n/2+1]
}

// place returns where the vertices are.
func (a *aligner) place(apart []float64) []float64 {
	a.align()
	// Which block is how far before which. From the right, everything is mirrored.
	type pair struct {
		from, to int32
		apart    float64
	}
	var pairs []pair
	for _, layer := range a.layers {
		for i := 1; i < len(layer); i++ {
			p := pair{a.root[layer[i-1]], a.root[layer[i]], apart[layer[i]]}
			if a.fromRight {
				p.from, p.to = p.to, p.from
			}
			pairs = append(pairs, p)
		}
	}
	after := make([][]int32, len(a.node)) // indexes of pairs
	missing := make([]int32, len(a.node))
	for i := range pairs {
		after[pairs[i].from] = append(after[pairs[i].from], int32(i))
		missing[pairs[i].to]++
	}
	order := make([]int32, 0, len(a.node))
	for v, root := range a.root {
		if int(root) == v && missing[v] == 0 {
			order = append(order, root)
		}
	}
	// As near as possible to the side from which they come, then as near as possible to the
	// blocks that follow.
	at := make([]float64, len(a.node))
	for i := 0; i < len(order); i++ {
		for _, j := range after[order[i]] {
			p := &pairs[j]
			at[p.to] = max(at[p.to], at[p.from]+p.apart)
			if missing[p.to]--; missing[p.to] == 0 {
				order = append(order, p.to)
			}
		}
	}
	for _, v := range slices.Backward(order) {
		nearest := math.Inf(1)
		for _, j := range after[v] {
			nearest = min(nearest, at[pairs[j].to]-pairs[j].apart)
		}
		if len(after[v]) > 0 {
			at[v] = max(at[v], nearest)
		}
	}
	for v, root := range a.root {
		at[v] = at[root]
	}
	if a.fromRight {
		for v := range at {
			at[v] = -at[v]
		}
	}
	return at
}
