// Package bolt keeps jobs in a bbolt file, the durable store of this module. A file belongs to one
// process at a time. It can be a file of its own, see [Open], or one in which the host application
// keeps its own data, see [New].
//
//	store, err := bolt.Open("jobs.db", nil)
//	if err != nil {
//		…
//	}
//	defer store.Close()
//	runner, err := jobs.NewRunner(store, &reg, nil)
//
// # Commits
//
// The functions of all concurrent callers of Update run in one bbolt transaction, so that one sync
// of the disk serves them all. Nobody waits for a timer: who comes while a commit is under way is
// in the next one. The functions run one after the other, and not always on the goroutine of their
// caller.
//
// # The host's transactions
//
// [Store.Tx] wraps a transaction of the host's database, so that a job is enqueued, or finished,
// in the same commit as the host's own data.
//
// # Errors
//
// What Open returns names the file and says what can be done. After a failed commit, such as one on
// a full disk, the store can be used on.
package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/internal/kv"
	"github.com/embedjobs/jobs/internal/notify"
)

// Options are the settings of a [Store]. The zero value of each is its default.
type Options struct {
	// Bucket is the name of the top-level bucket in which everything is kept; "" means "jobs".
	// Several stores may share a file under different names.
	Bucket string

	// Timeout is how long Open waits for another process to let go of the file; 0 means one
	// second. New does not look at it.
	Timeout time.Duration

	// NoSync leaves it to the operating system when commits reach the disk. A crash of the
	// machine may then destroy the file, so it is for tests and for files that can be made
	// again. New does not look at it.
	NoSync bool
}

// A Store keeps jobs in a bbolt file.
type Store struct {
	db      *bbolt.DB
	owned   bool // whether Close closes db
	name    []byte
	session uint64

	subscribers notify.List
	deliveries  deliveries
	queue       *kv.Queue
	writer      writer    // used by the queue
	readers     sync.Pool // of *reader

	mu     sync.Mutex // taken to begin a transaction
	closed bool
	active sync.WaitGroup // transactions
	close  func() error   // done once
}

var (
	_ jobs.Store     = (*Store)(nil)
	_ jobs.Notifier  = (*Store)(nil)
	_ jobs.Exclusive = (*Store)(nil)
)

// New returns a store in a database of the host application. Everything is kept in one bucket, and
// Close leaves the database open. Close the store before the database.
//
// For speed, open the database with FreelistType [bbolt.FreelistMapType] and NoFreelistSync.
func New(db *bbolt.DB, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Bucket == "" {
		o.Bucket = "jobs"
	}
	s := &Store{db: db, name: []byte(o.Bucket)}
	s.deliveries.to = &s.subscribers
	s.close = sync.OnceValue(s.closeOnce)
	s.readers.New = func() any { return new(reader) }
	s.queue = kv.NewQueue(s.attempt)
	if err := s.setUp(upgrades); err != nil {
		return nil, fmt.Errorf("bolt: %s: %w", db.Path(), err)
	}
	return s, nil
}

// Update implements jobs.Store. A panic of fn undoes what it wrote and is raised again on the
// goroutine that called Update.
func (s *Store) Update(ctx context.Context, fn func(jobs.Tx) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.active.Done()
	return s.queue.Update(ctx, fn)
}

// View implements jobs.Store.
func (s *Store) View(ctx context.Context, fn func(jobs.Tx) error) error {
	return s.view(ctx, func(b *backend) error {
		r := s.readers.Get().(*reader)
		r.tx.Begin(b, kv.ReadOnly)
		handle := kv.NewHandle(&r.tx)
		defer func() {
			handle.End()
			r.tx.End()
			s.readers.Put(r)
		}()
		return fn(handle)
	})
}

// A reader is what views use again.
type reader struct{ tx kv.Tx }

func (s *Store) view(ctx context.Context, fn func(*backend) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.active.Done()
	btx, err := s.db.Begin(false)
	if err != nil {
		return s.beginError(err)
	}
	// Deferred, because fn may panic or call runtime.Goexit. Rolling back a read-only
	// transaction does not fail.
	defer func() { _ = btx.Rollback() }()
	b := new(backend)
	if err := b.begin(btx, s.name); err != nil {
		return err
	}
	return fn(b)
}

