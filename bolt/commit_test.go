package bolt_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// host returns a host's database and a store in it.
func host(t *testing.T) (*bbolt.DB, *bolt.Store) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "host.db"), 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Check(t.Context()); err != nil && !errors.Is(err, jobs.ErrClosed) && t.Context().Err() == nil {
			t.Error(err)
		}
		if err := errors.Join(s.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return db, s
}

// commits returns the number of the latest commit.
func commits(t *testing.T, db *bbolt.DB) (id int) {
	t.Helper()
	err := db.View(func(tx *bbolt.Tx) error {
		id = tx.ID()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// together runs the functions in one batch, and returns the errors of Update.
func together(t *testing.T, s *bolt.Store, fns ...func(jobs.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	// While this function runs, the others line up.
	err := s.Update(t.Context(), func(jobs.Tx) error {
		for i, fn := range fns {
			wg.Go(func() {
				defer func() {
					if r := recover(); r != nil {
						errs[i] = r.(error)
					}
				}()
				errs[i] = s.Update(t.Context(), fn)
			})
			for s.Waiting() <= i {
				runtime.Gosched()
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	return errs
}

var errOwn = errors.New("own")

func TestStore_Update_sharesCommits(t *testing.T) {
	db, s := host(t)
	before := commits(t, db)
	var fns []func(jobs.Tx) error
	for range 50 {
		fns = append(fns, func(tx jobs.Tx) error { return tx.Save(newJob()) })
	}
	for i, err := range together(t, s, fns...) {
		if err != nil {
			t.Errorf("Update %d: %v", i, err)
		}
	}
	if n := commits(t, db) - before; n != 1 {
		t.Errorf("50 functions took %d commits", n)
	}
	if n := count(t, s); n != 50 {
		t.Errorf("there are %d jobs", n)
	}
}

func TestStore_Update_isolatesFailures(t *testing.T) {
	db, s := host(t)
	before := commits(t, db)
	ran := make([]int, 7)
	ok := func(i int) func(jobs.Tx) error {
		return func(tx jobs.Tx) error { ran[i]++; return tx.Save(newJob()) }
	}
	errs := together(
		t, s, ok(0),
		func(jobs.Tx) error { ran[1]++; return errOwn },
		ok(2),
		func(tx jobs.Tx) error { ran[3]++; return errors.Join(tx.Save(newJob()), errOwn) },
		ok(4),
		func(tx jobs.Tx) error { ran[5]++; _ = tx.SetRecord("s", "k", nil); panic(errOwn) },
		ok(6),
	)
	for i, err := range errs {
		if want := i%2 == 1; want != errors.Is(err, errOwn) {
			t.Errorf("Update %d returned %v", i, err)
		}
	}
	if n := count(t, s); n != 4 {
		t.Errorf("there are %d jobs, want 4", n)
	}
	if slices.Max(ran) > 2 {
		t.Errorf("the functions ran %v times", ran)
	}
	if n := commits(t, db) - before; n > 3 {
		t.Errorf("%d commits for 2 failures", n)
	}
}

func TestStore_Update_doesNotCommitWhatWroteNothing(t *testing.T) {
	db, s := host(t)
	before := commits(t, db)
	for _, err := range together(
		t, s,
		func(jobs.Tx) error { return nil },
		func(jobs.Tx) error { return errOwn },
		func(tx jobs.Tx) error { _, err := tx.Job(1); return err },
	) {
		if err != nil && !errors.Is(err, errOwn) && !errors.Is(err, jobs.ErrNotFound) {
			t.Error(err)
		}
	}
	if n := commits(t, db) - before; n != 0 {
		t.Errorf("there were %d commits", n)
	}
}

func TestStore_Update_leavesTheQueue(t *testing.T) {
	_, s := host(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	err := s.Update(t.Context(), func(tx jobs.Tx) error {
		go func() {
			done <- s.Update(ctx, func(jobs.Tx) error {
				t.Error("the function ran after its context was done")
				return nil
			})
		}()
		for s.Waiting() == 0 {
			runtime.Gosched()
		}
		cancel(errOwn)
		// It need not wait for the commit.
		if err := <-done; !errors.Is(err, errOwn) {
			t.Errorf("Update returned %v, want the cause", err)
		}
		return tx.Save(newJob())
	})
	if err != nil {
		t.Fatal(err)
	}
	save(t, s, newJob())
}

func TestStore_Update_survivesGoexit(t *testing.T) {
	_, s := host(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_ = s.Update(t.Context(), func(tx jobs.Tx) error {
				if err := tx.Save(newJob()); err != nil {
					t.Error(err)
				}
				if i%4 == 0 {
					runtime.Goexit()
				}
				return nil
			})
		})
	}
	wg.Wait()
	save(t, s, newJob())
}

// A database that may not grow is like a full disk.
func TestStore_Update_goesOnAfterAFullDisk(t *testing.T) {
	db, s := host(t)
	save(t, s, newJob())
	db.MaxSize = 1 << 15
	big := newJob()
	big.Args = make([]byte, 1<<20)
	var told int
	defer s.Notify(func([]jobs.Change) { told++ })()
	for i, err := range together(
		t, s,
		func(tx jobs.Tx) error { return tx.Save(newJob()) },
		func(tx jobs.Tx) error { c := *big; return tx.Save(&c) },
		func(jobs.Tx) error { return nil },
	) {
		if !errors.Is(err, berrors.ErrMaxSizeReached) {
			t.Errorf("Update %d returned %v", i, err)
		}
	}
	if n := count(t, s); n != 1 || told != 0 {
		t.Errorf("there are %d jobs and %d notifications, want 1 and none", n, told)
	}
	db.MaxSize = 0
	save(t, s, big)
	if n := count(t, s); n != 2 || told != 1 {
		t.Errorf("there are %d jobs and %d notifications, want 2 and 1", n, told)
	}
}

func TestStore_Tx_commitsWithTheHost(t *testing.T) {
	db, s := host(t)
	var got []jobs.Change
	defer s.Notify(func(changes []jobs.Change) { got = append(got, changes...) })()
	err := db.Update(func(btx *bbolt.Tx) error {
		b, err := btx.CreateBucket([]byte("host"))
		if err != nil {
			return err
		}
		if err := s.Tx(btx).Save(newJob()); err != nil {
			return err
		}
		if len(got) > 0 {
			t.Error("subscribers were told before the commit")
		}
		if _, err := s.Tx(btx).Job(1); err != nil {
			return err
		}
		if err := s.Tx(btx).SetRecord("space", "key", []byte("x")); err != nil {
			return err
		}
		return b.Put([]byte("k"), []byte("v"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ID != 1 {
		t.Errorf("subscribers were told %+v", got)
	}
	if n := count(t, s); n != 1 {
		t.Errorf("there are %d jobs", n)
	}
	save(t, s, newJob())
}

func TestStore_Tx_isRolledBackWithTheHost(t *testing.T) {
	db, s := host(t)
	told := 0
	defer s.Notify(func([]jobs.Change) { told++ })()
	var leaked jobs.Tx
	err := db.Update(func(btx *bbolt.Tx) error {
		leaked = s.Tx(btx)
		return errors.Join(leaked.Save(newJob()), errOwn)
	})
	if !errors.Is(err, errOwn) {
		t.Fatal(err)
	}
	job := newJob()
	save(t, s, job)
	if job.ID != 1 || told != 1 || count(t, s) != 1 {
		t.Errorf("job %d, %d notifications, %d jobs; want 1 of each", job.ID, told, count(t, s))
	}
}

func TestStore_Tx_tellsOfCommitsInTheirOrder(t *testing.T) {
	db, s := host(t)
	var got []jobs.ID
	defer s.Notify(func(changes []jobs.Change) {
		for _, c := range changes {
			got = append(got, c.ID)
		}
	})()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if i%2 == 0 {
				save(t, s, newJob())
			} else if err := db.Update(func(btx *bbolt.Tx) error { return s.Tx(btx).Save(newJob()) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(got) != 40 || !slices.IsSorted(got) {
		t.Errorf("subscribers were told of %v", got)
	}
}

func TestStore_Tx_readsInAReadOnlyTransaction(t *testing.T) {
	db, s := host(t)
	save(t, s, newJob())
	err := db.View(func(btx *bbolt.Tx) error {
		if err := s.Tx(btx).Save(newJob()); err == nil {
			t.Error("Save returned no error")
		}
		_, err := s.Tx(btx).Job(1)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStore_Tx_refusesAnotherDatabase(t *testing.T) {
	_, s := host(t)
	other, _ := host(t)
	defer func() {
		if recover() == nil {
			t.Error("Tx did not panic")
		}
	}()
	_ = other.View(func(btx *bbolt.Tx) error {
		s.Tx(btx)
		return nil
	})
}

func TestStore_Tx_refusesAfterClose(t *testing.T) {
	db, s := host(t)
	closeStore(t, s)
	err := db.View(func(btx *bbolt.Tx) error {
		_, err := s.Tx(btx).Job(1)
		return err
	})
	if !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestStore_Close_leavesTheHostsDatabaseOpen(t *testing.T) {
	db, s := host(t)
	save(t, s, newJob())
	closeStore(t, s)
	if err := s.Update(t.Context(), func(jobs.Tx) error { return nil }); !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("Update returned %v, want ErrClosed", err)
	}
	again, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, again); n != 1 {
		t.Errorf("there are %d jobs", n)
	}
	if again.Session() <= s.Session() {
		t.Errorf("after session %d came session %d", s.Session(), again.Session())
	}
}

func TestStore_saysWhenTheHostHasClosed(t *testing.T) {
	db, s := host(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(jobs.Tx) error { return nil }); !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("Update returned %v, want ErrClosed", err)
	}
	if err := s.View(t.Context(), func(jobs.Tx) error { return nil }); !errors.Is(err, jobs.ErrClosed) {
		t.Errorf("View returned %v, want ErrClosed", err)
	}
}

func TestStore_transactionsEnd(t *testing.T) {
	_, s := host(t)
	var leaked jobs.Tx
	for _, method := range []func(context.Context, func(jobs.Tx) error) error{s.Update, s.View} {
		if err := method(t.Context(), func(tx jobs.Tx) error { leaked = tx; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := leaked.Save(newJob()); err == nil {
			t.Error("a transaction works after its function has returned")
		}
		for _, err := range leaked.Jobs(jobs.Query{}) {
			if err == nil {
				t.Error("a query works after its function has returned")
			}
		}
	}
}

// After a commit that failed, a transaction of the host has the ID that the failed one had.
func TestStore_Tx_afterAFailedCommit(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "host.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	told := 0
	s.Notify(func(changes []jobs.Change) { told += len(changes) })
	btx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	fail := s.FailCommit(btx.ID())
	if err := s.Tx(btx).Save(newJob()); err != nil {
		t.Fatal(err)
	}
	fail()
	if err := btx.Commit(); err != nil {
		t.Fatal(err)
	}
	if told != 1 {
		t.Errorf("%d changes were told, want that of the host", told)
	}
}
