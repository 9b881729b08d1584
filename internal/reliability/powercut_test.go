//go:build linux

package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs/bolt"
)

// A recording is what a workload wrote, and what was acknowledged when.
type recording struct {
	trace []step
	facts []*fact
}

// record lets some drivers work on a new file.
func record(t *testing.T, seed uint64, drivers, acts int) *recording {
	t.Helper()
	var rec recording
	synctest.Test(t, func(t *testing.T) {
		d := openDisk(t, t.TempDir())
		d.db.NoSync = noSync
		w, err := newWorld(d.db, d.now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.runner.Run(ctx) }()
		errs := make([]error, drivers)
		var group sync.WaitGroup
		for i := range drivers {
			group.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				errs[i] = (&driver{world: w, name: fmt.Sprint("d", i), rng: rng}).drive(ctx, acts)
			})
		}
		group.Wait()
		stop()
		errs = append(errs, <-done, w.check(context.Background()), w.store.Close(), d.db.Close())
		if err := errors.Join(errs...); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		rec = recording{d.trace, w.facts}
	})
	return &rec
}

// verify opens an image as a program does after a power cut, and returns what is wrong with it.
func (rec *recording) verify(ctx context.Context, path string, img *image) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	if err := os.WriteFile(path, img.data, 0o600); err != nil {
		return err
	}
	db, err := openImage(path)
	if err != nil {
		return err
	}
	w, err := newWorld(db, nil)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	errs := []error{w.check(ctx)}
	for _, f := range rec.facts {
		if f.from <= img.at && img.at <= f.until {
			if err := f.holds(ctx, w); err != nil {
				errs = append(errs, fmt.Errorf("it was acknowledged that %s: %w", f.text, err))
			}
		}
	}
	errs = append(errs, w.finish(ctx), w.store.Close(), db.Close())
	return errors.Join(errs...)
}

// openImage opens an image as bolt.Open does, and then as a host does.
func openImage(path string) (*bbolt.DB, error) {
	forks.Lock()
	defer forks.Unlock()
	store, err := bolt.Open(path, &bolt.Options{NoSync: true})
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
}

// memoryDir returns a directory that is kept in memory, if the system has one.
func memoryDir(t *testing.T) string {
	t.Helper()
	if dir, err := os.MkdirTemp("/dev/shm", "jobs-"); err == nil { //nolint:usetesting // TempDir is on a disk
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// TestPowerCut rebuilds the file as it stands after a power cut at each point of a workload.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	size := scale(powerCut{1, 2, 12, 0, 250}, powerCut{3, 3, 18, 1, 5_400}, powerCut{2, 2, 10, 1, 1 << 30})
	seed := seedOf(t)
	for i := range size.recordings {
		t.Run(fmt.Sprint("recording ", i), func(t *testing.T) {
			began := time.Now()
			rec := record(t, seed+uint64(i), size.drivers, size.acts)
			verifyAll(t, rec, seed, size)
			t.Logf("%d steps, %d facts, %v", len(rec.trace), len(rec.facts), time.Since(began).Round(time.Millisecond))
		})
	}
}

// A powerCut says how much of it there is.
type powerCut struct {
	recordings, drivers, acts, random int
	most                              int // images of all recordings
}

func verifyAll(t *testing.T, rec *recording, seed uint64, size powerCut) {
	t.Helper()
	all := 0
	images(rec.trace, rand.New(rand.NewPCG(seed, 1)), size.random != 0, size.random, func(image) bool { all++; return true })
	every := max(1, all*size.recordings/size.most)
	todo := make(chan image, 4)
	var group sync.WaitGroup
	var mu sync.Mutex
	verified, failed := 0, 0
	for worker := range 2 {
		path := filepath.Join(memoryDir(t), fmt.Sprint(worker, ".db"))
		group.Go(func() {
			for img := range todo {
				var err error
				synctest.Test(t, func(t *testing.T) { err = rec.verify(t.Context(), path, &img) })
				mu.Lock()
				verified++
				if err != nil {
					if failed++; failed <= 5 {
						t.Errorf("seed %d, image %s: %v", seed, img.name, err)
					}
				}
				mu.Unlock()
			}
		})
	}
	n := 0
	images(rec.trace, rand.New(rand.NewPCG(seed, 1)), size.random != 0, size.random, func(img image) bool {
		if n++; n%every == 0 && img.at > 2 { // the file's first write is TestPowerCut_creation's
			todo <- img
		}
		mu.Lock()
		defer mu.Unlock()
		return failed < 5
	})
	close(todo)
	group.Wait()
	t.Logf("%d images verified of %d that are possible, %d are wrong", verified, all, failed)
}
