package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedjobs/jobs"
)

type kidArgs struct {
	N   int    `json:"n"`
	End string `json:"end,omitempty"` // how it ends
}

// family is a parent task whose jobs spawn children that end as they are told.
type family struct {
	reg    jobs.Registry
	kid    *jobs.TaskOf[kidArgs, int]
	healed atomic.Bool
	gate   chan struct{} // what "wait" waits for
}

type parentArgs struct {
	Kids []kidArgs `json:"kids"`
}

func (f *family) runKid(ctx context.Context, args kidArgs) (int, error) {
	jobs.Count(ctx, "done", 1)
	jobs.Progress(ctx).SetTotal(4)
	jobs.Progress(ctx).Set(2)
	switch args.End {
	case "fail":
		if !f.healed.Load() {
			return 0, jobs.Fail(errBroken)
		}
	case "part":
		return args.N, jobs.Partial(errBroken)
	case "skip":
		return 0, jobs.Skip("no")
	case "wait":
		select {
		case <-f.gate:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return args.N, nil
}

// newFamily registers the tasks. With join, their results are added up.
func newFamily(join bool) (*family, *jobs.TaskOf[parentArgs, int]) {
	f := &family{gate: make(chan struct{})}
	f.kid = jobs.Register(&f.reg, jobs.Task{Name: "kid"}, f.runKid)
	parent := jobs.Register(&f.reg, jobs.Task{Name: "parent", MaxAttempts: 1}, func(ctx context.Context, args parentArgs) (int, error) {
		for _, k := range args.Kids {
			if err := jobs.Spawn(ctx, f.kid.Request(k)); err != nil {
				return 0, err
			}
		}
		return 1000, nil
	})
	if join {
		parent.Join(func(ctx context.Context, args parentArgs, own int) (int, error) {
			if c := jobs.Current(ctx).Children; c == nil || c.Total != int64(len(args.Kids)) || c.Pending() != 0 {
				return 0, fmt.Errorf("the counts are %+v", c)
			}
			for child, err := range jobs.Children(ctx) {
				if err != nil {
					return 0, err
				}
				n, err := f.kid.Result(child)
				if err != nil {
					return 0, err
				}
				own += n
			}
			return own, nil
		})
	}
	return f, parent
}

func kids(ends ...string) parentArgs {
	var args parentArgs
	for i, e := range ends {
		args.Kids = append(args.Kids, kidArgs{N: i + 1, End: e})
	}
	return args
}

func TestSpawn(t *testing.T) {
	for _, c := range []struct {
		ends   []string
		policy jobs.Need
		want   string
	}{
		{[]string{"", ""}, jobs.NeedSuccess, "succeeded"},
		{nil, jobs.NeedAll, "succeeded"},
		{[]string{"", "fail"}, jobs.NeedSuccess, "succeeded in part"},
		{[]string{"", "fail"}, jobs.NeedAll, "failed"},
		{[]string{"", "part"}, jobs.NeedAll, "succeeded in part"},
		{[]string{"fail", "fail"}, jobs.NeedSuccess, "failed"},
		{[]string{"fail", "skip"}, jobs.NeedSuccess, "failed"},
		{[]string{"fail", "fail"}, jobs.NeedEnd, "succeeded in part"},
		{[]string{"skip", "skip"}, jobs.NeedAll, "succeeded"},
	} {
		t.Run(fmt.Sprintf("children %q with policy %q: %s", c.ends, c.policy, c.want), func(t *testing.T) {
			onBoth(t, func(e env) {
				f, parent := newFamily(false)
				r := run(e.t, e.store, &f.reg, nil)
				req := parent.Request(kids(c.ends...))
				req.ChildPolicy = c.policy
				job := end(e.t, r, enqueue(e.t, r, req).ID)
				got := string(job.State)
				if job.Partial {
					got += " in part"
				}
				if got != c.want {
					e.t.Errorf("the parent has %s: %s", got, job.Message)
				}
				if n, err := parent.Result(job); job.State == jobs.Succeeded && (n != 1000 || err != nil) {
					e.t.Errorf("its result is %d, %v", n, err)
				}
				if job.State == jobs.Failed && job.Errors[len(job.Errors)-1].Kind != jobs.ErrorChildren {
					e.t.Errorf("its errors are %+v", job.Errors)
				}
				if c.ends != nil && (job.Children.Total != int64(len(c.ends)) || job.Children.Counters["done"] != int64(len(c.ends))) {
					e.t.Errorf("its children are %+v", job.Children)
				}
				audit(e)
			})
		})
	}
}

func TestSpawn_handler(t *testing.T) {
	t.Run("no worker is held while a job waits for its children", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(true)
			r := run(e.t, e.store, &f.reg, &jobs.Options{Workers: 1})
			job := end(e.t, r, enqueue(e.t, r, parent.Request(kids("", "", ""))).ID)
			if n, err := parent.Result(job); n != 1006 || err != nil {
				e.t.Errorf("the result is %d, %v: %s", n, err, job.Message)
			}
		})
	})
	t.Run("what fails spawns nothing, a bad request is refused, outside of a job nothing happens", func(t *testing.T) {
		onBoth(t, func(e env) {
			var refused error
			reg := registry("task", func(ctx context.Context) error {
				refused = jobs.Spawn(ctx, jobs.Request{Task: "nope"})
				own := jobs.Current(ctx).ID
				if err := jobs.Spawn(ctx, jobs.Request{Task: "task", After: []jobs.Dependency{{Job: own}}}); !errors.Is(err, jobs.ErrInvalid) {
					e.t.Errorf("a child that waits for its parent: %v", err)
				}
				return errors.Join(jobs.Spawn(ctx, jobs.Request{Task: "task"}), jobs.Fail(errBroken))
			})
			r := run(e.t, e.store, reg, nil)
			wantState(e.t, end(e.t, r, enqueue(e.t, r, jobs.Request{Task: "task"}).ID), jobs.Failed)
			if n, err := r.Count(e.t.Context(), jobs.Query{}); n != 1 || err != nil || !errors.Is(refused, jobs.ErrInvalid) {
				e.t.Errorf("%d jobs, %v; refused: %v", n, err, refused)
			}
			if err := jobs.Spawn(e.t.Context(), jobs.Request{Task: "task"}); err != nil {
				e.t.Error(err)
			}
			for child, err := range jobs.Children(e.t.Context()) {
				e.t.Errorf("there are children outside of a job: %v, %v", child, err)
			}
		})
	})
	t.Run("a child that would wait for its parent through others is refused", func(t *testing.T) {
		onBoth(t, func(e env) {
			var refused error
			var r *jobs.Runner
			reg := registry("kid", nothing)
			handle(reg, jobs.Task{Name: "parent"}, func(ctx context.Context) error {
				made, err := r.Enqueue(ctx,
					jobs.Request{Task: "kid", Name: "a", After: []jobs.Dependency{{Job: jobs.Current(ctx).ID}}},
					jobs.Request{Task: "kid", After: []jobs.Dependency{{Name: "a"}}})
				if err != nil {
					return err
				}
				refused = jobs.Spawn(ctx, jobs.Request{Task: "kid", After: []jobs.Dependency{{Job: made[1].ID}}})
				return nil
			})
			r = run(e.t, e.store, reg, nil)
			wantState(e.t, end(e.t, r, enqueue(e.t, r, jobs.Request{Task: "parent"}).ID), jobs.Succeeded)
			if !errors.Is(refused, jobs.ErrInvalid) {
				e.t.Errorf("got %v", refused)
			}
		})
	})
	t.Run("what has become impossible when the handler ends fails the job", func(t *testing.T) {
		onBoth(t, func(e env) {
			var r *jobs.Runner
			reg := registry("kid", nothing)
			handle(reg, jobs.Task{Name: "parent", MaxAttempts: 3}, func(ctx context.Context) error {
				made, err := r.Enqueue(ctx, jobs.Request{Task: "kid", RunAt: time.Now().Add(time.Hour)})
				if err != nil {
					return err
				}
				err = jobs.Spawn(ctx, jobs.Request{Task: "kid", After: []jobs.Dependency{{Job: made[0].ID}}})
				return errors.Join(err, r.Delete(ctx, made[0].ID))
			})
			r = run(e.t, e.store, reg, nil)
			job := end(e.t, r, enqueue(e.t, r, jobs.Request{Task: "parent"}).ID)
			wantState(e.t, job, jobs.Failed)
			if !strings.Contains(job.Message, "there is no job") || job.Attempt != 1 {
				e.t.Errorf("after %d attempts: %s", job.Attempt, job.Message)
			}
			audit(e)
		})
	})
}

