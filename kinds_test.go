package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/embedjobs/jobs"
)

// outline writes a report with one word for each node: its name, count and total, + after a total that
// may grow, and the nodes below it in parentheses.
func outline(r *jobs.Report) string {
	text := fmt.Sprintf("%s:%d/%d", strings.ReplaceAll(r.Name, " ", "_"), r.Current, r.Total)
	if r.Open {
		text += "+"
	}
	var below []string
	for _, c := range r.Children {
		below = append(below, outline(c))
	}
	if r.Cut > 0 {
		below = append(below, fmt.Sprint("cut:", r.Cut))
	}
	if below != nil {
		text += "(" + strings.Join(below, " ") + ")"
	}
	return text
}

// kin are tasks of jobs that spawn kids, which have done one of four until they get through the gate.
type kin struct {
	reg  jobs.Registry
	kid  *jobs.TaskOf[struct{}, struct{}]
	gate chan struct{}
	r    *jobs.Runner
}

func newKin(e env, workers int, spawn func(ctx context.Context, k *kin) error) (*kin, *jobs.Job) {
	e.t.Helper()
	k := &kin{gate: make(chan struct{})}
	k.kid = jobs.Register(&k.reg, jobs.Task{Name: "kid"}, func(ctx context.Context, _ struct{}) (struct{}, error) {
		p := jobs.Progress(ctx)
		p.SetTotal(4)
		p.Set(1)
		select {
		case <-k.gate:
		case <-ctx.Done():
			return struct{}{}, context.Cause(ctx)
		}
		p.Set(4)
		return struct{}{}, nil
	})
	handle(&k.reg, jobs.Task{Name: "p"}, func(ctx context.Context) error { return spawn(ctx, k) })
	k.r = run(e.t, e.store, &k.reg, &jobs.Options{Workers: workers})
	return k, enqueue(e.t, k.r, jobs.Request{Task: "p"})
}

func (k *kin) titled(title string) jobs.Request {
	req := k.kid.Request(struct{}{})
	req.Title = title
	return req
}

