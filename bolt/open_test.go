package bolt_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

func newJob() *jobs.Job {
	return &jobs.Job{Task: "task", Queue: "queue", Line: "queue", State: jobs.Queued}
}

func save(tb testing.TB, s jobs.Store, list ...*jobs.Job) {
	tb.Helper()
	err := s.Update(tb.Context(), func(tx jobs.Tx) error {
		for _, job := range list {
			if err := tx.Save(job); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
}

func count(tb testing.TB, s jobs.Store) (n int) {
	tb.Helper()
	err := s.View(tb.Context(), func(tx jobs.Tx) error {
		for _, err := range tx.Jobs(jobs.Query{}) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func closeStore(tb testing.TB, s *bolt.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

// file returns the path and the bytes of a file with some jobs.
func file(t *testing.T) (path string, data []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "jobs.db")
	s := open(t, path)
	for range 20 {
		job := newJob()
		job.Args = bytes.Repeat([]byte("x"), 3000)
		save(t, s, job)
	}
	closeStore(t, s)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, data
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	t.Run("an empty file is a new one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "jobs.db")
		write(t, path, nil)
		s := open(t, path)
		save(t, s, newJob())
		closeStore(t, s)
	})
	t.Run("a file of somebody else gets a bucket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "host.db")
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		save(t, s, newJob())
		closeStore(t, s)
	})
	t.Run("only the owner may read a new file", func(t *testing.T) {
		path, _ := file(t)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("its mode is %v", info.Mode())
		}
	})
	t.Run("one damaged meta page does no harm", func(t *testing.T) {
		for page := range 2 {
			path, data := file(t)
			data[page*os.Getpagesize()+20] ^= 0xff
			write(t, path, data)
			s := open(t, path)
			if n := count(t, s); n < 19 {
				t.Errorf("page %d: %d jobs are left", page, n)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			closeStore(t, s)
		}
	})
}

func TestOpen_new(t *testing.T) {
}

func TestOpen_newFile(t *testing.T) {
	t.Run("a new file is made once, and nothing else", func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "jobs.db")
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				s, err := bolt.Open(path, &bolt.Options{Timeout: 20 * time.Second})
				if err != nil {
					t.Error(err)
					return
				}
				save(t, s, newJob())
				closeStore(t, s)
			})
		}
		group.Wait()
		s := open(t, path)
		if n := count(t, s); n != 8 {
			t.Errorf("%d jobs are left, want 8", n)
		}
		closeStore(t, s)
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 {
			t.Errorf("there are %v, %v, want one file", files, err)
		}
	})
	t.Run("a link that leads nowhere is followed", func(t *testing.T) {
		dir := t.TempDir()
		path, to := filepath.Join(dir, "link.db"), filepath.Join(dir, "jobs.db")
		if err := os.Symlink(to, path); err != nil {
			t.Skip(err)
		}
		s := open(t, path)
		save(t, s, newJob())
		closeStore(t, s)
		if _, err := os.Stat(to); err != nil {
			t.Error(err)
		}
	})
}

var badFiles = []struct {
	name string
	want error
	path func(t *testing.T) string
}{
	{"garbage", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "jobs.db")
		write(t, path, bytes.Repeat([]byte("no bbolt file "), 10_000))
		return path
	}},
	{"a few bytes", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "jobs.db")
		write(t, path, []byte("hello"))
		return path
	}},
	{"two damaged meta pages", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path, data := file(t)
		data[20] ^= 0xff
		data[os.Getpagesize()+20] ^= 0xff
		write(t, path, data)
		return path
	}},
	{"a file cut off", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path, data := file(t)
		write(t, path, data[:10*os.Getpagesize()])
		return path
	}},
	{"a file cut to its meta pages", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path, data := file(t)
		write(t, path, data[:2*os.Getpagesize()])
		return path
	}},
	{"zeros where pages were", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path, data := file(t)
		clear(data[2*os.Getpagesize():])
		write(t, path, data)
		return path
	}},
	{"a list of free pages that are in use", bolt.ErrCorrupt, func(t *testing.T) string {
		t.Helper()
		path, data := file(t)
		newest := data[:os.Getpagesize()]
		if other := data[os.Getpagesize():]; binary.NativeEndian.Uint64(other[64:]) > binary.NativeEndian.Uint64(newest[64:]) {
			newest = other
		}
		// A store that was closed leaves the list in the file.
		root, list := binary.NativeEndian.Uint64(newest[32:]), binary.NativeEndian.Uint64(newest[48:])
		binary.NativeEndian.PutUint64(data[int(list)*os.Getpagesize()+16:], root)
		write(t, path, data)
		return path
	}},
	{"a missing directory", fs.ErrNotExist, func(t *testing.T) string {
		t.Helper()
		return filepath.Join(t.TempDir(), "missing", "jobs.db")
	}},
	{"a directory", nil, func(t *testing.T) string { t.Helper(); return t.TempDir() }},
	{"a newer format", bolt.ErrNewerFormat, func(t *testing.T) string {
		t.Helper()
		path, _ := file(t)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("jobs")).Bucket([]byte("meta")).
				Put([]byte("format"), binary.BigEndian.AppendUint64(nil, 99))
		})
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		return path
	}},
	{"a file in use", bolt.ErrLocked, func(t *testing.T) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "jobs.db")
		s := open(t, path)
		t.Cleanup(func() { closeStore(t, s) })
		return path
	}},
}

