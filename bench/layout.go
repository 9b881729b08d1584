package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/embedjobs/jobs/bolt"
	"go.etcd.io/bbolt"
)

// A layout is what package bolt writes for each step of a job: which keys, in which buckets, with
// values of which length. It is not written down here, where it would soon be wrong, but learned:
// [learn] takes one job through its life in a real file and compares the file before and after
// each step. A key that contains the job's ID is written for each job, any other (tallies, clocks)
// once for each commit, because that is what a store that collects them can do.
type layout struct {
	insert, claim, finish step
	start                 step       // insert and claim in one, of a job for which a worker is free
	buckets               [][][]byte // names, from the top-level bucket down
	shared                int        // number of keys that are written once for each commit
}

// A step is what one change of a job's state writes.
type step struct {
	job    []write
	commit []write
}

// A write puts a value, or deletes a key if the value is nil.
type write struct {
	path   string // of the bucket: names joined by zero bytes
	bucket int    // its index in layout.buckets
	key    []byte
	idAt   int // where in the key the ID of the job stands; -1 if it does not
	shared int // the number of the key, if it is written once for each commit
	value  []byte
}

// openBare opens a file as package bolt does.
func openBare(path string) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 1 << 30,
	})
}

// learnAfter is how many jobs have ended when the layout is learned, so that numbers have the
// length that they usually have.
const learnAfter = 1000

// learn finds the layout of a job with arguments of this size.
func learn(ctx context.Context, dir string, argBytes int) (_ *layout, err error) {
	db, err := openBare(filepath.Join(dir, "layout.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store, err := bolt.New(db, nil)
	if err != nil {
		return nil, err
	}
	started, proceed := make(chan struct{}, learnAfter+1), make(chan struct{}, learnAfter+1)
	lib, err := newLibrary(store, settings{workers: 1, argBytes: argBytes, handle: func(int) {
		started <- struct{}{}
		<-proceed
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lib.close()) }()

	if err := lib.insert(ctx, 0, learnAfter); err != nil {
		return nil, err
	}
	if err := lib.start(); err != nil {
		return nil, err
	}
	for range learnAfter {
		proceed <- struct{}{}
		<-started
	}
	if err := settle(ctx, lib); err != nil {
		return nil, err
	}
	// The runner is stopped, so that the job is not claimed in the commit that inserts it.
	lib.stop()
	if err := <-lib.done; err != nil {
		return nil, err
	}
	lib.stop = nil

	var l layout
	before := dump(db)
	observe := func(s *step, id uint64) {
		after := dump(db)
		*s = compare(before, after, id)
		before = after
	}
	if err := lib.insert(ctx, learnAfter, 1); err != nil {
		return nil, err
	}
	observe(&l.insert, learnAfter+1)
	if err := lib.start(); err != nil {
		return nil, err
	}
	<-started
	observe(&l.claim, learnAfter+1)
	proceed <- struct{}{}
	if err := settle(ctx, lib); err != nil {
		return nil, err
	}
	observe(&l.finish, learnAfter+1)
	if err := lib.insert(ctx, learnAfter+1, 1); err != nil {
		return nil, err
	}
	<-started
	observe(&l.start, learnAfter+2)
	proceed <- struct{}{}
	if err := settle(ctx, lib); err != nil {
		return nil, err
	}
	if len(l.insert.job) == 0 || len(l.finish.job) == 0 || len(l.start.job) == 0 {
		return nil, fmt.Errorf("the layout cannot be learned: %+v", l)
	}
	l.index()
	return &l, nil
}

// index numbers the buckets and the shared keys.
func (l *layout) index() {
	buckets, shared := make(map[string]int), make(map[string]int)
	for _, s := range []*step{&l.insert, &l.claim, &l.finish, &l.start} {
		for _, writes := range [][]write{s.job, s.commit} {
			for i := range writes {
				w := &writes[i]
				n, known := buckets[w.path]
				if !known {
					n = len(l.buckets)
					buckets[w.path] = n
					l.buckets = append(l.buckets, bytes.Split([]byte(w.path), zero))
				}
				w.bucket = n
				if w.idAt >= 0 {
					continue
				}
				name := w.path + "\x00" + string(w.key)
				if _, known := shared[name]; !known {
					shared[name] = len(shared)
				}
				w.shared = shared[name]
			}
		}
	}
	l.shared = len(shared)
}

var zero = []byte{0}

// dump returns all keys of a database with their values, by bucket.
func dump(db *bbolt.DB) map[string]map[string][]byte {
	all := make(map[string]map[string][]byte)
	// Views of an open database do not fail.
	_ = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			dumpBucket(all, string(name), b)
			return nil
		})
	})
	return all
}

func dumpBucket(all map[string]map[string][]byte, name string, b *bbolt.Bucket) {
	keys := make(map[string][]byte)
	all[name] = keys
	_ = b.ForEach(func(k, v []byte) error {
		if v == nil {
			dumpBucket(all, name+"\x00"+string(k), b.Bucket(k))
		} else {
			keys[string(k)] = append([]byte{}, v...)
		}
		return nil
	})
}

// compare returns what makes the second dump of the first one.
func compare(before, after map[string]map[string][]byte, id uint64) (s step) {
	binaryID := binary.BigEndian.AppendUint64(nil, id)
	add := func(w write) {
		w.idAt = bytes.Index(w.key, binaryID)
		switch {
		case w.idAt >= 0:
			s.job = append(s.job, w)
		case w.value != nil:
			s.commit = append(s.commit, w)
		}
	}
	for bucket, keys := range after {
		for key, value := range keys {
			if old, ok := before[bucket][key]; !ok || !bytes.Equal(old, value) {
				add(write{path: bucket, key: []byte(key), value: value})
			}
		}
		for key := range before[bucket] {
			if _, ok := keys[key]; !ok {
				add(write{path: bucket, key: []byte(key)})
			}
		}
	}
	for _, writes := range [][]write{s.job, s.commit} {
		slices.SortFunc(writes, func(a, b write) int {
			if c := strings.Compare(a.path, b.path); c != 0 {
				return c
			}
			return bytes.Compare(a.key, b.key)
		})
	}
	return s
}
