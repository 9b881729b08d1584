package jobs_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
)

// A node is a job as the model sees it while nothing runs.
type node struct {
	id      jobs.ID
	state   jobs.State // "" once it is deleted
	partial bool
	ends    string // how its handler ends: "", fail, part or skip
	held    bool   // due in a day
	blocked bool   // skipped because of another
	after   []jobs.Dependency
}

// web is a model of jobs that come after each other, in a few lines: what must be true of them when
// everything has run that can.
type web struct {
	nodes []*node // nodes[i] has ID i+1
}

func (w *web) of(id jobs.ID) *node { return w.nodes[id-1] }

// look counts the jobs before n that have not ended, and reports whether one has ended in the wrong way
// or is gone.
func (w *web) look(n *node) (pending int, blocked, gone bool) {
	for _, d := range n.after {
		switch other := w.of(d.Job); {
		case other.state == "":
			gone = true
		case !other.state.Final():
			pending++
		case d.Need == jobs.NeedSuccess && other.state != jobs.Succeeded,
			d.Need == jobs.NeedAll && (other.state != jobs.Succeeded || other.partial):
			blocked = true
		}
	}
	return pending, blocked, gone
}

// settle has everything happen that can.
func (w *web) settle() {
	for again := true; again; {
		again = false
		for _, n := range w.nodes {
			if n.state == jobs.Waiting {
				pending, blocked, _ := w.look(n)
				switch {
				case blocked:
					n.state, n.blocked, again = jobs.Skipped, true, true
				case pending == 0 && n.held:
					n.state, again = jobs.Scheduled, true
				case pending == 0:
					n.state = jobs.Queued
				}
			}
			if n.state == jobs.Queued {
				n.state = map[string]jobs.State{"": jobs.Succeeded, "part": jobs.Succeeded, "fail": jobs.Failed, "skip": jobs.Skipped}[n.ends]
				n.partial, n.blocked, again = n.ends == "part", false, true
			}
		}
	}
}

func (w *web) retry(n *node) bool {
	switch n.state {
	case "", jobs.Waiting:
		return false
	case jobs.Scheduled:
		n.state = jobs.Queued
		return true
	default:
	}
	pending, blocked, gone := w.look(n)
	if blocked || gone {
		return false
	}
	if n.state = jobs.Queued; pending > 0 {
		n.state = jobs.Waiting
	}
	n.held, n.partial, n.blocked = false, false, false
	w.revive(n)
	return true
}

// revive has the jobs wait again that were skipped because of n.
func (w *web) revive(n *node) {
	for _, other := range w.nodes {
		for _, d := range other.after {
			if d.Job != n.id || other.state != jobs.Skipped || !other.blocked {
				continue
			}
			if _, blocked, gone := w.look(other); !blocked && !gone {
				other.state, other.blocked = jobs.Waiting, false
				w.revive(other)
			}
		}
	}
}

func TestRunner_After_model(t *testing.T) {
	anyLife(t, "what comes after what, under any operations", func(t *testing.T, rt *rapid.T, store jobs.Store) {
		(&webRun{t: t, rt: rt, store: store}).run()
	})
}

// A webRun drives a runner and the model.
type webRun struct {
	t     *testing.T
	rt    *rapid.T
	store jobs.Store
	web   web
	r     *jobs.Runner
	stop  func() error
	mu    sync.Mutex
	ends  map[jobs.ID]string
}

func (x *webRun) start() {
	x.r = newRunner(x.t, x.store, registry("task", func(ctx context.Context) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		switch x.ends[jobs.Current(ctx).ID] {
		case "fail":
			return jobs.Fail(errBroken)
		case "part":
			return jobs.Partial(errBroken)
		case "skip":
			return jobs.Skip("no")
		}
		return nil
	}), nil)
	x.stop = start(x.t, x.r)
}

func (x *webRun) run() {
	x.ends = make(map[jobs.ID]string)
	x.start()
	for range rapid.IntRange(5, 30).Draw(x.rt, "operations") {
		x.step()
		synctest.Wait()
		x.compare()
	}
	audit(env{x.t, x.store})
}

func (x *webRun) step() {
	ctx := x.t.Context()
	op := rapid.SampledFrom([]string{"enqueue", "enqueue", "enqueue", "cancel", "retry", "retry", "delete", "restart"}).Draw(x.rt, "operation")
	if op == "restart" {
		if err := x.stop(); err != nil {
			x.rt.Fatal(err)
		}
		x.start()
		return
	}
	if op == "enqueue" || len(x.web.nodes) == 0 {
		x.enqueue()
		return
	}
	n := x.web.nodes[rapid.IntRange(0, len(x.web.nodes)-1).Draw(x.rt, "job")]
	var err error
	want := n.state != ""
	switch op {
	case "cancel":
		_, err = x.r.Cancel(ctx, n.id, "")
		if want = want && !n.state.Final(); want {
			n.state = jobs.Cancelled
		}
	case "retry":
		x.mu.Lock()
		if n.ends == "fail" && rapid.Bool().Draw(x.rt, "heals") {
			n.ends = ""
			x.ends[n.id] = ""
		}
		x.mu.Unlock()
		_, err = x.r.Retry(ctx, n.id)
		want = x.web.retry(n)
	case "delete":
		err = x.r.Delete(ctx, n.id)
		if want && !n.state.Final() {
			n.state = jobs.Cancelled
			x.web.settle()
		}
		n.state = ""
	}
	if (err == nil) != want || err != nil && !errors.Is(err, jobs.ErrState) && !errors.Is(err, jobs.ErrNotFound) {
		x.rt.Fatalf("%s of job %d: %v; it should have worked: %t", op, n.id, err, want)
	}
	x.web.settle()
}

func (x *webRun) enqueue() {
	n := &node{
		id: jobs.ID(len(x.web.nodes) + 1), state: jobs.Waiting,
		ends: rapid.SampledFrom([]string{"", "", "", "fail", "part", "skip"}).Draw(x.rt, "end"),
		held: rapid.IntRange(0, 3).Draw(x.rt, "held") == 0,
	}
	for _, other := range x.web.nodes {
		if other.state != "" && len(n.after) < 4 && rapid.IntRange(0, 2).Draw(x.rt, "after") == 0 {
			need := rapid.SampledFrom([]jobs.Need{jobs.NeedSuccess, jobs.NeedAll, jobs.NeedEnd}).Draw(x.rt, "need")
			n.after = append(n.after, jobs.Dependency{Job: other.id, Need: need})
		}
	}
	req := jobs.Request{Task: "task", After: n.after}
	if n.held {
		req.RunAt = time.Now().Add(day)
	}
	x.mu.Lock()
	x.ends[n.id] = n.ends
	x.mu.Unlock()
	if job := enqueue(x.t, x.r, req); job.ID != n.id {
		x.rt.Fatalf("job %d was made, want %d", job.ID, n.id)
	}
	x.web.nodes = append(x.web.nodes, n)
	x.web.settle()
}

func (x *webRun) compare() {
	for _, n := range x.web.nodes {
		job, err := x.r.Get(x.t.Context(), n.id)
		if errors.Is(err, jobs.ErrNotFound) && n.state == "" {
			continue
		}
		if err != nil || job.State != n.state || job.Partial != n.partial && n.state == jobs.Succeeded || (job.Blocker != 0) != n.blocked {
			x.rt.Fatalf("%v (partial: %t, blocker %d): %v; want %s (partial: %t, blocked: %t)", job, job.Partial, job.Blocker, err, n.state, n.partial, n.blocked)
		}
	}
}
