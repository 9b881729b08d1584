package graph

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/embedjobs/jobs/internal/columns"
)

// Bounds of the drawing as text, in columns unless said otherwise.
const (
	textDepth = 12 // levels of a tree; deeper ones begin again at the left
	textLabel = 60
	textAfter = 4  // predecessors that are named
	textLeft  = 56 // up to which notes are aligned
	textNote  = 32 // up to which what follows the notes is aligned
)

// Text draws the graph as an outline for terminals and logs, one line per node, in an order in which
// each node comes after those that lead to it:
//
//	✓ crawl          job 1, 3.2 s
//	├── ✓ parse a    job 2, 0.4 s
//	├── ● parse b    job 3
//	└── ◌ merge                    ← parse a, parse b
//	    └── ◌ report
//
// A node is drawn below the one through which every way to it leads. If that does not say all, the
// nodes that lead to it follow: after ← those of its edges, after ⇠ those of weak ones, after ↺ those
// of edges that close a cycle. The mark before a node is that of its state; unknown states have none.
// A tree goes on further below, out of this order, where a line of its twelfth level ends with an ellipsis.
//
// Each line ends with a newline. The layout may change.
func (g *Graph) Text() string {
	o := outline{graph: g, net: g.net()}
	o.order = o.net.sort()
	o.dominators()
	o.name()
	o.draw()
	return o.String()
}

// An outline is a graph as a tree of dominators: the parent of a node is the last one through which
// every way to it leads. Siblings are in the order of the graph, which makes the whole tree be so.
type outline struct {
	graph    *Graph
	net      *net
	order    []int32
	parent   []int32 // or -1
	children [][]int32
	names    []string // as nodes are referred to
	rows     []row
}

// A row is what is drawn of a node: its name behind the branches, its note, what leads to it.
type row struct{ left, note, after string }

// dominators sets parent and children. Two nodes are below their last common ancestor in the tree so
// far, which pointers that jump ever further find in logarithmic time.
func (o *outline) dominators() {
	size := len(o.order)
	o.parent = make([]int32, size)
	depth, jump := make([]int32, size), make([]int32, size)
	ancestor := func(v, at int32) int32 {
		for v >= 0 && depth[v] > at {
			if j := jump[v]; j >= 0 && depth[j] >= at {
				v = j
			} else {
				v = o.parent[v]
			}
		}
		return v
	}
	common := func(a, b int32) int32 {
		if a < 0 || b < 0 {
			return -1
		}
		at := min(depth[a], depth[b])
		for a, b = ancestor(a, at), ancestor(b, at); a != b; {
			if ja, jb := jump[a], jump[b]; ja != jb {
				a, b = ja, jb
			} else {
				a, b = o.parent[a], o.parent[b]
			}
		}
		return a
	}
	count := make([]int32, size)
	for _, v := range o.order {
		p, first := int32(-1), true
		for _, e := range o.net.in[v] {
			switch e := &o.net.edges[e]; {
			case e.back:
			case first:
				p, first = e.from, false
			default:
				p = common(p, e.from)
			}
		}
		o.parent[v], jump[v], depth[v] = p, -1, 1
		if p < 0 {
			continue
		}
		count[p]++
		depth[v] = depth[p] + 1
		jump[v] = p
		if j := jump[p]; j >= 0 && depthOf(depth, jump[j]) == 2*depth[j]-depth[p] {
			jump[v] = jump[j]
		}
	}
	o.children = make([][]int32, size)
	all := make([]int32, size)
	for v := range o.children {
		o.children[v], all = all[:0:count[v]], all[count[v]:]
	}
	for _, v := range o.order {
		if p := o.parent[v]; p >= 0 {
			o.children[p] = append(o.children[p], v)
		}
	}
}

// depthOf returns the depth of v, 0 above the roots.
func depthOf(depth []int32, v int32) int32 {
	if v < 0 {
		return 0
	}
	return depth[v]
}

// name sets names. Nodes with the same label get their IDs behind it if one of them is referred to.
func (o *outline) name() {
	nodes := o.graph.Nodes
	o.names = make([]string, len(nodes))
	count := make(map[string]int, len(nodes))
	for v := range nodes {
		o.names[v] = columns.Cut(nodes[v].label(), textLabel)
		count[o.names[v]]++
	}
	ambiguous := make(map[string]bool)
	refer := func(edges []int32) {
		for _, e := range edges {
			if name := o.names[o.net.edges[e].from]; count[name] > 1 {
				ambiguous[name] = true
			}
		}
	}
	for v := range nodes {
		strong, weak, back := o.before(int32(v))
		refer(strong)
		refer(weak)
		refer(back)
	}
	for v := range nodes {
		if id := line(nodes[v].ID); ambiguous[o.names[v]] && id != o.names[v] {
			o.names[v] += " (" + columns.Cut(id, textLabel) + ")"
		}
	}
}

