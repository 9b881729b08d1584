package memory_test

import (
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
	"github.com/embedjobs/jobs/memory"
)

func TestStore(t *testing.T) {
	jobstest.TestStore(t, func(*testing.T) jobs.Store { return memory.New() })
}

func BenchmarkStore(b *testing.B) {
	jobstest.BenchmarkStore(b, 64, func(*testing.B) jobs.Store { return memory.New() })
}
