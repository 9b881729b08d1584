package jobstest

import (
	"context"
	"fmt"

	"github.com/embedjobs/jobs"
)

// CheckRule checks one rule of the suite.
func CheckRule(ctx context.Context, name string, s jobs.Store) error {
	for _, c := range storeCases() {
		if c.name == name {
			return c.run(ctx, s)
		}
	}
	panic(fmt.Sprintf("there is no case %q", name))
}

// FullJob returns the job that is said to have every field set.
func FullJob() *jobs.Job { return fullJob() }
