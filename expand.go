package jobs

import (
	"context"
	"encoding/json"
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

// join ends a job whose children have ended: by the task's Join, or as its ChildPolicy says.
func (a *attempt) join(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
	a.mu.Lock()
	own, counts := a.own, a.job.Children
	a.mu.Unlock()
	if a.task.join != nil {
		return a.task.join(ctx, args, own)
	}
	if counts == nil {
		return own, nil
	}
	return own, counts.outcome(a.claimed.ChildPolicy)
}

// countChildren gets what Join is given, and has Current tell the counts of the children that have ended.
func (a *attempt) countChildren() error {
	var b *brood
	var own json.RawMessage
	err := a.runner.store.View(a.runner.base, func(tx Tx) (err error) {
		if own, err = ownOf(tx, a.id); err == nil {
			b, err = readBrood(tx, a.id)
		}
		return err
	})
	if err != nil || b == nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own = own
	job := *a.job
	job.Children = &b.ChildCounts
	a.job = &job
	return nil
}

// resolved returns the arguments of the attempt's job as the task takes them today, without references.
func (a *attempt) resolved(s *resolver) (json.RawMessage, error) {
	job, t := a.claimed, a.task
	args := job.Args
	if hasRefs(args) {
		var err error
		args, err = s.args(args, true)
		if err != nil {
			return nil, err
		}
		a.mu.Lock()
		a.secrets = s.secrets
		a.mu.Unlock()
	} else if job.ArgsVersion == t.Version && job.ArgsSchema == t.Schema.Fingerprint() {
		return args, nil
	}
	args, err := t.upgrade(t.Upgrade, job.ArgsVersion, args)
	if err != nil {
		return nil, err
	}
	return t.Schema.Accept(args)
}

// hide replaces the secrets that the handler was given in a text.
func (a *attempt) hide(text string) string {
	a.mu.Lock()
	secrets := a.secrets
	a.mu.Unlock()
	return mask(text, secrets)
}
