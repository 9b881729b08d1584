package graph

import (
	"fmt"
	"strings"
)

// frame is the colours that do not depend on states.
var frame = []struct{ rule, property, light, dark string }{
	{".depgraph .canvas{fill:%s}", "canvas", "#ffffff", "#0d1117"},
	{".depgraph text{fill:%s}", "text", "#1f2328", "#e6edf3"},
	{".depgraph .note,.depgraph .name{fill:%s}", "note", "#59636e", "#9aa4af"},
	{".depgraph .name{stroke:%s}", "canvas", "#ffffff", "#0d1117"},
	{".depgraph .edge path{stroke:%s}", "edge", "#99a2ad", "#646d78"},
	{".depgraph .edge .head{fill:%s}", "edge", "#99a2ad", "#646d78"},
	{".depgraph .back path{stroke:%s}", "back", backColours.light.ink, backColours.dark.ink},
	{".depgraph .back .head{fill:%s}", "back", backColours.light.ink, backColours.dark.ink},
	{".depgraph .node circle+path{stroke:%s}", "canvas", "#ffffff", "#0d1117"},
}

// style returns the style sheet: shapes first, then the colours of the states that occur.
func (g *Graph) style(theme string) string {
	var b strings.Builder
	b.WriteString(`.depgraph{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.depgraph text{font-size:13px;font-weight:500}
.depgraph .note{font-size:11px;font-weight:400}
.depgraph .name{font-size:11px;font-weight:400;stroke-width:4px;stroke-linejoin:round;paint-order:stroke}
.depgraph .edge path{fill:none;stroke-width:1.5px;stroke-linecap:round}
.depgraph .edge .head{stroke:none}
.depgraph .weak path{stroke-dasharray:4 4}
.depgraph .cut path{stroke-dasharray:1 4}
.depgraph .node rect{stroke-width:1.25px}
.depgraph .node circle+path{fill:none;stroke-width:1.75px;stroke-linecap:round;stroke-linejoin:round}
.depgraph a:hover rect,.depgraph a:focus-visible rect{stroke-width:2.5px}
.depgraph a:hover text{text-decoration:underline}
.depgraph a:hover .note{text-decoration:none}
`)
	used := make(map[*look]bool)
	for i := range g.Nodes {
		used[lookOf(g.Nodes[i].State)] = true
	}
	for i := range looks {
		if l := &looks[i]; used[l] && l.dashed {
			b.WriteString(".depgraph ." + l.class() + " rect{stroke-dasharray:5 4}\n")
		}
	}
	if theme != "dark" {
		writeColours(&b, used, false)
	}
	switch theme {
	case "light":
	case "dark":
		writeColours(&b, used, true)
	default:
		b.WriteString("@media (prefers-color-scheme:dark){\n")
		writeColours(&b, used, true)
		b.WriteString("}\n")
	}
	return b.String()
}

// writeColours writes each rule with a plain colour first, for what knows no custom properties.
func writeColours(b *strings.Builder, used map[*look]bool, dark bool) {
	rule := func(format, attribute, property, colour string) {
		value := fmt.Sprintf("%s;%s:var(--dg-%s,%s)", colour, attribute, property, colour)
		fmt.Fprintf(b, format+"\n", value)
	}
	for _, f := range frame {
		colour := f.light
		if dark {
			colour = f.dark
		}
		attribute := "fill"
		if strings.Contains(f.rule, "{stroke:") {
			attribute = "stroke"
		}
		rule(f.rule, attribute, f.property, colour)
	}
	for i := range looks {
		l := &looks[i]
		if !used[l] {
			continue
		}
		c := l.light
		if dark {
			c = l.dark
		}
		name := l.class()
		rule(".depgraph ."+name+" rect{fill:%s}", "fill", name+"-fill", c.fill)
		rule(".depgraph ."+name+" rect{stroke:%s}", "stroke", name+"-border", c.border)
		rule(".depgraph ."+name+" circle{fill:%s}", "fill", name+"-ink", c.ink)
	}
}

// class returns the name of the state in style sheets.
func (l *look) class() string {
	if l.state == "" {
		return "other"
	}
	return strings.ReplaceAll(l.state, "_", "-")
}