func TestSpawn_again(t *testing.T) {
	t.Run("an attempt that runs again spawns once", func(t *testing.T) {
		onBoth(t, func(e env) {
			reg := registry("kid", nothing)
			handle(reg, jobs.Task{Name: "parent"}, func(ctx context.Context) error {
				if err := jobs.Spawn(ctx, jobs.Request{Task: "kid"}, jobs.Request{Task: "kid"}); err != nil {
					return err
				}
				if jobs.Current(ctx).Attempt < 3 {
					return errBroken
				}
				return nil
			})
			r := run(e.t, e.store, reg, nil)
			job := end(e.t, r, enqueue(e.t, r, jobs.Request{Task: "parent", Group: "g", Batch: "b"}).ID)
			if job.Children == nil || job.Children.Total != 2 {
				e.t.Errorf("the children are %+v", job.Children)
			}
			page, err := r.List(e.t.Context(), jobs.Query{Parent: job.ID}, "")
			if err != nil || len(page.Jobs) != 2 || page.Jobs[0].Group != "g" || page.Jobs[0].Batch != "b" {
				e.t.Errorf("found are %v, %v", page.Jobs, err)
			}
		})
	})
}

func TestSpawn_manage(t *testing.T) {
	t.Run("cancelling a job that waits cancels its children, and theirs", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			grand := jobs.Register(&f.reg, jobs.Task{Name: "grand"}, func(ctx context.Context, _ struct{}) (struct{}, error) {
				later := f.kid.Request(kidArgs{})
				later.RunAt = time.Now().Add(day)
				return struct{}{}, jobs.Spawn(ctx, parent.Request(kids("wait", "wait")), later)
			})
			r := run(e.t, e.store, &f.reg, nil)
			job := enqueue(e.t, r, grand.Request(struct{}{}))
			synctest.Wait()
			wantState(e.t, get(e.t, r, job.ID), jobs.Waiting)
			if _, err := r.Cancel(e.t.Context(), job.ID, "enough"); err != nil {
				e.t.Fatal(err)
			}
			synctest.Wait()
			counts, err := r.Stats(e.t.Context(), jobs.ByTotal, jobs.Labels{})
			if err != nil || counts[0].Cancelled != 5 {
				e.t.Errorf("the counts are %+v, %v", counts, err)
			}
			audit(e)
		})
	})
	t.Run("children of a cancelled job do not start, even if they were not cancelled in time", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			r := run(e.t, e.store, &f.reg, &jobs.Options{Queues: []jobs.Queue{{Name: "kids", Paused: true}}})
			if err := r.SetQueue(e.t.Context(), jobs.Queue{Name: "default", Workers: 1}); err != nil {
				e.t.Fatal(err)
			}
			job := enqueue(e.t, r, parent.Request(kids("wait", "", "")))
			synctest.Wait()
			err := e.store.Update(e.t.Context(), func(tx jobs.Tx) error { return jobs.AbandonChildren(tx, job.ID) })
			if err != nil {
				e.t.Fatal(err)
			}
			close(f.gate)
			synctest.Wait()
			got := get(e.t, r, job.ID).Children
			if got.Cancelled != 2 || got.Succeeded != 1 {
				e.t.Errorf("the children are %+v", got)
			}
		})
	})
}

