//go:build linux

package reliability_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// A history is what concurrent clients did to jobs and saw, with times.
type history struct {
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

// An op is one operation on one job.
type op struct {
	job  jobs.ID
	what string // enqueue, start, finish, cancel, retry, get
}

// A seen is what an operation returned.
type seen struct {
	refused bool
	state   jobs.State
	claims  int
}

func (h *history) do(client int, in op, fn func() seen) {
	call := time.Since(h.began).Nanoseconds()
	out := fn()
	h.add(client, in, out, call, time.Since(h.began).Nanoseconds())
}

func (h *history) add(client int, in op, out seen, call, end int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: call, Return: end})
}

// stored is the state of a job as its clients can see it. Claims and ends happen by themselves, at
// some time between those operations, so a state stands for all that may have become of it.
type stored struct {
	state      jobs.State
	claims     int
	cancelling bool
	started    bool // the handler has begun
	finished   bool // the handler has returned without an error
}

// linear is the model of one job, for porcupine. What happens inside (that the end of a handler is
// stored, that a cancelled handler gives up) is a choice.
func linear() porcupine.Model {
	nondeterministic := porcupine.NondeterministicModel{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := make(map[jobs.ID][]porcupine.Operation)
			for _, o := range all {
				id := o.Input.(op).job
				parts[id] = append(parts[id], o)
			}
			var out [][]porcupine.Operation
			for _, p := range parts {
				out = append(out, p)
			}
			return out
		},
		Init: func() []any { return []any{stored{state: jobs.Queued}} },
		Step: func(state, in, out any) []any {
			var next []any
			for _, s := range alone(state.(stored)) {
				if n, ok := s.after(in.(op), out.(seen)); ok {
					next = append(next, n)
				}
			}
			return next
		},
		Equal:             func(a, b any) bool { return a == b },
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
	}
	return nondeterministic.ToModel()
}

// alone returns what may become of a job without anybody doing anything.
func alone(s stored) []stored {
	all := []stored{s}
	if s.state == jobs.Running && s.finished {
		all = append(all, stored{state: jobs.Succeeded, claims: s.claims})
	}
	if s.state == jobs.Running && s.cancelling {
		all = append(all, stored{state: jobs.Cancelled, claims: s.claims})
	}
	if s.state == jobs.Running && !s.started && !s.cancelling { // claimed ahead, and given back
		all = append(all, stored{state: jobs.Queued, claims: s.claims})
	}
	if s.state == jobs.Queued { // claimed, and the handler has not begun
		claimed := stored{state: jobs.Running, claims: s.claims + 1}
		all = append(all, claimed)
	}
	return all
}

// after returns the state after an operation, if it can have returned that.
func (s stored) after(o op, out seen) (stored, bool) {
	switch o.what {
	case "start": // the handler of claim out.claims begins
		ok := s.state == jobs.Running && s.claims == out.claims && !s.started
		s.started = true
		return s, ok
	case "finish": // it returns
		if s.state == jobs.Running && s.claims == out.claims {
			s.finished = true
			return s, true
		}
		return s, false
	case "cancel":
		switch {
		case out.refused:
			return s, s.state.Final()
		case s.state == jobs.Running:
			s.cancelling = true
			return s, out.state == jobs.Running
		}
		return stored{state: jobs.Cancelled, claims: s.claims}, !s.state.Final() && out.state == jobs.Cancelled
	case "retry":
		if out.refused {
			return s, !s.state.Final()
		}
		return stored{state: jobs.Queued, claims: s.claims}, s.state.Final()
	case "get":
		return s, s.state == out.state && s.claims == out.claims
	}
	return s, false
}

// TestLinearizable checks that what concurrent clients see of claims, ends, cancellations and
// retries can have happened one after the other.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func() jobs.Store{
		"memory": func() jobs.Store { return memory.New() },
		"bolt": func() jobs.Store {
			s, err := bolt.Open(memoryDir(t)+"/jobs.db", &bolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			seed := seedOf(t)
			n := 0
			for i := range scale(3, 20, 300) {
				h := concurrent(t, open(), rand.New(rand.NewPCG(seed, uint64(i))))
				n += len(h.ops)
				if r := porcupine.CheckOperationsTimeout(linear(), h.ops, 20*time.Second); r != porcupine.Ok {
					t.Fatalf("seed %d, history %d: %v\n%v", seed, i, r, h.ops)
				}
			}
			t.Logf("%d operations", n)
		})
	}
}

// concurrent has clients act on few jobs at once.
func concurrent(t *testing.T, store jobs.Store, rng *rand.Rand) *history {
	t.Helper()
	const clients, few, acts = 5, 4, 40
	h := &history{began: time.Now()}
	var reg jobs.Registry
	reg.Handle(jobs.Task{Name: "task"}, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
		job := jobs.Current(ctx)
		began := time.Since(h.began).Nanoseconds()
		h.add(100, op{job.ID, "start"}, seen{claims: job.Claims}, began, began)
		timer := time.NewTimer(time.Duration(job.ID%3) * 100 * time.Microsecond)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timer.C:
		}
		ended := time.Since(h.began).Nanoseconds()
		h.add(100, op{job.ID, "finish"}, seen{claims: job.Claims}, ended, ended)
		return nil, nil
	})
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{Workers: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var ids [few]jobs.ID
	for i := range ids { // before Run, so that the histories begin with jobs in line
		all, err := r.Enqueue(ctx, jobs.Request{Task: "task"})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = all[0].ID
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var group sync.WaitGroup
	for c := range clients {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 0))
		group.Go(func() {
			for range acts {
				id := ids[rng.IntN(few)]
				what := []string{"cancel", "retry", "get"}[rng.IntN(3)]
				do := map[string]func(context.Context, jobs.ID) (*jobs.Job, error){
					"cancel": func(ctx context.Context, id jobs.ID) (*jobs.Job, error) { return r.Cancel(ctx, id, "enough") },
					"retry":  r.Retry, "get": r.Get,
				}[what]
				h.do(c, op{id, what}, func() seen {
					job, err := do(ctx, id)
					switch {
					case errors.Is(err, jobs.ErrState):
						return seen{refused: true}
					case err != nil:
						t.Error(err)
						return seen{}
					}
					return seen{state: job.State, claims: job.Claims}
				})
			}
		})
	}
	group.Wait()
	for _, id := range ids { // so that the ends are stored and seen
		job, err := r.Wait(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Since(h.began).Nanoseconds()
		h.add(0, op{id, "get"}, seen{state: job.State, claims: job.Claims}, now, now)
	}
	stop()
	if err := errors.Join(<-done, store.Close()); err != nil {
		t.Fatal(err)
	}
	return h
}
