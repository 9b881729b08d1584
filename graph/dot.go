package graph

import (
	"net/url"
	"strconv"
	"strings"
)

// DOT returns the graph as source of Graphviz, coloured by state as on a light background. IDs are
// those of the nodes, labels and notes are two lines, links are the attribute URL. A further node
// with the ID of another gets a number behind it.
func (g *Graph) DOT() string {
	var b strings.Builder
	b.WriteString("digraph {\n")
	b.WriteString("\tgraph [rankdir=LR, bgcolor=transparent, nodesep=0.25, ranksep=0.6]\n")
	b.WriteString("\tnode [shape=box, style=\"rounded,filled\", fontname=Helvetica, fontsize=11, fontcolor=\"#1f2328\"]\n")
	b.WriteString("\tedge [color=\"#8c959f\", fontname=Helvetica, fontsize=9, fontcolor=\"#59636e\", arrowsize=0.7]\n")
	ids := g.dotIDs()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		look := lookOf(n.State)
		label := dotEscape(n.label())
		if note := line(n.Note); note != "" {
			label += `\n` + dotEscape(note)
		}
		b.WriteString("\t" + ids[i] + ` [label="` + label + `", fillcolor="` + look.light.fill +
			`", color="` + look.light.ink + `"`)
		if look.dashed {
			b.WriteString(`, style="rounded,filled,dashed"`)
		}
		if href := safeLink(n.Link); href != "" {
			b.WriteString(`, URL="` + dotEscape(href) + `"`)
		}
		if state := line(n.State); state != "" {
			b.WriteString(`, tooltip="` + dotEscape(n.label()+": "+state) + `"`)
		}
		b.WriteString("]\n")
	}
	n := g.net()
	for i := range n.edges {
		e := n.edges[i]
		var attrs []string
		if e.label != "" {
			attrs = append(attrs, `label="`+dotEscape(e.label)+`"`)
		}
		if e.weak {
			attrs = append(attrs, "style=dashed")
		}
		if e.back {
			e.from, e.to = e.to, e.from
			attrs = append(attrs, `color="`+backColours.light.ink+`"`)
		}
		b.WriteString("\t" + ids[e.from] + " -> " + ids[e.to])
		if len(attrs) > 0 {
			b.WriteString(" [" + strings.Join(attrs, ", ") + "]")
		}
		b.WriteByte('\n')
	}
	for v, loop := range n.loops {
		if loop {
			b.WriteString("\t" + ids[v] + " -> " + ids[v] + ` [color="` + backColours.light.ink + "\"]\n")
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// dotIDs returns the IDs in quotes, each another one.
func (g *Graph) dotIDs() []string {
	ids := make([]string, len(g.Nodes))
	taken := make(map[string]int, len(g.Nodes)) // up to which number
	for i := range g.Nodes {
		taken[line(g.Nodes[i].ID)] = 0
	}
	first := make(map[string]bool, len(g.Nodes))
	for i := range g.Nodes {
		id := line(g.Nodes[i].ID)
		if first[id] {
			base := id
			for ok := true; ok; _, ok = taken[id] {
				taken[base]++
				id = base + " (" + strconv.Itoa(taken[base]+1) + ")"
			}
			taken[id] = 0
		}
		first[id] = true
		ids[i] = `"` + dotEscape(id) + `"`
	}
	return ids
}

// dotEscape returns s as the inside of a quoted string whose escapes and entities say s again.
func dotEscape(s string) string { return dotEscaper.Replace(s) }

var dotEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `&`, `&amp;`, "\n", " ")

// safeLink returns s if a drawing may lead there, or "".
func safeLink(s string) string {
	if s != line(s) { // a browser leaves out characters that hide a scheme
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "" && u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	return u.String()
}
