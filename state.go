package jobs

import "slices"

// A State says where a job stands in its life. The constants say who sets a state and what may
// follow it.
type State string

const (
	// Waiting jobs are held by jobs that must end first: those they depend on, or the children
	// they have spawned. They become queued or scheduled when those have ended, skipped when one
	// they depend on ended badly, succeeded or failed as their children have, cancelled by Cancel.
	Waiting State = "waiting"
	// Scheduled jobs are due in the future, because they were requested so or have snoozed. They
	// become queued when they are due, cancelled by Cancel.
	Scheduled State = "scheduled"
	// Queued jobs are ready and stand in line. They become running when a runner claims them,
	// cancelled by Cancel, and failed or skipped if they cannot be run at all: an unknown task,
	// a deadline that has passed.
	Queued State = "queued"
	// Running jobs are claimed by one runner. What their handler returns says what follows.
	Running State = "running"
	// Retrying jobs have failed an attempt and are due again after their backoff. They become
	// queued when they are due, cancelled by Cancel.
	Retrying State = "retrying"
	// Succeeded jobs are final: the handler returned without an error.
	Succeeded State = "succeeded"
	// Failed jobs are final: the last attempt failed, or an attempt failed for good.
	Failed State = "failed"
	// Cancelled jobs are final: somebody called Cancel.
	Cancelled State = "cancelled"
	// Skipped jobs are final: the handler found nothing to do, or a job they depend on did not
	// end as needed. In the second case a Retry of that job takes them up again too.
	Skipped State = "skipped"
)

// States lists every state in the order of a job's life, final ones last.
func States() []State {
	all := make([]State, len(transitions))
	for i, t := range transitions {
		all[i] = t.from
	}
	return all
}

// transitions is the only place that knows which states there are, which are final, and which may
// follow which. A job that does not exist yet has the state "".
var transitions = [...]struct {
	from  State
	final bool
	to    []State
}{
	{from: Waiting, to: []State{Queued, Scheduled, Succeeded, Failed, Skipped, Cancelled}},
	{from: Scheduled, to: []State{Queued, Cancelled}},
	{from: Queued, to: []State{Queued, Scheduled, Running, Failed, Cancelled}},
	{from: Running, to: []State{Succeeded, Failed, Retrying, Scheduled, Queued, Waiting, Cancelled, Skipped}},
	{from: Retrying, to: []State{Queued, Cancelled}},
	{from: Succeeded, final: true, to: []State{Queued, Waiting}},
	{from: Failed, final: true, to: []State{Queued, Waiting}},
	{from: Cancelled, final: true, to: []State{Queued, Waiting}},
	{from: Skipped, final: true, to: []State{Queued, Waiting}},
}

func (s State) index() int {
	for i := range transitions {
		if transitions[i].from == s {
			return i
		}
	}
	return -1
}

// Valid reports whether s is one of the states of this package.
func (s State) Valid() bool { return s.index() >= 0 }

// Final reports whether a job in state s has ended. Only Retry takes it up again.
func (s State) Final() bool {
	i := s.index()
	return i >= 0 && transitions[i].final
}

// CanBecome reports whether a job in state s may go on to state next. A new job, whose state is
// still "", may become waiting, scheduled or queued.
func (s State) CanBecome(next State) bool {
	if s == "" {
		return next == Waiting || next == Scheduled || next == Queued
	}
	i := s.index()
	return i >= 0 && slices.Contains(transitions[i].to, next)
}
