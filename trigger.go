package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/embedjobs/jobs/internal/jsontree"
	"github.com/embedjobs/jobs/schedule"
)

// What can be done about missed times of a schedule, and about runs that overlap. See package schedule.
const (
	MissedLatest = schedule.MissedLatest
	MissedNone   = schedule.MissedNone
	MissedAll    = schedule.MissedAll
	OverlapSkip  = schedule.OverlapSkip
	OverlapQueue = schedule.OverlapQueue
	OverlapAllow = schedule.OverlapAllow
)

// A Trigger says how a job is made of a definition. The zero Trigger, and nil, make it as the
// definition says.
type Trigger struct {
	// Args are laid over the saved arguments as a JSON merge patch (RFC 7396): what it has replaces
	// what is saved, null removes it. What is left out then is filled in by the defaults of the
	// schema, then by [Defaulter], which gets the latest success of the definition.
	Args json.RawMessage
	// Title, Queue, Priority and RunAt replace those of the definition unless they are zero.
	Title    string
	Queue    string
	Priority int
	RunAt    time.Time
	// Pins are jobs to come after in place of the latest success, by the ID of their definition.
	Pins map[string]ID
	// Build replaces that of the definition unless it is BuildNone.
	Build Build
	// Dependents has jobs made of all definitions, too, that come after this one, and after those.
	// Inactive ones are left out. What else these come after is built as Build says: without it,
	// one that has no success is an ErrMissing.
	Dependents bool
	// Confirm lets a protected definition make a job.
	Confirm bool

	due time.Time // the time of the schedule
}

// Trigger makes a job of a definition, and of others if Build or Dependents ask for it, all or none.
// The jobs keep what their definitions say now, and which jobs they come after. The first job that is
// returned is that of the definition.
//
// Without a success of a definition that a job has to come after, the error wraps [ErrMissing] and
// names it. An inactive definition, and a protected one without Confirm, is an ErrState.
func (d *Definitions) Trigger(ctx context.Context, id string, t *Trigger) ([]*Job, error) {
	if t == nil {
		t = new(Trigger)
	}
	for {
		p, err := d.r.plan(ctx, id, t)
		if err != nil {
			return nil, err
		}
		var made []*Job
		err = d.r.update(ctx, func(tx Tx) (err error) {
			made, err = d.r.execute(tx, p, nil)
			return err
		})
		if errors.Is(err, errReplan) {
			continue
		}
		return d.r.redactAll(made), err
	}
}

// errReplan is returned when what a plan was made of has changed.
var errReplan = errors.New("jobs: a definition has changed meanwhile")

// A plan is what is to be stored: checked requests, and what they were made of.
type plan struct {
	requests []prepared
	versions map[string]uint64 // of definitions
}

// execute stores the jobs of a plan. The first one comes after the end of before, if it is not nil.
func (r *Runner) execute(tx Tx, p *plan, before *Job) ([]*Job, error) {
	for id, version := range p.versions {
		def, err := readDefinition(tx, id)
		if errors.Is(err, ErrNotFound) || err == nil && def.Version != version {
			return nil, errReplan
		}
		if err != nil {
			return nil, err
		}
	}
	all := p.requests
	if before != nil {
		all = slices.Clone(all)
		first := slices.IndexFunc(all, func(p prepared) bool { return p.place == 0 })
		all[first].comeAfter(before)
	}
	return r.insertAll(tx, all, nil, time.Now())
}

// comeAfter has a request come after the end of one more job.
func (p *prepared) comeAfter(job *Job) {
	for len(p.links) < len(p.job.After) { // none of them is of the same call
		p.links = append(p.links, -1)
	}
	p.links = append(slices.Clip(p.links), -1)
	p.job.After = append(slices.Clip(p.job.After), Dependency{Name: job.ID.String(), Job: job.ID, Need: NeedEnd})
}

// A planner works out what has to be made for a job of a definition.
type planner struct {
	tx      Tx
	t       *Trigger
	known   map[string]*Definition
	chosen  map[string]bool // a job of it is made
	order   []string
	missing []string
}

