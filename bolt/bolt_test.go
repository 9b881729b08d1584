package bolt_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

func open(tb testing.TB, path string) *bolt.Store {
	tb.Helper()
	s, err := bolt.Open(path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	jobstest.TestStore(t, func(t *testing.T) jobs.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "jobs.db"))
	})
}

func TestStore_reopened(t *testing.T) {
	jobstest.TestStoreReopen(t, func(t *testing.T, dir string) jobs.Store {
		t.Helper()
		return open(t, filepath.Join(dir, "jobs.db"))
	})
}

func BenchmarkStore(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			jobstest.BenchmarkStore(b, callers, func(b *testing.B) jobs.Store {
				b.Helper()
				return open(b, filepath.Join(b.TempDir(), "jobs.db"))
			})
		})
	}
}
