package jobs

import (
	"errors"
	"fmt"

	"github.com/embedjobs/jobs/schema"
)

// Errors that a caller may want to tell apart with errors.Is.
var (
	// ErrNotFound is returned when there is no such job, task or queue.
	ErrNotFound = errors.New("jobs: not found")
	// ErrConflict is returned when a job was saved over a version that somebody else changed.
	ErrConflict = errors.New("jobs: changed by somebody else")
	// ErrStale is returned when an attempt that no longer holds its job tries to change it.
	ErrStale = errors.New("jobs: this attempt no longer holds its job")
	// ErrState is returned when a job's state does not allow what was asked for.
	ErrState = errors.New("jobs: not possible in this state")
	// ErrInvalid is returned, wrapped with the reason, when a request, a query or a setting is
	// refused. Errors of arguments are also a [*ValidationError].
	ErrInvalid = schema.ErrInvalid
	// ErrClosed is returned when a store is used after Close.
	ErrClosed = errors.New("jobs: store is closed")
)

// Causes with which the context of a running handler is cancelled, see context.Cause.
var (
	// ErrCancelled is the cause when somebody called Cancel.
	ErrCancelled = errors.New("jobs: cancelled")
	// ErrStopping is the cause when the runner stops. The job goes back to its queue and the
	// attempt does not count.
	ErrStopping = errors.New("jobs: runner is stopping")
	// ErrTimeout is the cause when the timeout of the attempt or the deadline of the job has
	// passed. It counts as an error of the attempt.
	ErrTimeout = errors.New("jobs: timed out")
)

// invalidf returns an error that wraps ErrInvalid and reads "jobs: invalid <field>: <why>".
func invalidf(field, format string, args ...any) error {
	return fmt.Errorf("%w %s: %w", ErrInvalid, field, fmt.Errorf(format, args...))
}
