package graph_test

import (
	"fmt"

	"github.com/embedjobs/jobs/graph"
)

func harvest() *graph.Graph {
	return &graph.Graph{
		Nodes: []graph.Node{
			{ID: "crawl", Note: "job 1, 3.2 s", State: "succeeded"},
			{ID: "parse a", Note: "job 2, 0.4 s", State: "succeeded"},
			{ID: "parse b", Note: "job 3", State: "running"},
			{ID: "merge", Note: "job 4", State: "waiting"},
			{ID: "report", Note: "job 5", State: "waiting"},
			{ID: "clean up", Note: "job 6", State: "waiting"},
		},
		Edges: []graph.Edge{
			{From: "crawl", To: "parse a"},
			{From: "crawl", To: "parse b"},
			{From: "parse a", To: "merge"},
			{From: "parse b", To: "merge"},
			{From: "merge", To: "report"},
			{From: "merge", To: "clean up", Weak: true},
		},
	}
}

func ExampleGraph_Text() {
	fmt.Print(harvest().Text())
	// Output:
	// ✓ crawl             job 1, 3.2 s
	// ├── ✓ parse a       job 2, 0.4 s
	// ├── ● parse b       job 3
	// └── ◌ merge         job 4         ← parse a, parse b
	//     ├── ◌ report    job 5
	//     └── ◌ clean up  job 6         ⇠ merge
}

func ExampleGraph_DOT() {
	fmt.Print(harvest().DOT())
	// Output:
	// digraph {
	// 	graph [rankdir=LR, bgcolor=transparent, nodesep=0.25, ranksep=0.6]
	// 	node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11, fontcolor="#1f2328"]
	// 	edge [color="#8c959f", fontname=Helvetica, fontsize=9, fontcolor="#59636e", arrowsize=0.7]
	// 	"crawl" [label="crawl\njob 1, 3.2 s", fillcolor="#eefbf2", color="#177a3c", tooltip="crawl: succeeded"]
	// 	"parse a" [label="parse a\njob 2, 0.4 s", fillcolor="#eefbf2", color="#177a3c", tooltip="parse a: succeeded"]
	// 	"parse b" [label="parse b\njob 3", fillcolor="#edf5ff", color="#1763d6", tooltip="parse b: running"]
	// 	"merge" [label="merge\njob 4", fillcolor="#f6f8fa", color="#656d76", tooltip="merge: waiting"]
	// 	"report" [label="report\njob 5", fillcolor="#f6f8fa", color="#656d76", tooltip="report: waiting"]
	// 	"clean up" [label="clean up\njob 6", fillcolor="#f6f8fa", color="#656d76", tooltip="clean up: waiting"]
	// 	"crawl" -> "parse a"
	// 	"crawl" -> "parse b"
	// 	"parse a" -> "merge"
	// 	"parse b" -> "merge"
	// 	"merge" -> "report"
	// 	"merge" -> "clean up" [style=dashed]
	// }
}
