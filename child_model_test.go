package jobs_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
)

// A member is a parent or a child as the model sees it while nothing runs.
type member struct {
	id      jobs.ID
	state   jobs.State
	partial bool
	deleted bool
	ends    string // how the handler of a child ends
	held    bool   // a child that is due in a day
	policy  jobs.Need
	kids    []*member // of a parent, those it waits for or has waited for
	parent  *member
	gone    bool     // a parent that was cancelled: its children are taken up with it only
	plan    []member // the children that its handler spawns
}

// spawn gives a parent its children.
func (x *broodRun) spawn(p *member) {
	p.state, p.kids = jobs.Waiting, nil
	for _, k := range p.plan {
		k.id, k.state, k.parent = jobs.ID(len(x.all)+1), jobs.Queued, p
		if k.held {
			k.state = jobs.Scheduled
		}
		p.kids = append(p.kids, &k)
		x.all = append(x.all, &k)
		x.ends[k.id] = k.ends
	}
}

// counts returns the numbers of children by how they have ended.
func (p *member) counts() *jobs.ChildCounts {
	c := new(jobs.ChildCounts)
	for _, k := range p.kids {
		c.Total++
		switch k.state {
		case jobs.Succeeded:
			c.Succeeded++
			if k.partial {
				c.Partial++
			}
		case jobs.Failed:
			c.Failed++
		case jobs.Cancelled:
			c.Cancelled++
		case jobs.Skipped:
			c.Skipped++
		default:
		}
	}
	return c
}

// settle has everything happen that can.
func (x *broodRun) settle() {
	for _, m := range x.all {
		if m.state == jobs.Queued {
			m.state = map[string]jobs.State{"": jobs.Succeeded, "part": jobs.Succeeded, "fail": jobs.Failed, "skip": jobs.Skipped}[m.ends]
			m.partial = m.ends == "part"
		}
	}
	for _, p := range x.all {
		c := p.counts()
		if p.state != jobs.Waiting || c.Pending() > 0 {
			continue
		}
		bad := c.Failed + c.Cancelled
		p.state, p.partial = jobs.Succeeded, bad > 0 || c.Partial > 0
		if bad > 0 && (p.policy == jobs.NeedAll || p.policy == jobs.NeedSuccess && c.Succeeded == 0) {
			p.state, p.partial = jobs.Failed, false
		}
	}
}

// retry takes up a member again, and reports whether that is possible.
func (x *broodRun) retry(m *member) bool {
	switch {
	case m.deleted || m.state == jobs.Waiting:
		return false
	case m.plan == nil && m.state.Final() && m.parent.gone && !m.parent.deleted && slices.Contains(m.parent.kids, m):
		return false
	case m.plan == nil:
		m.state, m.partial = jobs.Queued, false
		return true
	}
	m.partial, m.gone = false, false
	again := m.counts().Pending() > 0
	for _, k := range m.kids {
		if (k.state == jobs.Failed || k.state == jobs.Cancelled) && !k.deleted {
			k.state, again = jobs.Queued, true
		}
	}
	if again {
		m.state = jobs.Waiting
	} else {
		x.spawn(m)
	}
	return true
}

func TestSpawn_model(t *testing.T) {
	anyLife(t, "parents and children under any operations", func(t *testing.T, rt *rapid.T, store jobs.Store) {
		(&broodRun{t: t, rt: rt, store: store}).run()
	})
}

// A broodRun drives a runner and the model.
type broodRun struct {
	t     *testing.T
	rt    *rapid.T
	store jobs.Store
	all   []*member // all[i] has ID i+1
	r     *jobs.Runner
	stop  func() error
	mu    sync.Mutex
	ends  map[jobs.ID]string
}

func (x *broodRun) start() {
	reg := registry("kid", func(ctx context.Context) error {
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
	})
	handle(reg, jobs.Task{Name: "parent"}, func(ctx context.Context) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		var reqs []jobs.Request
		for _, k := range x.all[jobs.Current(ctx).ID-1].plan {
			req := jobs.Request{Task: "kid"}
			if k.held {
				req.RunAt = time.Now().Add(day)
			}
			reqs = append(reqs, req)
		}
		return jobs.Spawn(ctx, reqs...)
	})
	x.r = newRunner(x.t, x.store, reg, nil)
	x.stop = start(x.t, x.r)
}

