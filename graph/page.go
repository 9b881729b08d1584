package graph

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// Measures of an SVG in pixels. Across is the direction from layer to layer, along is the other one.
const (
	boxHeight     = 36.0
	boxNoteHeight = 50.0
	boxMinWidth   = 72.0
	boxMaxWidth   = 232.0
	boxPad        = 12.0 // before and behind what is in the box
	boxIcon       = 24.0 // the disc and the space behind it
	boxRound      = 8.0

	gapBoxes  = 16.0 // between boxes of a layer
	gapBends  = 12.0 // between edges that pass a layer side by side
	gapMixed  = 14.0 // between an edge that passes and a box
	gapParts  = 32.0 // between parts of the graph
	gapLayers = 52.0 // between layers, at least
	gapSteep  = 0.13 // more of it for each pixel that an edge goes along
	gapMost   = 150.0

	pageMargin  = 20.0
	pageStretch = 1.8 // of width by height, for what is put side by side

	arrowLength = 7.0
	backAside   = 9.0  // from the middle of a box to where edges against the order end
	stubLength  = 16.0 // of edges that are too long to be drawn
	loopLength  = 20.0
)

// A page is where everything is: across and along its layers, as if they were columns.
type page struct {
	graph  *Graph
	net    *net
	down   bool
	boxes  []box
	paths  []path
	across float64
	along  float64
}

// A box is the place of a node, and what is written there.
type box struct {
	across, along float64 // of the corner
	thick, long   float64 // its size across and along
	label, note   string
}

// A path is how an edge is drawn: from stop to stop, each pair of them a straight line in a layer, with
// curves between them. If the edge shares its beginning with another path, that is left out.
type path struct {
	edge  int32
	stops []stop
	cut   bool // only the two ends are drawn
	label string
	// Where the label is.
	labelAcross, labelAlong float64
}

// A stop is a piece of a path within a layer. turn is where the way there from the stop before runs along
// the layers, if that is said; then it has corners instead of a curve.
type stop struct{ from, to, along, turn float64 }

// newPage lays the graph out.
func newPage(g *Graph, down bool) *page {
	p := &page{graph: g, net: g.net(), down: down, boxes: make([]box, len(g.Nodes))}
	for v := range g.Nodes {
		p.boxes[v] = newBox(&g.Nodes[v], down)
	}
	layer := p.net.layers(p.net.sort())
	longest := p.net.longest(layer)
	vertex := make([]int32, len(g.Nodes))
	var parts []*part
	for _, nodes := range p.net.parts() {
		d := newDrawing(p.net, nodes, layer, longest, vertex)
		d.reorder()
		d.place(p.size(d), p.gap(d))
		parts = append(parts, p.measure(d))
	}
	p.arrange(parts)
	for _, part := range parts {
		p.draw(part)
	}
	return p
}

// newBox returns a box of the size that the text of a node needs.
func newBox(n *Node, down bool) box {
	inner := boxMaxWidth - 2*boxPad
	indent := 0.0
	if lookOf(n.State).icon != "" {
		indent = boxIcon
	}
	b := box{label: fit(n.label(), labelSize, inner-indent), note: fit(line(n.Note), noteSize, inner-indent)}
	width := 2*boxPad + indent + max(textWidth(b.label, labelSize), textWidth(b.note, noteSize))
	width = math.Ceil(min(max(width, boxMinWidth), boxMaxWidth))
	height := boxHeight
	if b.note != "" {
		height = boxNoteHeight
	}
	b.thick, b.long = width, height
	if down {
		b.thick, b.long = height, width
	}
	return b
}

// size returns how much of its layer a vertex takes.
func (p *page) size(d *drawing) func(int32) float64 {
	return func(v int32) float64 {
		if node := d.node[v]; node >= 0 {
			return p.boxes[node].long
		}
		return 0
	}
}

// gap returns how much is between two vertices.
func (p *page) gap(d *drawing) func(v, w int32) float64 {
	return func(v, w int32) float64 {
		switch bends := min(d.node[v], 0) + min(d.node[w], 0); bends {
		case 0:
			return gapBoxes
		case -1:
			return gapMixed
		}
		return gapBends
	}
}

// A part is a drawing with its columns, and where it is on the page.
type part struct {
	*drawing
	fan           *fan
	from, to      []float64 // of each layer, across
	across, along float64
	thick, long   float64
}

// measure makes all boxes of a layer equally thick, and the space between two layers as large as the
// edges and labels in it need.
func (p *page) measure(d *drawing) *part {
	t := &part{drawing: d, fan: newFan(d), from: make([]float64, len(d.layers)), to: make([]float64, len(d.layers))}
	first, last := math.Inf(1), math.Inf(-1)
	size := p.size(d)
	labels := p.labels(d)
	across := 0.0
	for l, layer := range d.layers {
		thick, steep := 0.0, 0.0
		for _, v := range layer {
			half := size(v) / 2
			first, last = min(first, d.at[v]-half), max(last, d.at[v]+half)
			if node := d.node[v]; node >= 0 {
				thick = max(thick, p.boxes[node].thick)
			}
			for _, u := range d.up[v] {
				if !t.fan.has(u, v) {
					steep = max(steep, math.Abs(d.at[u]-d.at[v]))
				}
			}
		}
		if l > 0 {
			curves := min(gapLayers-16+steep*gapSteep, gapMost)
			across += math.Ceil(max(gapLayers, curves, labels[l]+t.fan.width(l)))
		}
		t.from[l], t.to[l] = across, across+thick
		across += thick
		for _, v := range layer {
			if node := d.node[v]; node >= 0 {
				p.boxes[node].thick = thick
			}
		}
	}
	for v := range d.at {
		d.at[v] -= first
	}
	t.thick, t.long = across, last-first
	loop := func(v int32) bool { return d.node[v] >= 0 && d.net.loops[d.node[v]] }
	if slices.ContainsFunc(d.layers[len(d.layers)-1], loop) {
		t.thick += loopLength
	}
	return t
}

