package reliability_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// mode says how much is done: JOBS_RELIABILITY=short is what runs on every change, long what takes
// a quarter of an hour, and without it a little of everything is tried.
var mode = os.Getenv("JOBS_RELIABILITY")

func scale[T any](little, short, long T) T {
	switch mode {
	case "short":
		return short
	case "long":
		return long
	}
	return little
}

// noSync plants a bug: commits are not synced.
var noSync = os.Getenv("JOBS_PLANT") == "nosync"

// seedOf returns what random choices begin with: JOBS_SEED or a new one.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("JOBS_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("JOBS_SEED=%d", seed)
	return seed
}
