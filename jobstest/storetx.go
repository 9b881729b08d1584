package jobstest

import (
	"context"
	"errors"
	"fmt"

	"github.com/embedjobs/jobs"
)

var (
	errOwn   = errors.New("an error of fn's own")
	errCause = errors.New("the cause of the end of ctx")
)

var txCases = []storeCase{
	{
		"a failed Update leaves no trace",
		"When Update returns an error, fn left no trace. An error of fn is returned as it is.",
		func(ctx context.Context, s jobs.Store) error {
			old := fullJob()
			if err := save(ctx, s, old); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "space", "old", []byte("old")); err != nil {
				return err
			}
			err := s.Update(ctx, func(tx jobs.Tx) error {
				if err := writeAll(tx, old.Clone()); err != nil {
					return err
				}
				return errOwn
			})
			if !same(err, errOwn) {
				return fmt.Errorf("the error of Update is %s, want that of fn as it is", fmt.Sprint(err))
			}
			return untouched(ctx, s, old)
		},
	},
	{
		"a panic leaves no trace",
		"When fn panics, it left no trace, and the store can be used on.",
		func(ctx context.Context, s jobs.Store) error {
			old := fullJob()
			if err := save(ctx, s, old); err != nil {
				return err
			}
			if err := setRecord(ctx, s, "space", "old", []byte("old")); err != nil {
				return err
			}
			for _, method := range []func(context.Context, func(jobs.Tx) error) error{s.Update, s.View} {
				got := func() (r any) {
					defer func() { r = recover() }()
					_ = method(ctx, func(tx jobs.Tx) error {
						_ = writeAll(tx, old.Clone()) // a View refuses
						panic(errOwn)
					})
					return nil
				}()
				if err, ok := got.(error); !ok || !same(err, errOwn) {
					return fmt.Errorf("the caller recovered %v, want what fn panicked with", got)
				}
			}
			return untouched(ctx, s, old)
		},
	},
	{
		"what fails beside others fails alone",
		"Functions that fail do not keep those of other callers from being committed, and leave no trace among them.",
		checkMixed,
	},
	{
		"a view is a snapshot",
		"A View sees all commits made before it began and none that come later, and blocks no writer.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			return s.View(ctx, func(tx jobs.Tx) error {
				later := job.Clone()
				later.State, later.Message = jobs.Running, "later"
				result := make(chan error)
				go func() {
					err := save(ctx, s, later, newJob())
					result <- errors.Join(err, setRecord(ctx, s, "space", "key", []byte("later")))
				}()
				if err := <-result; err != nil {
					return err
				}
				got, err := tx.Job(job.ID)
				if err != nil {
					return err
				}
				if err := diff(got, job); err != nil {
					return err
				}
				if err := wantRecordIn(tx, "space", "key", nil); err != nil {
					return err
				}
				if err := wantTalliesIn(tx, []*jobs.Job{job}); err != nil {
					return err
				}
				if err := wantIDsIn(tx, jobs.Query{Order: jobs.InLine, Line: "queue"}, job.ID); err != nil {
					return err
				}
				return wantJob(ctx, s, later) // in a View of its own
			})
		},
	},
	{
		"a view cannot write",
		"The writing methods of a View's Tx return an error.",
		func(ctx context.Context, s jobs.Store) error {
			job := newJob()
			if err := save(ctx, s, job); err != nil {
				return err
			}
			err := s.View(ctx, func(tx jobs.Tx) error {
				for name, err := range map[string]error{
					"Save of a new job":   tx.Save(newJob()),
					"Save of a known job": tx.Save(job.Clone()),
					"Remove":              tx.Remove(job.ID),
					"SetRecord":           tx.SetRecord("space", "key", []byte("x")),
				} {
					if err == nil {
						return fmt.Errorf("%s in a View returned nil", name)
					}
				}
				return errOwn
			})
			if !same(err, errOwn) {
				return fmt.Errorf("the error of View is %s, want that of fn as it is", fmt.Sprint(err))
			}
			if err := wantRecord(ctx, s, "space", "key", nil); err != nil {
				return err
			}
			if err := wantIDs(ctx, s, jobs.Query{}, job.ID); err != nil {
				return err
			}
			return wantJob(ctx, s, job)
		},
	},
	{
		"a context that is done",
		"Once ctx is done, a function that has not started will not, and Update returns ctx's cause.",
		func(ctx context.Context, s jobs.Store) error {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errCause)
			for name, method := range map[string]func(context.Context, func(jobs.Tx) error) error{
				"Update": s.Update, "View": s.View,
			} {
				err := method(ctx, func(jobs.Tx) error {
					panic(name + " ran its function although its context was done")
				})
				if err := wantError(name, err, errCause); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		"a context that ends meanwhile",
		"A function that has started goes on when ctx is done, and is committed.",
		func(ctx context.Context, s jobs.Store) error {
			ctx2, cancel := context.WithCancelCause(ctx)
			job := newJob()
			err := s.Update(ctx2, func(tx jobs.Tx) error {
				cancel(errCause)
				return tx.Save(job)
			})
			if errors.Is(err, errCause) {
				return empty(ctx, s) // it was run again, and was refused then
			}
			if err != nil {
				return err
			}
			return wantJob(ctx, s, job)
		},
	},
	{
		"many writers at once",
		"Update functions see each other's writes as if they ran one after the other.",
		checkCounter,
	},
	{
		"a closed store",
		"What is called after Close returns ErrClosed. To close twice does nothing.",
		func(ctx context.Context, s jobs.Store) error {
			if err := save(ctx, s, newJob()); err != nil {
				return err
			}
			for range 2 {
				if err := s.Close(); err != nil {
					return err
				}
			}
			nothing := func(jobs.Tx) error { return errors.New("the function ran") }
			if err := wantError("Update", s.Update(ctx, nothing), jobs.ErrClosed); err != nil {
				return err
			}
			return wantError("View", s.View(ctx, nothing), jobs.ErrClosed)
		},
	},
	{
		"closing waits",
		"Close waits for transactions under way.",
		func(ctx context.Context, s jobs.Store) error {
			if err := save(ctx, s, newJob()); err != nil {
				return err
			}
			closed := make(chan error, 1)
			err := s.View(ctx, func(tx jobs.Tx) error {
				go func() { closed <- s.Close() }()
				// The store cannot be closed under this loop, however far Close has come.
				for range 100 {
					if err := wantIDsIn(tx, jobs.Query{}, 1); err != nil {
						return err
					}
				}
				select {
				case err := <-closed:
					return fmt.Errorf("the store was closed while a View was under way: %s", fmt.Sprint(err))
				default:
					return nil
				}
			})
			if err != nil {
				return err
			}
			return <-closed
		},
	},
}

