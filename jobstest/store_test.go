package jobstest_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

func TestCheckStore(t *testing.T) {
	err := jobstest.CheckStore(t.Context(), func() (jobs.Store, error) { return memory.New(), nil })
	if err != nil {
		t.Error(err)
	}
}

// Each store breaks one rule, and the case that is named must notice.
var brokenStores = []struct {
	name, noticedBy string
	open            func() *broken
}{
	{"keeps what a failed Update wrote", "a failed Update leaves no trace", func() *broken {
		return &broken{Store: memory.New(), update: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			var own error
			err := s.Update(ctx, func(tx jobs.Tx) error {
				own = fn(tx)
				return nil
			})
			return errors.Join(err, own)
		}}
	}},
	{"wraps errors of fn", "a failed Update leaves no trace", func() *broken {
		return &broken{Store: memory.New(), update: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			if err := s.Update(ctx, fn); err != nil {
				return errors.Join(errors.New("update"), err)
			}
			return nil
		}}
	}},
	{"keeps what was written before a panic", "a panic leaves no trace", func() *broken {
		return &broken{Store: memory.New(), update: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			var r any
			err := s.Update(ctx, func(tx jobs.Tx) error {
				defer func() { r = recover() }()
				return fn(tx)
			})
			if r != nil {
				panic(r)
			}
			return err
		}}
	}},
	{"swallows panics", "a panic leaves no trace", func() *broken {
		return &broken{Store: memory.New(), update: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			defer func() { _ = recover() }()
			return s.Update(ctx, fn)
		}}
	}},
	{"ignores contexts", "a context that is done", func() *broken {
		return &broken{Store: memory.New(), update: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			return s.Update(context.WithoutCancel(ctx), fn)
		}}
	}},
	{"returns ctx.Err", "a context that is done", func() *broken {
		return &broken{Store: memory.New(), view: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return s.View(ctx, fn)
		}}
	}},
	{"writes in views", "a view cannot write", func() *broken {
		return &broken{Store: memory.New(), view: func(s *memory.Store, ctx context.Context, fn func(jobs.Tx) error) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return s.View(ctx, func(tx jobs.Tx) error {
				return fn(&brokenTx{Tx: tx, setRecord: func(space, key string, value []byte) error { return nil }})
			})
		}}
	}},
	{"takes every version", "an old version conflicts", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, save: func(job *jobs.Job) error {
			if stored, err := tx.Job(job.ID); err == nil {
				job.Version = stored.Version
			}
			return tx.Save(job)
		}}
	})},
	{"stores the absence of arguments", "arguments that were left out are kept", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, save: func(job *jobs.Job) error {
			if job.ID != 0 && job.Args == nil {
				job.Generation++
			}
			return tx.Save(job)
		}}
	})},
	{"raises no version", "new jobs get IDs", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, save: func(job *jobs.Job) error {
			version := job.Version
			err := tx.Save(job)
			job.Version = version
			return err
		}}
	})},
	{"shares what it returns", "what is returned is a copy", func() *broken {
		type key struct {
			id      jobs.ID
			version uint64
		}
		cache := make(map[key]*jobs.Job)
		return &broken{Store: memory.New(), tx: func(tx jobs.Tx) jobs.Tx {
			return &brokenTx{Tx: tx, job: func(id jobs.ID) (*jobs.Job, error) {
				job, err := tx.Job(id)
				if err != nil {
					return nil, err
				}
				k := key{id, job.Version}
				if cache[k] == nil {
					cache[k] = job
				}
				return cache[k], nil
			}}
		}}
	}},
	{"returns nil for a missing job", "a missing job is ErrNotFound", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, job: func(id jobs.ID) (*jobs.Job, error) {
			job, err := tx.Job(id)
			if errors.Is(err, jobs.ErrNotFound) {
				return nil, nil
			}
			return job, err
		}}
	})},
	{"returns empty slices", "empty is nil", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, job: func(id jobs.ID) (*jobs.Job, error) {
			job, err := tx.Job(id)
			if err == nil && job.Tags == nil {
				job.Tags = []string{}
			}
			return job, err
		}}
	})},
	{"cuts times to microseconds", "times are exact", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, job: func(id jobs.ID) (*jobs.Job, error) {
			job, err := tx.Job(id)
			if err == nil {
				job.RunAt = job.RunAt.Truncate(1000)
			}
			return job, err
		}}
	})},
	{"forgets a field", "every field is kept", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, save: func(job *jobs.Job) error {
			c := *job
			c.Crashes = 0
			err := tx.Save(&c)
			job.ID, job.Version = c.ID, c.Version
			return err
		}}
	})},
	{"does not store edits", "a new generation changes what was asked for", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, save: func(job *jobs.Job) error {
			generation := job.Generation
			if stored, err := tx.Job(job.ID); err == nil {
				job.Generation = stored.Generation
			}
			err := tx.Save(job)
			job.Generation = generation
			return err
		}}
	})},
	{"ignores a filter", "every filter narrows", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, jobs: func(q jobs.Query) iter.Seq2[*jobs.Job, error] {
			q.Actor = ""
			return tx.Jobs(q)
		}}
	})},
	{"includes the end of a range", "every filter narrows", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, jobs: func(q jobs.Query) iter.Seq2[*jobs.Job, error] {
			if !q.CreatedTo.IsZero() {
				q.CreatedTo = q.CreatedTo.Add(1)
			}
			return tx.Jobs(q)
		}}
	})},
	{"includes the cursor", "jobs in the order of their IDs", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, jobs: func(q jobs.Query) iter.Seq2[*jobs.Job, error] {
			if q.Order == jobs.Newest && q.After != 0 && q.After+1 != 0 {
				q.After++
			}
			return tx.Jobs(q)
		}}
	})},
	{"orders lines by ID", "a line", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, jobs: func(q jobs.Query) iter.Seq2[*jobs.Job, error] {
			if q.Order != jobs.InLine {
				return tx.Jobs(q)
			}
			line := q.Line
			q.Order, q.States = jobs.Oldest, []jobs.State{jobs.Queued}
			return filterJobs(tx.Jobs(q), func(job *jobs.Job) bool { return job.Line == line })
		}}
	})},
	{"yields jobs that are not due", "what is due", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, jobs: func(q jobs.Query) iter.Seq2[*jobs.Job, error] {
			return filterJobs(tx.Jobs(q), func(job *jobs.Job) bool {
				return q.Order != jobs.Due || job.State != jobs.Retrying
			})
		}}
	})},
	{"counts twice", "jobs are counted in every dimension", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, tallies: func(by jobs.Dimension, within jobs.Labels) iter.Seq2[jobs.Tally, error] {
			return func(yield func(jobs.Tally, error) bool) {
				for row, err := range tx.Tallies(by, within) {
					row.Queued *= 2
					if !yield(row, err) {
						return
					}
				}
			}
		}}
	})},
	{"counts outside of labels", "rows within labels", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, tallies: func(by jobs.Dimension, within jobs.Labels) iter.Seq2[jobs.Tally, error] {
			within.Batch = ""
			return tx.Tallies(by, within)
		}}
	})},
	{"removes empty records", "records are set and removed", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, setRecord: func(space, key string, value []byte) error {
			if len(value) == 0 {
				value = nil
			}
			return tx.SetRecord(space, key, value)
		}}
	})},
	{"mixes spaces", "records have spaces", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{
			Tx:        tx,
			record:    func(space, key string) ([]byte, error) { return tx.Record("x", space+key) },
			setRecord: func(space, key string, value []byte) error { return tx.SetRecord("x", space+key, value) },
		}
	})},
	{"ignores from", "records are in the order of their keys", txOf(func(tx jobs.Tx) *brokenTx {
		return &brokenTx{Tx: tx, records: func(space, prefix, _ string) iter.Seq2[jobs.Record, error] {
			return tx.Records(space, prefix, "")
		}}
	})},
	{"loses updates", "many writers at once", func() *broken {
		return &broken{Store: memory.New(), tx: func(tx jobs.Tx) jobs.Tx {
			return &brokenTx{Tx: tx, record: func(space, key string) ([]byte, error) {
				value, err := tx.Record(space, key)
				if len(value) == 8 && value[7] > 20 {
					value[7]--
				}
				return value, err
			}}
		}}
	}},
	{"tells of nothing", "commits are told", func() *broken {
		return &broken{Store: memory.New(), notify: func(*memory.Store, func([]jobs.Change)) func() { return func() {} }}
	}},
	{"does not stop telling", "commits are told", func() *broken {
		return &broken{Store: memory.New(), notify: func(s *memory.Store, fn func([]jobs.Change)) func() {
			s.Notify(fn)
			return func() {}
		}}
	}},
}

func TestCheckStore_noticesWhatIsBroken(t *testing.T) {
	for _, c := range brokenStores {
		t.Run(c.name, func(t *testing.T) {
			if err := jobstest.CheckRule(t.Context(), c.noticedBy, c.open()); err == nil {
				t.Errorf("%q did not notice", c.noticedBy)
			}
		})
	}
}

// A field that is added to Job must be in the suite.
func TestFullJob_hasEveryField(t *testing.T) {
	job := reflect.ValueOf(*jobstest.FullJob())
	given := []string{"ID", "Version", "Duplicate", "Children"} // by the store, or not stored
	for i := range job.NumField() {
		if name := job.Type().Field(i).Name; job.Field(i).IsZero() && !slices.Contains(given, name) {
			t.Errorf("%s is not set", name)
		}
	}
}

func TestCheckStore_reportsStoresThatDoNotOpen(t *testing.T) {
	want := errors.New("no store")
	err := jobstest.CheckStore(t.Context(), func() (jobs.Store, error) { return nil, want })
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}
