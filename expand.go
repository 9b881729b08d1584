package jobs

import (
	"fmt"
	"slices"
)

// expand has a job with Each spawn a child for every item. The arguments of a child are checked when
// it runs, so that an item which does not fit fails its own child and no other.
func (a *attempt) expand(s *resolver) error {
	job := a.claimed
	list, err := s.result(job.Each)
	if err != nil {
		return &argsError{fmt.Errorf("Each: %w", err)}
	}
	items, ok := list.([]any)
	if !ok {
		return &argsError{fmt.Errorf("Each: %s is no list", job.Each)}
	}
	children := make([]prepared, 0, len(items))
	for i, item := range items {
		s.item = item
		args, err := s.args(job.Args, false)
		if err != nil {
			// The reference stays, and fails the child with the place.
			args, err = replaceRefs(job.Args, func(ref Ref) (any, error) { return ref, nil })
		}
		if err == nil && len(args) > a.runner.opts.MaxArgs {
			err = fmt.Errorf("%d bytes of arguments, at most %d are allowed (Options.MaxArgs)", len(args), a.runner.opts.MaxArgs)
		}
		if err != nil {
			return &argsError{fmt.Errorf("item %d: %w", i, err)}
		}
		children = append(children, prepared{place: i, job: Job{
			Task: job.Task, Title: job.Title, Args: args, ArgsVersion: job.ArgsVersion,
			Queue: job.Queue, Priority: job.Priority, Group: job.Group, Batch: job.Batch,
			Tags: slices.Clone(job.Tags), Meta: cloneMap(job.Meta), Actor: "job:" + job.ID.String(),
			MaxAttempts: job.MaxAttempts, Timeout: job.Timeout, Deadline: job.Deadline, ChildPolicy: job.ChildPolicy,
		}})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spawned = [][]prepared{children}
	return nil
}
