package bolt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// A store reads the next jobs of a line before somebody asks for them. Whatever happens to these
// meanwhile, who asks gets them as they are.
func TestStore_ReadsAheadWhatIsThere(t *testing.T) {
	const some = 100 // enough to be worth it
	undone := errors.New("undone")
	line := jobs.Query{Order: jobs.InLine, Line: "q", Limit: some}
	change := func(id jobs.ID) func(jobs.Tx) error {
		return func(tx jobs.Tx) error {
			job, err := tx.Job(id)
			if err != nil {
				return err
			}
			job.Attempt, job.Message = job.Attempt+1, "changed"
			return tx.Save(job)
		}
	}
	for _, c := range []struct {
		name string
		do   func(t *testing.T, db *bbolt.DB, s *bolt.Store, id jobs.ID) error
	}{
		{"nothing", func(*testing.T, *bbolt.DB, *bolt.Store, jobs.ID) error { return nil }},
		{"changed", func(t *testing.T, _ *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			return s.Update(t.Context(), change(id))
		}},
		{"changed twice", func(t *testing.T, _ *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			return errors.Join(s.Update(t.Context(), change(id)), s.Update(t.Context(), change(id)))
		}},
		{"changed by the host", func(_ *testing.T, db *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			return db.Update(func(btx *bbolt.Tx) error { return change(id)(s.Tx(btx)) })
		}},
		{"changed and undone", func(t *testing.T, _ *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			err := s.Update(t.Context(), func(tx jobs.Tx) error { return errors.Join(change(id)(tx), undone) })
			if !errors.Is(err, undone) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}},
		{"removed", func(t *testing.T, _ *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			return s.Update(t.Context(), func(tx jobs.Tx) error { return tx.Remove(id) })
		}},
		{"taken by somebody who changes what he gets", func(t *testing.T, _ *bbolt.DB, s *bolt.Store, id jobs.ID) error {
			return s.Update(t.Context(), func(tx jobs.Tx) error {
				for job, err := range tx.Jobs(line) {
					if err != nil {
						return err
					}
					job.Message, job.Args = "not saved", nil
				}
				return nil
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, s := readAhead(t, line)
			if err := c.do(t, db, s, some+some/2); err != nil {
				t.Fatal(err)
			}
			want, got := read(t, s.View, line), read(t, s.Update, line)
			if len(got) != some || !reflect.DeepEqual(got, want) {
				t.Errorf("got %d jobs:\n%+v\nwant %d:\n%+v", len(got), got, len(want), want)
			}
		})
	}
}

// readAhead returns a store that has read the next jobs of a line ahead.
func readAhead(t *testing.T, line jobs.Query) (*bbolt.DB, *bolt.Store) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "jobs.db"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Update(t.Context(), func(tx jobs.Tx) error {
		var errs []error
		for i := range 3 * line.Limit {
			job := &jobs.Job{
				Task: "task", Group: fmt.Sprint(i % 3), Queue: "q", Line: "q", State: jobs.Queued, Stamp: uint64(i),
				Args: json.RawMessage(fmt.Sprint(i)),
			}
			switch i % 10 { // these have parts elsewhere
			case 3:
				job.Message = "an earlier one"
			case 5:
				job.Args = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
			case 7:
				job.Title = strings.Repeat("y", 1000)
			}
			errs = append(errs, tx.Save(job))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err = bolt.New(db, nil); err != nil { // which knows nothing of what was written
		t.Fatal(err)
	}
	claim := func(tx jobs.Tx) error { // has the store read ahead
		for job, err := range tx.Jobs(line) {
			if err != nil {
				return err
			}
			job.State, job.Line = jobs.Running, ""
			if err := tx.Save(job); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	return db, s
}

// read returns the jobs of a query, with what they hold.
func read(t *testing.T, in func(context.Context, func(jobs.Tx) error) error, q jobs.Query) (all []jobs.Job) {
	t.Helper()
	err := in(t.Context(), func(tx jobs.Tx) error {
		for job, err := range tx.Jobs(q) {
			if err != nil {
				return err
			}
			all = append(all, *job)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
