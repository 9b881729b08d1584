//go:build linux

package reliability_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"
)

// field returns a pointer to an unexported field, such as bbolt's function that writes.
func field[T any](of any, path ...string) *T {
	v := reflect.ValueOf(of).Elem()
	for _, name := range path {
		v = v.FieldByName(name)
	}
	return (*T)(unsafe.Pointer(v.UnsafeAddr()))
}

// A step is one thing that happened to a file.
type step struct {
	kind kind
	at   int64  // of a write
	data []byte // of a write
	size int64  // of a resize
}

type kind string

const (
	write  kind = "write"
	resize kind = "resize"
	synced kind = "sync"
)

// A disk stands between a bbolt database and its file. It records what is written, and fails on
// demand.
//
// bbolt writes by a function that can be replaced. It syncs by a system call that cannot, so when
// it syncs is known from its source: after the pages of a commit and before its meta page, after
// the meta page, and after a resize; not at all with NoSync. TestDisk_syncs proves that these calls
// are made.
type disk struct {
	db       *bbolt.DB
	pageSize int64
	writeAt  func([]byte, int64) (int, error)
	file     *os.File
	broken   *os.File // of which every sync fails

	mu            sync.Mutex
	trace         []step
	size          int64
	fault         func(w fault) error // nil if nothing fails
	writes, metas int
}

// A fault is a write that may fail, for a function that decides whether it does.
type fault struct {
	n    int // number of the write, from 1
	meta bool
	data []byte
	at   int64
}

// errNoSync has the sync fail that follows a write.
var errNoSync = errors.New("the sync that follows shall fail")

// errShort has a write stop in the middle.
var errShort = errors.New("short write")

// openDisk opens a new database whose writes are recorded.
func openDisk(t *testing.T, dir string) *disk {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "jobs.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	return newDisk(t, db, []step{{kind: write, data: data}, {kind: synced}})
}

// newDisk puts a disk between a database and its file.
func newDisk(t *testing.T, db *bbolt.DB, before []step) *disk {
	t.Helper()
	const pathOnly = 0x200000 // O_PATH: of such a file the size can be asked for, and little else
	w, err := os.OpenFile(db.Path(), pathOnly, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	d := &disk{
		db: db, pageSize: int64(db.Info().PageSize), writeAt: *field[func([]byte, int64) (int, error)](db, "ops", "writeAt"),
		file: *field[*os.File](db, "file"), broken: w, trace: before,
	}
	d.size = d.stat()
	*field[bbolt.Logger](db, "logger") = &syncWatcher{db.Logger(), d}
	*field[func([]byte, int64) (int, error)](db, "ops", "writeAt") = d.write
	return d
}

func (d *disk) stat() int64 {
	info, err := d.file.Stat()
	if err != nil {
		panic(err)
	}
	return info.Size()
}

// A syncWatcher is a logger by which bbolt tells that a sync has failed, which lets the next one
// succeed.
type syncWatcher struct {
	bbolt.Logger
	d *disk
}

func (w *syncWatcher) Errorf(format string, _ ...any) {
	if strings.Contains(format, "fdatasync failed") {
		*field[*os.File](w.d.db, "file") = w.d.file
	}
}

func (d *disk) write(b []byte, at int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	meta := at < 2*d.pageSize
	d.writes++
	if meta {
		d.metas++
	}
	if size := d.stat(); size != d.size {
		d.trace = append(d.trace, step{kind: resize, size: size}, step{kind: synced})
		d.size = size
	}
	if meta && !d.db.NoSync {
		d.trace = append(d.trace, step{kind: synced})
	}
	if d.fault != nil {
		switch err := d.fault(fault{n: d.writes, meta: meta, data: b, at: at}); {
		case errors.Is(err, errNoSync):
			*field[*os.File](d.db, "file") = d.broken
		case errors.Is(err, errShort):
			n, _ := d.writeAt(b[:len(b)/2], at)
			return n, err
		case err != nil:
			return 0, err
		}
	}
	d.trace = append(d.trace, step{kind: write, at: at, data: append([]byte(nil), b...)})
	n, err := d.writeAt(b, at)
	if meta && !d.db.NoSync {
		d.trace = append(d.trace, step{kind: synced})
	}
	return n, err
}

// now returns how many steps there were.
func (d *disk) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.trace)
}

// setFault decides about further writes.
func (d *disk) setFault(fn func(fault) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = fn
}

func TestDisk_syncs(t *testing.T) {
	for _, meta := range []bool{false, true} {
		d := openDisk(t, t.TempDir())
		d.setFault(func(w fault) error {
			if w.meta == meta {
				return errNoSync
			}
			return nil
		})
		err := d.db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists([]byte("b"))
			return err
		})
		if err == nil {
			t.Errorf("bbolt does not sync after it has written pages, of meta data: %t", meta)
		}
		if err := d.db.Close(); err != nil {
			t.Error(err)
		}
	}
}
