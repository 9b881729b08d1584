package graph

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// SVGOptions change how an SVG looks. The zero value is the default.
type SVGOptions struct {
	// Title is the name of the drawing for screen readers. "" counts nodes and states.
	Title string
	// Down lays the graph out from top to bottom, instead of from left to right.
	Down bool
	// Theme is "light" or "dark"; anything else follows the preference of the reader.
	Theme string
}

// SVG draws the graph as an SVG document without scripts, which may also be put into a page of HTML
// as it is. nil options are the defaults.
//
// Nodes are in layers from left to right, each behind those that lead to it, and edges run between
// the boxes, never through them. Edges of a node to later layers run together as far as they can.
// Weak edges are dashed, those that close a cycle lead back and are red. Labels are cut to what fits
// into a box; the tooltip of a node has all of it. Parts that are not connected are put side by side.
//
// Every colour is a custom property that a page may set, such as --dg-canvas, --dg-text, --dg-note,
// --dg-edge, and of each state --dg-failed-fill, --dg-failed-border and --dg-failed-ink.
//
// The layout takes about linear time. Large graphs, from some thousand nodes on, get fewer attempts
// to avoid crossings. If long edges would need more than 20,000 bends and another 6 for each node,
// the longest are drawn as two stubs.
func (g *Graph) SVG(opts *SVGOptions) []byte {
	var o SVGOptions
	if opts != nil {
		o = *opts
	}
	s := svg{page: newPage(g, o.Down)}
	s.open(&o)
	for i := range s.paths {
		s.path(&s.paths[i])
	}
	for v, loop := range s.net.loops {
		if loop {
			s.loop(&g.Nodes[v], &s.boxes[v])
		}
	}
	for i := range s.paths {
		s.pathLabel(&s.paths[i])
	}
	for v := range s.boxes {
		s.box(&g.Nodes[v], &s.boxes[v])
	}
	s.text("</svg>\n")
	return s.out
}

// An svg is a document that is being written.
type svg struct {
	*page
	out []byte
}

// text writes strings as they are.
func (s *svg) text(parts ...string) {
	for _, p := range parts {
		s.out = append(s.out, p...)
	}
}

// escape returns text as it is written in XML.
func escape(text string) string {
	if !strings.ContainsAny(text, "&<>'\"") {
		return text
	}
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder does not fail
	return b.String()
}

// numbers writes numbers with one digit behind the point, separated by spaces.
func (s *svg) numbers(numbers ...float64) {
	for i, x := range numbers {
		if i > 0 {
			s.out = append(s.out, ' ')
		}
		s.out = strconv.AppendFloat(s.out, math.Round(x*10)/10+0, 'f', -1, 64)
	}
}

// points writes points that are given across and along.
func (s *svg) points(coordinates ...float64) {
	for i := 0; i < len(coordinates); i += 2 {
		if i > 0 {
			s.out = append(s.out, ' ')
		}
		s.numbers(s.point(coordinates[i], coordinates[i+1]))
	}
}

// open writes what comes before the drawing.
func (s *svg) open(o *SVGOptions) {
	width, height := s.point(max(s.across, 2*pageMargin), max(s.along, 2*pageMargin))
	title := line(o.Title)
	if title == "" {
		title = s.graph.summary()
	}
	// Readers pass over what is within an image, and so over links.
	role := "img"
	if slices.ContainsFunc(s.graph.Nodes, func(n Node) bool { return safeLink(n.Link) != "" }) {
		role = "group"
	}
	size := fmt.Sprintf(`width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f"`, width, height, width, height)
	s.text(`<svg xmlns="http://www.w3.org/2000/svg" class="depgraph" role="`, role, `" aria-label="`, escape(title), `" `,
		size, ">\n<title>", escape(title), "</title>\n<style>\n", s.graph.style(o.Theme), "</style>\n",
		`<rect class="canvas" width="100%" height="100%" rx="12"/>`, "\n")
}

// summary counts the nodes and their states.
func (g *Graph) summary() string {
	count := make(map[string]int)
	for i := range g.Nodes {
		count[lookOf(g.Nodes[i].State).state]++
	}
	var states []string
	for i := range looks {
		if n := count[looks[i].state]; n > 0 && looks[i].state != "" {
			states = append(states, strconv.Itoa(n)+" "+strings.ReplaceAll(looks[i].state, "_", " "))
		}
	}
	text := strconv.Itoa(len(g.Nodes)) + " nodes"
	if len(g.Nodes) == 1 {
		text = "1 node"
	}
	if len(states) > 0 {
		text += ": " + strings.Join(states, ", ")
	}
	return "Graph of " + text
}

