package graph

import (
	"cmp"
	"slices"
)

// How much is done against crossings. A sweep costs a sort of every layer; the work bounds what all
// sweeps of a drawing cost together, so that large graphs get fewer of them.
const (
	sweepsMost   = 24
	sweepsLeast  = 4
	sweepsWork   = 2_000_000 // vertices and segments
	sweepsIdle   = 6         // sweeps without progress, after which no more are made
	exchangeMost = 3_000     // vertices up to which neighbours are exchanged one by one
)

// reorder orders the layers so that few edges cross. It begins with two orders; in large graphs only the
// better of them is improved.
func (d *drawing) reorder() {
	d.initial(true)
	best := d.crossings()
	if best == 0 {
		return
	}
	small := len(d.node) <= exchangeMost
	if small {
		best = d.improve(best)
	}
	kept := d.order()
	d.initial(false)
	c := d.crossings()
	if small {
		c = d.improve(c)
	}
	if c >= best {
		d.setOrder(kept)
	}
	if !small {
		d.improve(min(c, best))
	}
}

// initial puts the vertices into their layers in the order in which a search in depth comes to them. It
// follows edges forth only, which for a tree leads to an order without crossings, or both ways, which
// does so for a zigzag.
func (d *drawing) initial(forth bool) {
	d.layers = make([][]int32, slices.Max(d.layer)+1)
	d.pos = make([]int32, len(d.node))
	seen := make([]bool, len(d.node))
	var stack []int32
	for root := range d.node {
		if len(d.up[root]) > 0 {
			continue
		}
		stack = append(stack, int32(root))
		for len(stack) > 0 {
			v := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[v] {
				continue
			}
			seen[v] = true
			l := d.layer[v]
			d.pos[v] = int32(len(d.layers[l]))
			d.layers[l] = append(d.layers[l], v)
			if !forth {
				for _, u := range slices.Backward(d.up[v]) {
					stack = append(stack, u)
				}
			}
			for _, w := range slices.Backward(d.down[v]) {
				stack = append(stack, w)
			}
		}
	}
}

// improve improves the order, which has that many crossings, and returns how many are left. Layer by
// layer, forth and back, the vertices go where the mean of their neighbours in the layer before is
// (Sugiyama, Tagawa and Toda, 1981). The best order that was seen stays.
func (d *drawing) improve(best int) int {
	work := len(d.node)
	for _, down := range d.down {
		work += len(down)
	}
	kept := d.order()
	sweeps := min(max(sweepsWork/work, sweepsLeast), sweepsMost)
	for i, idle := 0, 0; i < sweeps && idle < sweepsIdle && best > 0; i++ {
		d.sweep(i%2 == 0, i%4 >= 2)
		idle++
		if c := d.crossings(); c < best {
			best, kept, idle = c, d.order(), 0
		}
	}
	d.setOrder(kept)
	if len(d.node) <= exchangeMost && best > 0 {
		d.exchange()
		best = d.crossings()
	}
	return best
}

func (d *drawing) order() [][]int32 {
	order := make([][]int32, len(d.layers))
	for l := range order {
		order[l] = slices.Clone(d.layers[l])
	}
	return order
}

func (d *drawing) setOrder(order [][]int32) {
	d.layers = order
	for _, layer := range order {
		for i, v := range layer {
			d.pos[v] = int32(i)
		}
	}
}

// sweep orders every layer by the one before it, or after it if not forth. Vertices with the same
// mean stay in their order, or are turned round.
func (d *drawing) sweep(forth, turn bool) {
	type place struct {
		mean float64
		v    int32
	}
	var places []place
	for i := 1; i < len(d.layers); i++ {
		layer, beside := d.layers[i], d.up
		if !forth {
			layer, beside = d.layers[len(d.layers)-1-i], d.down
		}
		places = places[:0]
		for _, v := range layer {
			if len(beside[v]) == 0 {
				continue // stays where it is
			}
			sum := 0
			for _, w := range beside[v] {
				sum += int(d.pos[w])
			}
			places = append(places, place{float64(sum) / float64(len(beside[v])), v})
		}
		slices.SortFunc(places, func(a, b place) int {
			c := cmp.Compare(d.pos[a.v], d.pos[b.v])
			if turn {
				c = -c
			}
			return cmp.Or(cmp.Compare(a.mean, b.mean), c)
		})
		next := 0
		for j, v := range layer {
			if len(beside[v]) > 0 {
				layer[j] = places[next].v
				next++
			}
		}
		for j, v := range layer {
			d.pos[v] = int32(j)
		}
	}
}

// crossings counts the crossings of segments: between two layers, the inversions of the ends after
// the segments are sorted by their beginnings (Barth, Mutzel and Jünger, 2002).
func (d *drawing) crossings() int {
	total := 0
	var ends, tree []int32
	for l := 0; l+1 < len(d.layers); l++ {
		width := len(d.layers[l+1])
		tree = append(tree[:0], make([]int32, width+1)...)
		count := int32(0)
		for _, v := range d.layers[l] {
			ends = ends[:0]
			for _, w := range d.down[v] {
				ends = append(ends, d.pos[w])
			}
			for _, end := range ends { // those before that end behind
				behind := count
				for i := end + 1; i > 0; i -= i & -i {
					behind -= tree[i]
				}
				total += int(behind)
			}
			for _, end := range ends {
				for i := int(end) + 1; i <= width; i += i & -i {
					tree[i]++
				}
				count++
			}
		}
	}
	return total
}

// exchange exchanges neighbours in a layer as long as that saves crossings.
func (d *drawing) exchange() {
	for better, round := true, 0; better && round < 10; round++ {
		better = false
		for _, layer := range d.layers {
			for i := 0; i+1 < len(layer); i++ {
				v, w := layer[i], layer[i+1]
				now := d.between(d.up, v, w) + d.between(d.down, v, w)
				then := d.between(d.up, w, v) + d.between(d.down, w, v)
				if then < now {
					layer[i], layer[i+1] = w, v
					d.pos[v], d.pos[w] = int32(i+1), int32(i)
					better = true
				}
			}
		}
	}
}

// between counts the crossings of the segments of v and w on one side, if v is before w.
func (d *drawing) between(beside [][]int32, v, w int32) int {
	if len(beside[v]) == 0 || len(beside[w]) == 0 {
		return 0
	}
	byPos := func(a, b int32) int { return cmp.Compare(d.pos[a], d.pos[b]) }
	slices.SortFunc(beside[v], byPos)
	slices.SortFunc(beside[w], byPos)
	crossings, before := 0, 0
	for _, x := range beside[v] {
		for before < len(beside[w]) && d.pos[beside[w][before]] < d.pos[x] {
			before++
		}
		crossings += before
	}
	return crossings
}
