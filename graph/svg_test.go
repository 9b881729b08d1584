package graph_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedjobs/jobs/graph"
)

// A drawing is what a test sees of an SVG.
type drawing struct {
	width, height float64
	boxes         []rect
	titles        []string     // of the boxes
	edges         []string     // titles of the edges
	lines         [][]position // of the edges and arrow heads
	links         []string
	elements      map[string]int
}

type rect struct{ x, y, width, height float64 }

type position struct{ x, y float64 }

// read parses an SVG; everything that is not well-formed is an error.
func read(svg []byte) (*drawing, error) {
	d := &drawing{elements: make(map[string]int)}
	dec := xml.NewDecoder(bytes.NewReader(svg))
	var classes []string // of the open elements
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.EndElement:
			classes = classes[:len(classes)-1]
		case xml.CharData:
			if n := len(classes); n > 1 && classes[n-1] == "title" {
				switch {
				case strings.HasPrefix(classes[n-2], "node"):
					d.titles = append(d.titles, string(token))
				case strings.HasPrefix(classes[n-2], "edge"):
					d.edges = append(d.edges, string(token))
				}
			}
		case xml.StartElement:
			d.start(token, &classes)
		}
	}
}

func (d *drawing) start(e xml.StartElement, classes *[]string) {
	attrs := make(map[string]string)
	for _, a := range e.Attr {
		attrs[a.Name.Local] = a.Value
	}
	d.elements[e.Name.Local]++
	parent := ""
	if n := len(*classes); n > 0 {
		parent = (*classes)[n-1]
	}
	class := attrs["class"]
	switch {
	case e.Name.Local == "title":
		class = "title"
	case e.Name.Local == "svg":
		d.width, d.height = number(attrs["width"]), number(attrs["height"])
	case e.Name.Local == "a":
		d.links = append(d.links, attrs["href"])
	case strings.HasPrefix(class, "node"):
		var r rect
		_, _ = fmt.Sscanf(attrs["transform"], "translate(%g %g)", &r.x, &r.y)
		d.boxes = append(d.boxes, r)
	case e.Name.Local == "rect" && strings.HasPrefix(parent, "node"):
		r := &d.boxes[len(d.boxes)-1]
		r.width, r.height = number(attrs["width"]), number(attrs["height"])
	case e.Name.Local == "path" && strings.HasPrefix(parent, "edge"):
		d.lines = append(d.lines, points(attrs["d"])...)
	}
	*classes = append(*classes, class)
}

