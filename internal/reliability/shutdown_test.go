//go:build linux

package reliability_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/embedjobs/jobs"
)

// TestShutdown has a process work on a file system of its own, which is shut down in the middle of
// that as a power cut does, without its journal being written. It needs root, loop devices and ext4,
// and runs in the short and the long mode.
func TestShutdown(t *testing.T) {
	mnt, remount := mount(t)
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 3))
	path := filepath.Join(mnt, "jobs.db")
	w := &witness{enqueued: make(map[jobs.ID]string), ended: make(map[jobs.ID]jobs.State)}
	cuts := scale(1, 5, 20)
	for i := range cuts {
		cut := time.AfterFunc(time.Duration(30+rng.IntN(300))*time.Millisecond, func() {
			if err := shutDown(mnt); err != nil {
				t.Errorf("shutting down: %v", err)
			}
		})
		if err := w.watch(path, 0, 500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		cut.Stop()
		w.errs = nil // that it could not write any more
		remount()
		store := reopen(t, path)
		if err := w.check(t.Context(), store); err != nil {
			t.Errorf("seed %d, after cut %d: %v", seed, i+1, err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d cuts, %d jobs enqueued, %d ends acknowledged", cuts, len(w.enqueued), len(w.ended))
}

// TestShutdown_creation stops the file system while a file is made, or just after. It is there as a
// whole or not at all; and once something was acknowledged, it is there.
func TestShutdown_creation(t *testing.T) {
	mnt, remount := mount(t)
	seed := seedOf(t)
	rng := rand.New(rand.NewPCG(seed, 4))
	there := 0
	cuts := scale(1, 5, 20)
	for i := range cuts {
		path := filepath.Join(mnt, fmt.Sprint(i, ".db"))
		w := &witness{enqueued: make(map[jobs.ID]string), ended: make(map[jobs.ID]jobs.State)}
		cut := time.AfterFunc(time.Duration(rng.IntN(40_000))*time.Microsecond, func() {
			if err := shutDown(mnt); err != nil {
				t.Errorf("shutting down: %v", err)
			}
		})
		if err := w.watch(path, 0, 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		cut.Stop()
		w.errs = nil // that it could not write any more
		remount()
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && len(w.enqueued) == 0 {
			continue
		}
		there++
		store := reopen(t, path)
		if err := errors.Join(w.check(t.Context(), store), store.Close()); err != nil {
			t.Errorf("seed %d, cut %d: %v", seed, i+1, err)
		}
	}
	t.Logf("%d cuts, after %d of which the file was there", cuts, there)
}

// mount makes a file system of its own. It returns its directory, and a function that mounts it again
// as after a power cut.
func mount(t *testing.T) (mnt string, remount func()) {
	t.Helper()
	if mode == "" {
		t.Skip("it mounts a file system; set JOBS_RELIABILITY=short")
	}
	if os.Geteuid() != 0 {
		t.Skip("it needs root, to mount a file system")
	}
	dir := t.TempDir()
	img := filepath.Join(dir, "ext4.img")
	mnt = filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"truncate", "-s", "256M", img}, {"mkfs.ext4", "-q", img}, {"mount", "-o", "loop", img, mnt}} {
		if out, err := command(args[0], args[1:]...); err != nil {
			t.Skipf("%v: %v: %s", args, err, out)
		}
	}
	mounted := true
	t.Cleanup(func() {
		if mounted {
			if out, err := persist([]string{"umount", mnt}); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		}
	})
	return mnt, func() {
		t.Helper()
		for _, args := range [][]string{{"umount", mnt}, {"mount", "-o", "loop", img, mnt}} {
			if out, err := persist(args); err != nil {
				mounted = args[0] != "mount"
				t.Fatalf("%v: %v: %s", args, err, out)
			}
		}
	}
}

// persist runs a command until it succeeds, for some seconds: a file system is busy for a moment
// after the process that used it was killed.
func persist(args []string) (out []byte, err error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if out, err = command(args[0], args[1:]...); err == nil {
			return out, nil
		}
		<-tick.C
	}
	return out, err
}

// shutDown stops the file system at dir at once, without writing its journal.
func shutDown(dir string) error {
	const (
		shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN
		noFlush  = uint32(2)  // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	flags := noFlush
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}
