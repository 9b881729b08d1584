package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/embedjobs/jobs/graph"
)

// runs is what is stored of the jobs of a definition, so that its status costs the same however many
// there are.
type runs struct {
	Counts Counts `json:"counts"`
	// Last has, for each final state, the job that came to it last, as long as it stands there.
	Last map[State]ID `json:"last,omitempty"`
	// Newest is the job that was made last.
	Newest ID `json:"newest,omitempty"`
}

func readRuns(tx Tx, definition string) (*runs, error) {
	data, err := tx.Record(spaceRuns, definition)
	r := new(runs)
	if err != nil || data == nil {
		return r, err
	}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, corrupt("runs of definition "+definition, err)
	}
	return r, nil
}

// countRun notes that a job of a definition has come from one state to another; "" is that it was
// made, or removed.
func countRun(tx Tx, job *Job, from, to State) error {
	r, err := readRuns(tx, job.Definition)
	if err != nil {
		return err
	}
	r.Counts.Add(from, -1)
	r.Counts.Add(to, 1)
	if from == "" {
		r.Newest = job.ID
	}
	if from.Final() && r.Last[from] == job.ID {
		delete(r.Last, from)
		if err := r.find(tx, job.Definition, from, job.ID); err != nil {
			return err
		}
	}
	if to.Final() {
		if r.Last == nil {
			r.Last = make(map[State]ID)
		}
		r.Last[to] = job.ID
	}
	if r.Counts == (Counts{}) {
		return tx.SetRecord(spaceRuns, job.Definition, nil)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.SetRecord(spaceRuns, job.Definition, data)
}

// find looks for another job that stands in a state, when the latest one has left it.
func (r *runs) find(tx Tx, definition string, state State, except ID) error {
	for job, err := range tx.Jobs(Query{Definition: definition, States: []State{state}, Limit: 2, Lean: true}) {
		if err != nil {
			return err
		}
		if job.ID != except {
			r.Last[state] = job.ID
			return nil
		}
	}
	return nil
}

// latestSuccess returns the job of a definition that has succeeded last, or nil.
func latestSuccess(tx Tx, definition string) (*Job, error) {
	r, err := readRuns(tx, definition)
	if err != nil || r.Last[Succeeded] == 0 {
		return nil, err
	}
	job, err := tx.Job(r.Last[Succeeded])
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return job, err
}

// latestFor returns the latest job that a dependency on a definition can be met by, or nil.
func latestFor(tx Tx, dep Dependency) (*Job, error) {
	if dep.Need != NeedEnd {
		job, err := latestSuccess(tx, dep.Name)
		if err != nil || job == nil || dep.Need.meets(job) {
			return job, err
		}
		return nil, nil // it has succeeded only in part
	}
	r, err := readRuns(tx, dep.Name)
	if err != nil {
		return nil, err
	}
	var latest *Job
	for _, id := range r.Last {
		job, err := tx.Job(id)
		if err != nil {
			return nil, err
		}
		if latest == nil || job.FinishedAt.After(latest.FinishedAt) || job.FinishedAt.Equal(latest.FinishedAt) && job.ID > latest.ID {
			latest = job
		}
	}
	return latest, nil
}

// laterThan returns the definitions that a job was made to come after, and that have succeeded again
// since the job which it came after.
func laterThan(tx Tx, def *Definition, job *Job) (later []string, err error) {
	for _, dep := range def.After {
		if dep.Job != 0 {
			continue
		}
		latest, err := latestSuccess(tx, dep.Name)
		if err != nil {
			return nil, err
		}
		if pin := job.dependency(dep.Name); latest != nil && (pin == nil || pin.Job != latest.ID) {
			later = append(later, dep.Name)
		}
	}
	return later, nil
}

// A DefinitionStatus says where a definition stands.
type DefinitionStatus struct {
	Definition *Definition `json:"definition"`
	Status     Status      `json:"status"`
	// Outdated are the definitions that it comes after and that have succeeded later.
	Outdated []string `json:"outdated,omitempty"`
	// Counts are its jobs by state; Counts.Active those that have not ended.
	Counts Counts `json:"counts"`
	// Newest is the job that was made last, Last the one that came last to each final state.
	Newest *Job           `json:"newest,omitempty"`
	Last   map[State]*Job `json:"last,omitempty"`
	// Schedule is what has become of its schedule.
	Schedule ScheduleState `json:"schedule,omitzero"`
}

// A Status is a definition's in a word. That a job of it runs is beside it, in
// DefinitionStatus.Counts.
type Status string

// The statuses of definitions.
const (
	NotBuilt Status = "not_built" // no job of it has succeeded or failed
	Success  Status = "success"   // a job has succeeded
	Failure  Status = "failed"    // a job has failed, and none has succeeded
	Outdated Status = "outdated"  // a job has succeeded, and then one that it should come after
)

// Status returns where definitions stand: those named, or all of them, ordered by ID. The cost does
// not depend on the number of jobs.
func (d *Definitions) Status(ctx context.Context, ids ...string) (all []*DefinitionStatus, err error) {
	err = d.r.store.View(ctx, func(tx Tx) error {
		all = []*DefinitionStatus{}
		defs, err := readDefinitions(tx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := readDefinition(tx, id); err != nil {
				return err
			}
		}
		for _, def := range defs {
			if len(ids) > 0 && !slices.Contains(ids, def.ID) {
				continue
			}
			s, err := d.r.statusOf(tx, def)
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

func (r *Runner) statusOf(tx Tx, def *Definition) (*DefinitionStatus, error) {
	runs, err := readRuns(tx, def.ID)
	if err != nil {
		return nil, err
	}
	state, err := readSchedule(tx, def.ID)
	if err != nil {
		return nil, err
	}
	s := &DefinitionStatus{Definition: r.redactDefinition(def), Status: NotBuilt, Counts: runs.Counts, Schedule: *state}
	load := func(id ID) (*Job, error) {
		job, err := tx.Job(id)
		if err != nil {
			if errors.Is(err, ErrNotFound) {
				err = nil
			}
			return nil, err
		}
		return r.live(tx, job)
	}
	if runs.Newest != 0 {
		if s.Newest, err = load(runs.Newest); err != nil {
			return nil, err
		}
	}
	for state, id := range runs.Last {
		job, err := load(id)
		if err != nil {
			return nil, err
		}
		if job == nil {
			continue
		}
		if s.Last == nil {
			s.Last = make(map[State]*Job)
		}
		s.Last[state] = job
	}
	switch latest := s.Last[Succeeded]; {
	case latest != nil:
		s.Status = Success
		if s.Outdated, err = laterThan(tx, def, latest); len(s.Outdated) > 0 {
			s.Status = Outdated
		}
	case s.Last[Failed] != nil:
		s.Status = Failure
	}
	return s, err
}

// Graph returns the definitions as a picture: which come after which, coloured by status. A
// definition of which a job is active is shown as running.
func (d *Definitions) Graph(ctx context.Context) (*graph.Graph, error) {
	all, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	g := new(graph.Graph)
	for _, s := range all {
		def := s.Definition
		n := graph.Node{ID: def.ID, Label: def.Title, State: string(s.Status)}
		switch latest := s.Last[Succeeded]; {
		case s.Counts.Active() > 0:
			n.State = "running"
		case s.Status == Success && latest.Partial:
			n.State = "partial"
		}
		if job := s.Newest; job != nil {
			n.Note = "job " + job.ID.String() + ", " + string(job.State)
		}
		g.Nodes = append(g.Nodes, n)
		for _, dep := range def.After {
			if dep.Job == 0 {
				g.Edges = append(g.Edges, graph.Edge{From: dep.Name, To: def.ID, Weak: dep.Need == NeedEnd})
			}
		}
	}
	return g, nil
}

// maxGraph is the number of jobs that Graph shows.
const maxGraph = 1000

// Graph returns a job with all that it depends on and that depends on it, through any number of steps,
// as a picture coloured by state; at most 1,000 jobs, the nearest ones. Children are not part of it.
func (r *Runner) Graph(ctx context.Context, id ID) (*graph.Graph, error) {
	g := new(graph.Graph)
	err := r.store.View(ctx, func(tx Tx) error {
		shown := make(map[ID]*Job)
		work := []ID{id}
		for len(work) > 0 && len(shown) < maxGraph {
			at := work[0]
			work = work[1:]
			if shown[at] != nil {
				continue
			}
			job, err := tx.Job(at)
			if errors.Is(err, ErrNotFound) && at != id {
				continue
			}
			if err != nil {
				return err
			}
			shown[at] = job
			for _, dep := range job.After {
				work = append(work, dep.Job)
			}
			if job.Awaited {
				for other, err := range tx.Jobs(Query{DependsOn: at, Order: Oldest, Limit: maxGraph}) {
					if err != nil {
						return err
					}
					work = append(work, other.ID)
				}
			}
		}
		r.draw(g, shown)
		return nil
	})
	return g, err
}

func (r *Runner) draw(g *graph.Graph, shown map[ID]*Job) {
	ids := make([]ID, 0, len(shown))
	for id := range shown {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		job := shown[id]
		n := graph.Node{ID: id.String(), Label: r.title(job), State: string(job.State), Note: "job " + id.String()}
		if job.Partial {
			n.State = "partial"
		}
		if took := job.Took(); took > 0 {
			n.Note += ", " + took.Round(10*time.Millisecond).String()
		}
		g.Nodes = append(g.Nodes, n)
		for _, dep := range job.After {
			if shown[dep.Job] != nil {
				g.Edges = append(g.Edges, graph.Edge{From: dep.Job.String(), To: n.ID, Weak: dep.Need == NeedEnd})
			}
		}
	}
}
