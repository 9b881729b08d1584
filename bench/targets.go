package main

import (
	"fmt"
	"time"
)

// A target is what this module wants to reach, as a ratio of numbers of one run.
type target struct {
	What     string `json:"what"`
	Want     string `json:"want"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	missing  bool   // what it needs was not measured
}

// A bound compares a measured number with what is wanted.
type bound struct {
	limit  float64
	atMost bool
}

func atLeast(limit float64) bound { return bound{limit: limit} }

func atMost(limit float64) bound { return bound{limit: limit, atMost: true} }

func (b bound) holds(v float64) bool {
	if b.atMost {
		return v <= b.limit
	}
	return v >= b.limit
}

func (b bound) text(format string) string {
	sign := "≥ "
	if b.atMost {
		sign = "≤ "
	}
	return sign + fmt.Sprintf(format, b.limit)
}

const (
	percent = "%.0f %%"
	times   = "%.1f ×"
)

// targets returns all targets.
func (res *results) targets() []target {
	slower := delaySuffix(syncDelay)
	var all []target
	for _, workers := range []string{"16", "64"} {
		all = append(all,
			res.ofCeiling("drain-"+workers, "", atLeast(50)),
			res.ofPeers("drain-", workers, "", atLeast(8)))
	}
	for _, n := range []string{"64", "256"} {
		all = append(all,
			res.ofCeiling("lifecycle-"+n, "", atLeast(50)),
			res.ofPeers("lifecycle-", n, "", atLeast(4)))
	}
	for _, name := range []string{"drain-16", "drain-64", "lifecycle-64", "lifecycle-256"} {
		all = append(all, res.ofCeiling(name, slower, atLeast(60)))
	}
	all = append(all,
		res.ratio("drain-16"+slower+" against River on PostgreSQL",
			key{"drain-16" + slower, ours, ""}, key{"drain-16" + slower, postgresDB, ""}, times, atLeast(4)),
		res.ofCeiling("insert-1", "", atLeast(70)),
		res.ofCeiling("insert-1000", "", atLeast(50)),
		res.ratio("latency p50, in bare commits", key{"latency", ours, "p50"}, key{"latency", ceiling, "p50"}, times, atMost(2)),
		res.ratio("latency p99, in bare commits", key{"latency", ours, "p99"}, key{"latency", ceiling, "p50"}, times, atMost(6)))
	base := key{"backlog-1k", ours, ""}
	for _, t := range []struct{ what, scenario string }{
		{"throughput with a million queued against a thousand", "backlog-1m"},
		{"throughput with a million finished against none", "history-1m"},
		{"throughput after a million were pruned against a new file", "pruned-1m"},
	} {
		all = append(all, res.share(t.what, key{t.scenario, ours, ""}, base, atLeast(85)))
	}
	return append(all,
		res.value("open with a million jobs, first handler started", key{"open-1m", ours, ""}, "%.0f ms", atMost(300)),
		res.value("heap with a million queued jobs", key{"memory-1m", ours, ""}, "%.1f MiB", atMost(64)),
		res.ratio("transitions with arguments of 100 kB against 100 bytes", key{"args-100k", ours, "transitions"}, key{"args-100", ours, "transitions"}, "%.2f ×", atMost(1.2)),
		res.value("Tracker.Add", key{"tracker", ours, "add"}, "%.1f ns", atMost(20)),
		res.value("allocations of Tracker.Add", key{"tracker", ours, "allocations"}, "%.2f", atMost(0)),
		res.value("ten million of them in a handler", key{"tracker", ours, "10 million"}, "%.2f s", atMost(1)),
		res.value("memory store, lifecycle-64", key{"memory-store-64", oursMemory, ""}, "%.0f jobs/s", atLeast(250_000)),
		res.value("log records stored", key{"log", ours, ""}, "%.0f records/s", atLeast(300_000)),
		res.value("a handler that logs waits for a slow disk", key{"log-slow" + delaySuffix(400*time.Millisecond), ours, "longest block"}, "%.0f ms", atMost(250)),
	)
}

// A key names a row.
type key struct{ scenario, system, name string }

func (res *results) at(k key) (float64, bool) { return res.median(k.scenario, k.system, k.name) }

// value is a target for a number.
func (res *results) value(what string, k key, format string, b bound) target {
	t := target{What: what, Want: b.text(format)}
	v, ok := res.at(k)
	if !ok {
		t.missing = true
		return t
	}
	t.Measured, t.Met = fmt.Sprintf(format, v), b.holds(v)
	return t
}

// ratio is a target for one number divided by another.
func (res *results) ratio(what string, k, by key, format string, b bound) target {
	return res.scaled(what, k, by, 1, format, b)
}

// share is a target for one number in per cent of another.
func (res *results) share(what string, k, of key, b bound) target {
	return res.scaled(what, k, of, 100, percent, b)
}

func (res *results) scaled(what string, k, by key, scale float64, format string, b bound) target {
	t := target{What: what, Want: b.text(format)}
	v, ok := res.at(k)
	w, ok2 := res.at(by)
	if !ok || !ok2 || w == 0 {
		t.missing = true
		return t
	}
	t.Measured, t.Met = fmt.Sprintf(format, scale*v/w), b.holds(scale*v/w)
	return t
}

// ofCeiling is a target for a share of the ceiling.
func (res *results) ofCeiling(scenario, suffix string, b bound) target {
	name := scenario + suffix
	return res.share(name+" of the ceiling", key{name, ours, ""}, key{name, ceiling, ""}, b)
}

// ofPeers is a target against the embedded peers that make durable what this module does, the best
// of them at the number of workers that suits it best.
func (res *results) ofPeers(prefix, workers, suffix string, b bound) target {
	name := prefix + workers + suffix
	t := target{What: name + " against the best embedded peer of the same durability", Want: b.text(times)}
	best := res.best(prefix, suffix, likeForLike)
	v, ok := res.median(name, ours, "")
	if best == nil || !ok {
		t.missing = true
		return t
	}
	ratio := v / best.Median
	t.Measured = fmt.Sprintf(times+" %s in %s", ratio, best.System, best.Scenario)
	t.Met = b.holds(ratio)
	return t
}
