package main

import (
	"cmp"
	"slices"
	"strings"
)

// results are all values of all runs.
type results struct {
	rows []*row
}

// A row is a measured quantity of one system, with the values of all rounds.
type row struct {
	Scenario string    `json:"scenario"`
	What     string    `json:"what"`
	System   string    `json:"system"`
	Name     string    `json:"name,omitempty"`
	Unit     string    `json:"unit"`
	Values   []float64 `json:"values"`
	Median   float64   `json:"median"`
}

// add adds the values of a run.
func (res *results) add(s *scenario, system string, values []Value) {
	for _, v := range values {
		r := res.find(s.Scenario, system, v.Name)
		if r == nil {
			r = &row{Scenario: s.Scenario, What: s.what, System: system, Name: v.Name, Unit: v.Unit}
			res.rows = append(res.rows, r)
		}
		r.Values = append(r.Values, v.Value)
		r.Median = median(r.Values)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (res *results) find(scenario, system, name string) *row {
	i := slices.IndexFunc(res.rows, func(r *row) bool {
		return r.Scenario == scenario && r.System == system && r.Name == name
	})
	if i < 0 {
		return nil
	}
	return res.rows[i]
}

// median returns the median of a row, and whether it was measured.
func (res *results) median(scenario, system, name string) (float64, bool) {
	if r := res.find(scenario, system, name); r != nil {
		return r.Median, true
	}
	return 0, false
}

// of returns the rows of a scenario, by quantity.
func (res *results) of(scenario string) []*row {
	rows := slices.Clone(res.rows)
	rows = slices.DeleteFunc(rows, func(r *row) bool { return r.Scenario != scenario })
	var names []string
	for _, r := range rows {
		names = append(names, r.Name)
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		return cmp.Compare(slices.Index(names, a.Name), slices.Index(names, b.Name))
	})
	return rows
}

// best returns the row with the greatest median of some systems in the scenarios whose name has a
// prefix and a suffix; nil if there is none.
func (res *results) best(prefix, suffix string, systems []string) (best *row) {
	for _, r := range res.rows {
		rest, ok := strings.CutPrefix(r.Scenario, prefix)
		_, delay, _ := strings.Cut(rest, "+")
		if ok && delay == strings.TrimPrefix(suffix, "+") && slices.Contains(systems, r.System) &&
			(best == nil || r.Median > best.Median) {
			best = r
		}
	}
	return best
}
