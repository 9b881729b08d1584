package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A scenario is a case that is yet to get a system, a directory and a file.
type scenario struct {
	Case
	what    string
	systems []string
	quick   bool // part of -quick
	rounds  int  // at the most; 0 means all
	best    bool // each system with the number of workers that suits it best
	// peerJobs is Jobs for systems other than this module and the ceiling, which are slower: their
	// measured part lasts about as long.
	peerJobs int
}

// syncDelay is added in the scenarios that a full run has twice, with the disk as it is and with a
// slower one.
const syncDelay = time.Millisecond

// scenarios returns all scenarios of a full run or of a quick one.
func scenarios(quick bool, delay time.Duration) []scenario {
	all := standard()
	if delay == 0 {
		for _, s := range standard() {
			switch s.Scenario {
			case "drain-16", "drain-64", "drain-best", "lifecycle-64", "lifecycle-256":
				s = s.delayed(syncDelay)
				s.quick = false
				s.systems = slices.DeleteFunc(slices.Clone(s.systems), func(name string) bool { return !slices.Contains(synced, name) })
				s.rounds = 3
				all = append(all, s)
			}
		}
		all = append(all, special()...)
	} else {
		for i := range all {
			all[i] = all[i].delayed(delay)
		}
	}
	if !quick {
		return all
	}
	all = slices.DeleteFunc(all, func(s scenario) bool { return !s.quick })
	for i := range all {
		s := &all[i]
		s.Time /= 6
		s.Jobs /= 4
		s.peerJobs /= 4
		s.systems = slices.DeleteFunc(slices.Clone(s.systems), func(name string) bool {
			// The targets need the peers at their best only.
			return strings.HasPrefix(name, "river") ||
				(s.Kind == kindDrain || s.Kind == kindLifecycle) && !s.best && !slices.Contains(measured, name)
		})
	}
	return all
}

// delayed returns the scenario with a delay of each sync.
func (s scenario) delayed(d time.Duration) scenario {
	s.Scenario += delaySuffix(d)
	s.what += fmt.Sprintf(", %v added to each sync", d)
	s.Delay = d
	return s
}

func delaySuffix(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return "+" + d.String()
}

// standard returns the scenarios that all durable systems have.
func standard() []scenario {
	const long = time.Second
	insert := func(name, what string, callers, batch int, quick bool) scenario {
		return scenario{
			Case: Case{Scenario: name, Kind: kindInsert, Callers: callers, Batch: batch, Time: long},
			what: what, systems: durable, quick: quick,
		}
	}
	all := []scenario{
		insert("insert-1", "insert one by one, 1 goroutine", 1, 1, true),
		insert("insert-64", "insert one by one, 64 goroutines", 64, 1, false),
		insert("insert-1000", "insert in batches of 1,000, 1 goroutine", 1, fillBatch, true),
	}
	for _, workers := range []int{2, 16, 64} {
		all = append(all, scenario{
			Case: Case{Scenario: fmt.Sprintf("drain-%d", workers), Kind: kindDrain, Workers: workers, Jobs: 160_000, Time: 2 * long},
			what: fmt.Sprintf("drain a backlog, %d workers", workers), systems: durable, quick: workers > 2, peerJobs: 8000,
		})
	}
	all = append(all, scenario{
		Case: Case{Scenario: "drain-best", Kind: kindDrain, Jobs: 160_000, Time: 2 * long},
		what: "drain a backlog, each system with the number of workers with which it was fastest", systems: peers, quick: true, best: true, peerJobs: 8000,
	})
	for _, n := range []int{16, 64, 256} {
		all = append(all, scenario{
			Case: Case{Scenario: fmt.Sprintf("lifecycle-%d", n), Kind: kindLifecycle, Callers: n, Workers: n, Batch: 1, Time: long},
			what: fmt.Sprintf("insert one by one and work at once, %d goroutines and %d workers", n, n), systems: durable, quick: n > 16,
		})
	}
	all = append(all, scenario{
		Case: Case{Scenario: "lifecycle-best", Kind: kindLifecycle, Callers: 64, Batch: 1, Time: long},
		what: "insert one by one and work at once, 64 goroutines, and the number of workers with which each system was fastest", systems: peers, quick: true, best: true,
	})
	return append(all, scenario{
		Case: Case{Scenario: "latency", Kind: kindLatency, Workers: 4, Jobs: 400, Time: 3 * long},
		what: "idle system, from before the insert to the start of the handler; the ceiling is a bare commit of the inserted job", systems: durable, quick: true,
	})
}

