package graph

// A look is how nodes of a state are drawn.
type look struct {
	state       string
	mark        string // in text, one column wide
	icon        string // a path in a square of 16 units, within a disc of radius 8
	light, dark colours
	dashed      bool // the border of the box: there is nothing yet, or there will be nothing
}

// colours are those of a box. Letters are readable on fill; ink stands out from it.
type colours struct {
	fill, border, ink string
}

// looks is the only place that knows states. The last one is that of all others.
var looks = [...]look{
	{
		state: "waiting", mark: "◌", icon: "M4.5 8h.01M8 8h.01M11.5 8h.01",
		light: colours{"#f6f8fa", "#ccd3db", "#656d76"}, dark: colours{"#161b22", "#3a424c", "#8d96a0"},
	},
	{
		state: "scheduled", mark: "◷", icon: "M8 4.2V8l2.6 1.7",
		light: colours{"#f6f3ff", "#c9bcf7", "#6b4fd0"}, dark: colours{"#1c1833", "#4d3f8f", "#a794f5"},
	},
	{
		state: "queued", mark: "○", icon: "M5 6h6M5 8.2h6M5 10.4h3.4",
		light: colours{"#f0f5f9", "#b3c5d6", "#4a6a88"}, dark: colours{"#141e29", "#35506b", "#86aaca"},
	},
	{
		state: "running", mark: "●", icon: "M6.4 5v6l4.8-3z",
		light: colours{"#edf5ff", "#7fb2f7", "#1763d6"}, dark: colours{"#0e1f38", "#2a60ac", "#62a4ff"},
	},
	{
		state: "retrying", mark: "↻", icon: "M11.2 6.6A3.6 3.6 0 1 0 11.6 8.6M11.6 4.4v2.4H9.2",
		light: colours{"#fff5eb", "#f3b57c", "#b8530a"}, dark: colours{"#2b1a0c", "#86501f", "#f0994a"},
	},
	{
		state: "succeeded", mark: "✓", icon: "M4.8 8.3 7 10.5l4.3-4.8",
		light: colours{"#eefbf2", "#8fd3a6", "#177a3c"}, dark: colours{"#0d2217", "#2a6b42", "#4cc274"},
	},
	{
		state: "failed", mark: "✗", icon: "M5.5 5.5l5 5M10.5 5.5l-5 5",
		light: colours{"#fff0f0", "#f0a0a0", "#c4252b"}, dark: colours{"#2d1214", "#8c3237", "#ff7b7b"},
	},
	{
		state: "cancelled", mark: "⊘", icon: "M5.2 10.8l5.6-5.6",
		light: colours{"#f5f4f5", "#c9c5c9", "#6a646b"}, dark: colours{"#1b1a1d", "#47444b", "#9b959f"},
	},
	{
		state: "skipped", mark: "»", icon: "M4.9 5.6 7.3 8l-2.4 2.4M8.5 5.6l2.4 2.4-2.4 2.4", dashed: true,
		light: colours{"#fafbfc", "#bfc7d0", "#656d76"}, dark: colours{"#12171d", "#414a55", "#8d96a0"},
	},
	{
		state: "partial", mark: "◐", icon: "M8 4.4v4.4M8 11.4h.01",
		light: colours{"#fff9e0", "#dfc162", "#8a6200"}, dark: colours{"#262007", "#75611a", "#dcb53c"},
	},
	{
		state: "not_built", mark: "∅", icon: "M5.4 8h5.2", dashed: true,
		light: colours{"#fafbfc", "#bfc7d0", "#656d76"}, dark: colours{"#12171d", "#414a55", "#8d96a0"},
	},
	{
		state: "outdated", mark: "≠", icon: "M5 6.6h6M5 9.4h6M9.6 4.6l-3.2 6.8",
		light: colours{"#fff9e0", "#dfc162", "#8a6200"}, dark: colours{"#262007", "#75611a", "#dcb53c"},
	},
	{
		light: colours{"#ffffff", "#ccd3db", "#656d76"}, dark: colours{"#161b22", "#3a424c", "#8d96a0"},
	},
}

// backColours are those of edges that close a cycle.
var backColours = struct{ light, dark colours }{
	light: colours{ink: "#c4252b"}, dark: colours{ink: "#ff7b7b"},
}

// lookOf returns how nodes of a state are drawn.
func lookOf(state string) *look {
	if state == "success" { // of definitions; jobs have succeeded
		state = "succeeded"
	}
	for i := range looks {
		if looks[i].state == state {
			return &looks[i]
		}
	}
	return &looks[len(looks)-1]
}
