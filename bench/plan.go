package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A plan is what is run, and what has come of it.
type plan struct {
	options
	dir       string // removed at the end
	scenarios []scenario
	results   results
	began     time.Time
	took      time.Duration
	rounds    int // done
	notes     []string
	machine   machine

	files     map[string]string        // that were prepared, by what is in them
	databases map[time.Duration]string // URLs, by delay
	stops     []func() error
}

// The time that a run may take. No round is begun that would end later.
const (
	quickTime = 48 * time.Second
	fullTime  = 28 * time.Minute
)

func newPlan(ctx context.Context, o options) (*plan, error) {
	p := &plan{options: o, began: time.Now(), files: make(map[string]string), databases: make(map[time.Duration]string)}
	if o.rounds == 0 {
		p.options.rounds = 5
		if o.quick {
			p.options.rounds = 3
		}
	}
	for _, s := range scenarios(o.quick, o.delay) {
		if !selected(o.scenario, s.Scenario) {
			continue
		}
		s.systems = slices.DeleteFunc(slices.Clone(s.systems), func(name string) bool {
			return name != ours && name != ceiling && name != oursMemory && !selected(o.peer, name)
		})
		p.scenarios = append(p.scenarios, s)
	}
	if len(p.scenarios) == 0 {
		return nil, fmt.Errorf("there is no scenario %q here", o.scenario)
	}
	slower := func(s scenario) bool { return s.Delay > 0 }
	if slices.ContainsFunc(p.scenarios, slower) {
		if err := canDelay(ctx); err != nil {
			p.skip(slower, err.Error())
		}
	}
	var err error
	if p.dir, err = os.MkdirTemp(o.dir, "jobs-bench-"); err != nil {
		return nil, err
	}
	if err := p.connect(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	if p.machine, err = describe(p.dir); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// skip leaves out scenarios, and says why.
func (p *plan) skip(which func(scenario) bool, why string) {
	var names []string
	p.scenarios = slices.DeleteFunc(p.scenarios, func(s scenario) bool {
		if !which(s) {
			return false
		}
		names = append(names, s.Scenario)
		return true
	})
	if len(names) > 0 {
		p.notes = append(p.notes, fmt.Sprintf("Not run: %s, because %s.", strings.Join(names, ", "), why))
	}
}

// connect finds or starts PostgreSQL, and leaves out what has none.
func (p *plan) connect(ctx context.Context) error {
	for i := range p.scenarios {
		s := &p.scenarios[i]
		at := slices.Index(s.systems, postgresDB)
		if at < 0 {
			continue
		}
		if _, known := p.databases[s.Delay]; !known {
			if err := p.findDatabase(ctx, s.Delay); err != nil {
				return err
			}
		}
		if p.databases[s.Delay] == "" {
			s.systems = slices.Delete(s.systems, at, at+1)
		}
	}
	return nil
}

// findDatabase sets the database of a delay, "" if there is none.
func (p *plan) findDatabase(ctx context.Context, delay time.Duration) error {
	switch {
	case p.postgres == "start":
		url, stop, err := startPostgres(ctx, p.dir, delay)
		if err != nil {
			return fmt.Errorf("starting PostgreSQL: %w", err)
		}
		p.stops = append(p.stops, stop)
		p.databases[delay] = url
	case p.postgres == "":
		p.databases[delay] = ""
		p.notes = append(p.notes, "Not run: River on PostgreSQL"+during(delay)+", because no -postgres was given.")
	case delay > 0:
		p.databases[delay] = ""
		p.notes = append(p.notes, "Not run: River on PostgreSQL"+during(delay)+", because only a server that -postgres start has started can be slowed.")
	default:
		p.databases[delay] = p.postgres
	}
	return nil
}

func during(delay time.Duration) string {
	if delay == 0 {
		return ""
	}
	return fmt.Sprintf(" with %v added to each sync", delay)
}

func (p *plan) close() error {
	var errs error
	for _, stop := range p.stops {
		errs = errors.Join(errs, stop())
	}
	return errors.Join(errs, os.RemoveAll(p.dir))
}

// run runs all rounds.
func (p *plan) run(ctx context.Context) error {
	defer func() { p.took = time.Since(p.began) }()
	limit := fullTime
	if p.quick {
		limit = quickTime
	}
	longest := time.Duration(0)
	for p.rounds < p.options.rounds && time.Since(p.began)+longest <= limit {
		began := time.Now()
		for i := range p.scenarios {
			if err := p.round(ctx, &p.scenarios[i]); err != nil {
				return err
			}
		}
		if p.rounds > 0 || p.quick { // the first round of a full run makes files
			longest = max(longest, time.Since(began))
		}
		p.rounds++
	}
	return nil
}

// round runs a scenario once with each system.
func (p *plan) round(ctx context.Context, s *scenario) error {
	if s.rounds > 0 && p.rounds >= s.rounds {
		return nil
	}
	fmt.Fprintf(os.Stderr, "%4.0f s  round %d of %d: %s\n", time.Since(p.began).Seconds(), p.rounds+1, p.options.rounds, s.Scenario)
	for _, system := range s.systems {
		values, err := p.once(ctx, s.of(system))
		if err != nil && system != ours && system != ceiling && ctx.Err() == nil {
			// The others can be measured all the same.
			p.notes = append(p.notes, fmt.Sprintf("Round %d: %v.", p.rounds+1, err))
			continue
		}
		if err != nil {
			return err
		}
		p.results.add(s, system, values)
	}
	return nil
}

// once runs a case in a directory of its own.
func (p *plan) once(ctx context.Context, c Case) (_ []Value, err error) {
	c.Postgres = p.databases[c.Delay]
	if c.System == ours && p.cpuProfile != "" {
		c.CPUProfile = p.cpuProfile + "-" + c.Scenario + ".pprof"
	}
	if c.Dir, err = os.MkdirTemp(p.dir, "run-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.Dir)) }()
	if c.prepared() {
		file, err := p.prepared(ctx, c)
		if err != nil {
			return nil, err
		}
		c.File = filepath.Join(c.Dir, "prepared.db")
		if err := copyFile(c.File, file); err != nil {
			return nil, err
		}
	}
	return runChild(ctx, c)
}

// prepared returns the file with which a case begins. It is made once.
func (p *plan) prepared(ctx context.Context, c Case) (string, error) {
	queued := c.Queued
	if queued < 100_000 {
		queued = 0 // the run makes so few itself
	}
	name := fmt.Sprintf("finished-%d-%v-queued-%d.db", c.Finished, c.Pruned, queued)
	if file, ok := p.files[name]; ok {
		return file, nil
	}
	c.Kind, c.Queued, c.Delay, c.CPUProfile = kindPrepare, queued, 0, ""
	c.File = filepath.Join(p.dir, name)
	began := time.Now()
	if _, err := runChild(ctx, c); err != nil {
		return "", err
	}
	p.notes = append(p.notes, fmt.Sprintf("Making the file of %s took %.0f s.", c.Scenario, time.Since(began).Seconds()))
	p.files[name] = c.File
	return c.File, nil
}

// copyFile copies a file and syncs the copy, so that the run need not wait for it.
func copyFile(to, from string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	if _, err := io.Copy(dst, src); err != nil {
		return err
	}
	return dst.Sync()
}
