package jobs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// An outcome is an error by which a handler says how its job goes on.
type outcome struct {
	state  State // Failed, Retrying, Scheduled, Skipped or Succeeded
	in     time.Duration
	reason string
	err    error
}

func (o *outcome) Error() string {
	if o.err != nil {
		return o.err.Error()
	}
	return o.reason
}

func (o *outcome) Unwrap() error { return o.err }

// Fail returns an error that fails the job now, whatever attempts are left.
func Fail(err error) error { return &outcome{state: Failed, err: orUnknown(err)} }

// RetryIn returns an error that has the job tried again after d instead of after its backoff. The
// attempt counts; after the last one the job fails. A negative d means at once.
func RetryIn(d time.Duration, err error) error {
	return &outcome{state: Retrying, in: d, err: orUnknown(err)}
}

// Snooze returns an error that has the job run again after d, for reason, without counting the
// attempt: it is not done yet, and nothing is wrong. A negative d means at once.
func Snooze(d time.Duration, reason string) error {
	return &outcome{state: Scheduled, in: d, reason: reason}
}

// Skip returns an error that ends the job as skipped: there is nothing to do.
func Skip(reason string) error { return &outcome{state: Skipped, reason: reason} }

// Partial returns an error that ends the job as succeeded with a warning: the result stands, but
// something is missing.
func Partial(err error) error { return &outcome{state: Succeeded, err: orUnknown(err)} }

func orUnknown(err error) error {
	if err == nil {
		return errors.New("unknown error")
	}
	return err
}

// keepsResult reports whether the result that a handler returned beside err counts.
func keepsResult(err error) bool {
	var o *outcome
	return errors.As(err, &o) && o.state == Succeeded
}

// argsError says that stored arguments do not fit the Go type.
type argsError struct{ err error }

func (e *argsError) Error() string { return "arguments do not fit the task: " + e.err.Error() }
func (e *argsError) Unwrap() error { return e.err }

// resultError says that a result cannot be stored.
type resultError struct{ err error }

func (e *resultError) Error() string { return "the result cannot be stored: " + e.err.Error() }
func (e *resultError) Unwrap() error { return e.err }

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func (e *panicError) Unwrap() error {
	err, _ := e.value.(error)
	return err
}

// MaxBackoff is the longest wait of [Backoff], before jitter.
const MaxBackoff = time.Hour

// Backoff returns how long to wait after the attempt of that number failed: 1 s after the first,
// doubled for each further one up to [MaxBackoff], and up to 10 % more or less at random, so that
// jobs that failed together do not come back together. DefaultMaxAttempts attempts span about
// eight hours. It is the policy of tasks without a Retry function.
func Backoff(attempt int) time.Duration {
	d := MaxBackoff
	if attempt < 13 { // 2¹² s > 1 h
		d = min(d, time.Second<<max(attempt-1, 0))
	}
	return d + time.Duration((rand.Float64()*0.2-0.1)*float64(d))
}