func number(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

var commands = regexp.MustCompile(`([MLCz])([^MLCz]*)`)

// points returns points along the lines of a path.
func points(path string) (lines [][]position) {
	var at position
	for _, c := range commands.FindAllStringSubmatch(path, -1) {
		var ps []position
		fields := strings.Fields(c[2])
		for i := 0; i+1 < len(fields); i += 2 {
			ps = append(ps, position{number(fields[i]), number(fields[i+1])})
		}
		switch c[1] {
		case "M", "L":
			for i, p := range ps {
				if c[1] == "M" && i == 0 {
					lines = append(lines, nil)
					at = p
				}
				l := &lines[len(lines)-1]
				for k := range 21 {
					f := float64(k) / 20
					*l = append(*l, position{at.x + f*(p.x-at.x), at.y + f*(p.y-at.y)})
				}
				at = p
			}
		case "C":
			l := &lines[len(lines)-1]
			for ; len(ps) >= 3; ps = ps[3:] {
				for k := range 41 {
					f := float64(k) / 40
					g := 1 - f
					a, b, c, d := g*g*g, 3*g*g*f, 3*g*f*f, f*f*f
					*l = append(*l, position{
						a*at.x + b*ps[0].x + c*ps[1].x + d*ps[2].x,
						a*at.y + b*ps[0].y + c*ps[1].y + d*ps[2].y,
					})
				}
				at = ps[2]
			}
		}
	}
	return lines
}

// check says what is wrong with the layout.
func (d *drawing) check() error {
	page := rect{0, 0, d.width, d.height}
	for i, a := range d.boxes {
		if a.width < 40 || a.height < 30 || a.x < 0 || a.y < 0 || a.x+a.width > page.width || a.y+a.height > page.height {
			return fmt.Errorf("box %v is not on the page %v", a, page)
		}
		for _, b := range d.boxes[:i] {
			if a.x < b.x+b.width+8 && b.x < a.x+a.width+8 && a.y < b.y+b.height+8 && b.y < a.y+a.height+8 {
				return fmt.Errorf("boxes %v and %v are not apart", a, b)
			}
		}
		for _, line := range d.lines {
			for _, p := range line {
				if p.x > a.x+0.2 && p.x < a.x+a.width-0.2 && p.y > a.y+0.2 && p.y < a.y+a.height-0.2 {
					return fmt.Errorf("a line goes through box %v at %v", a, p)
				}
			}
		}
	}
	for _, line := range d.lines {
		for _, p := range line {
			if !(p.x >= 0 && p.y >= 0 && p.x <= page.width && p.y <= page.height) {
				return fmt.Errorf("a line is not on the page %v at %v", page, p)
			}
		}
	}
	return nil
}

func TestGraph_SVG_layout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		o := &graph.SVGOptions{Down: rapid.Bool().Draw(t, "down"), Title: rapid.String().Draw(t, "title")}
		svg := g.SVG(o)
		d, err := read(svg)
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if len(d.boxes) != len(g.Nodes) {
			t.Fatalf("%d nodes, %d boxes", len(g.Nodes), len(d.boxes))
		}
		if err := d.check(); err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if !bytes.Equal(svg, g.SVG(o)) {
			t.Fatal("not the same again")
		}
		if d.elements["script"] > 0 || bytes.Contains(svg, []byte("javascript:")) {
			t.Fatal("a script")
		}
	})
}