// want has some kids get through the gate and checks the progress of a job.
func (k *kin) want(e env, job *jobs.Job, pass int, want string) {
	e.t.Helper()
	synctest.Wait()
	for range pass {
		k.gate <- struct{}{}
		synctest.Wait()
	}
	if got := outline(get(e.t, k.r, job.ID).Progress); got != want {
		e.t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSpawn_kinds(t *testing.T) {
	t.Run("children of one title are summed up, those that have not begun may add to the total", func(t *testing.T) {
		onBoth(t, func(e env) {
			k, job := newKin(e, 1, func(ctx context.Context, k *kin) error {
				return jobs.Spawn(ctx, k.titled(""), k.titled(""), k.titled(""))
			})
			k.want(e, job, 0, "p:0/3(kid:1/4+(job_2:1/4))")
			k.want(e, job, 1, "p:1/3(kid:5/8+(job_3:1/4))")
			k.want(e, job, 1, "p:2/3(kid:9/12(job_4:1/4))")
			k.want(e, job, 1, "p:3/3(kid:12/12)")
			audit(e)
		})
	})
	t.Run("the parent may set the total, and counts itself beside them", func(t *testing.T) {
		for _, counts := range []bool{false, true} {
			onBoth(t, func(e env) {
				own := ""
				if counts {
					own = "own_work:7/0 "
				}
				k, job := newKin(e, 1, func(ctx context.Context, k *kin) error {
					if counts {
						jobs.Progress(ctx).Add(7)
					}
					jobs.Progress(ctx).Child("kid").SetTotal(20)
					return jobs.Spawn(ctx, k.titled(""), k.titled(""))
				})
				k.want(e, job, 0, "p:0/2("+own+"kid:1/20(job_2:1/4))")
				k.want(e, job, 2, "p:2/2("+own+"kid:8/20)")
			})
		}
	})
	t.Run("of a few children all are shown that have a title of their own", func(t *testing.T) {
		onBoth(t, func(e env) {
			k, job := newKin(e, 1, func(ctx context.Context, k *kin) error {
				var w jobs.Workflow
				a := w.Add("a", k.titled("a"))
				w.Add("b", k.titled("b")).After(a)
				return jobs.Spawn(ctx, w.Requests()...)
			})
			k.want(e, job, 0, "p:0/2(a:1/4 b:0/0)")
			k.want(e, job, 1, "p:1/2(a:4/4 b:1/4)")
			k.want(e, job, 1, "p:2/2(a:4/4 b:4/4)")
		})
	})
}

func TestSpawn_kindsOfMany(t *testing.T) {
	t.Run("of many children those are shown that run, also when there are too many titles", func(t *testing.T) {
		onBoth(t, func(e env) {
			const n = 30
			k, job := newKin(e, 2, func(ctx context.Context, k *kin) error {
				var reqs []jobs.Request
				for i := range n {
					reqs = append(reqs, k.titled(fmt.Sprint("t", i)))
				}
				return jobs.Spawn(ctx, reqs...)
			})
			k.want(e, job, 0, "p:0/30(t0:1/4 t1:1/4)")
			k.want(e, job, n-2, "p:28/30(t28_30:1/4 t29_31:1/4)")
			k.want(e, job, 2, "p:30/30")
		})
	})
	t.Run("what children of children count adds to the sum of the same title", func(t *testing.T) {
		onBoth(t, func(e env) {
			k, job := newKin(e, 1, func(ctx context.Context, k *kin) error {
				reqs := []jobs.Request{k.titled(""), k.titled("")}
				if jobs.Current(ctx).Parent == 0 {
					reqs = append([]jobs.Request{{Task: "p"}}, reqs...)
				}
				return jobs.Spawn(ctx, reqs...)
			})
			k.want(e, job, 0, "p:0/3(p:0/2 kid:1/4+(job_3:1/4))")
			k.want(e, job, 2, "p:2/3(p:0/2(kid:1/4+(job_5:1/4)) kid:9/12+)")
			k.want(e, job, 2, "p:3/3(p:2/2(kid:8/8) kid:16/16)")
			audit(e)
		})
	})
	t.Run("a child that is taken up again is summed up once", func(t *testing.T) {
		onBoth(t, func(e env) {
			f, parent := newFamily(false)
			r := run(e.t, e.store, &f.reg, nil)
			job := enqueue(e.t, r, parent.Request(kids("", "fail")))
			want := "parent:2/2(kid:4/8)"
			for range 2 {
				if got := outline(end(e.t, r, job.ID).Progress); got != want {
					e.t.Errorf("got %s, want %s", got, want)
				}
				f.healed.Store(true)
				if _, err := r.Retry(e.t.Context(), job.ID); err != nil {
					e.t.Fatal(err)
				}
			}
			audit(e)
		})
	})
}

func TestTaskOf_Join_counters(t *testing.T) {
	t.Run("Join goes on from the counters of the handler", func(t *testing.T) {
		onBoth(t, func(e env) {
			var reg jobs.Registry
			var parent *jobs.TaskOf[struct{}, int]
			parent = jobs.Register(&reg, jobs.Task{Name: "p"}, func(ctx context.Context, _ struct{}) (int, error) {
				jobs.Count(ctx, "n", 3)
				if jobs.Current(ctx).Parent != 0 {
					return 0, nil
				}
				return 0, jobs.Spawn(ctx, parent.Request(struct{}{}))
			})
			parent.Join(func(ctx context.Context, _ struct{}, own int) (int, error) {
				jobs.Count(ctx, "n", 1)
				return own, nil
			})
			r := run(e.t, e.store, &reg, nil)
			job := end(e.t, r, enqueue(e.t, r, parent.Request(struct{}{})).ID)
			if job.Counters["n"] != 4 || job.Children.Counters["n"] != 3 {
				e.t.Errorf("counted are %v and %v", job.Counters, job.Children)
			}
		})
	})
}
