package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// print prints the table, the targets and the notes, as Markdown that is also readable as it is.
func (p *plan) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d cores, %s, %s; a sync of 4 KiB takes %.0f µs. Medians of %d rounds, %.0f s.\n\n",
		p.machine.Processor, p.machine.Cores, p.machine.System, p.machine.Go, p.machine.Sync, p.rounds, p.took.Seconds())
	table(&b, p.rows(), "llrlrrr")
	b.WriteString("\n")
	table(&b, p.targetRows(), "llll")
	b.WriteString("\n")
	for _, note := range p.allNotes() {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rows returns the table of results, with its head.
func (p *plan) rows() [][]string {
	all := [][]string{{"scenario", "system", "median", "unit", "min … max", "of the ceiling", "jobs is"}}
	last := ""
	for _, s := range p.scenarios {
		for _, r := range p.results.of(s.Scenario) {
			title := strings.TrimSpace(r.Scenario + " " + r.Name)
			shown := title
			if title == last {
				shown = ""
			}
			last = title
			all = append(all, []string{
				shown, r.System, number(r.Median), r.Unit,
				number(slices.Min(r.Values)) + " … " + number(slices.Max(r.Values)),
				p.ofCeiling(r), p.ofOurs(r),
			})
		}
	}
	return all
}

// ofCeiling returns the share of the ceiling that a row reaches.
func (p *plan) ofCeiling(r *row) string {
	top, ok := p.results.median(r.Scenario, ceiling, r.Name)
	switch {
	case !ok || r.System == ceiling:
		return ""
	case r.Unit == jobsPerSecond:
		return fmt.Sprintf(percent, 100*r.Median/top)
	}
	return fmt.Sprintf(times, r.Median/top)
}

// ofOurs returns how many times as fast as the row this module is.
func (p *plan) ofOurs(r *row) string {
	for _, name := range []string{ours, oursMemory} {
		v, ok := p.results.median(r.Scenario, name, r.Name)
		switch {
		case !ok || r.System == name || r.System == ceiling:
		case r.Unit == jobsPerSecond:
			return fmt.Sprintf(times, v/r.Median)
		default:
			return fmt.Sprintf(times, r.Median/v)
		}
	}
	return ""
}

// targetRows returns the table of targets, with its head. A run that is not to measure something
// leaves out what it is needed for.
func (p *plan) targetRows() [][]string {
	all := [][]string{{"target", "wanted", "measured", ""}}
	for _, t := range p.results.targets() {
		switch {
		case !t.missing && t.Met:
			all = append(all, []string{t.What, t.Want, t.Measured, "met"})
		case !t.missing:
			all = append(all, []string{t.What, t.Want, t.Measured, "NOT met"})
		case !p.partial():
			all = append(all, []string{t.What, t.Want, "", "not measured"})
		}
	}
	return all
}

// partial reports whether the options leave out scenarios or peers.
func (p *plan) partial() bool {
	return p.quick || p.scenario != "" || p.peer != "" || p.delay > 0
}

// allNotes returns what a reader has to know.
func (p *plan) allNotes() []string {
	notes := []string{
		"ceiling: a bare bbolt loop that writes the keys and bytes that package bolt writes, learned from a real file, and does nothing else: the same options, the same callers. " +
			fmt.Sprintf("Draining, a commit ends and claims as many jobs as the workers and a claim ahead of %d allow.", claimAhead),
	}
	known := versions()
	for _, m := range makers {
		if !slices.ContainsFunc(p.results.rows, func(r *row) bool { return r.System == m.name }) {
			continue
		}
		var libs []string
		for _, path := range m.modules {
			libs = append(libs, path+" "+known[path])
		}
		workers := ""
		if m.workers > 0 {
			workers = fmt.Sprintf("fastest with %d workers", m.workers)
		}
		notes = append(notes, strings.Join(slices.DeleteFunc([]string{m.name + ": " + m.durable, m.options, workers, strings.Join(libs, ", ")},
			func(s string) bool { return s == "" }), "; ")+".")
	}
	for _, s := range p.scenarios {
		notes = append(notes, s.Scenario+": "+s.what+".")
	}
	return append(notes, p.notes...)
}

// table writes rows as a Markdown table with aligned columns, left or right.
func table(b *strings.Builder, rows [][]string, align string) {
	widths := make([]int, len(align))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if align[i] == 'r' {
				cell = pad + cell
			} else {
				cell += pad
			}
			b.WriteString("| " + cell + " ")
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			end := "-"
			if align[i] == 'r' {
				end = ":"
			}
			b.WriteString("|" + strings.Repeat("-", width+1) + end)
		}
		b.WriteString("|\n")
	}
}

// number returns a number with a suitable number of digits, and commas between thousands.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// printJSON prints the same for machines.
func (p *plan) printJSON(w io.Writer) error {
	out := struct {
		Machine machine  `json:"machine"`
		Rounds  int      `json:"rounds"`
		Seconds float64  `json:"seconds"`
		Results []*row   `json:"results"`
		Targets []target `json:"targets"`
		Notes   []string `json:"notes"`
	}{Machine: p.machine, Rounds: p.rounds, Seconds: p.took.Seconds(), Results: p.results.rows, Notes: p.allNotes()}
	for _, t := range p.results.targets() {
		if !t.missing {
			out.Targets = append(out.Targets, t)
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}