// beginError explains why bbolt began no transaction.
func (s *Store) beginError(err error) error {
	if errors.Is(err, errNotOpen) {
		return fmt.Errorf("%w: the host has closed its database", jobs.ErrClosed)
	}
	return fmt.Errorf("bolt: %s: %w", s.db.Path(), err)
}

// enter begins a use of the store. Its end is s.active.Done.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return jobs.ErrClosed
	}
	s.active.Add(1)
	return nil
}

// Close implements jobs.Store. It closes the file if Open opened it.
func (s *Store) Close() error { return s.close() }

func (s *Store) closeOnce() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.active.Wait()
	if !s.owned {
		return nil
	}
	// With the list of free pages in the file, the next Open need not find them by a scan. It does
	// so when this fails, or when the process dies before.
	s.db.NoFreelistSync = false
	_ = s.db.Update(func(*bbolt.Tx) error { return nil })
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("bolt: closing %s: %w", s.db.Path(), err)
	}
	return nil
}

// Tx returns btx, a transaction of the database that was given to [New], as a transaction of the
// store. What is saved through it is committed together with what the host wrote, or not at all;
// after the commit, runners learn of it. The Tx may be used until btx ends.
//
// The functions of Update wait for btx as for any writer, so they must not be waited for before it
// has ended.
//
// Tx panics if btx is of another database.
func (s *Store) Tx(btx *bbolt.Tx) jobs.Tx {
	if btx.DB() != s.db {
		panic("bolt: Store.Tx: the transaction is not one of the store's database")
	}
	if err := s.enter(); err != nil {
		return kv.Dead(err)
	}
	defer s.active.Done()
	if !btx.Writable() {
		b := new(backend)
		if err := b.begin(btx, s.name); err != nil {
			return kv.Dead(err)
		}
		tx := new(kv.Tx)
		tx.Begin(b, kv.ReadOnly)
		return kv.NewHandle(tx)
	}
	return s.deliveries.host(btx, s.name)
}

// Notify implements jobs.Notifier.
func (s *Store) Notify(fn func([]jobs.Change)) (stop func()) { return s.subscribers.Add(fn) }

// Session implements jobs.Exclusive. The number is kept in the file.
func (s *Store) Session() uint64 { return s.session }

// Check reads the whole store and returns an error if its indexes and tallies do not agree with
// its jobs. It takes a while with a large store, and blocks no writer.
func (s *Store) Check(ctx context.Context) error {
	return s.view(ctx, func(b *backend) error { return kv.Verify(ctx, b) })
}

// The keys of the meta bucket.
var (
	metaBucket  = []byte("meta")
	metaFormat  = []byte("format")
	metaSession = []byte("session")
)

// upgrades[i] makes a bucket of format i+1 one of format i+2. They run in the transaction in which
// the store is opened.
var upgrades []func(*bbolt.Bucket) error

// setUp creates or upgrades the buckets and begins a session.
func (s *Store) setUp(upgrades []func(*bbolt.Bucket) error) error {
	return s.db.Update(func(btx *bbolt.Tx) error {
		root, err := btx.CreateBucketIfNotExists(s.name)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", s.name, err)
		}
		meta, err := root.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return fmt.Errorf("bucket %q: %w", metaBucket, err)
		}
		newest := uint64(len(upgrades)) + 1
		switch format := readNumber(meta, metaFormat); {
		case format > newest:
			return fmt.Errorf("%w: it has format %d, this program knows formats up to %d",
				ErrNewerFormat, format, newest)
		case format > 0:
			for i, upgrade := range upgrades[format-1:] {
				if err := upgrade(root); err != nil {
					return fmt.Errorf("upgrading from format %d: %w", int(format)+i, err)
				}
			}
		}
		for b := range kv.NumBuckets {
			if _, err := root.CreateBucketIfNotExists([]byte(b.String())); err != nil {
				return fmt.Errorf("bucket %q: %w", b, err)
			}
		}
		s.session = readNumber(meta, metaSession) + 1
		if err := meta.Put(metaSession, binary.BigEndian.AppendUint64(nil, s.session)); err != nil {
			return err
		}
		return meta.Put(metaFormat, binary.BigEndian.AppendUint64(nil, newest))
	})
}

// readNumber returns the number of a key, 0 if there is none.
func readNumber(b *bbolt.Bucket, key []byte) uint64 {
	if v := b.Get(key); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}