func TestSpawn_retry(t *testing.T) {
	t.Run("a retry takes up the children that failed, then the parent ends anew", func(t *testing.T) {
		for _, join := range []bool{false, true} {
			onBoth(t, func(e env) {
				f, parent := newFamily(join)
				r := run(e.t, e.store, &f.reg, nil)
				req := parent.Request(kids("", "fail", "fail"))
				req.ChildPolicy = jobs.NeedAll
				job := enqueue(e.t, r, req)
				job = end(e.t, r, job.ID)
				if !join {
					wantState(e.t, job, jobs.Failed)
				}
				f.healed.Store(true)
				if _, err := r.Retry(e.t.Context(), job.ID); err != nil {
					e.t.Fatal(err)
				}
				job = end(e.t, r, job.ID)
				wantState(e.t, job, jobs.Succeeded)
				want := map[bool]int{false: 1000, true: 1006}[join]
				if n, err := parent.Result(job); n != want || err != nil {
					e.t.Errorf("the result is %d, %v", n, err)
				}
				if c := job.Children; c.Total != 3 || c.Succeeded != 3 || c.Counters["done"] != 3 {
					e.t.Errorf("the children are %+v", c)
				}
				audit(e)
			})
		}
	})
	t.Run("a child's retry reopens nothing that is final", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			r := run(e.t, e.store, &f.reg, nil)
			job := end(e.t, r, enqueue(e.t, r, parent.Request(kids("", "fail"))).ID)
			f.healed.Store(true)
			if n, err := r.RetryAll(e.t.Context(), jobs.Query{Parent: job.ID}); n != 1 || err != nil {
				e.t.Errorf("retried %d, %v", n, err)
			}
			synctest.Wait()
			again := get(e.t, r, job.ID)
			if again.State != jobs.Succeeded || !again.Partial || !again.FinishedAt.Equal(job.FinishedAt) || again.Children.Succeeded != 2 {
				e.t.Errorf("the parent is %v, its children %+v", again, again.Children)
			}
			audit(e)
		})
	})
	t.Run("deleting counts a child as cancelled, and a job that waits is not deleted", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			r := run(e.t, e.store, &f.reg, &jobs.Options{Workers: 1})
			job := enqueue(e.t, r, parent.Request(kids("wait", "")))
			synctest.Wait()
			if err := r.Delete(e.t.Context(), job.ID); !errors.Is(err, jobs.ErrState) {
				e.t.Errorf("got %v", err)
			}
			if n, err := r.DeleteAll(e.t.Context(), jobs.Query{Task: "kid"}); n != 1 || err != nil {
				e.t.Errorf("deleted %d, %v", n, err)
			}
			close(f.gate)
			if c := end(e.t, r, job.ID).Children; c.Cancelled != 1 || c.Succeeded != 1 {
				e.t.Errorf("the children are %+v", c)
			}
			audit(e)
		})
	})
}

