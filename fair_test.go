package jobs_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/memory"
)

// An order is a handler that notes in which order jobs start, one at a time.
type order struct {
	mu     sync.Mutex
	groups []string
	step   chan struct{} // nil lets all through
}

func (o *order) handler(ctx context.Context) error {
	o.mu.Lock()
	o.groups = append(o.groups, jobs.Current(ctx).Group)
	o.mu.Unlock()
	if o.step != nil {
		select {
		case <-o.step:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (o *order) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.groups)
}

// fill enqueues n jobs of a group in batches.
func fill(t *testing.T, r *jobs.Runner, n int, req jobs.Request) {
	t.Helper()
	for n > 0 {
		batch := min(n, 5000)
		enqueueAll(t, r, slices.Repeat([]jobs.Request{req}, batch)...)
		n -= batch
	}
}

func TestRunner_FairLine_LargeGroup(t *testing.T) {
	onBothNamed(t, "one job beside 100,000 of another group is claimed within two claims", func(e env) {
		t, store := e.t, e.store
		o := &order{step: make(chan struct{})}
		r := newRunner(t, store, registry("task", o.handler), &jobs.Options{Grace: -1, Workers: 1})
		fill(t, r, large, jobs.Request{Task: "task", Group: "large"})
		stop := start(t, r)
		synctest.Wait()
		o.step <- struct{}{} // the line has moved before the other one comes
		synctest.Wait()
		before := len(o.seen())
		enqueue(t, r, jobs.Request{Task: "task", Group: "small"})
		o.step <- struct{}{}
		synctest.Wait()
		o.step <- struct{}{}
		synctest.Wait()
		if claimed := o.seen()[before:]; !slices.Contains(claimed, "small") {
			t.Errorf("the next claims were of %v", claimed)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}

		// The same with a limit of the group.
		r = newRunner(t, store, registry("task", o.handler), &jobs.Options{Grace: -1, Queues: []jobs.Queue{{Name: "default", Workers: 2, GroupLimit: 1}}})
		start(t, r)
		synctest.Wait()
		before = len(o.seen())
		enqueue(t, r, jobs.Request{Task: "task", Group: "small"})
		synctest.Wait()
		if claimed := o.seen()[before:]; !slices.Equal(claimed, []string{"small"}) {
			t.Errorf("beside a group at its limit the next claims were of %v", claimed)
		}
	})

	onBothNamed(t, "lifting the limit of a large group releases all its jobs", func(e env) {
		t, store := e.t, e.store
		n := large / 20
		o := &order{step: make(chan struct{})}
		r := run(t, store, registry("task", o.handler), &jobs.Options{Grace: -1, Workers: 3, Queues: []jobs.Queue{{Name: "default", GroupLimit: 1}}})
		fill(t, r, n, jobs.Request{Task: "task", Group: "large"})
		synctest.Wait()
		if got := len(o.seen()); got != 1 {
			t.Fatalf("%d jobs run at once", got)
		}
		if err := r.SetQueue(t.Context(), jobs.Queue{Name: "default", GroupLimit: 2}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := len(o.seen()); got != 2 {
			t.Fatalf("%d jobs run at once", got)
		}
		close(o.step)
		if err := r.SetQueue(t.Context(), jobs.Queue{Name: "default"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); got != int64(n) {
			t.Errorf("%d of %d jobs have succeeded", got, n)
		}
	})
}

func TestRunner_FairLine(t *testing.T) {
	onBothNamed(t, "groups take turns, within priorities", func(e env) {
		t, store := e.t, e.store
		o := &order{}
		r := newRunner(t, store, registry("task", o.handler), &jobs.Options{Workers: 1})
		for _, c := range []struct {
			group    string
			n        int
			priority int
		}{{"a", 5, 0}, {"b", 3, 0}, {"", 2, 0}, {"low", 2, -100}, {"c", 1, 0}, {"high", 2, 100}} {
			fill(t, r, c.n, jobs.Request{Task: "task", Group: c.group, Priority: c.priority})
		}
		start(t, r)
		synctest.Wait()
		want := []string{"high", "high", "a", "b", "", "c", "a", "b", "", "a", "b", "a", "a", "low", "low"}
		if diff := cmp.Diff(want, o.seen()); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})

	onBothNamed(t, "a group that comes late stands no further back and no further ahead", func(e env) {
		t, store := e.t, e.store
		o := &order{}
		r := newRunner(t, store, registry("task", o.handler), &jobs.Options{Workers: 1})
		fill(t, r, 1000, jobs.Request{Task: "task", Group: "busy"})
		stop := start(t, r)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * day)
		before := len(o.seen())
		fill(t, r, 3, jobs.Request{Task: "task", Group: "busy"})
		fill(t, r, 3, jobs.Request{Task: "task", Group: "new"})
		start(t, r)
		synctest.Wait()
		got := o.seen()[before:]
		if n := slices.Index(got, "new"); len(got) != 6 || n < 0 || n > 1 || !slices.Contains(got[:3], "busy") {
			t.Errorf("order is %v", got)
		}
	})
}

func TestRunner_FairLine_Turns(t *testing.T) {
	t.Run("turns of groups that are gone do not pile up", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			r := run(t, store, registry("task", nothing), nil)
			for i := range 3000 {
				enqueue(t, r, jobs.Request{Task: "task", Group: fmt.Sprint("group", i)})
				if i%100 == 0 {
					fill(t, r, 2, jobs.Request{Task: "task"}) // the second moves the virtual time
					synctest.Wait()
				}
			}
			synctest.Wait()
			turns := 0
			if err := store.View(t.Context(), func(tx jobs.Tx) error {
				for _, err := range tx.Records("turn", "", "") {
					if err != nil {
						return err
					}
					turns++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if turns > 1000 {
				t.Errorf("%d turns are stored", turns)
			}
		})
	})

	t.Run("an interrupted job keeps its place", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := &order{step: make(chan struct{})}
			store := memory.New()
			r := newRunner(t, store, registry("task", o.handler), &jobs.Options{Workers: 1, Grace: -1})
			for _, g := range []string{"a", "b", "c"} {
				enqueue(t, r, jobs.Request{Task: "task", Group: g})
			}
			stop := start(t, r)
			synctest.Wait()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			close(o.step)
			start(t, r)
			synctest.Wait()
			if diff := cmp.Diff([]string{"a", "a", "b", "c"}, o.seen()); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	})
}

func TestQueue_GroupLimit(t *testing.T) {
	onBothNamed(t, "no group has more jobs running, and the workers are not idle", func(e env) {
		t, store := e.t, e.store
		var mu sync.Mutex
		running, most := map[string]int{}, map[string]int{}
		total, mostTotal := 0, 0
		r := newRunner(t, store, registry("task", func(ctx context.Context) error {
			g := jobs.Current(ctx).Group
			mu.Lock()
			running[g]++
			total++
			most[g], mostTotal = max(most[g], running[g]), max(mostTotal, total)
			mu.Unlock()
			time.Sleep(time.Minute)
			mu.Lock()
			running[g]--
			total--
			mu.Unlock()
			return nil
		}), &jobs.Options{Queues: []jobs.Queue{{Name: "default", Workers: 7, GroupLimit: 2}}})
		for _, g := range []string{"a", "b", "c", ""} {
			fill(t, r, 40, jobs.Request{Task: "task", Group: g})
		}
		start(t, r)
		began := time.Now()
		for page, err := r.List(t.Context(), jobs.Query{Limit: 1000}, ""); ; page, err = r.List(t.Context(), jobs.Query{Limit: 1000}, "") {
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(page.Jobs, func(j *jobs.Job) bool { return !j.State.Final() })
			if i < 0 {
				break
			}
			end(t, r, page.Jobs[i].ID)
		}
		delete(most, "") // no group has no limit
		if diff := cmp.Diff(map[string]int{"a": 2, "b": 2, "c": 2}, most); diff != "" {
			t.Errorf("most at once (-want +got):\n%s", diff)
		}
		if took := time.Since(began); mostTotal != 7 || took > 30*time.Minute {
			t.Errorf("at most %d ran at once, for %v", mostTotal, took)
		}
	})
}

func TestQueue_GroupLimit_Held(t *testing.T) {
	onBothNamed(t, "with workers to spare a group works through its jobs", func(e env) {
		t, store := e.t, e.store
		r := newRunner(t, store, registry("task", func(context.Context) error { time.Sleep(time.Minute); return nil }),
			&jobs.Options{Queues: []jobs.Queue{{Name: "default", GroupLimit: 2}}})
		fill(t, r, 20, jobs.Request{Task: "task", Group: "a"})
		start(t, r)
		time.Sleep(10*time.Minute + time.Second)
		if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 20 {
			t.Errorf("%d have succeeded", n)
		}
	})

	t.Run("it holds after a restart, with jobs that were held", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jobs.db")
			opts := &jobs.Options{Grace: -1, Queues: []jobs.Queue{{Name: "default", GroupLimit: 1}}}
			o := &order{step: make(chan struct{})}
			store := openBolt(t, path)
			r := newRunner(t, store, registry("task", o.handler), opts)
			fill(t, r, 20, jobs.Request{Task: "task", Group: "a"})
			stop := start(t, r)
			synctest.Wait()
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			r = run(t, openBolt(t, path), registry("task", o.handler), opts)
			synctest.Wait()
			if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Running}}); n != 1 {
				t.Errorf("%d run", n)
			}
			close(o.step)
			synctest.Wait()
			if n := count(t, r, jobs.Query{States: []jobs.State{jobs.Succeeded}}); n != 20 {
				t.Errorf("%d have succeeded", n)
			}
		})
	})
}
