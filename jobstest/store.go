// Package jobstest helps to test what is built on package jobs, and stores for it.
package jobstest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/embedjobs/jobs"
)

// A storeCase checks one rule of the contract of jobs.Store on a store of its own.
type storeCase struct {
	name string
	rule string // printed when the store breaks it
	// check returns an error that says how the rule was broken.
	check func(ctx context.Context, s jobs.Store) error
}

// A checker is a store that can tell whether its indexes agree with its jobs, as those of this
// module can.
type checker interface {
	Check(ctx context.Context) error
}

// TestStore checks that a store keeps the contract of [jobs.Store]. It calls open for each case; the
// store must be empty, and TestStore closes it. If the store has a method Check(context.Context)
// error, as those of this module have, each case ends with it.
func TestStore(t *testing.T, open func(t *testing.T) jobs.Store) {
	t.Helper()
	for _, c := range storeCases() {
		t.Run(c.name, func(t *testing.T) {
			if err := c.run(t.Context(), open(t)); err != nil {
				t.Errorf("%v\nthe rule: %s", err, c.rule)
			}
		})
	}
}

// CheckStore does what [TestStore] does, and returns how the store broke the contract instead of
// failing a test.
func CheckStore(ctx context.Context, open func() (jobs.Store, error)) error {
	var errs []error
	for _, c := range storeCases() {
		s, err := open()
		if err != nil {
			return fmt.Errorf("opening a store for %q: %w", c.name, err)
		}
		if err := c.run(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w\nthe rule: %s", c.name, err, c.rule))
		}
	}
	return errors.Join(errs...)
}

func storeCases() []storeCase {
	var all []storeCase
	for _, group := range [...][]storeCase{
		jobCases, editCases, queryCases, leanCases, loopCases, tallyCases, recordCases, txCases, notifyCases,
	} {
		all = append(all, group...)
	}
	return all
}

// run checks the rule, then the store's own opinion of itself, and closes the store.
func (c *storeCase) run(ctx context.Context, s jobs.Store) (err error) {
	defer func() {
		// A broken store may well return nil where there should be a job.
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := c.check(ctx, s); err != nil {
		return errors.Join(err, s.Close())
	}
	if k, ok := s.(checker); ok {
		if err := k.Check(ctx); err != nil && !errors.Is(err, jobs.ErrClosed) {
			return errors.Join(fmt.Errorf("the store is not consistent: %w", err), s.Close())
		}
	}
	return s.Close()
}

// TestStoreReopen checks that a durable store keeps what was committed when it is closed and opened
// again. Open opens the store that is kept in dir, an empty directory at first.
func TestStoreReopen(t *testing.T, open func(t *testing.T, dir string) jobs.Store) {
	t.Helper()
	for _, c := range reopenCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := c.check(t.Context(), func() jobs.Store { return open(t, dir) }); err != nil {
				t.Errorf("%v\nthe rule: %s", err, c.rule)
			}
		})
	}
}

// A reopenCase checks a rule on a store that it opens more than once.
type reopenCase struct {
	name, rule string
	check      func(ctx context.Context, open func() jobs.Store) error
}

var reopenCases = []reopenCase{
	{
		"jobs and records are kept",
		"When Update returns nil, what fn wrote is durable.",
		func(ctx context.Context, open func() jobs.Store) error {
			s := open()
			want := fullJob()
			if err := save(ctx, s, want); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "space", "key", []byte("value")); err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			s = open()
			if err := wantJob(ctx, s, want); err != nil {
				return errors.Join(err, s.Close())
			}
			if err := wantRecord(ctx, s, "space", "key", []byte("value")); err != nil {
				return errors.Join(err, s.Close())
			}
			return closeChecked(ctx, s)
		},
	},
	{
		"IDs go on",
		"A new job is given the next ID, also when the newest job was removed before the store was closed.",
		func(ctx context.Context, open func() jobs.Store) error {
			s := open()
			a, b := newJob(), newJob()
			if err := save(ctx, s, a, b); err != nil {
				return err
			}
			if err := remove(ctx, s, b.ID); err != nil {
				return err
			}
			if err := s.Close(); err != nil {
				return err
			}
			s = open()
			c := newJob()
			if err := save(ctx, s, c); err != nil {
				return errors.Join(err, s.Close())
			}
			if c.ID <= b.ID {
				return errors.Join(fmt.Errorf("after job %d came job %d", b.ID, c.ID), s.Close())
			}
			return closeChecked(ctx, s)
		},
	},
	{
		"sessions grow",
		"Session returns a number that is greater each time the store was opened.",
		func(_ context.Context, open func() jobs.Store) error {
			var last uint64
			for range 3 {
				s := open()
				e, ok := s.(jobs.Exclusive)
				if !ok {
					return s.Close()
				}
				session := e.Session()
				if err := s.Close(); err != nil {
					return err
				}
				if session <= last {
					return fmt.Errorf("after session %d came session %d", last, session)
				}
				last = session
			}
			return nil
		},
	},
}

func closeChecked(ctx context.Context, s jobs.Store) error {
	if k, ok := s.(checker); ok {
		if err := k.Check(ctx); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return s.Close()
}
