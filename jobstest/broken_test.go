package jobstest_test

import (
	"context"
	"iter"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// broken is a memory store that breaks one rule.
type broken struct {
	*memory.Store
	update func(*memory.Store, context.Context, func(jobs.Tx) error) error
	view   func(*memory.Store, context.Context, func(jobs.Tx) error) error
	tx     func(jobs.Tx) jobs.Tx
	notify func(*memory.Store, func([]jobs.Change)) func()
}

func (b *broken) wrap(fn func(jobs.Tx) error) func(jobs.Tx) error {
	if b.tx == nil {
		return fn
	}
	return func(tx jobs.Tx) error { return fn(b.tx(tx)) }
}

func (b *broken) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	if b.update != nil {
		return b.update(b.Store, ctx, b.wrap(fn))
	}
	return b.Store.Update(ctx, b.wrap(fn))
}

func (b *broken) View(ctx context.Context, fn func(jobs.Tx) error) error {
	if b.view != nil {
		return b.view(b.Store, ctx, b.wrap(fn))
	}
	return b.Store.View(ctx, b.wrap(fn))
}

func (b *broken) Notify(fn func([]jobs.Change)) func() {
	if b.notify != nil {
		return b.notify(b.Store, fn)
	}
	return b.Store.Notify(fn)
}

// brokenTx is a transaction some of whose methods are replaced.
type brokenTx struct {
	jobs.Tx
	job       func(jobs.ID) (*jobs.Job, error)
	save      func(*jobs.Job) error
	remove    func(jobs.ID) error
	jobs      func(jobs.Query) iter.Seq2[*jobs.Job, error]
	tallies   func(jobs.Dimension, jobs.Labels) iter.Seq2[jobs.Tally, error]
	record    func(space, key string) ([]byte, error)
	setRecord func(space, key string, value []byte) error
	records   func(space, prefix, from string) iter.Seq2[jobs.Record, error]
}

func (tx *brokenTx) Job(id jobs.ID) (*jobs.Job, error) {
	if tx.job != nil {
		return tx.job(id)
	}
	return tx.Tx.Job(id)
}

func (tx *brokenTx) Save(job *jobs.Job) error {
	if tx.save != nil {
		return tx.save(job)
	}
	return tx.Tx.Save(job)
}

func (tx *brokenTx) Remove(id jobs.ID) error {
	if tx.remove != nil {
		return tx.remove(id)
	}
	return tx.Tx.Remove(id)
}

func (tx *brokenTx) Jobs(q jobs.Query) iter.Seq2[*jobs.Job, error] {
	if tx.jobs != nil {
		return tx.jobs(q)
	}
	return tx.Tx.Jobs(q)
}

func (tx *brokenTx) Tallies(by jobs.Dimension, within jobs.Labels) iter.Seq2[jobs.Tally, error] {
	if tx.tallies != nil {
		return tx.tallies(by, within)
	}
	return tx.Tx.Tallies(by, within)
}

func (tx *brokenTx) Record(space, key string) ([]byte, error) {
	if tx.record != nil {
		return tx.record(space, key)
	}
	return tx.Tx.Record(space, key)
}

func (tx *brokenTx) SetRecord(space, key string, value []byte) error {
	if tx.setRecord != nil {
		return tx.setRecord(space, key, value)
	}
	return tx.Tx.SetRecord(space, key, value)
}

func (tx *brokenTx) Records(space, prefix, from string) iter.Seq2[jobs.Record, error] {
	if tx.records != nil {
		return tx.records(space, prefix, from)
	}
	return tx.Tx.Records(space, prefix, from)
}

// filterJobs returns a sequence without the jobs that keep refuses.
func filterJobs(seq iter.Seq2[*jobs.Job, error], keep func(*jobs.Job) bool) iter.Seq2[*jobs.Job, error] {
	return func(yield func(*jobs.Job, error) bool) {
		for job, err := range seq {
			if err == nil && !keep(job) {
				continue
			}
			if !yield(job, err) {
				return
			}
		}
	}
}

// txOf makes a broken store of a broken transaction.
func txOf(wrap func(tx jobs.Tx) *brokenTx) func() *broken {
	return func() *broken {
		return &broken{Store: memory.New(), tx: func(tx jobs.Tx) jobs.Tx { return wrap(tx) }}
	}
}
