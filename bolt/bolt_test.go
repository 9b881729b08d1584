package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

func open(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	jobstest.TestStore(t, func(t *testing.T) jobs.Store {
		return open(t, filepath.Join(t.TempDir(), "jobs.db"))
	})
}

func TestStore_reopened(t *testing.T) {
	jobstest.TestStoreReopen(t, func(t *testing.T, dir string) jobs.Store {
		return open(t, filepath.Join(dir, "jobs.db"))
	})
}
