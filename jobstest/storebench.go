package jobstest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/embedjobs/jobs"
)

// BenchmarkStore measures what a runner does with a store, with so many callers at once. It calls
// open for each benchmark, and closes what it returns.
func BenchmarkStore(b *testing.B, callers int, open func(b *testing.B) jobs.Store) {
	b.Helper()
	for _, bench := range []struct {
		name string
		run  func(*testing.B, jobs.Store, int)
	}{
		{"Insert", benchInsert},
		{"Lifecycle", benchLifecycle},
		{"LifecycleBatched", benchLifecycleBatched},
		{"InLine", benchInLine},
		{"Job", benchJob},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := open(b)
			b.ReportAllocs()
			bench.run(b, s, callers)
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func benchNewJob(i int) *jobs.Job {
	job := newJob()
	job.Title, job.Group, job.Batch = "A title", "group", "batch"
	job.Args = []byte(`{"file":"a name of a file","size":12345,"options":{"quality":90}}`)
	job.MaxAttempts, job.Stamp = 25, uint64(i)
	return job
}

// spread runs fn b.N times, shared among callers.
func spread(b *testing.B, callers int, fn func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				if err := fn(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchInsert(b *testing.B, s jobs.Store, callers int) {
	b.Helper()
	spread(b, callers, func(i int) error {
		job := benchNewJob(i)
		return s.Update(b.Context(), func(tx jobs.Tx) error {
			job.ID, job.Version = 0, 0
			return tx.Save(job)
		})
	})
}

// benchLifecycle saves each job three times, each time in an Update of its own.
func benchLifecycle(b *testing.B, s jobs.Store, callers int) {
	b.Helper()
	spread(b, callers, func(i int) error {
		job := benchNewJob(i)
		for _, state := range []jobs.State{jobs.Queued, jobs.Running, jobs.Succeeded} {
			job.State = state
			if state == jobs.Succeeded {
				job.Result = []byte(`{"ok":true}`)
			}
			before := *job
			err := s.Update(b.Context(), func(tx jobs.Tx) error {
				*job = before // fn may run more than once
				return tx.Save(job)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// benchLifecycleBatched does the same with 64 jobs in each Update.
func benchLifecycleBatched(b *testing.B, s jobs.Store, _ int) {
	b.Helper()
	const batch = 64
	list := make([]jobs.Job, batch)
	before := make([]jobs.Job, batch)
	b.ResetTimer()
	for done := 0; done < b.N; done += batch {
		for i := range list {
			list[i] = *benchNewJob(done + i)
		}
		for _, state := range []jobs.State{jobs.Queued, jobs.Running, jobs.Succeeded} {
			for i := range list {
				list[i].State = state
			}
			copy(before, list)
			err := s.Update(b.Context(), func(tx jobs.Tx) error {
				copy(list, before)
				for i := range list {
					if err := tx.Save(&list[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func fill(ctx context.Context, b *testing.B, s jobs.Store, n int) {
	b.Helper()
	err := s.Update(ctx, func(tx jobs.Tx) error {
		for i := range n {
			if err := tx.Save(benchNewJob(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// benchInLine reads the jobs of a line of 10,000.
func benchInLine(b *testing.B, s jobs.Store, _ int) {
	b.Helper()
	fill(b.Context(), b, s, 10_000)
	b.ResetTimer()
	err := s.View(b.Context(), func(tx jobs.Tx) error {
		for n := 0; n < b.N; {
			for job, err := range tx.Jobs(jobs.Query{Order: jobs.InLine, Line: "queue"}) {
				if err != nil {
					return err
				}
				if n++; n >= b.N || job == nil {
					break
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// benchJob reads a job in a View of its own.
func benchJob(b *testing.B, s jobs.Store, callers int) {
	b.Helper()
	const n = 10_000
	fill(b.Context(), b, s, n)
	spread(b, callers, func(i int) error {
		return s.View(b.Context(), func(tx jobs.Tx) error {
			_, err := tx.Job(jobs.ID(i*7919%n + 1))
			return err
		})
	})
}
