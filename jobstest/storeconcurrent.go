package jobstest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/embedjobs/jobs"
)

// each runs fn n times at once and returns the errors.
func each(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func checkMixed(ctx context.Context, s jobs.Store) error {
	const n = 60
	saved := make([]*jobs.Job, n)
	err := each(n, func(i int) (err error) {
		panics := i%5 == 1
		defer func() {
			if r := recover(); panics && r == any(errOwn) {
				err = nil
			} else if r != nil {
				panic(r)
			}
		}()
		err = s.Update(ctx, func(tx jobs.Tx) error {
			job := newJob()
			job.Group = fmt.Sprint("group", i%7)
			if i%5 == 2 {
				return errOwn // before it writes
			}
			if err := tx.Save(job); err != nil {
				return err
			}
			if err := tx.SetRecord("space", fmt.Sprint(i), []byte("x")); err != nil {
				return err
			}
			switch {
			case panics:
				panic(errOwn)
			case i%5 == 3:
				return errOwn
			}
			saved[i] = job
			return nil
		})
		if want := i%5 == 2 || i%5 == 3; want != same(err, errOwn) || err != nil && !want {
			return fmt.Errorf("the error of Update %d is %s", i, fmt.Sprint(err))
		}
		if panics {
			return fmt.Errorf("the panic in Update %d was lost", i)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var all []*jobs.Job
	for i, job := range saved {
		want := []byte(nil)
		if job != nil {
			want = []byte("x")
			all = append(all, job)
			if err := wantJob(ctx, s, job); err != nil {
				return err
			}
		}
		if err := wantRecord(ctx, s, "space", fmt.Sprint(i), want); err != nil {
			return err
		}
	}
	return wantTallies(ctx, s, all)
}

func checkCounter(ctx context.Context, s jobs.Store) error {
	const n, rounds = 16, 10
	job := newJob()
	if err := save(ctx, s, job); err != nil {
		return err
	}
	err := each(n, func(int) error {
		for range rounds {
			err := s.Update(ctx, func(tx jobs.Tx) error {
				value, err := tx.Record("space", "counter")
				if err != nil {
					return err
				}
				var count uint64
				if value != nil {
					count = binary.BigEndian.Uint64(value)
				}
				current, err := tx.Job(job.ID)
				if err != nil {
					return err
				}
				if current.Stamp != count {
					return fmt.Errorf("the record says %d and the job %d", count, current.Stamp)
				}
				current.Stamp++
				if err := tx.Save(current); err != nil {
					return err
				}
				return tx.SetRecord("space", "counter", binary.BigEndian.AppendUint64(nil, count+1))
			})
			if err != nil {
				return err
			}
			// What was committed is visible to every later transaction.
			got, err := load(ctx, s, job.ID)
			if err != nil {
				return err
			}
			if got.Stamp == 0 {
				return errors.New("an own commit is not visible")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	got, err := load(ctx, s, job.ID)
	if err != nil {
		return err
	}
	if got.Stamp != n*rounds || got.Version != n*rounds+1 {
		return fmt.Errorf("after %d increments the job counts %d, in version %d", n*rounds, got.Stamp, got.Version)
	}
	return nil
}
