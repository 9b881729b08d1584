package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Errors of Open and New that a caller may want to tell apart with errors.Is.
var (
	// ErrLocked is returned when another process, or another store of this one, has the file
	// open.
	ErrLocked = errors.New("the file is in use")
	// ErrCorrupt is returned when the file is damaged or is no bbolt file.
	ErrCorrupt = errors.New("the file is damaged or is no bbolt file")
	// ErrNewerFormat is returned when a newer version of this package has written the file.
	ErrNewerFormat = errors.New("a newer version of this package has written the file")
)

var errNotOpen = berrors.ErrDatabaseNotOpen

// fileMode is that of a new file: arguments of jobs may be secret.
const fileMode = 0o600

// allocSize is the step in which the file grows, which takes a sync of its own.
const allocSize = 4 << 20

// Open opens the file at path, which is made if there is none, though not its directory. It may
// also be a bbolt file that holds something else. Close lets go of it.
func Open(path string, opts *Options) (*Store, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if err := create(path, !o.NoSync); err != nil {
		return nil, fmt.Errorf("bolt: making %s: %w", path, err)
	}
	db, err := open(path, &bbolt.Options{
		Timeout:        o.Timeout,
		FreelistType:   bbolt.FreelistMapType,
		NoFreelistSync: true, // a commit need not write it; Close does, or Open scans the file
		NoSync:         o.NoSync,
		InitialMmapSize: func() int {
			// A writer that has to map more waits for all readers, so much is mapped from
			// the start. It costs address space only, but for Windows, where the file
			// would grow to that size.
			if strconv.IntSize < 64 || runtime.GOOS == "windows" {
				return 0
			}
			return 1 << 30
		}(),
	})
	if err != nil {
		return nil, fmt.Errorf("bolt: opening %s: %w", path, explain(path, err, o.Timeout))
	}
	db.AllocSize = allocSize
	s, err := New(db, &o)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owned = true
	return s, nil
}

// Compact writes a copy of the store's file to path, without the pages that have become free. There
// must be no file at path. To use the copy, close the store and put it in the place of the file. A
// commit that happens while Compact runs is not in the copy.
func (s *Store) Compact(path string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.active.Done()
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("bolt: compacting to %s: %w", path, fs.ErrExist)
	}
	dst, err := bbolt.Open(path, fileMode, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, NoSync: true,
	})
	if err != nil {
		return fmt.Errorf("bolt: compacting to %s: %w", path, err)
	}
	if err = bbolt.Compact(dst, s.db, compactTx); err == nil {
		err = dst.Sync()
	}
	if err := errors.Join(err, dst.Close()); err != nil {
		return errors.Join(fmt.Errorf("bolt: compacting to %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// compactTx is the number of bytes that Compact writes in one transaction.
const compactTx = 1 << 20

// open calls bbolt.Open, after a look at the file: bbolt panics when it meets pages that make no
// sense, and not always on the goroutine that called it.
func open(path string, opts *bbolt.Options) (db *bbolt.DB, err error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		readOnly := &bbolt.Options{Timeout: opts.Timeout, ReadOnly: true}
		db, err := guarded(path, readOnly, checkPages)
		if err != nil {
			return nil, err
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
	return guarded(path, opts, nil)
}

// guarded calls bbolt.Open and then check, and makes errors of their panics.
func guarded(path string, opts *bbolt.Options, check func(*bbolt.DB, *os.File) error) (db *bbolt.DB, err error) {
	var file *os.File
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // beyond the end of the file
	defer func() {
		if r := recover(); r != nil {
			// The database cannot be closed, because nobody has it. The file can, which
			// also unlocks it.
			db, err = nil, errors.Join(fmt.Errorf("%w: %v", ErrCorrupt, r), file.Close())
		}
	}()
	db, err = bbolt.Open(path, fileMode, opts)
	if err == nil && check != nil {
		if err := check(db, file); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, err
}

// explain says what an error of opening means, and what can be done.
func explain(path string, err error, timeout time.Duration) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w by another process, or by another store of this one; waited %v: %w",
			ErrLocked, timeout, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory %s does not exist, make it first: %w", filepath.Dir(path), err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the file, or its directory if it is new, must be writable: %w", err)
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fmt.Errorf("it is a directory, name a file in it: %w", err)
	}
	return err
}
