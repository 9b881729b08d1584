//go:build race

package jobs_test

// large is the number of jobs of a large group; the race detector is too slow for 100,000.
const large = 10_000
