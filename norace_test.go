//go:build !race

package jobs_test

import "flag"

// large is the number of jobs of a large group.
const large = 100_000

func init() { _ = flag.Set("rapid.checks", "50") }
