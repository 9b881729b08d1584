package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const listed = 10 // of the largest files and of the duplicates

// A report is what the tour finds out.
type report struct {
	Dir        string     `json:"dir"`
	Total      counts     `json:"total"`
	Unreadable int64      `json:"unreadable,omitempty"`
	Languages  []language `json:"languages"` // most lines first
	Largest    []file     `json:"largest"`
	Duplicates duplicates `json:"duplicates"`
}

type counts struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	Lines int64 `json:"lines"`
}

func (c *counts) add(s *fileSum) {
	c.Files++
	c.Bytes += s.Bytes
	c.Lines += s.Lines
}

type language struct {
	Name string `json:"name"`
	counts
}

type file struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

type duplicates struct {
	Files int64   `json:"files"` // besides the first of each kind
	Bytes int64   `json:"bytes"`
	Most  []group `json:"most"`
}

// A group is files with the same content, which is not empty.
type group struct {
	Path   string `json:"path"` // the first one
	Second string `json:"second"`
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"` // of one
}

func (g *group) spare() int64 { return (g.Files - 1) * g.Bytes }

// A reportBuilder makes a report. Of each content it keeps a sum and a path.
type reportBuilder struct {
	rep       report
	languages map[string]*counts
	contents  map[[32]byte]*group
}

func newReportBuilder(dir string) *reportBuilder {
	return &reportBuilder{rep: report{Dir: dir}, languages: make(map[string]*counts), contents: make(map[[32]byte]*group)}
}

func (b *reportBuilder) add(paths []string, sums []fileSum) {
	for i := range min(len(paths), len(sums)) {
		path, sum := paths[i], &sums[i]
		if len(sum.Sum) != 32 {
			b.rep.Unreadable++
			continue
		}
		b.rep.Total.add(sum)
		name := languageOf(path, sum.Binary)
		if b.languages[name] == nil {
			b.languages[name] = new(counts)
		}
		b.languages[name].add(sum)
		b.rep.Largest = append(b.rep.Largest, file{path, sum.Bytes})
		if len(b.rep.Largest) >= 1000 {
			b.trim()
		}
		if sum.Bytes == 0 {
			continue
		}
		g := b.contents[[32]byte(sum.Sum)]
		switch {
		case g == nil:
			g = &group{Path: path, Bytes: sum.Bytes}
			b.contents[[32]byte(sum.Sum)] = g
		case g.Files == 1:
			g.Second = path
		}
		g.Files++
	}
}

// trim keeps the largest files.
func (b *reportBuilder) trim() {
	slices.SortFunc(b.rep.Largest, func(x, y file) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(x.Path, y.Path))
	})
	b.rep.Largest = b.rep.Largest[:min(len(b.rep.Largest), listed)]
}

func (b *reportBuilder) report() *report {
	r := &b.rep
	b.trim()
	for _, name := range slices.Sorted(maps.Keys(b.languages)) {
		r.Languages = append(r.Languages, language{name, *b.languages[name]})
	}
	slices.SortStableFunc(r.Languages, func(x, y language) int {
		return cmp.Or(cmp.Compare(y.Lines, x.Lines), cmp.Compare(y.Bytes, x.Bytes))
	})
	for _, g := range b.contents {
		if g.Files > 1 {
			r.Duplicates.Files += g.Files - 1
			r.Duplicates.Bytes += g.spare()
			r.Duplicates.Most = append(r.Duplicates.Most, *g)
		}
	}
	slices.SortFunc(r.Duplicates.Most, func(x, y group) int {
		return cmp.Or(cmp.Compare(y.spare(), x.spare()), cmp.Compare(x.Path, y.Path))
	})
	r.Duplicates.Most = r.Duplicates.Most[:min(len(r.Duplicates.Most), listed)]
	return r
}

// String lays the report out for a terminal.
func (r *report) String() string {
	var b strings.Builder
	count := func(name string, c counts) {
		fmt.Fprintf(&b, "%9s %12s %9s  %s\n", grouped(c.Files), grouped(c.Lines), size(c.Bytes), name)
	}
	fmt.Fprintf(&b, "%9s %12s %9s\n", "files", "lines", "size")
	var rest counts
	for i, l := range r.Languages {
		if i < 15 {
			count(l.Name, l.counts)
			continue
		}
		rest.Files, rest.Bytes, rest.Lines = rest.Files+l.Files, rest.Bytes+l.Bytes, rest.Lines+l.Lines
	}
	if rest.Files > 0 {
		count(fmt.Sprintf("%d more", len(r.Languages)-15), rest)
	}
	count("all", r.Total)
	if r.Unreadable > 0 {
		fmt.Fprintf(&b, "\n%s files could not be read.\n", grouped(r.Unreadable))
	}
	b.WriteString("\nThe largest files:\n")
	for _, f := range r.Largest {
		fmt.Fprintf(&b, "%9s  %s\n", size(f.Bytes), f.Path)
	}
	if r.Duplicates.Files == 0 {
		b.WriteString("\nNo two files have the same content.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n%s files, %s, are duplicates of others:\n", grouped(r.Duplicates.Files), size(r.Duplicates.Bytes))
	for _, g := range r.Duplicates.Most {
		more := ""
		if g.Files > 2 {
			more = fmt.Sprintf(" and %s more", grouped(g.Files-2))
		}
		fmt.Fprintf(&b, "%9s  %s = %s%s\n", size(g.spare()), g.Path, g.Second, more)
	}
	return b.String()
}

// grouped writes a number with commas.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// size writes a number of bytes.
func size(n int64) string {
	units := "kMGTP"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n) / 1000
	i := 0
	for ; f >= 999.5 && i < len(units)-1; i++ {
		f /= 1000
	}
	return fmt.Sprintf("%.3g %cB", f, units[i])
}
