package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"time"
)

// Each run has a process of its own, so that the heap, the collector and the threads of one system
// do not disturb another. The process is this program with its case, as JSON, in the environment.
const childEnv = "JOBS_BENCH_CASE"

// isChild runs the case of this process, if it has one, and prints its values as JSON.
func isChild() (bool, error) {
	text := os.Getenv(childEnv)
	if text == "" {
		return false, nil
	}
	r := new(run)
	if err := json.Unmarshal([]byte(text), &r.Case); err != nil {
		return true, err
	}
	if r.CPUProfile != "" {
		r.profile = r.startProfile
	}
	values, err := r.measure(context.Background())
	if err != nil {
		return true, err
	}
	return true, json.NewEncoder(os.Stdout).Encode(values)
}

// startProfile writes a CPU profile of the measured part.
func (r *run) startProfile() (stop func(), err error) {
	f, err := os.Create(r.CPUProfile)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}, nil
}

// childLimit is how long a run may take. To make a file of a million jobs takes longest.
const childLimit = 20 * time.Minute

// runChild runs a case in a process of its own.
func runChild(ctx context.Context, c Case) ([]Value, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	args := append(delayed(c.Delay), program)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s with %s: %w: %s", c.Scenario, c.System, err, strings.TrimSpace(stderr.String()))
	}
	var values []Value
	if err := json.Unmarshal(stdout.Bytes(), &values); err != nil {
		return nil, fmt.Errorf("%s with %s: %w in %q", c.Scenario, c.System, err, stdout.String())
	}
	return values, nil
}

// delayed returns the beginning of a command that adds a delay to each sync of what follows, and of
// the processes that it starts. It works for all systems alike, whatever language they are written
// in; only the syncs are slower, because strace has the kernel stop at no other call.
func delayed(d time.Duration) []string {
	if d == 0 {
		return nil
	}
	return []string{
		"strace", "-f", "--seccomp-bpf", "-qq", "-o", os.DevNull, "-e", "trace=fdatasync,fsync",
		"-e", fmt.Sprintf("inject=fdatasync,fsync:delay_exit=%d", d.Microseconds()),
	}
}

// canDelay returns why syncs cannot be delayed here, nil if they can.
func canDelay(ctx context.Context) error {
	args := append(delayed(time.Microsecond), "true")
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("strace cannot delay syncs here: %w %s", err, bytes.TrimSpace(out))
	}
	return nil
}