// plan works out which jobs are to be made for a trigger.
func (r *Runner) plan(ctx context.Context, id string, t *Trigger) (*plan, error) {
	pl := &planner{t: t, known: make(map[string]*Definition), chosen: make(map[string]bool)}
	var reqs []Request
	err := r.store.View(ctx, func(tx Tx) error {
		pl.tx = tx
		all, err := readDefinitions(tx)
		if err != nil {
			return err
		}
		for _, def := range all {
			pl.known[def.ID] = def
		}
		root := pl.known[id]
		if root == nil {
			return fmt.Errorf("definition %q: %w", shorten(id, 100), ErrNotFound)
		}
		if err := pl.choose(root); err != nil {
			return err
		}
		if t.Dependents || root.Dependents {
			if err := pl.chooseDependents(all); err != nil {
				return err
			}
		}
		reqs, err = pl.requests(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range reqs {
		if reqs[i].Actor = actor(ctx); reqs[i].definition == id {
			if err := reqs[i].override(t); err != nil {
				return nil, err
			}
		}
	}
	prepared, err := r.prepare(ctx, nil, reqs, nil)
	if err != nil {
		return nil, err
	}
	p := &plan{requests: prepared, versions: make(map[string]uint64)}
	for i := range prepared {
		prepared[i].job.Due = t.due
		name := prepared[i].name
		p.versions[name] = pl.known[name].Version
	}
	return p, nil
}

// choose has a job made of a definition, and of those that it needs.
func (pl *planner) choose(def *Definition) error {
	if pl.chosen[def.ID] {
		return nil
	}
	switch {
	case def.Inactive:
		return fmt.Errorf("%w: definition %q is inactive", ErrState, def.ID)
	case def.Protected && !pl.t.Confirm:
		return fmt.Errorf("%w: definition %q is protected; it has to be confirmed", ErrState, def.ID)
	}
	pl.chosen[def.ID] = true
	pl.order = append(pl.order, def.ID)
	for _, dep := range def.After {
		if dep.Job != 0 || pl.t.Pins[dep.Name] != 0 || pl.chosen[dep.Name] {
			continue
		}
		other := pl.known[dep.Name]
		build, err := pl.builds(def, dep, other)
		if err != nil {
			return err
		}
		if build {
			if err := pl.choose(other); err != nil {
				return err
			}
		}
	}
	return nil
}

// builds reports whether a job has to be made of a definition that another one comes after.
func (pl *planner) builds(def *Definition, dep Dependency, other *Definition) (bool, error) {
	build := pl.t.Build
	if build == BuildNone {
		build = pl.known[pl.order[0]].Build
	}
	if other == nil {
		return false, fmt.Errorf("%w: definition %q comes after %q, which does not exist", ErrMissing, def.ID, dep.Name)
	}
	if build == BuildAll {
		return true, nil
	}
	latest, err := latestFor(pl.tx, dep)
	if err != nil {
		return false, err
	}
	if latest == nil {
		return build != BuildNone, nil // if nothing is built, requests says what is missing
	}
	if build != BuildOutdated {
		return false, nil
	}
	return pl.stale(other, make(map[string]bool))
}

// stale reports whether a definition, or one that it comes after, is outdated.
func (pl *planner) stale(def *Definition, seen map[string]bool) (bool, error) {
	if def == nil || seen[def.ID] {
		return false, nil
	}
	seen[def.ID] = true
	latest, err := latestSuccess(pl.tx, def.ID)
	if err != nil || latest == nil {
		return err == nil, err
	}
	later, err := laterThan(pl.tx, def, latest)
	if err != nil || len(later) > 0 {
		return err == nil, err
	}
	for _, dep := range def.After {
		if stale, err := pl.stale(pl.known[dep.Name], seen); stale || err != nil {
			return stale, err
		}
	}
	return false, nil
}

// chooseDependents has jobs made of all active definitions that come after those that were chosen.
func (pl *planner) chooseDependents(all []*Definition) error {
	root := pl.order[0]
	reached := map[string]bool{root: true}
	for more := true; more; {
		more = false
		for _, def := range all {
			if def.Inactive || reached[def.ID] {
				continue
			}
			if slices.ContainsFunc(def.After, func(d Dependency) bool { return d.Job == 0 && reached[d.Name] }) {
				reached[def.ID], more = true, true
			}
		}
	}
	for _, def := range all {
		if reached[def.ID] {
			if err := pl.choose(def); err != nil {
				return err
			}
		}
	}
	return nil
}

// requests returns the requests for the chosen definitions, with the jobs that they come after.
func (pl *planner) requests(root string) ([]Request, error) {
	reqs := make([]Request, 0, len(pl.order))
	for _, id := range pl.order {
		def := pl.known[id]
		req := def.Request
		req.Name, req.definition = id, id
		req.After = slices.Clone(def.After)
		for i := range req.After {
			dep := &req.After[i]
			switch pin := pl.t.Pins[dep.Name]; {
			case pin != 0 && id == root:
				job, err := pl.tx.Job(pin)
				if err != nil {
					return nil, fmt.Errorf("the pin of %s: %w", dep.Name, err)
				}
				if job.Definition != dep.Name {
					return nil, invalidf("Pins", "job %d was not made of definition %q", pin, dep.Name)
				}
				dep.Job = pin
			case dep.Job != 0 || pl.chosen[dep.Name]:
			default:
				latest, err := latestFor(pl.tx, *dep)
				if err != nil {
					return nil, err
				}
				if latest == nil {
					pl.missing = append(pl.missing, fmt.Sprintf("%q, which %q comes after", dep.Name, id))
					continue
				}
				dep.Job = latest.ID
			}
		}
		reqs = append(reqs, req)
	}
	for name := range pl.t.Pins {
		if pl.known[root].dependencyOn(name) == nil {
			return nil, invalidf("Pins", "definition %q does not come after %q", root, name)
		}
	}
	if len(pl.missing) > 0 {
		return nil, fmt.Errorf("%w of %s; Build can make them", ErrMissing, strings.Join(pl.missing, ", of "))
	}
	return reqs, nil
}

func (def *Definition) dependencyOn(name string) *Dependency {
	for i := range def.After {
		if def.After[i].Name == name {
			return &def.After[i]
		}
	}
	return nil
}

// override lays what a trigger says over the request of its definition.
func (req *Request) override(t *Trigger) error {
	if len(t.Args) > 0 {
		saved, patch := any(map[string]any{}), any(nil)
		var err error
		if len(req.Args) > 0 {
			saved, err = jsontree.Parse(req.Args)
		}
		if err == nil {
			patch, err = jsontree.Parse(t.Args)
		}
		if _, object := patch.(map[string]any); err == nil && !object {
			err = errors.New("they are no object")
		}
		if err == nil {
			req.Args, err = jsontree.Encode(jsontree.Merge(saved, patch))
		}
		if err != nil {
			return invalidf("arguments", "%w", err)
		}
	}
	if t.Title != "" {
		req.Title = t.Title
	}
	if t.Queue != "" {
		req.Queue = t.Queue
	}
	if t.Priority != 0 {
		req.Priority = t.Priority
	}
	req.RunAt = t.RunAt
	return nil
}
