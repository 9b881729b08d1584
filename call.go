package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// call runs the handler, within the middleware if there is any.
func (a *attempt) call(ctx context.Context) (result json.RawMessage, err error) {
	if err := a.fetchArgs(); err != nil {
		return nil, err
	}
	s := &resolver{r: a.runner, ctx: ctx, job: a.claimed}
	if a.claimed.Each != "" && !a.claimed.Joining {
		return nil, a.expand(s)
	}
	args, err := a.resolved(s)
	if err != nil {
		return nil, &argsError{err}
	}
	handle := a.task.handle
	if a.claimed.Joining {
		if err := a.countChildren(); err != nil {
			return nil, err
		}
		handle = a.join
	}
	if len(a.runner.opts.Middleware) > 0 {
		result, err = a.callWithin(ctx, args, handle)
	} else {
		result, err = handle(ctx, args)
	}
	switch limit := a.runner.opts.MaxResult; {
	case err != nil && !keepsResult(err):
		return nil, err
	case len(result) > limit:
		return nil, &resultError{fmt.Errorf("it has %d bytes, at most %d are allowed (Options.MaxResult)", len(result), limit)}
	case len(result) > 0 && !json.Valid(result):
		return nil, &resultError{errors.New("it is not valid JSON")}
	}
	return result, err
}

// fetchArgs reads arguments that were too large to be read by the claim.
func (a *attempt) fetchArgs() error {
	if a.claimed.Args != nil {
		return nil
	}
	args, err := a.runner.storedArgs(a.runner.base, a.id)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claimed.Args = args // a.job is the same one, or a copy of it
	if a.job.Args == nil && a.job != a.claimed {
		job := *a.job
		job.Args = args
		a.job = &job
	}
	return err
}

// callWithin calls the middleware around the handler.
func (a *attempt) callWithin(ctx context.Context, args json.RawMessage, handle Handler) (result json.RawMessage, err error) {
	next := func(ctx context.Context) (err error) {
		result, err = handle(ctx, args)
		return err
	}
	job := Current(ctx)
	for i := len(a.runner.opts.Middleware) - 1; i >= 0; i-- {
		middleware, inner := a.runner.opts.Middleware[i], next
		next = func(ctx context.Context) error { return middleware(ctx, job, inner) }
	}
	err = next(ctx)
	return result, err
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
