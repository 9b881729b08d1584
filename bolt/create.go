package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"
)

// create makes a file at path if there is none. It is made under another name and then linked, so that
// after a power cut it is there as a whole or not at all: bbolt does not open one whose very first
// write is torn. Nor does bbolt sync the directory, without which a power cut may take the whole file
// away, with all that was committed to it.
//
// It leaves what it cannot do to bbolt, on a file system without links for example.
func create(path string, sync bool) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*.new")
	if err != nil {
		return nil //nolint:nilerr // bbolt will say what is wrong
	}
	name := temp.Name()
	defer func() { _ = os.Remove(name) }()
	if err := temp.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(name, fileMode, nil)
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	// Not renamed, which would take the place of a file that another process has made meanwhile.
	if err := os.Link(name, path); err != nil || !sync || runtime.GOOS == "windows" {
		return nil //nolint:nilerr // somebody was faster, or there are no links
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
