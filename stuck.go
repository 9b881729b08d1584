package jobs

import (
	"fmt"

	"github.com/embedjobs/jobs/internal/stacks"
)

// reportStuck tells of a handler that ignores the end of its context: in the log at once, and in the
// history of errors when it returns after all.
func (a *attempt) reportStuck() {
	if a.hasEnded() {
		return
	}
	where := stacks.Of(a.worker())
	a.mu.Lock()
	if !a.ended {
		a.late = where
	}
	cause := a.cause
	a.mu.Unlock()
	a.journal().Logger().Warn("the handler ignores the end of its context", "cause", cause, "since", a.runner.opts.Abandon, "stack", where)
}

// hasEnded reports whether the handler has returned.
func (a *attempt) hasEnded() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended
}

// worker returns the number of the goroutine in which the handler runs, "" before it has started.
func (a *attempt) worker() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.goroutine
}

// Stack returns the stack of the goroutine in which the handler of a running job is now. A job that
// does not run in this process is an error that wraps [ErrState].
func (r *Runner) Stack(id ID) (string, error) {
	r.mu.Lock()
	a := r.running[id]
	r.mu.Unlock()
	if a != nil {
		if text := stacks.Of(a.worker()); text != "" {
			return text, nil
		}
	}
	return "", fmt.Errorf("%w: job %d does not run in this process", ErrState, id)
}
