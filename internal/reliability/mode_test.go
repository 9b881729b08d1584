package reliability_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
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

// forks is held while a process is started, and where a file is opened again in a bubble. Until a new
// process has begun it holds the locks of all files that are open, and in a bubble the time that an
// Open waits for a lock passes at once.
var forks sync.Mutex

// start starts a process.
func start(cmd *exec.Cmd) error {
	forks.Lock()
	defer forks.Unlock()
	return cmd.Start()
}

// command runs a command and returns what it says.
func command(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return out.Bytes(), err
}