func TestSpawn_progress(t *testing.T) {
	t.Run("the progress of the children rolls up, live", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			r := run(e.t, e.store, &f.reg, nil)
			job := enqueue(e.t, r, parent.Request(kids("", "", "wait", "wait")))
			var seen []*jobs.Job
			var last *jobs.Job
			for job, err := range r.Watch(e.t.Context(), job.ID) {
				if err != nil {
					e.t.Fatal(err)
				}
				last = job
				if job.State == jobs.Waiting {
					seen = append(seen, job)
					if job.Children.Succeeded == 2 {
						select {
						case <-f.gate:
						default:
							close(f.gate)
						}
					}
				}
			}
			wantState(e.t, last, jobs.Succeeded)
			live := false
			for _, job := range seen {
				p := job.Progress
				f, ok := p.Fraction()
				kids := p.Child("kid")
				live = live || ok && f == 0.75 && len(p.Children) == 1 && len(kids.Children) == 2 && kids.Children[0].Current == 2 && job.Children.Counters["done"] == 4
			}
			if !live {
				e.t.Errorf("two of four, and two halves, were never seen; last %v", seen[len(seen)-1].Progress)
			}
			if p := last.Progress; p.Current != 4 || p.Total != 4 || !p.Done() {
				e.t.Errorf("at the end: %v", p)
			}
		})
	})
}

