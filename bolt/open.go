package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
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
	db, err := open(path, &bbolt.Options{
		Timeout:        o.Timeout,
		FreelistType:   bbolt.FreelistMapType,
		NoFreelistSync: true, // a commit need not write it; Open finds the free pages by a scan
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
	s, err := New(db, &o)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owned = true
	return s, nil
}

// open calls bbolt.Open, which panics or reads beyond the end of the file when the file is
// damaged.
func open(path string, opts *bbolt.Options) (db *bbolt.DB, err error) {
	var file *os.File
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err != nil {
			return nil, err
		}
		if err := checkSize(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		file = f
		return f, nil
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			// The database cannot be closed, because nobody has it. The file can, which
			// also unlocks it.
			err = errors.Join(fmt.Errorf("%w: %v", ErrCorrupt, r), file.Close())
		}
	}()
	return bbolt.Open(path, fileMode, opts)
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

// checkSize returns an error if the newest meta page counts more pages than the file has. Without
// it, bbolt would read beyond the end of the file, which may kill the process.
func checkSize(f *os.File) error {
	// Another process may be writing. It makes the file longer before it writes the meta page
	// that says so, therefore the size is asked for last.
	need := int64(0)
	newest := uint64(0)
	for _, at := range metaOffsets(f) {
		if m, ok := readMeta(f, at); ok && m.txid >= newest {
			newest, need = m.txid, int64(m.pages)*int64(m.pageSize)
		}
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < need {
		return fmt.Errorf("%w: it has been cut off, %d bytes of %d are left", ErrCorrupt, info.Size(), need)
	}
	return nil
}

// metaOffsets returns where the meta pages may be. The second one is at the page size, which the
// first one tells; without it, all usual sizes are tried.
func metaOffsets(f *os.File) []int64 {
	if m, ok := readMeta(f, 0); ok {
		return []int64{0, int64(m.pageSize)}
	}
	var at []int64
	for size := int64(1 << 10); size <= 1<<16; size <<= 1 {
		at = append(at, size)
	}
	return at
}

// A meta is what of a meta page of bbolt matters here.
type meta struct {
	pageSize    uint32
	pages, txid uint64
}

// The layout of a meta page of bbolt, in the byte order of the machine that wrote it.
const (
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaHeader   = 16 // of the page
	metaSize     = 64
	metaChecksum = 56
)

// readMeta reads the meta page at an offset and reports whether there is a valid one.
func readMeta(r io.ReaderAt, at int64) (m meta, ok bool) {
	var buf [metaSize]byte
	if _, err := r.ReadAt(buf[:], at+metaHeader); err != nil {
		return meta{}, false
	}
	order := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(buf[:metaChecksum])
	if order.Uint32(buf[0:]) != metaMagic || order.Uint32(buf[4:]) != metaVersion ||
		order.Uint64(buf[metaChecksum:]) != sum.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: order.Uint32(buf[8:]),
		pages:    order.Uint64(buf[40:]),
		txid:     order.Uint64(buf[48:]),
	}, true
}
