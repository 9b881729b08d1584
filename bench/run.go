package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"
)

// A Kind says what a scenario does. There is one function for each.
type Kind string

const (
	kindInsert    Kind = "insert"    // Callers goroutines insert Batch jobs at a time
	kindDrain     Kind = "drain"     // Workers work off Jobs jobs
	kindLifecycle Kind = "lifecycle" // Callers goroutines insert one by one while Workers work
	kindSteady    Kind = "steady"    // Workers work while the backlog is kept at Queued jobs
	kindLatency   Kind = "latency"   // one job at a time on an idle system

	// Those of this module only.
	kindPrepare  Kind = "prepare" // make File
	kindOpen     Kind = "open"
	kindMemory   Kind = "memory"
	kindSize     Kind = "size"
	kindProgress Kind = "progress"
	kindLogs     Kind = "logs"
	kindTracker  Kind = "tracker"
)

// A Case is one run of a scenario with one system. It is what a child process is told.
type Case struct {
	Scenario string
	Kind     Kind
	System   string

	Callers, Workers int
	Batch            int           // jobs in one transaction
	Jobs             int           // at the most; 0 means no limit
	Time             time.Duration // at the most, of the measured part
	Queued           int           // jobs in line, see kindSteady
	Finished         int           // jobs in the file that have ended
	Pruned           bool          // the finished ones have been removed again
	ArgBytes         int
	Raw              bool          // the handler does not decode its arguments
	Delay            time.Duration // added to each sync

	Dir, File  string
	Postgres   string
	CPUProfile string
}

// prepared reports whether the case begins with a file that takes long to make.
func (c *Case) prepared() bool {
	return c.System == ours && (c.Queued >= 100_000 || c.Finished > 0)
}

// A Value is a measured number.
type Value struct {
	Name  string // what of the scenario; "" if there is only one
	Unit  string
	Value float64
}

const (
	jobsPerSecond = "jobs/s"
	microseconds  = "µs"
	milliseconds  = "ms"
)

// run is a case under way.
type run struct {
	Case
	profile func() (stop func(), err error) // begins a CPU profile; nil for none

	made    atomic.Int64 // jobs that were given a number
	handled atomic.Int64 // handlers that were called
	done    atomic.Int64 // what counts for the rate
	seen    []atomic.Int32
	onStart func() // called by each handler

	began, ended time.Time
	stopProfile  func()
	latencies    []time.Duration
	spent        atomic.Int64 // on transactions, in ns
	values       []Value
}

func errNoSuch(system string, kind Kind) error {
	return fmt.Errorf("%s has no scenario of kind %s", system, kind)
}

// measure runs a case.
func (r *run) measure(ctx context.Context) ([]Value, error) {
	var err error
	switch {
	case r.System == ceiling:
		err = measureCeiling(ctx, r)
	case r.Kind == kindInsert, r.Kind == kindDrain, r.Kind == kindLifecycle, r.Kind == kindSteady, r.Kind == kindLatency:
		err = measureSystem(ctx, r)
	case r.System == ours:
		err = measureOurs(ctx, r)
	default:
		err = errNoSuch(r.System, r.Kind)
	}
	if err != nil {
		return nil, err
	}
	switch r.Kind {
	case kindInsert, kindDrain, kindLifecycle, kindSteady:
		if r.done.Load() == 0 {
			return nil, errors.New("no job was done in time")
		}
		r.value("", jobsPerSecond, float64(r.done.Load())/r.ended.Sub(r.began).Seconds())
		if r.spent.Load() > 0 { // on a claim and an end of each job, in commits of many
			r.value("transitions", "µs CPU", float64(r.spent.Load())/1e3/float64(r.done.Load()))
		}
	case kindLatency:
		slices.Sort(r.latencies)
		n := len(r.latencies)
		if n == 0 {
			return nil, errors.New("no latency was measured")
		}
		r.value("p50", microseconds, float64(r.latencies[n/2].Nanoseconds())/1e3)
		r.value("p99", microseconds, float64(r.latencies[n*99/100].Nanoseconds())/1e3)
	default: // they have their values already
	}
	return r.values, nil
}

func (r *run) value(name, unit string, v float64) {
	r.values = append(r.values, Value{name, unit, v})
}

// begin begins the measured part.
func (r *run) begin() error {
	runtime.GC() // of what the preparation left
	if r.profile != nil {
		stop, err := r.profile()
		if err != nil {
			return err
		}
		r.stopProfile = stop
	}
	r.spent.Store(0)
	r.began = time.Now()
	return nil
}

// end ends the measured part.
func (r *run) end() {
	r.ended = time.Now()
	if r.stopProfile != nil {
		r.stopProfile()
	}
}

// late reports whether the time of the measured part is over.
func (r *run) late() bool { return r.Time > 0 && time.Since(r.began) >= r.Time }

// next returns the number of the first of n new jobs, if there are to be more.
func (r *run) next(n int) (first int, ok bool) {
	if r.late() {
		return 0, false
	}
	end := int(r.made.Add(int64(n)))
	if r.Jobs > 0 && end > r.Jobs {
		r.made.Add(int64(-n))
		return 0, false
	}
	return end - n, true
}

// handle is what all handlers do.
func (r *run) handle(number int) {
	if r.onStart != nil {
		r.onStart()
	}
	if r.seen != nil {
		r.seen[number].Add(1)
	}
	r.handled.Add(1)
}

// settings returns those of the case.
func (r *run) settings() *settings {
	s := &settings{
		dir: r.Dir, file: r.File, postgres: r.Postgres,
		workers: r.Workers, argBytes: r.ArgBytes, raw: r.Raw, handle: r.handle,
	}
	if r.Raw {
		s.spent = &r.spent
	}
	return s
}
