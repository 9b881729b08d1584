package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/embedjobs/jobs/schedule"
)

// A Schedule says when something recurs. See package schedule.
type Schedule = schedule.Schedule

// A Definition is a saved configuration of a task: what its jobs are asked to do, after which others,
// and when. People edit it, a schedule or [Definitions.Trigger] makes jobs of it, and each job keeps
// the configuration and the dependencies that it was made with.
type Definition struct {
	// ID names the definition, by up to 100 bytes. It contains no # and does not begin with $.
	ID string `json:"id"`
	// Notes are for people, up to 64 KiB.
	Notes string `json:"notes,omitempty"`

	// Request is what its jobs are made of. In After, Name is the ID of another definition, whose
	// latest success a job comes after unless Job is set; in arguments, ResultOf refers to it by
	// that name. Name, RunAt and Deadline are not used, Actor is that of the trigger.
	Request

	// Schedule says when jobs are made by themselves, with the actor "schedule:" and the ID.
	Schedule Schedule `json:"schedule,omitzero"`
	// Build says what is done about definitions in After when a job is made, unless the trigger
	// says something else. Dependents has jobs made of those that come after this one, too.
	Build      Build `json:"build,omitempty"`
	Dependents bool  `json:"dependents,omitempty"`
	// Inactive definitions make no jobs.
	Inactive bool `json:"inactive,omitempty"`
	// Protected definitions make jobs only by their schedule, or when that is confirmed.
	Protected bool `json:"protected,omitempty"`

	// Version is raised each time the definition is saved; 0 is a new one. To save another version
	// than the one that is stored is an ErrConflict.
	Version   uint64    `json:"version"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	UpdatedBy string    `json:"updated_by,omitempty"` // see WithActor
	// FromCode marks a definition that Sync has stored.
	FromCode bool `json:"from_code,omitempty"`
}

// A Build says what is done about the definitions that another one comes after.
type Build string

// What can be done about them.
const (
	// BuildNone makes nothing: without a success of each of them no job is made.
	BuildNone Build = ""
	// BuildMissing makes jobs of those that have no success, and of what these need.
	BuildMissing Build = "missing"
	// BuildOutdated makes jobs of those, too, that come after something which succeeded later.
	BuildOutdated Build = "outdated"
	// BuildAll makes jobs of all of them, and of what these come after.
	BuildAll Build = "all"
)

// ErrMissing is returned when a definition comes after others that have no success, which it names.
var ErrMissing = errors.New("jobs: no successful run")

const (
	spaceDefinition = "definition" // ID → JSON
	spaceRuns       = "runs"       // ID of a definition → what its jobs have come to
	maxNotes        = 64 << 10
)

// Definitions manages the definitions of a store. All methods may be called concurrently.
type Definitions struct{ r *Runner }

// Definitions returns the definitions of the runner's store. Their schedules are followed while Run
// runs; what is saved through another runner of the same process is seen by the next Run.
func (r *Runner) Definitions() *Definitions { return &Definitions{r} }

// Save stores a new definition, with Version 0, or a new version of one, and returns it as stored. A
// secret argument that is still [Redacted] stays as it is.
func (d *Definitions) Save(ctx context.Context, def Definition) (*Definition, error) {
	all, err := d.save(ctx, []Definition{def}, func(_ *Definition, stored *Definition) (bool, error) {
		version := uint64(0)
		if stored != nil {
			version = stored.Version
		}
		if def.Version != version {
			return false, fmt.Errorf("definition %s: %w: version %d is stored, not %d", def.ID, ErrConflict, version, def.Version)
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// A Winner says which definition stays when code and store have different ones.
type Winner int

const (
	// StoreWins keeps a definition that is stored, so that what people have changed survives a new
	// version of the program. Code only adds definitions.
	StoreWins Winner = iota
	// CodeWins stores the definition of the program whenever it differs, and removes those that
	// earlier versions of the program have stored and this one does not have. Whether a definition
	// is inactive or its schedule paused stays as people have set it.
	CodeWins
)

// Sync stores the definitions of a program, when it starts, all or none of them. It returns those that
// were stored.
func (d *Definitions) Sync(ctx context.Context, wins Winner, defs ...Definition) ([]*Definition, error) {
	all, err := d.save(ctx, defs, func(def, stored *Definition) (bool, error) {
		def.FromCode = true
		if stored == nil {
			return true, nil
		}
		def.Inactive = stored.Inactive
		def.Schedule.Paused = stored.Schedule.Paused && !def.Schedule.IsZero()
		return wins == CodeWins && !def.same(stored), nil
	})
	if err != nil || wins == StoreWins {
		return all, err
	}
	stored, err := d.List(ctx)
	if err != nil {
		return nil, err
	}
	gone := make(map[string]bool)
	for _, s := range stored {
		if s.FromCode && !slices.ContainsFunc(defs, func(def Definition) bool { return def.ID == s.ID }) {
			gone[s.ID] = true
		}
	}
	return all, d.remove(ctx, gone)
}

// same reports whether two definitions say the same.
func (def *Definition) same(other *Definition) bool {
	a, b := *def, *other
	for _, d := range []*Definition{&a, &b} {
		d.Version, d.CreatedAt, d.UpdatedAt, d.UpdatedBy = 0, time.Time{}, time.Time{}, ""
	}
	one, err := json.Marshal(&a)
	two, err2 := json.Marshal(&b)
	return err == nil && err2 == nil && string(one) == string(two)
}

// save checks definitions and stores those for which accept returns true, given what is stored.
func (d *Definitions) save(ctx context.Context, defs []Definition, accept func(def, stored *Definition) (bool, error)) (saved []*Definition, err error) {
	now := time.Now()
	checked := make([]Definition, len(defs))
	for i := range defs {
		checked[i] = defs[i]
		if err := d.check(ctx, &checked[i]); err != nil {
			return nil, fmt.Errorf("definition %q: %w", shorten(defs[i].ID, 100), err)
		}
	}
	err = d.r.update(ctx, func(tx Tx) error {
		saved = nil
		for i := range checked {
			def := checked[i] // the transaction may run again
			stored, err := readDefinition(tx, def.ID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			ok, err := accept(&def, stored)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if err := d.r.storeDefinition(ctx, tx, &def, stored, now); err != nil {
				return fmt.Errorf("definition %q: %w", def.ID, err)
			}
			saved = append(saved, d.r.redactDefinition(&def))
		}
		return checkDefinitions(tx, saved)
	})
	if err != nil {
		return nil, err
	}
	d.r.schedulesChanged()
	return saved, nil
}

// check refuses a definition of which no job could be made.
func (d *Definitions) check(ctx context.Context, def *Definition) error {
	if err := checkRefName("ID", def.ID); err != nil {
		return err
	}
	switch {
	case len(def.Notes) > maxNotes:
		return invalidf("Notes", "%d bytes, at most %d are allowed", len(def.Notes), maxNotes)
	case def.Name != "" || !def.RunAt.IsZero() || !def.Deadline.IsZero():
		return invalidf("Request", "Name, RunAt and Deadline have no meaning in a definition")
	case def.Build != BuildNone && def.Build != BuildMissing && def.Build != BuildOutdated && def.Build != BuildAll:
		return invalidf("Build", "%q is not one of missing, outdated, all", string(def.Build))
	}
	if err := def.Schedule.Check(); err != nil {
		return err
	}
	// As they are read back, so that a schedule that has not changed is known.
	for _, t := range []*time.Time{&def.Schedule.Start, &def.Schedule.End} {
		if !t.IsZero() {
			*t = t.UTC().Round(0)
		}
	}
	req := def.Request
	if t := d.r.registry.lookup(req.Task); t != nil && t.Schema.HasSecrets() {
		args, err := d.restore(ctx, def, t)
		if err != nil {
			return err
		}
		def.Args, req.Args = args, args
	}
	var p prepared
	return d.r.prepareOne(ctx, &req, &p, 0, time.Now(), func(string, string) (*Job, error) { return nil, nil })
}

// restore puts back the secrets of the stored definition that are still hidden.
func (d *Definitions) restore(ctx context.Context, def *Definition, t *task) (json.RawMessage, error) {
	var stored json.RawMessage
	err := d.r.store.View(ctx, func(tx Tx) error {
		s, err := readDefinition(tx, def.ID)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil {
			stored = s.Args
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return t.Schema.RestoreSecrets(def.Args, stored)
}

// storeDefinition stores one definition, and when its schedule is due next.
func (r *Runner) storeDefinition(ctx context.Context, tx Tx, def, stored *Definition, now time.Time) error {
	def.Actor = ""
	def.UpdatedAt, def.UpdatedBy, def.CreatedAt, def.Version = now.UTC(), actor(ctx), now.UTC(), 1
	if stored != nil {
		def.CreatedAt, def.Version = stored.CreatedAt, stored.Version+1
	}
	if err := setSchedule(tx, def, stored, now); err != nil {
		return err
	}
	data, err := json.Marshal(def)
	if err != nil {
		return err
	}
	return tx.SetRecord(spaceDefinition, def.ID, data)
}

// checkDefinitions refuses definitions that come after unknown ones, or after themselves.
func checkDefinitions(tx Tx, saved []*Definition) error {
	if len(saved) == 0 {
		return nil
	}
	all, err := readDefinitions(tx)
	if err != nil {
		return err
	}
	known := make(map[string]*Definition, len(all))
	for _, def := range all {
		known[def.ID] = def
	}
	for _, def := range saved {
		for _, dep := range def.After {
			if dep.Job == 0 && known[dep.Name] == nil {
				return invalidf("After", "definition %q comes after %q, which does not exist", def.ID, dep.Name)
			}
		}
	}
	for _, def := range saved {
		if cycle := findCycle(known, def.ID); cycle != nil {
			return invalidf("After", "the definitions wait for each other: %s", strings.Join(cycle, " → "))
		}
	}
	return nil
}

// findCycle returns the way from a definition to itself, in the order in which they would run.
func findCycle(known map[string]*Definition, id string) []string {
	seen := make(map[string]bool)
	path := []string{id}
	var visit func(at string) bool
	visit = func(at string) bool {
		for _, dep := range known[at].After {
			if dep.Job != 0 || known[dep.Name] == nil || seen[dep.Name] {
				continue
			}
			path = append(path, dep.Name)
			if dep.Name == id {
				return true
			}
			seen[dep.Name] = true
			if visit(dep.Name) {
				return true
			}
			path = path[:len(path)-1]
		}
		return false
	}
	if !visit(id) {
		return nil
	}
	slices.Reverse(path)
	return path
}

func readDefinition(tx Tx, id string) (*Definition, error) {
	if len(id) > 100 {
		return nil, fmt.Errorf("definition %q…: %w", shorten(id, 100), ErrNotFound)
	}
	data, err := tx.Record(spaceDefinition, id)
	if err != nil {
		return nil, err
	}
	if data == nil {
		return nil, fmt.Errorf("definition %q: %w", id, ErrNotFound)
	}
	def := new(Definition)
	if err := json.Unmarshal(data, def); err != nil {
		return nil, corrupt("definition "+id, err)
	}
	return def, nil
}

// readDefinitions returns all definitions, by ID.
func readDefinitions(tx Tx) ([]*Definition, error) {
	all := []*Definition{}
	for rec, err := range tx.Records(spaceDefinition, "", "") {
		if err != nil {
			return nil, err
		}
		def := new(Definition)
		if err := json.Unmarshal(rec.Value, def); err != nil {
			return nil, corrupt("definition "+rec.Key, err)
		}
		all = append(all, def)
	}
	return all, nil
}

// redactDefinition hides the secret arguments of a definition that is about to leave this package.
func (r *Runner) redactDefinition(def *Definition) *Definition {
	if t := r.registry.lookup(def.Task); t != nil && t.Schema.HasSecrets() && len(def.Args) > 0 {
		c := *def
		c.Args = t.Schema.Redact(def.Args)
		return &c
	}
	return def
}

// Get returns a definition. Secret arguments are replaced by [Redacted].
func (d *Definitions) Get(ctx context.Context, id string) (def *Definition, err error) {
	err = d.r.store.View(ctx, func(tx Tx) error {
		def, err = readDefinition(tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return d.r.redactDefinition(def), nil
}

// List returns all definitions, ordered by ID. Secret arguments are replaced by [Redacted].
func (d *Definitions) List(ctx context.Context) (all []*Definition, err error) {
	err = d.r.store.View(ctx, func(tx Tx) error {
		all, err = readDefinitions(tx)
		return err
	})
	for i, def := range all {
		all[i] = d.r.redactDefinition(def)
	}
	return all, err
}

// Delete removes a definition. Its jobs stay. One that others come after is an error that wraps
// [ErrState] and names these.
func (d *Definitions) Delete(ctx context.Context, id string) error {
	if _, err := d.Get(ctx, id); err != nil {
		return err
	}
	return d.remove(ctx, map[string]bool{id: true})
}

func (d *Definitions) remove(ctx context.Context, ids map[string]bool) error {
	if len(ids) == 0 {
		return nil
	}
	return d.r.update(ctx, func(tx Tx) error {
		all, err := readDefinitions(tx)
		if err != nil {
			return err
		}
		for _, def := range all {
			for _, dep := range def.After {
				if dep.Job == 0 && ids[dep.Name] && !ids[def.ID] {
					return fmt.Errorf("%w: definition %q comes after %q, which cannot be removed before it", ErrState, def.ID, dep.Name)
				}
			}
		}
		for id := range ids {
			def, err := readDefinition(tx, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err == nil {
				err = clearSchedule(tx, def.ID)
			}
			if err == nil {
				err = tx.SetRecord(spaceDefinition, id, nil)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