func TestRequest_Each(t *testing.T) {
	t.Run("items of a result each become a child, bad ones do not block the others, the next stage gets what succeeded", func(t *testing.T) {
		onBoth(t, func(e env) {
			var reg jobs.Registry
			list := jobs.RegisterSeq(&reg, jobs.Task{Name: "list", MaxAttempts: 1}, func(ctx context.Context, args kidArgs) iter.Seq2[any, error] {
				return func(yield func(any, error) bool) {
					for i := range args.N {
						if !yield(map[string]any{"url": fmt.Sprint("u", i)}, nil) {
							return
						}
					}
					_ = yield(map[string]any{"url": 7}, nil) && args.End == "fail" && yield(nil, errBroken)
				}
			})
			fetch := jobs.Register(&reg, jobs.Task{Name: "fetch", MaxAttempts: 1}, func(_ context.Context, args crawlArgs) (string, error) {
				if args.Site == "u1" {
					return "", errBroken
				}
				return "got " + args.Site + args.Token, nil
			})
			merge := jobs.Register(&reg, jobs.Task{Name: "merge", MaxAttempts: 1}, func(_ context.Context, args processArgs) (string, error) {
				return strings.Join(args.Pages, ", "), nil
			})
			r := run(e.t, e.store, &reg, nil)
			build := func(how string, need jobs.Need) []jobs.Request {
				first := list.Request(kidArgs{N: 3, End: how})
				first.Name = "list"
				each := fetch.Request(crawlArgs{})
				each.Name, each.After, each.Each = "fetch", []jobs.Dependency{{Name: "list"}}, jobs.ResultOf("list", "")
				each.Set("/site", jobs.ItemAt("/url"))
				last := merge.Request(processArgs{Pages: []string{}})
				last.After = []jobs.Dependency{{Name: "fetch", Need: need}}
				last.Set("/pages", jobs.ResultOf("fetch", ""))
				return []jobs.Request{first, each, last}
			}
			made := enqueueAll(e.t, r, build("", jobs.NeedSuccess)...)
			job := end(e.t, r, made[2].ID)
			if got, err := merge.Result(job); got != "got u0, got u2" || err != nil {
				e.t.Errorf("got %q, %v: %s", got, err, job.Message)
			}
			each := get(e.t, r, made[1].ID)
			want := &jobs.ChildCounts{Total: 4, Succeeded: 2, Failed: 2}
			if diff := cmp.Diff(want, each.Children); diff != "" || !each.Partial {
				e.t.Errorf("%s; partial: %t", diff, each.Partial)
			}
			if p := get(e.t, r, made[0].ID).Progress; p.Current != 4 {
				e.t.Errorf("the progress of a sequence is %v", p)
			}
			made = enqueueAll(e.t, r, build("", jobs.NeedAll)...)
			wantState(e.t, end(e.t, r, made[2].ID), jobs.Skipped)
			made = enqueueAll(e.t, r, build("fail", jobs.NeedAll)...)
			wantState(e.t, end(e.t, r, made[0].ID), jobs.Failed)
			wantState(e.t, end(e.t, r, made[2].ID), jobs.Skipped)
			audit(e)
		})
	})
	t.Run("what is no list fails", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			reqs := s.pair("a", jobs.NeedSuccess)
			reqs[0].Each = jobs.ResultOf("crawl", "/next")
			job := end(e.t, r, enqueueAll(e.t, r, reqs...)[0].ID)
			wantState(e.t, job, jobs.Failed)
			if !strings.Contains(job.Message, "crawl#/next is no list") {
				e.t.Error(job.Message)
			}
		})
	})
}

// A job with Each ends as its children do, also if its task has a Join.
func TestRequest_Each_join(t *testing.T) {
	onBoth(t, func(e env) {
		s := newStages()
		s.process.Join(func(context.Context, processArgs, string) (string, error) { return "joined", nil })
		r := run(e.t, e.store, &s.reg, nil)
		reqs := s.pair("a", jobs.NeedSuccess)
		reqs[0].Each = jobs.ResultOf("crawl", "/pages")
		reqs[0].Set("/label", jobs.ItemAt(""))
		job := end(e.t, r, enqueueAll(e.t, r, reqs...)[0].ID)
		wantState(e.t, job, jobs.Succeeded)
		if job.Children == nil || job.Children.Succeeded != 2 || job.Result != nil {
			e.t.Errorf("the children are %+v, the result %s: %s", job.Children, job.Result, job.Message)
		}
		audit(e)
	})
}

func TestSpawn_many(t *testing.T) {
	t.Run("the counts of very many children are right", func(t *testing.T) {
		onMemory(t, func(e env) {
			reg := registry("kid", func(ctx context.Context) error {
				jobs.Count(ctx, "n", 1)
				return nil
			})
			handle(reg, jobs.Task{Name: "parent"}, func(ctx context.Context) error {
				reqs := make([]jobs.Request, large)
				for i := range reqs {
					reqs[i].Task = "kid"
				}
				return jobs.Spawn(ctx, reqs...)
			})
			r := run(e.t, e.store, reg, nil)
			job := enqueue(e.t, r, jobs.Request{Task: "parent"})
			between := false
			for job, err := range r.Watch(e.t.Context(), job.ID) {
				if err != nil {
					e.t.Fatal(err)
				}
				if c := job.Children; c != nil {
					between = between || c.Pending() > 0
					if c.Total != large || job.Progress.Current != c.Done() {
						e.t.Fatalf("the children are %+v, the progress %v", c, job.Progress)
					}
				}
				if job.State.Final() && (job.Children.Succeeded != large || job.Children.Counters["n"] != large) {
					e.t.Errorf("at the end: %+v", job.Children)
				}
			}
			if !between {
				e.t.Error("nothing was seen in between")
			}
		})
	})
}