// writeAll writes in every way that a Tx has.
func writeAll(tx jobs.Tx, old *jobs.Job) error {
	if err := tx.Save(fullJob()); err != nil {
		return err
	}
	old.State, old.Message, old.Result = jobs.Succeeded, "done", nil
	old.Queue, old.Tags, old.Generation = "other", []string{"new"}, old.Generation+1
	if err := tx.Save(old); err != nil {
		return err
	}
	if err := tx.SetRecord("space", "old", nil); err != nil {
		return err
	}
	if err := tx.SetRecord("space", "new", []byte("new")); err != nil {
		return err
	}
	// Whatever is collected must be taken back, too, after it was looked at.
	if _, err := collect(tx.Tallies(jobs.ByLabels, jobs.Labels{})); err != nil {
		return err
	}
	if _, err := collect(tx.Records("space", "", "")); err != nil {
		return err
	}
	return tx.Remove(old.ID)
}

// untouched returns an error if there is anything in the store but old and the record that came
// with it.
func untouched(ctx context.Context, s jobs.Store, old *jobs.Job) error {
	if err := wantJob(ctx, s, old); err != nil {
		return err
	}
	if err := wantIDs(ctx, s, jobs.Query{}, old.ID); err != nil {
		return err
	}
	if err := wantKeys(ctx, s, "space", "", "", "old"); err != nil {
		return err
	}
	if err := indexed(ctx, s, old); err != nil {
		return err
	}
	// And the store goes on.
	job := newJob()
	if err := save(ctx, s, job); err != nil {
		return err
	}
	if job.ID <= old.ID {
		return fmt.Errorf("after job %d came job %d", old.ID, job.ID)
	}
	return wantJob(ctx, s, job)
}