func TestGraph_SVG_layoutOfLargerGraphs(t *testing.T) {
	for name, g := range map[string]*graph.Graph{
		"fan": fan(60), "all to all": allToAll(9), "layers": layered(12, 12), "chain": chain(30), "alone": layered(1, 50), "harvest": harvest(),
	} {
		for _, down := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " down ", down), func(t *testing.T) {
				d, err := read(g.SVG(&graph.SVGOptions{Down: down}))
				if err == nil {
					err = d.check()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestGraph_SVG_avoidsCrossings(t *testing.T) {
	// The nodes of planar graphs, in another order.
	const n = 40
	zigzag, grid, net := new(graph.Graph), new(graph.Graph), new(graph.Graph)
	for i := range n {
		a, b := i*7%n, i*11%n
		zigzag.Nodes = append(zigzag.Nodes, graph.Node{ID: fmt.Sprint("a", a)}, graph.Node{ID: fmt.Sprint("b", b)})
		zigzag.Edges = append(zigzag.Edges, graph.Edge{From: fmt.Sprint("a", a), To: fmt.Sprint("b", a)})
		if a > 0 {
			zigzag.Edges = append(zigzag.Edges, graph.Edge{From: fmt.Sprint("a", a), To: fmt.Sprint("b", a-1)})
		}
		grid.Nodes = append(grid.Nodes, graph.Node{ID: fmt.Sprint(a%5, a/5)})
		net.Nodes = append(net.Nodes, graph.Node{ID: fmt.Sprint(b%5, b/5)})
		for _, to := range []string{fmt.Sprint(a%5+1, a/5), fmt.Sprint(a%5+1, a/5+1)} {
			if a%5 < 4 && !strings.HasSuffix(to, fmt.Sprint(n/5)) {
				grid.Edges = append(grid.Edges, graph.Edge{From: fmt.Sprint(a%5, a/5), To: to})
			}
		}
		if b%5 < 4 { // each node leads to one; those of a row meet, two by two
			net.Edges = append(net.Edges, graph.Edge{From: fmt.Sprint(b%5, b/5), To: fmt.Sprint(b%5+1, b/5>>(b%5+1)<<(b%5+1))})
		}
	}
	for name, c := range map[string]struct {
		graph *graph.Graph
		most  int
	}{"zigzag": {zigzag, 0}, "grid": {grid, 0}, "net": {net, 0}, "steps": {layered(10, 10), 200}} {
		if got := crossings(t, c.graph); got > c.most {
			t.Errorf("%s: %d crossings, want %d at most", name, got, c.most)
		}
	}
}

// crossings counts the crossings of the edges of a graph without long ones.
func crossings(t *testing.T, g *graph.Graph) int {
	t.Helper()
	d, err := read(g.SVG(nil))
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]rect)
	for i, b := range d.boxes {
		label, _, _ := strings.Cut(d.titles[i], "\n")
		at[label] = b
	}
	count := 0
	for i, e := range g.Edges {
		for _, f := range g.Edges[:i] {
			if at[e.From].x == at[f.From].x && (at[e.From].y-at[f.From].y)*(at[e.To].y-at[f.To].y) < 0 {
				count++
			}
		}
	}
	return count
}

// An edge that passes layers is straight while it does so.
func TestGraph_SVG_longEdgesAreStraight(t *testing.T) {
	g := layered(9, 6)
	for i := range 6 {
		g.Edges = append(g.Edges, graph.Edge{From: fmt.Sprintf("step %d.%d", i%3, i), To: fmt.Sprintf("step %d.%d", i%3+4, i*5%6)})
	}
	svg := string(g.SVG(nil))
	long, bent := 0, 0
	for _, m := range regexp.MustCompile(`<path d="(M[^"]*)"`).FindAllStringSubmatch(svg, -1) {
		if strings.Count(m[1], "L") > 1 {
			long++
			if strings.Count(m[1], "C") > 2 {
				bent++
			}
		}
	}
	if long < 3 || bent > 0 {
		t.Errorf("%d of %d long edges are bent between their ends", bent, long)
	}
}

// Edges that are too many and too long to be drawn have their ends.
func TestGraph_SVG_cutsLongEdges(t *testing.T) {
	g := chain(600)
	for i := range 598 {
		g.Edges = append(g.Edges, graph.Edge{From: fmt.Sprint(i), To: "599"})
	}
	svg := g.SVG(nil)
	d, err := read(svg)
	if err != nil {
		t.Fatal(err)
	}
	if cut := bytes.Count(svg, []byte(`"edge cut"`)); cut < 100 || cut > 500 || len(d.edges) != len(g.Edges) {
		t.Errorf("of %d edges %d are drawn, %d of them cut", len(g.Edges), len(d.edges), cut)
	}
}

// The picture is to be looked at when it changes.
func TestGraph_SVG_golden(t *testing.T) {
	got := harvest().SVG(nil)
	if diff := cmp.Diff(readGolden(t, "harvest.svg", got), string(got)); diff != "" {
		t.Errorf("if it is better now, run go test ./graph -update\n%s", diff)
	}
}

func TestGraph_SVG_drawsEachEdgeOnce(t *testing.T) {
	g := parse("a b c d e; a→b a→c b→d c→d a→d d→e a→e e→a b→b a→b x→a")
	d, err := read(g.SVG(nil))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, edge := range d.edges {
		got[edge]++
	}
	for _, edge := range []string{"a → b", "a → c", "b → d", "c → d", "a → d", "d → e", "a → e", "e → a", "b → b"} {
		if got[edge] != 1 {
			t.Errorf("%s is drawn %d times", edge, got[edge])
		}
		delete(got, edge)
	}
	if len(got) > 0 {
		t.Errorf("also drawn: %v", got)
	}
}

func TestGraph_SVG_text(t *testing.T) {
	g := &graph.Graph{Nodes: []graph.Node{
		{ID: "a", Label: `<b> & "c"`, State: "running", Note: "job 1\nof 2", Link: "/jobs/1?a=1&b=2"},
		{ID: "b", Label: strings.Repeat("long ", 30), Link: " javascript:alert(1)"},
		{ID: "c", Link: "JavaScript:alert(1)"},
		{ID: "d", Link: "java\nscript:alert(1)"},
		{ID: "e", Link: "https://example.com/"},
		{ID: "f", Link: "data:text/html,x"},
	}}
	svg := g.SVG(nil)
	d, err := read(svg)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/jobs/1?a=1&b=2", "https://example.com/"}; fmt.Sprint(d.links) != fmt.Sprint(want) {
		t.Errorf("the links are %q, want %q", d.links, want)
	}
	if want := "<b> & \"c\"\nrunning\njob 1 of 2"; d.titles[0] != want {
		t.Errorf("the tooltip is %q, want %q", d.titles[0], want)
	}
	for _, want := range []string{
		">&lt;b&gt; &amp; &#34;c&#34;</text>", "…</text>", `role="group"`, `aria-label="Graph of 6 nodes: 1 running"`,
	} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("%s is missing in\n%s", want, svg)
		}
	}
	if svg := parse("a").SVG(&graph.SVGOptions{Title: "What's up?"}); !bytes.Contains(svg, []byte(`role="img" aria-label="What&#39;s up?"`)) {
		t.Errorf("%s", svg)
	}
}