// before returns the edges that lead to v, by the sign that they are drawn with.
func (o *outline) before(v int32) (strong, weak, back []int32) {
	for _, e := range o.net.in[v] {
		switch edge := &o.net.edges[e]; {
		case edge.back: // leads away from v
		case edge.weak:
			weak = append(weak, e)
		default:
			strong = append(strong, e)
		}
	}
	for _, e := range o.net.out[v] {
		if o.net.edges[e].back {
			back = append(back, e)
		}
	}
	return strong, weak, back
}

// draw sets rows.
func (o *outline) draw() {
	type item struct {
		node   int32
		first  string // branches before the node
		rest   string // and before its children
		depth  int
		parent int32 // below which it is drawn, or -1
	}
	var stack []item
	for _, v := range slices.Backward(o.order) {
		if o.parent[v] < 0 {
			stack = append(stack, item{node: v, parent: -1})
		}
	}
	o.rows = make([]row, 0, len(o.order))
	var later []item // roots that go on with a tree that is too deep
	for len(stack) > 0 || len(later) > 0 {
		if len(later) > 0 && (len(stack) == 0 || stack[len(stack)-1].depth == 0) {
			slices.Reverse(later)
			stack, later = append(stack, later...), later[:0]
		}
		it := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		children := o.children[it.node]
		r := row{left: it.first, note: line(o.graph.Nodes[it.node].Note), after: o.after(it.node, it.parent)}
		if mark := lookOf(o.graph.Nodes[it.node].State).mark; mark != "" {
			r.left += mark + " "
		}
		r.left += o.names[it.node]
		if it.depth+1 == textDepth && len(children) > 0 {
			r.left += " …"
			for _, c := range children {
				later = append(later, item{node: c, parent: -1})
			}
			children = nil
		}
		o.rows = append(o.rows, r)
		inner, last := it.rest+"│   ", it.rest+"    "
		for i, c := range slices.Backward(children) {
			child := item{node: c, first: it.rest + "├── ", rest: inner, depth: it.depth + 1, parent: it.node}
			if i == len(children)-1 {
				child.first, child.rest = it.rest+"└── ", last
			}
			stack = append(stack, child)
		}
	}
}

// after returns what leads to v, unless it is just the node below which v is drawn.
func (o *outline) after(v, parent int32) string {
	strong, weak, back := o.before(v)
	if len(strong) == 1 && len(weak)+len(back) == 0 && !o.net.loops[v] {
		if e := &o.net.edges[strong[0]]; e.from == parent {
			if e.label != "" {
				return "← [" + columns.Cut(e.label, textLabel) + "]"
			}
			return ""
		}
	}
	var parts []string
	list := func(sign string, edges []int32, end func(*link) int32, self bool) {
		var names []string
		if self {
			names = append(names, o.names[v])
		}
		for i, e := range edges {
			if i == textAfter-1 && len(edges) > textAfter {
				break
			}
			edge := &o.net.edges[e]
			name := o.names[end(edge)]
			if edge.label != "" {
				name += " [" + columns.Cut(edge.label, textLabel) + "]"
			}
			names = append(names, name)
		}
		if len(names) == 0 {
			return
		}
		text := sign + " " + strings.Join(names, ", ")
		if len(edges) > textAfter {
			text += " and " + strconv.Itoa(len(edges)-textAfter+1) + " more"
		}
		parts = append(parts, text)
	}
	list("←", strong, func(e *link) int32 { return e.from }, false)
	list("⇠", weak, func(e *link) int32 { return e.from }, false)
	list("↺", back, func(e *link) int32 { return e.to }, o.net.loops[v])
	return strings.Join(parts, " ")
}

// String lays the rows out in columns.
func (o *outline) String() string {
	left, note := 0, 0
	for _, r := range o.rows {
		if r.note == "" && r.after == "" {
			continue
		}
		if w := columns.Width(r.left); w <= textLeft {
			left = max(left, w)
		}
		if w := columns.Width(r.note); w <= textNote {
			note = max(note, w)
		}
	}
	if note > 0 {
		note += 2
	}
	var b strings.Builder
	for _, r := range o.rows {
		b.WriteString(r.left)
		if r.note != "" || r.after != "" {
			b.WriteString(columns.Spaces(max(left-columns.Width(r.left), 0) + 2))
			b.WriteString(r.note)
		}
		if r.after != "" {
			gap := note - columns.Width(r.note)
			if r.note != "" {
				gap = max(gap, 2)
			} else if columns.Width(r.left) > left { // nothing is aligned here
				gap = 0
			}
			b.WriteString(columns.Spaces(gap))
			b.WriteString(r.after)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// label returns what is shown of a node.
func (n *Node) label() string {
	if s := line(n.Label); s != "" {
		return s
	}
	return line(n.ID)
}

// line returns s as one line of valid text without anything that is invisible or turns its
// direction.
func line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) || r == '\u200c' || r == '\u200d' { // joiners, which writing needs
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD")))
}