// special returns the scenarios that need files of their own, or that only this module has.
func special() []scenario {
	const million = 1_000_000
	steady := func(name, what string, queued, finished int, systems []string) scenario {
		return scenario{
			Case: Case{Scenario: name, Kind: kindSteady, Callers: 2, Workers: 16, Batch: 100, Queued: queued, Finished: finished, Time: 2 * time.Second},
			what: what, systems: systems,
		}
	}
	pruned := steady("pruned-1m", "1,000 queued, after a million jobs were made, finished and pruned", 1000, million, onlyOurs)
	pruned.Pruned = true
	drained := func(name, what string, argBytes int) scenario {
		return scenario{
			Case: Case{Scenario: name, Kind: kindDrain, Workers: 16, Jobs: 10_000, Raw: true, ArgBytes: argBytes},
			what: what, systems: onlyOurs,
		}
	}
	ours := func(c Case, what string, rounds int) scenario {
		return scenario{Case: c, what: what, systems: onlyOurs, rounds: rounds}
	}
	return []scenario{
		steady("backlog-1k", "work and insert at once, 1,000 queued", 1000, 0, simple),
		steady("backlog-100k", "the same, 100,000 queued", 100_000, 0, simple),
		steady("backlog-1m", "the same, a million queued", million, 0, onlyOurs),
		steady("history-1m", "1,000 queued, a million finished", 1000, million, onlyOurs),
		pruned,
		ours(Case{Scenario: "open-1m", Kind: kindOpen, Workers: 16, Queued: million}, "open a file with a million queued jobs, until the first handler starts", 0),
		drained("args-100", "drain, 16 workers, arguments of 100 bytes that the handler does not decode", 0),
		drained("args-100k", "the same, arguments of 100 kB, which are copied for each handler; transitions are the processor time of its claim and its end", 100_000),
		ours(Case{Scenario: "progress", Kind: kindProgress, Workers: 16, Jobs: 64, Batch: 500_000}, "updates of progress trees by 16 handlers at once", 3),
		ours(Case{Scenario: "log", Kind: kindLogs, Workers: 16, Jobs: 64, Batch: 10_000}, "log records of 16 handlers at once, until they are stored", 3),
		ours(Case{Scenario: "log-slow", Kind: kindLogs, Workers: 1, Jobs: 1, Batch: 1 << 30, Time: 4 * time.Second}, "log records of one handler", 3).delayed(400 * time.Millisecond),
		ours(Case{Scenario: "tracker", Kind: kindTracker, Workers: 1, Batch: manyUpdates}, "Tracker.Add", 3),
		ours(Case{Scenario: "size-finished", Kind: kindSize, Finished: million}, "the file after a million jobs have ended", 1),
		ours(Case{Scenario: "size-pruned", Kind: kindSize, Finished: million, Pruned: true}, "the file after these were pruned", 1),
		ours(Case{Scenario: "memory-1m", Kind: kindMemory, Workers: 16, Jobs: million}, "heap with a million queued jobs", 1),
		{
			Case: Case{Scenario: "memory-store-64", Kind: kindLifecycle, Callers: 64, Workers: 64, Batch: 1, Time: 1500 * time.Millisecond},
			what: "lifecycle in memory, 64 goroutines and 64 workers", systems: memoryPeers,
		},
	}
}

// of returns the case of a scenario with a system.
func (s *scenario) of(system string) Case {
	c := s.Case
	c.System = system
	if s.peerJobs > 0 && system != ours && system != ceiling {
		c.Jobs = s.peerJobs
	}
	if s.best {
		c.Workers = makerOf(system).workers
	}
	return c
}

// selected reports whether a comma-separated list holds a name, or the beginning of it that comes
// before a dash, a slash or a plus sign. An empty list holds all.
func selected(list, name string) bool {
	if list == "" {
		return true
	}
	for item := range strings.SplitSeq(list, ",") {
		if rest, ok := strings.CutPrefix(name, item); ok && (rest == "" || strings.ContainsAny(rest[:1], "-/+")) {
			return true
		}
	}
	return false
}