// The colours that are read from the style sheet must stand out from each other as WCAG 2 wants it.
func TestGraph_SVG_contrast(t *testing.T) {
	g := new(graph.Graph)
	states := []string{
		"waiting", "scheduled", "queued", "running", "retrying", "succeeded", "failed", "cancelled", "skipped",
		"partial", "not_built", "outdated", "other",
	}
	for _, s := range states {
		g.Nodes = append(g.Nodes, graph.Node{ID: s, State: s, Note: "note"})
	}
	variable := regexp.MustCompile(`var\(--dg-([a-z-]+),(#[0-9a-f]{6})\)`)
	for _, theme := range []string{"light", "dark"} {
		colours := make(map[string]string)
		for _, m := range variable.FindAllStringSubmatch(string(g.SVG(&graph.SVGOptions{Theme: theme})), -1) {
			colours[m[1]] = m[2]
		}
		check := func(a, b string, least float64) {
			if c := contrast(colours[a], colours[b]); !(c >= least) {
				t.Errorf("%s: %s on %s has a contrast of %.1f, less than %.1f", theme, a, b, c, least)
			}
		}
		for _, s := range states {
			s = strings.ReplaceAll(s, "_", "-")
			check("text", s+"-fill", 7)
			check("note", s+"-fill", 4.5)
			check(s+"-ink", s+"-fill", 3)
			check(s+"-ink", "canvas", 3)
		}
		check("note", "canvas", 4.5)
		check("edge", "canvas", 2.5)
		check("back", "canvas", 3)
	}
}

func contrast(a, b string) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(colour string) float64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil {
		return math.NaN()
	}
	sum := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		c := float64(n>>(8*i)&255) / 255
		if c <= 0.03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func FuzzGraph(f *testing.F) {
	f.Add("a", "Label", "note", "running", "/jobs/1")
	f.Add("\x00", "<![CDATA[", "]]>", "not_built", "javascript:alert(1)")
	f.Add(`\`, "\\", "&lt;", `"`, "http://[")
	f.Fuzz(func(t *testing.T, id, label, note, state, link string) {
		g := &graph.Graph{
			Nodes: []graph.Node{{ID: id, Label: label, Note: note, State: state, Link: link}, {ID: "b", Label: note}, {ID: label}},
			Edges: []graph.Edge{{From: id, To: "b", Label: label}, {From: "b", To: label, Label: note}, {From: label, To: id}},
		}
		_, _ = g.Sort()
		svg := g.SVG(&graph.SVGOptions{Title: label})
		d, err := read(svg)
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		if err := d.check(); err != nil {
			t.Error(err)
		}
		for _, href := range d.links {
			if scheme, _, ok := strings.Cut(href, ":"); ok && !strings.ContainsAny(scheme, "/?#") && scheme != "http" && scheme != "https" {
				t.Errorf("a link to %q", href)
			}
		}
		if lines := strings.Count(g.Text(), "\n"); lines != 3 {
			t.Errorf("%d lines of text", lines)
		}
		// Outside of strings, braces are those of the graph alone.
		outside := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`).ReplaceAllString(g.DOT(), "")
		if strings.Count(outside, "{") != 1 || strings.Count(outside, `"`) != 0 {
			t.Errorf("%s", g.DOT())
		}
	})
}
