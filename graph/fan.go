package graph

import (
	"cmp"
	"slices"
)

// Edges of a node that has many of them on one side run along a line beside the node, from which they
// branch off. As curves they would run into each other.
const (
	fanLeast  = 8    // segments on one side
	fanBefore = 22.0 // from the boxes to the first line
	fanApart  = 8.0  // between lines
	fanRound  = 10.0
	fanLines  = 3 // side by side; where there are more, curves are clearer after all
)

// A fan is the lines of a drawing.
type fan struct {
	// out and in have, for each vertex, the number of its line behind and before it, or -1.
	out, in []int
	// outs and ins count the lines that begin in the space before each layer, and those that end
	// there.
	outs, ins []int
}

// newFan gives each vertex with many segments a line. Lines that do not meet share their place.
func newFan(d *drawing) *fan {
	f := &fan{outs: make([]int, len(d.layers)+1), ins: make([]int, len(d.layers)+1)}
	f.out = d.lines(d.down, func(layer, lines int) { f.outs[layer+1] = lines })
	f.in = d.lines(d.up, func(layer, lines int) { f.ins[layer] = lines })
	return f
}

// lines numbers the lines on one side of each layer, and tells how many there are.
func (d *drawing) lines(beside [][]int32, count func(layer, lines int)) []int {
	type extent struct {
		v         int32
		low, high float64
	}
	line := make([]int, len(d.node))
	for l, layer := range d.layers {
		var extents []extent
		for _, v := range layer {
			line[v] = -1
			if len(beside[v]) < fanLeast {
				continue
			}
			x := extent{v, d.at[v], d.at[v]}
			for _, w := range beside[v] {
				x.low, x.high = min(x.low, d.at[w]), max(x.high, d.at[w])
			}
			extents = append(extents, x)
		}
		slices.SortStableFunc(extents, func(a, b extent) int { return cmp.Compare(a.low, b.low) })
		var ends []float64 // of each line so far
		for _, x := range extents {
			i := slices.IndexFunc(ends, func(end float64) bool { return end+2*fanRound < x.low })
			if i < 0 {
				i = len(ends)
				ends = append(ends, 0)
			}
			ends[i], line[x.v] = x.high, i
			if len(ends) > fanLines {
				break
			}
		}
		if len(ends) > fanLines {
			for _, x := range extents {
				line[x.v] = -1
			}
			ends = nil
		}
		count(l, len(ends))
	}
	return line
}

// has reports whether a segment runs along a line.
func (f *fan) has(from, to int32) bool { return f.out[from] >= 0 || f.in[to] >= 0 }

// at returns where the line of a segment is in the space between two layers. If both of its ends have
// one, it takes the first.
func (f *fan) at(from, to int32, begin, end float64) float64 {
	if i := f.out[from]; i >= 0 {
		return begin + fanBefore + float64(i)*fanApart
	}
	return end - fanBefore - float64(f.in[to])*fanApart
}

// width returns how much space the lines before a layer need.
func (f *fan) width(layer int) float64 {
	lines := f.outs[layer] + f.ins[layer]
	if lines == 0 {
		return 0
	}
	return 2*fanBefore + float64(lines)*fanApart
}
