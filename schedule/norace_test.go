//go:build !race

package schedule_test

// days is how long the oracle looks at clocks.
const days = 367
