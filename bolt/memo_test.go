package bolt_test

import (
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// A store remembers the headers that it has written. What the host changes between two of its own
// transactions, or what is undone, must not be hidden by that.
func TestStore_RemembersNothingWrong(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "jobs.db"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	job := &jobs.Job{Task: "task", Queue: "q", Line: "q", State: jobs.Queued}
	save := func(attempt int) func(jobs.Tx) error {
		return func(tx jobs.Tx) error {
			job.Attempt = attempt
			return tx.Save(job)
		}
	}
	check := func(when string, attempt int) {
		t.Helper()
		err := s.Update(t.Context(), func(tx jobs.Tx) error {
			stored, err := tx.Job(job.ID)
			if err == nil && stored.Attempt != attempt {
				t.Errorf("%s: the attempt is %d, want %d", when, stored.Attempt, attempt)
			}
			for queued, err := range tx.Jobs(jobs.Query{Order: jobs.InLine, Line: "q"}) {
				if err != nil || queued.Attempt != attempt {
					t.Errorf("%s: the attempt in line is %v, want %d", when, queued, attempt)
				}
			}
			return err
		})
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	if err := s.Update(t.Context(), save(1)); err != nil {
		t.Fatal(err)
	}
	check("after a commit", 1)
	if err := db.Update(func(tx *bbolt.Tx) error { return save(2)(s.Tx(tx)) }); err != nil {
		t.Fatal(err)
	}
	check("after the host's commit", 2)
	undone := errors.New("undone")
	before := *job
	err = s.Update(t.Context(), func(tx jobs.Tx) error {
		if err := save(3)(tx); err != nil {
			return err
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	*job = before
	check("after a function that failed", 2)
	if err := s.Update(t.Context(), save(4)); err != nil {
		t.Fatal(err)
	}
	check("after one more commit", 4)
}
