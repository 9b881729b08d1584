package graph_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/embedjobs/jobs/graph"
)

func TestGraph_Text(t *testing.T) {
	for _, c := range []struct{ name, graph, want string }{
		{"nothing", "", ""},
		{"one", "a", "a\n"},
		{"marks", "a:running b:queued c:odd d:not_built", "● a\n○ b\nc\n∅ d\n"},
		{"diamond", "a b c d; a→b a→c b→d c→d", `
a
├── b
├── c
└── d  ← b, c
`},
		{"what is behind a join is below it", "a b c d e; a→b a→c b→d c→d d→e", `
a
├── b
├── c
└── d  ← b, c
    └── e
`},
		{"a join within a branch", "a b c d e f; a→b a→f b→c b→d c→e d→e", `
a
├── b
│   ├── c
│   ├── d
│   └── e  ← c, d
└── f
`},
		{"two roots", "a b c; a→c b→c", `
a
b
c  ← a, b
`},
		{"a shortcut", "a b c; a→b b→c a→c", `
a
├── b
└── c  ← b, a
`},
		{"weak", "a b c; a⇢b b→c a⇢c", `
a
├── b  ⇠ a
└── c  ← b ⇠ a
`},
		{"cycle", "a b c; a→b b→c c→b c→c", `
a
└── b      ← a ↺ c
    └── c  ← b ↺ c
`},
		{"many", "a b c d e f; a→f b→f c→f d→f e→f", `
a
b
c
d
e
f  ← a, b, c and 2 more
`},
		{"faults", "a a b; a→b a→b x→a b→y", `
a
└── b
a
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), parse(c.graph).Text()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGraph_Text_isWordedClearly(t *testing.T) {
	g := parse("a b c:failed; a→b a→c b→c")
	g.Nodes[0].Label, g.Nodes[1].Label = "resize", "resize"
	g.Nodes[1].Note = "job 2\n\x1b[31m"
	g.Nodes[2].Label = strings.Repeat("long ", 30)
	g.Edges[1].Label = "sizes"
	want := `
resize (a)
├── resize (b)  job 2  [31m
└── ✗ long long long long long long long long long long long long…  ← resize (a) [sizes], resize (b)
`
	if diff := cmp.Diff(want[1:], g.Text()); diff != "" {
		t.Error(diff)
	}
}

func TestGraph_Text_goesOnAtTheLeft(t *testing.T) {
	g := chain(14)
	g.Edges = append(g.Edges, graph.Edge{From: "2", To: "beside"})
	g.Nodes = append(g.Nodes, graph.Node{ID: "beside"}, graph.Node{ID: "other"})
	want := readGolden(t, "deep.txt", []byte(g.Text()))
	if diff := cmp.Diff(want, g.Text()); diff != "" {
		t.Error(diff)
	}
}

func TestGraph_Text_drawsEachNodeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		text := g.Text()
		if lines := strings.Count(text, "\n"); lines != len(g.Nodes) || text != "" && !strings.HasSuffix(text, "\n") {
			t.Fatalf("%d nodes, %d lines:\n%s", len(g.Nodes), lines, text)
		}
		if again := g.Text(); again != text {
			t.Fatalf("not the same again:\n%s\n%s", text, again)
		}
	})
}

// Where each label is another one, it can be looked for.
func TestGraph_Text_isInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		for i := range g.Nodes {
			g.Nodes[i].ID, g.Nodes[i].Label = strings.ReplaceAll(g.Nodes[i].ID, " ", ""), ""
		}
		for i := range g.Edges {
			g.Edges[i].From = strings.ReplaceAll(g.Edges[i].From, " ", "")
			g.Edges[i].To = strings.ReplaceAll(g.Edges[i].To, " ", "")
		}
		text := g.Text()
		if _, err := g.Sort(); err != nil || strings.Contains(text, " …\n") {
			return
		}
		at := make(map[string]int)
		for i, line := range strings.Split(text, "\n") {
			at[strings.Fields(strings.TrimLeft(line, "│├└─ …◌●✗✓»∅") + " .")[0]] = i
		}
		for _, e := range g.Edges {
			if at[e.From] >= at[e.To] {
				t.Fatalf("%v is not before %v:\n%s", e.From, e.To, text)
			}
		}
	})
}

func TestGraph_DOT_drawsEachNodeOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawGraph(t)
		seen := make(map[string]bool)
		for line := range strings.SplitSeq(g.DOT(), "\n") {
			if id, _, ok := strings.Cut(line, ` [label="`); ok && !strings.Contains(id, " -> ") {
				if seen[id] {
					t.Fatalf("%s is there twice", id)
				}
				seen[id] = true
			}
		}
		if len(seen) != len(g.Nodes) {
			t.Fatalf("%d nodes, %d are drawn:\n%s", len(g.Nodes), len(seen), g.DOT())
		}
	})
}

func TestGraph_DOT_isAcceptedByGraphviz(t *testing.T) {
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("Graphviz is not installed")
	}
	check := func(t *rapid.T) {
		g := drawGraph(t)
		cmd := exec.Command(dot, "-Tcanon")
		cmd.Stdin = strings.NewReader(g.DOT())
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Warning") {
			t.Fatalf("%v: %s\n%s", err, out, g.DOT())
		}
	}
	rapid.Check(t, check)
}

func TestGraph_DOT_faults(t *testing.T) {
	g := parse("a a b; a→b b→a a→a x→a")
	g.Nodes[0].Label = `"\N"&lt;`
	g.Nodes[2].Link = "javascript:alert(1)"
	dot := g.DOT()
	for _, want := range []string{
		"\t\"a\" [label=\"\\\"\\\\N\\\"&amp;lt;\"", "\t\"a (2)\" [", "\t\"a\" -> \"b\"\n",
		"\t\"b\" -> \"a\" [color=\"#c4252b\"]\n", "\t\"a\" -> \"a\" [color=\"#c4252b\"]\n",
	} {
		if !strings.Contains(dot, want) {
			t.Errorf("%q is missing in\n%s", want, dot)
		}
	}
	if strings.Contains(dot, "javascript") || strings.Contains(dot, `"x"`) {
		t.Error(dot)
	}
}

var update = flag.Bool("update", false, "write the golden files")

// readGolden returns a file in testdata, which with -update is first written.
func readGolden(t *testing.T, name string, got []byte) string {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(want)
}
