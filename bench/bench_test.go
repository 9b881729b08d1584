package main

import (
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// shrunk returns a case that does the same with a handful of jobs.
func shrunk(c Case) Case {
	shrink := func(n *int, most int) { *n = min(*n, most) }
	c.Delay = 0
	if c.Jobs == 0 {
		c.Jobs = 30
	}
	shrink(&c.Jobs, 30)
	shrink(&c.Callers, 3)
	c.Workers = 4
	shrink(&c.Batch, 10)
	shrink(&c.Queued, 20)
	shrink(&c.Finished, 20)
	if c.Time > 0 {
		c.Time = time.Minute
	}
	return c
}

func TestScenarios(t *testing.T) {
	tried := make(map[Case]bool)
	for _, s := range scenarios(false, 0) {
		for _, system := range s.systems {
			if system == postgresDB {
				continue // needs a server
			}
			same := shrunk(s.of(system))
			same.Scenario = ""
			if tried[same] {
				continue // it differs in its size or its delay only
			}
			tried[same] = true
			t.Run(s.Scenario+" with "+system, func(t *testing.T) {
				t.Parallel()
				r := &run{Case: shrunk(s.of(system))}
				r.Dir = t.TempDir()
				if c := s.of(system); c.prepared() {
					r.File = filepath.Join(r.Dir, "prepared.db")
					p := &run{Case: r.Case}
					p.Kind = kindPrepare
					if c.Queued < 100_000 {
						p.Queued = 0 // as in a plan
					}
					if _, err := p.measure(t.Context()); err != nil {
						t.Fatalf("preparing: %v", err)
					}
				}
				r.seen = make([]atomic.Int32, 10_000)
				values, err := r.measure(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(values) == 0 {
					t.Error("there is no value")
				}
				for _, v := range values {
					if v.Value < 0 || v.Value == 0 && v.Name != "allocations" {
						t.Errorf("%q is %v %s", v.Name, v.Value, v.Unit)
					}
				}
				checkRuns(t, r)
			})
		}
	}
}

// checkRuns checks that the handlers of all jobs were called exactly once.
func checkRuns(t *testing.T, r *run) {
	t.Helper()
	if r.System == ceiling {
		return
	}
	all := r.Kind == kindDrain && !r.Raw || r.Kind == kindLifecycle || r.Kind == kindLatency
	once := all || r.Kind == kindSteady
	if !once {
		return
	}
	for i := range r.seen {
		n := r.seen[i].Load()
		if made := i < int(r.made.Load()); n > 1 || n == 0 && all && made {
			t.Errorf("job %d ran %d times", i, n)
		}
	}
}

// The ceiling is honest only if it writes what package bolt writes.
func TestCeiling_WritesWhatBoltWrites(t *testing.T) {
	const n = 600
	for _, kind := range []Kind{kindDrain, kindLifecycle} {
		t.Run(string(kind), func(t *testing.T) {
			c := Case{Kind: kind, Callers: 8, Workers: 8, Batch: 1, Jobs: n, ArgBytes: defaultArgs}
			theirs := written(t, c, ours, "jobs.db")
			bare := written(t, c, ceiling, "ceiling.db")
			for bucket, want := range theirs {
				got := bare[bucket]
				if want.keys < n/2 {
					continue // tallies and the like
				}
				if diff := got.keys - want.keys; diff < -1 || diff > 1 {
					t.Errorf("%q has %d keys, in a real file %d", bucket, got.keys, want.keys)
				}
				if ratio := float64(got.bytes) / float64(want.bytes); ratio < 0.98 || ratio > 1.02 {
					t.Errorf("%q has %d bytes, in a real file %d", bucket, got.bytes, want.bytes)
				}
			}
		})
	}
}

type volume struct{ keys, bytes int }

// written runs a case and returns what is in each bucket of its file then.
func written(t *testing.T, c Case, system, file string) map[string]volume {
	t.Helper()
	r := &run{Case: c}
	r.System, r.Dir = system, t.TempDir()
	if _, err := r.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(r.Dir, file), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]volume)
	for bucket, keys := range dump(db) {
		v := volume{keys: len(keys)}
		for key, value := range keys {
			v.bytes += len(key) + len(value)
		}
		all[bucket] = v
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestLearn(t *testing.T) {
	l, err := learn(t.Context(), t.TempDir(), defaultArgs)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		name string
		step step
	}{{"insert", l.insert}, {"claim", l.claim}, {"finish", l.finish}} {
		for _, w := range slices.Concat(s.step.job, s.step.commit) {
			t.Logf("%s: %q key %x (ID at %d) value %d bytes", s.name, w.path, w.key, w.idAt, len(w.value))
		}
	}
	if l.shared == 0 {
		t.Error("nothing is written once for each commit; tallies are")
	}
}

func TestSelected(t *testing.T) {
	for _, tt := range []struct {
		list, name string
		want       bool
	}{
		{"", "drain-16", true},
		{"drain", "drain-16", true},
		{"drain-16", "drain-16+1ms", true},
		{"drain-1", "drain-16", false},
		{"lifecycle,drain-64", "drain-64", true},
		{"goqite", "goqite/full", true},
		{"goqite/full", "goqite", false},
	} {
		if got := selected(tt.list, tt.name); got != tt.want {
			t.Errorf("selected(%q, %q) = %v, want %v", tt.list, tt.name, got, tt.want)
		}
	}
}

func TestTargets(t *testing.T) {
	var res results
	add := func(name, system string, v float64) {
		res.add(&scenario{Case: Case{Scenario: name}}, system, []Value{{"", jobsPerSecond, v}})
	}
	add("drain-16", ours, 90)
	add("drain-16", ceiling, 100)
	add("drain-best", "goqite/full", 20)
	add("drain-best", "goqite", 80)
	add("drain-16+1ms", "goqite/full", 70)
	for _, got := range res.targets() {
		switch got.What {
		case "drain-16 of the ceiling":
			if got.missing || !got.Met || got.Measured != "90 %" {
				t.Errorf("got %+v", got)
			}
		case "drain-16 against the best embedded peer of the same durability":
			if got.missing || got.Met || got.Measured != "4.5 × goqite/full in drain-best" {
				t.Errorf("got %+v", got)
			}
		default:
			if !got.missing {
				t.Errorf("got %+v, want none", got)
			}
		}
	}
}

func TestRun_RefusesWhatASystemCannot(t *testing.T) {
	r := &run{Case: Case{Kind: kindOpen, System: "pond"}}
	if _, err := r.measure(t.Context()); err == nil {
		t.Error("there was no error")
	}
}