// labels returns how much space labels need before each layer.
func (p *page) labels(d *drawing) []float64 {
	labels := make([]float64, len(d.layers)+1)
	for i := range d.routes {
		r := &d.routes[i]
		if e := &d.net.edges[r.edge]; e.label != "" && !r.cut && !p.down {
			l := d.layer[p.labelled(r, d)] + 1
			width := textWidth(fit(e.label, edgeSize, edgeMaxWidth), edgeSize)
			labels[l] = max(labels[l], width+2*arrowLength+16)
		}
	}
	return labels
}

// labelled returns the vertex behind which the label of an edge is: the last one before the node to
// which it leads, if other edges leave the same node, so that labels do not meet.
func (p *page) labelled(r *route, d *drawing) int32 {
	if len(r.bends) > 0 && len(d.net.out[d.node[r.from]]) > 1 {
		return r.bends[len(r.bends)-1]
	}
	return r.from
}

// arrange puts the parts on the page in rows: first those with edges, one below the other as long as
// they are together not higher than the first of the row, then single nodes, equally wide.
func (p *page) arrange(parts []*part) {
	var joined, single []*part
	widest := 0.0
	for _, t := range parts {
		if len(t.node) > 1 {
			joined = append(joined, t)
			continue
		}
		single = append(single, t)
		w, _ := p.point(t.thick, t.long)
		widest = max(widest, w)
	}
	for _, t := range single {
		b := &p.boxes[t.node[0]]
		if p.down {
			b.long, t.long, t.at[0] = widest, widest, widest/2
		} else {
			t.thick, t.to[0] = widest, widest
			b.thick = widest
		}
	}
	// Parts of about the same height side by side leave the least room empty.
	slices.SortStableFunc(joined, func(a, b *part) int {
		_, ha := p.point(a.thick, a.long)
		_, hb := p.point(b.thick, b.long)
		return cmp.Compare(hb, ha)
	})
	area := 0.0
	widest = 0
	for _, t := range parts {
		w, h := p.point(t.thick, t.long)
		widest, area = max(widest, w), area+(w+gapParts)*(h+gapParts)
	}
	limit := max(widest, math.Sqrt(area*pageStretch))
	bottom := p.rows(joined, pageMargin, limit, gapParts)
	if len(joined) > 0 && len(single) > 0 {
		bottom += gapParts
	}
	p.rows(single, bottom, limit, gapBoxes)
	p.across, p.along = p.across+pageMargin, p.along+pageMargin
}

// point returns across and along as x and y, and the other way round.
func (p *page) point(across, along float64) (x, y float64) {
	if p.down {
		return along, across
	}
	return across, along
}

// rows puts parts into rows from top on, and returns where these end.
func (p *page) rows(parts []*part, top, limit, gap float64) (bottom float64) {
	bottom = top
	x, y := pageMargin, top // where the next part goes
	wide := 0.0             // the column
	for i, t := range parts {
		w, h := p.point(t.thick, t.long)
		if i > 0 && y+h > bottom { // the column is full
			x, y, wide = x+wide+gap, top, 0
			if x+w > limit+pageMargin || y+h > bottom {
				x, top = pageMargin, bottom+gap
				y = top
			}
		}
		t.across, t.along = p.point(x, y)
		p.across, p.along = max(p.across, t.across+t.thick), max(p.along, t.along+t.long)
		bottom = max(bottom, y+h)
		wide, y = max(wide, w), y+h+gap
	}
	return bottom
}

// draw places the boxes and paths of a part.
func (p *page) draw(t *part) {
	for v, node := range t.node {
		if node >= 0 {
			b := &p.boxes[node]
			b.across = t.across + t.from[t.layer[v]]
			b.along = t.along + t.at[v] - b.long/2
		}
	}
	at := func(v int32, aside float64) stop {
		l := t.layer[v]
		return stop{from: t.across + t.from[l], to: t.across + t.to[l], along: t.along + t.at[v] + aside}
	}
	drawn := make([]bool, len(t.node))
	for i := range t.routes {
		r := &t.routes[i]
		e := &t.net.edges[r.edge]
		way := path{edge: r.edge, cut: r.cut, label: fit(e.label, edgeSize, edgeMaxWidth)}
		aside := 0.0
		if e.back {
			aside = backAside
		}
		labelled, last, bends := p.labelled(r, t.drawing), r.from, r.bends
		way.stops = append(way.stops, at(r.from, aside))
		if n := sort.Search(len(bends), func(i int) bool { return !drawn[bends[i]] }); n > 0 {
			last, bends = bends[n-1], bends[n:] // another path has come here
			way.stops[0] = at(last, 0)
		}
		visit := func(v int32, next stop) {
			before := way.stops[len(way.stops)-1]
			if !e.back && !r.cut && t.fan.has(last, v) {
				next.turn = t.fan.at(last, v, before.to, next.from)
			}
			if last == labelled {
				way.labelAcross, way.labelAlong = (before.to+next.from)/2, (before.along+next.along)/2
				switch {
				case next.turn == 0:
				case t.fan.out[last] >= 0:
					way.labelAcross, way.labelAlong = (next.turn+next.from)/2, next.along
				default:
					way.labelAcross, way.labelAlong = (before.to+next.turn)/2, before.along
				}
			}
			drawn[v] = true
			way.stops, last = append(way.stops, next), v
		}
		for _, b := range bends {
			visit(b, at(b, 0))
		}
		visit(r.to, at(r.to, aside))
		p.paths = append(p.paths, way)
	}
}
