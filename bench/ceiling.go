package main

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// claimAhead is how many jobs the runner claims beyond its workers when handlers are quick; it is
// the constant aheadJobs of package jobs. With it, the jobs in flight while a backlog is drained,
// and so the greatest commit, are the workers plus this.
const claimAhead = 2048

// bare writes what package bolt writes, see [layout], and does nothing else: no encoding, no
// reading, no runner. It has the options of package bolt and the same group commit. What it does
// per second is the ceiling.
type bare struct {
	db     *bbolt.DB
	layout *layout
	last   uint64 // ID

	// Of the commit under way.
	buckets []*bbolt.Bucket
	written []bool // shared keys
	key     []byte
}

func openCeiling(ctx context.Context, dir string, argBytes int) (*bare, error) {
	l, err := learn(ctx, dir, argBytes)
	if err != nil {
		return nil, err
	}
	db, err := openBare(filepath.Join(dir, "ceiling.db"))
	if err != nil {
		return nil, err
	}
	b := &bare{db: db, layout: l, buckets: make([]*bbolt.Bucket, len(l.buckets)), written: make([]bool, l.shared)}
	if err := b.create(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

func (b *bare) close() error { return b.db.Close() }

// A part is a step that a commit does for jobs of consecutive IDs.
type part struct {
	step     *step
	first, n uint64
}

// commit does parts in one transaction.
func (b *bare) commit(parts ...part) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		clear(b.buckets)
		clear(b.written)
		for _, p := range parts {
			for id := p.first; id < p.first+p.n; id++ {
				for i := range p.step.job {
					if err := b.write(tx, &p.step.job[i], id); err != nil {
						return err
					}
				}
			}
			for i := range p.step.commit {
				w := &p.step.commit[i]
				if p.n == 0 || b.written[w.shared] {
					continue
				}
				b.written[w.shared] = true
				if err := b.write(tx, w, 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (b *bare) write(tx *bbolt.Tx, w *write, id uint64) error {
	bucket := b.buckets[w.bucket]
	if bucket == nil {
		bucket = tx.Bucket(b.layout.buckets[w.bucket][0])
		for _, name := range b.layout.buckets[w.bucket][1:] {
			bucket = bucket.Bucket(name)
		}
		bucket.FillPercent = 0.9 // that of package bolt
		b.buckets[w.bucket] = bucket
	}
	key := w.key
	if w.idAt >= 0 {
		b.key = append(b.key[:0], w.key...)
		binary.BigEndian.PutUint64(b.key[w.idAt:], id)
		key = b.key
	}
	if w.value == nil {
		return bucket.Delete(key)
	}
	return bucket.Put(key, w.value)
}

// create makes the buckets.
func (b *bare) create() error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for _, names := range b.layout.buckets {
			bucket, err := tx.CreateBucketIfNotExists(names[0])
			for _, name := range names[1:] {
				if err != nil {
					return err
				}
				bucket, err = bucket.CreateBucketIfNotExists(name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// take returns a part that does a step for the next n new jobs.
func (b *bare) take(s *step, n int) part {
	p := part{s, b.last + 1, uint64(n)}
	b.last += uint64(n)
	return p
}

// then returns a part that does another step for the same jobs.
func (p part) then(s *step) part { return part{s, p.first, p.n} }

// fill makes a backlog.
func (b *bare) fill(n int) error {
	for n > 0 {
		k := min(n, fillBatch)
		if err := b.commit(b.take(&b.layout.insert, k)); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// measureCeiling measures the ceiling of a scenario.
func measureCeiling(ctx context.Context, r *run) (err error) {
	b, err := openCeiling(ctx, r.Dir, r.ArgBytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	switch r.Kind {
	case kindInsert:
		return b.insert(r)
	case kindDrain:
		return b.drain(r)
	case kindLifecycle:
		return b.lifecycle(r)
	case kindLatency:
		return b.latency(r)
	default:
		return errNoSuch(ceiling, r.Kind)
	}
}

func (b *bare) insert(r *run) error {
	insert := func(n int) error { return b.commit(b.take(&b.layout.insert, n*r.Batch)) }
	if err := r.begin(); err != nil {
		return err
	}
	defer r.end()
	if r.Callers > 1 {
		return b.group(r, insert)
	}
	for {
		if _, ok := r.next(r.Batch); !ok {
			return nil
		}
		if err := insert(1); err != nil {
			return err
		}
		r.done.Add(int64(r.Batch))
	}
}

// drain commits as much at once as the jobs in flight allow: the ends of those that were claimed in
// the commit before, and the next claims.
func (b *bare) drain(r *run) error {
	if err := b.fill(r.Jobs); err != nil {
		return err
	}
	if err := r.begin(); err != nil {
		return err
	}
	defer r.end()
	running := part{step: &b.layout.claim, first: 1}
	for left := r.Jobs; left > 0 || running.n > 0; {
		if r.late() {
			left = 0
		}
		next := part{running.step, running.first + running.n, uint64(min(left, r.Workers+claimAhead))}
		if err := b.commit(running.then(&b.layout.finish), next); err != nil {
			return err
		}
		r.done.Add(int64(running.n))
		running = next
		left -= int(next.n)
	}
	return nil
}

// lifecycle inserts each job as one that runs, and ends it in the next commit.
func (b *bare) lifecycle(r *run) error {
	running := part{step: &b.layout.start}
	if err := r.begin(); err != nil {
		return err
	}
	defer r.end()
	err := b.group(r, func(n int) error {
		started := b.take(&b.layout.start, n)
		err := b.commit(started, running.then(&b.layout.finish))
		running = started
		return err
	})
	if err != nil {
		return err
	}
	return b.commit(running.then(&b.layout.finish))
}

// group has r.Callers goroutines wait for a commit each, over and over, while one goroutine commits
// for all who wait.
func (b *bare) group(r *run, commit func(n int) error) error {
	var mu sync.Mutex
	var waiting []chan struct{}
	wake := make(chan struct{}, 1)
	finished := make(chan struct{})
	var callers sync.WaitGroup
	for range r.Callers {
		callers.Go(func() {
			done := make(chan struct{}, 1)
			for {
				if _, ok := r.next(r.Batch); !ok {
					return
				}
				mu.Lock()
				waiting = append(waiting, done)
				mu.Unlock()
				select {
				case wake <- struct{}{}:
				default:
				}
				<-done
			}
		})
	}
	go func() {
		callers.Wait()
		close(finished)
	}()
	var batch []chan struct{}
	var failed error
	for {
		select {
		case <-wake:
		case <-finished:
			return failed
		}
		if len(batch) > 1 {
			runtime.Gosched() // those of the batch before come again, as in package bolt
		}
		mu.Lock()
		batch, waiting = waiting, batch[:0]
		mu.Unlock()
		if failed == nil && len(batch) > 0 {
			failed = commit(len(batch))
		}
		r.done.Add(int64(len(batch) * r.Batch))
		for _, done := range batch {
			done <- struct{}{}
		}
	}
}

// latency measures a commit of one inserted job, the unit in which latencies are compared, on a
// system that is as idle as that of the other latencies.
func (b *bare) latency(r *run) error {
	for range r.Jobs {
		time.Sleep(idleFor)
		began := time.Now()
		if err := b.commit(b.take(&b.layout.start, 1)); err != nil {
			return err
		}
		r.latencies = append(r.latencies, time.Since(began))
	}
	return nil
}
