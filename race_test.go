//go:build race

package jobs_test

import "flag"

// large is the number of jobs of a large group; the race detector is too slow for 100,000.
const large = 5000

func init() { _ = flag.Set("rapid.checks", "10") }
