//go:build !race

package jobs_test

// large is the number of jobs of a large group.
const large = 100_000