// path writes an edge.
func (s *svg) path(p *path) {
	e := &s.net.edges[p.edge]
	from, to := &s.graph.Nodes[e.from], &s.graph.Nodes[e.to]
	if e.back {
		from, to = to, from
	}
	class := "edge"
	switch {
	case e.back:
		class = "edge back"
	case p.cut:
		class = "edge cut"
	case e.weak:
		class = "edge weak"
	}
	first, last := p.stops[0], p.stops[len(p.stops)-1]
	begin, end := first.to, last.from
	if e.back {
		begin += arrowLength - 1
	} else {
		end -= arrowLength - 1
	}
	s.text(`<g class="`, class, `"><title>`, escape(from.label()+" → "+to.label()))
	if e.label != "" {
		s.text(": ", escape(e.label))
	}
	s.text(`</title><path d="M`)
	if p.cut {
		s.points(begin, first.along, first.to+stubLength, first.along)
		s.text("M")
		s.points(last.from-stubLength, last.along, end, last.along)
	} else {
		s.points(begin, first.along)
		for i, stop := range p.stops[1:] {
			before := p.stops[i]
			from, to := before.to, stop.from
			if i == 0 {
				from = begin
			}
			if i == len(p.stops)-2 {
				to = end
			}
			s.segment(from, before.along, to, stop.along, stop.turn)
			if i < len(p.stops)-2 {
				s.text("L")
				s.points(stop.to, stop.along)
			}
		}
	}
	s.text(`"/>`)
	if e.back {
		s.arrow(first.to, first.along, 1)
	} else {
		s.arrow(last.from, last.along, -1)
	}
	s.text("</g>\n")
}

// segment writes the way between two layers: a curve, or two corners if turn says where.
func (s *svg) segment(from, fromAlong, to, toAlong, turn float64) {
	far := toAlong - fromAlong
	switch round := math.Copysign(min(fanRound, math.Abs(far)/2), far); {
	case math.Abs(far) < 0.05:
		s.text("L")
	case turn > 0:
		size := math.Abs(round)
		s.text("L")
		s.points(turn-size, fromAlong)
		s.text("C")
		s.points(turn-size/2, fromAlong, turn, fromAlong+round/2, turn, fromAlong+round)
		s.text("L")
		s.points(turn, toAlong-round)
		s.text("C")
		s.points(turn, toAlong-round/2, turn+size/2, toAlong, turn+size, toAlong)
		s.text("L")
	default:
		bend := (to - from) / 2
		s.text("C")
		s.points(from+bend, fromAlong, to-bend, toAlong)
		s.text(" ")
	}
	s.points(to, toAlong)
}

// arrow writes an arrow head with its point there. It comes from the side that sign says.
func (s *svg) arrow(across, along, sign float64) {
	s.text(`<path class="head" d="M`)
	s.points(across, along, across+sign*arrowLength, along-3.6, across+sign*(arrowLength-1.4), along,
		across+sign*arrowLength, along+3.6)
	s.text(`z"/>`)
}

// loop writes an edge from a node to itself.
func (s *svg) loop(n *Node, b *box) {
	across, along := b.across+b.thick, b.along+b.long/2
	s.text(`<g class="edge back"><title>`, escape(n.label()+" → "+n.label()), `</title><path d="M`)
	s.points(across, along-backAside)
	s.text("C")
	s.points(across+loopLength, along-backAside-3, across+loopLength, along+backAside+1, across+arrowLength-1, along+backAside)
	s.text(`"/>`)
	s.arrow(across, along+backAside, 1)
	s.text("</g>\n")
}

// pathLabel writes the label of an edge.
func (s *svg) pathLabel(p *path) {
	if p.label == "" || p.cut {
		return
	}
	x, y := s.point(p.labelAcross, p.labelAlong)
	s.text(`<text class="name" text-anchor="middle" x="`)
	s.numbers(x)
	s.text(`" y="`)
	s.numbers(y + 4)
	s.text(`">`, escape(p.label), "</text>\n")
}

// box writes a node.
func (s *svg) box(n *Node, b *box) {
	look := lookOf(n.State)
	x, y := s.point(b.across, b.along)
	width, height := s.point(b.thick, b.long)
	tooltip := n.label()
	for _, more := range []string{line(n.State), line(n.Note)} {
		if more != "" {
			tooltip += "\n" + more
		}
	}
	href := safeLink(n.Link)
	if href != "" {
		s.text(`<a href="`, escape(href), `">`)
	}
	s.text(`<g class="node `, look.class(), `" transform="translate(`)
	s.numbers(x, y)
	s.text(`)"><title>`, escape(tooltip), `</title><rect width="`)
	s.numbers(width)
	s.text(`" height="`)
	s.numbers(height)
	s.text(`" rx="`)
	s.numbers(boxRound)
	s.text(`"/>`)
	left, middle := boxPad, height/2
	if look.icon != "" {
		s.text(`<g transform="translate(`)
		s.numbers(boxPad, middle-8)
		s.text(`)"><circle cx="8" cy="8" r="8"/><path d="`, look.icon, `"/></g>`)
		left += boxIcon
	}
	write := func(class, text string, y float64) {
		s.text(`<text`, class, ` x="`)
		s.numbers(left)
		s.text(`" y="`)
		s.numbers(y)
		s.text(`">`, escape(text), `</text>`)
	}
	if b.note == "" {
		write("", b.label, middle+4.5)
	} else {
		write("", b.label, middle-3)
		write(` class="note"`, b.note, middle+13)
	}
	s.text("</g>")
	if href != "" {
		s.text("</a>")
	}
	s.text("\n")
}