func (x *broodRun) run() {
	x.ends = make(map[jobs.ID]string)
	x.start()
	for range rapid.IntRange(3, 20).Draw(x.rt, "operations") {
		x.step()
		synctest.Wait()
		x.compare()
	}
	audit(env{x.t, x.store})
}

func (x *broodRun) step() {
	ctx := x.t.Context()
	op := rapid.SampledFrom([]string{"enqueue", "cancel", "retry", "retry", "delete", "restart"}).Draw(x.rt, "operation")
	if op == "restart" {
		if err := x.stop(); err != nil {
			x.rt.Fatal(err)
		}
		x.start()
		return
	}
	if op == "enqueue" || len(x.all) == 0 {
		x.enqueue()
		return
	}
	m := x.all[rapid.IntRange(0, len(x.all)-1).Draw(x.rt, "job")]
	want := !m.deleted
	var act func() error
	x.mu.Lock()
	switch op {
	case "cancel":
		if want = want && !m.state.Final(); want {
			m.state, m.gone = jobs.Cancelled, m.plan != nil
			for _, k := range m.kids {
				if !k.state.Final() {
					k.state = jobs.Cancelled
				}
			}
		}
		act = func() error { _, err := x.r.Cancel(ctx, m.id, ""); return err }
	case "retry":
		if m.ends == "fail" && rapid.Bool().Draw(x.rt, "heals") {
			m.ends = ""
			x.ends[m.id] = ""
		}
		want = x.retry(m)
		act = func() error { _, err := x.r.Retry(ctx, m.id); return err }
	case "delete":
		if want = want && m.state != jobs.Waiting; want {
			m.deleted = true
			if !m.state.Final() {
				m.state = jobs.Cancelled
			}
		}
		act = func() error { return x.r.Delete(ctx, m.id) }
	}
	x.settle()
	x.mu.Unlock()
	err := act()
	if (err == nil) != want || err != nil && !errors.Is(err, jobs.ErrState) && !errors.Is(err, jobs.ErrNotFound) {
		x.rt.Fatalf("%s of job %d: %v; it should have worked: %t", op, m.id, err, want)
	}
}

func (x *broodRun) enqueue() {
	p := &member{id: jobs.ID(len(x.all) + 1), policy: rapid.SampledFrom([]jobs.Need{jobs.NeedSuccess, jobs.NeedAll, jobs.NeedEnd}).Draw(x.rt, "policy")}
	for range rapid.IntRange(1, 4).Draw(x.rt, "children") {
		p.plan = append(p.plan, member{
			ends: rapid.SampledFrom([]string{"", "", "fail", "part", "skip"}).Draw(x.rt, "end"),
			held: rapid.IntRange(0, 3).Draw(x.rt, "held") == 0,
		})
	}
	x.mu.Lock()
	x.all = append(x.all, p)
	x.spawn(p)
	x.settle()
	x.mu.Unlock()
	enqueue(x.t, x.r, jobs.Request{Task: "parent", ChildPolicy: p.policy})
}

func (x *broodRun) compare() {
	for _, m := range x.all {
		job, err := x.r.Get(x.t.Context(), m.id)
		if errors.Is(err, jobs.ErrNotFound) && m.deleted {
			continue
		}
		if err != nil || m.deleted || job.State != m.state || job.State == jobs.Succeeded && job.Partial != m.partial {
			x.rt.Fatalf("%v (partial: %t): %v; want %s (partial: %t, deleted: %t)", job, job.Partial, err, m.state, m.partial, m.deleted)
		}
		if m.plan == nil {
			continue
		}
		if want, got := m.counts(), job.Children; got == nil || got.Total != want.Total || got.Succeeded != want.Succeeded ||
			got.Partial != want.Partial || got.Failed != want.Failed || got.Cancelled != want.Cancelled || got.Skipped != want.Skipped {
			x.rt.Fatalf("the children of job %d are %+v, want %+v", m.id, got, want)
		}
	}
}