func TestOpen_errors(t *testing.T) {
	for _, c := range badFiles {
		t.Run(c.name, func(t *testing.T) {
			path := c.path(t)
			s, err := bolt.Open(path, &bolt.Options{Timeout: time.Millisecond})
			if err == nil {
				closeStore(t, s)
				t.Fatal("Open returned no error")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the file", err)
			}
			if errors.Is(c.want, bolt.ErrCorrupt) {
				// The lock is gone, so that the next try fails for the same reason.
				if _, err := bolt.Open(path, &bolt.Options{Timeout: time.Millisecond}); !errors.Is(err, bolt.ErrCorrupt) {
					t.Errorf("the second time: %v", err)
				}
			}
		})
	}
}

func TestNew_upgrades(t *testing.T) {
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "jobs.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var ran []int
	upgrade := func(to int, err error) func(*bbolt.Bucket) error {
		return func(b *bbolt.Bucket) error {
			ran = append(ran, to)
			return errors.Join(err, b.Put([]byte{byte(to)}, nil))
		}
	}
	failure := errors.New("failure")
	check := func(name string, upgrades []func(*bbolt.Bucket) error, wantErr error, want ...int) {
		t.Helper()
		ran = nil
		_, err := bolt.SetUp(db, upgrades)
		if !errors.Is(err, wantErr) {
			t.Errorf("%s: got error %v, want %v", name, err, wantErr)
		}
		if len(ran) != len(want) || len(ran) > 0 && ran[0] != want[0] {
			t.Errorf("%s: upgrades %v ran, want %v", name, ran, want)
		}
	}
	two := []func(*bbolt.Bucket) error{upgrade(2, nil)}
	four := []func(*bbolt.Bucket) error{two[0], upgrade(3, nil), upgrade(4, nil)}
	check("a new file needs none", two, nil)
	check("a failed one is rolled back", []func(*bbolt.Bucket) error{two[0], upgrade(3, failure)}, failure, 3)
	check("all that are missing run", four, nil, 3, 4)
	check("they run once", four, nil)
	check("an older program refuses", two, bolt.ErrNewerFormat)
	err = db.View(func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("jobs")); b.Get([]byte{4}) == nil || b.Get([]byte{2}) != nil {
			t.Error("what the upgrades wrote is not there")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestStore_Compact(t *testing.T) {
	path, _ := file(t)
	s := open(t, path)
	save(t, s, newJob())
	for id := jobs.ID(1); id <= 20; id++ {
		if err := s.Update(t.Context(), func(tx jobs.Tx) error { return tx.Remove(id) }); err != nil {
			t.Fatal(err)
		}
	}
	small := filepath.Join(t.TempDir(), "small.db")
	if err := s.Compact(small); err != nil {
		t.Fatal(err)
	}
	if err := s.Compact(small); !errors.Is(err, fs.ErrExist) {
		t.Errorf("to an existing file: %v", err)
	}
	session := s.Session()
	closeStore(t, s)

	c := open(t, small)
	defer closeStore(t, c)
	if n := count(t, c); n != 1 {
		t.Errorf("%d jobs are left, want 1", n)
	}
	job := newJob()
	if save(t, c, job); job.ID != 22 {
		t.Errorf("the next ID is %d, want 22", job.ID)
	}
	if c.Session() <= session {
		t.Errorf("after session %d came session %d", session, c.Session())
	}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
