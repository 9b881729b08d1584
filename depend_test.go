package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/jobstest"
)

type crawlArgs struct {
	Site  string `json:"site"`
	Token string `json:"token,omitempty" jsonschema:"secret"`
}

type crawled struct {
	Pages []string `json:"pages"`
	Next  struct {
		URL string `json:"url"`
	} `json:"next"`
}

type processArgs struct {
	Pages []string `json:"pages"`
	Label string   `json:"label,omitempty" jsonschema:"default=none"`
}

// stages are tasks that depend on each other. A crawl of "bad" fails, one of "part" succeeds in part,
// one of "skip" is skipped.
type stages struct {
	reg     jobs.Registry
	crawl   *jobs.TaskOf[crawlArgs, crawled]
	process *jobs.TaskOf[processArgs, string]
	mu      sync.Mutex
	heals   bool // "bad" has become good
}

func newStages() *stages {
	s := new(stages)
	s.crawl = jobs.Register(&s.reg, jobs.Task{Name: "crawl", MaxAttempts: 1}, func(_ context.Context, args crawlArgs) (crawled, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var c crawled
		c.Pages, c.Next.URL = []string{args.Site + "/1", args.Site + "/2"}, args.Site+"/next"
		switch {
		case args.Site == "bad" && !s.heals:
			return c, errBroken
		case args.Site == "part":
			return c, jobs.Partial(errBroken)
		case args.Site == "skip":
			return c, jobs.Skip("nothing new")
		}
		return c, nil
	})
	s.process = jobs.Register(&s.reg, jobs.Task{Name: "process", MaxAttempts: 1}, func(_ context.Context, args processArgs) (string, error) {
		return args.Label + ": " + strings.Join(args.Pages, " "), nil
	})
	return s
}

// pair is a crawl, and a process of its pages.
func (s *stages) pair(site string, need jobs.Need) []jobs.Request {
	crawl := s.crawl.Request(crawlArgs{Site: site})
	crawl.Name = "crawl"
	process := s.process.Request(processArgs{Pages: []string{"none"}})
	process.After = []jobs.Dependency{{Name: "crawl", Need: need}}
	if need != jobs.NeedEnd {
		process.Set("/pages", jobs.ResultOf("crawl", "/pages"))
	}
	return []jobs.Request{process, crawl} // in the wrong order
}

func TestRunner_After(t *testing.T) {
	t.Run("a job starts when the one it comes after has succeeded, with its result", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			made := enqueueAll(e.t, r, s.pair("a", jobs.NeedSuccess)...)
			wantState(e.t, made[0], jobs.Waiting)
			wantState(e.t, made[1], jobs.Queued)
			if made[0].After[0].Job != made[1].ID || made[0].Pending != 1 {
				e.t.Errorf("it comes after %+v, of which %d are pending", made[0].After, made[0].Pending)
			}
			start(e.t, r)
			job := end(e.t, r, made[0].ID)
			wantState(e.t, job, jobs.Succeeded)
			if got, err := s.process.Result(job); err != nil || got != "none: a/1 a/2" {
				e.t.Errorf("the result is %q, %v", got, err)
			}
			if strings.Contains(string(job.Args), "a/1") {
				e.t.Errorf("what the reference stands for was stored: %s", job.Args)
			}
			audit(e)
		})
	})
}

func TestRunner_After_needs(t *testing.T) {
	for _, c := range []struct {
		site string
		need jobs.Need
		want jobs.State
	}{
		{"a", jobs.NeedSuccess, jobs.Succeeded},
		{"a", jobs.NeedAll, jobs.Succeeded},
		{"a", jobs.NeedEnd, jobs.Succeeded},
		{"part", jobs.NeedSuccess, jobs.Succeeded},
		{"part", jobs.NeedAll, jobs.Skipped},
		{"bad", jobs.NeedSuccess, jobs.Skipped},
		{"bad", jobs.NeedEnd, jobs.Succeeded},
		{"skip", jobs.NeedSuccess, jobs.Skipped}, // skipped runs are no success
		{"skip", jobs.NeedEnd, jobs.Succeeded},
	} {
		t.Run(fmt.Sprintf("need %q of %s ends as %s, also when it has ended before", c.need, c.site, c.want), func(t *testing.T) {
			onBoth(t, func(e env) {
				s := newStages()
				r := run(e.t, e.store, &s.reg, nil)
				reqs := s.pair(c.site, c.need)
				made := enqueueAll(e.t, r, reqs...)
				job := end(e.t, r, made[0].ID)
				wantState(e.t, job, c.want)
				late := reqs[0]
				late.After = []jobs.Dependency{{Name: "crawl", Job: made[1].ID, Need: c.need}}
				late2 := end(e.t, r, enqueue(e.t, r, late).ID)
				wantState(e.t, late2, c.want)
				if c.want == jobs.Skipped {
					for _, j := range []*jobs.Job{job, late2} {
						if j.Blocker != made[1].ID || !strings.HasPrefix(j.Message, fmt.Sprintf("crawl (job %d) has ", made[1].ID)) {
							e.t.Errorf("its message is %q, its blocker %d", j.Message, j.Blocker)
						}
					}
				}
				audit(e)
			})
		})
	}
}

func TestRunner_After_skips(t *testing.T) {
	t.Run("cancelling and deleting skip what comes after, through a chain", func(t *testing.T) {
		onBoth(t, func(e env) {
			r := newRunner(e.t, e.store, registry("task", nothing), nil)
			for _, stop := range []func(jobs.ID) error{
				func(id jobs.ID) error { _, err := r.Cancel(e.t.Context(), id, "no"); return err },
				func(id jobs.ID) error { return r.Delete(e.t.Context(), id) },
			} {
				made := enqueueAll(e.t, r, chain(1200)...)
				if err := stop(made[0].ID); err != nil {
					e.t.Fatal(err)
				}
				for _, i := range []int{1, 2, len(made) - 1} {
					job := get(e.t, r, made[i].ID)
					wantState(e.t, job, jobs.Skipped)
					if job.Blocker != made[i-1].ID {
						e.t.Errorf("job %d was skipped because of %d", job.ID, job.Blocker)
					}
				}
			}
			audit(e)
		})
	})
	t.Run("a retry takes along what was skipped, and no more", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			reqs := s.pair("bad", jobs.NeedSuccess)
			reqs[0].Name = "process"
			other := s.crawl.Request(crawlArgs{Site: "bad"})
			other.Name = "other"
			last := s.process.Request(processArgs{Pages: []string{}})
			last.After = []jobs.Dependency{{Name: "process"}}
			both := s.process.Request(processArgs{Pages: []string{}})
			both.After = []jobs.Dependency{{Name: "crawl"}, {Name: "other"}}
			made := enqueueAll(e.t, r, append(reqs, other, last, both)...)
			synctest.Wait()
			if _, err := r.Retry(e.t.Context(), made[0].ID); !errors.Is(err, jobs.ErrState) || !strings.Contains(err.Error(), "retry that one") {
				e.t.Errorf("retrying a job that was skipped for another: %v", err)
			}
			s.mu.Lock()
			s.heals = true
			s.mu.Unlock()
			if _, err := r.Retry(e.t.Context(), made[1].ID); err != nil {
				e.t.Fatal(err)
			}
			synctest.Wait()
			for i, want := range []jobs.State{jobs.Succeeded, jobs.Succeeded, jobs.Failed, jobs.Succeeded, jobs.Skipped} {
				wantState(e.t, get(e.t, r, made[i].ID), want)
			}
			if n, err := r.RetryAll(e.t.Context(), jobs.Query{}); n != 1 || err != nil {
				e.t.Errorf("retried %d, %v", n, err)
			}
			synctest.Wait()
			wantState(e.t, get(e.t, r, made[4].ID), jobs.Succeeded)
			audit(e)
		})
	})
	t.Run("what is due later stays so after what it comes after", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			reqs := s.pair("a", jobs.NeedSuccess)
			reqs[0].RunAt = time.Now().Add(time.Hour)
			made := enqueueAll(e.t, r, reqs...)
			synctest.Wait()
			wantState(e.t, get(e.t, r, made[0].ID), jobs.Scheduled)
			wantState(e.t, end(e.t, r, made[0].ID), jobs.Succeeded)
		})
	})
}

// chain returns requests each of which comes after the one before.
func chain(n int) []jobs.Request {
	reqs := make([]jobs.Request, n)
	for i := range reqs {
		reqs[i] = jobs.Request{Task: "task", Name: fmt.Sprint("link", i)}
		if i > 0 {
			reqs[i].After = []jobs.Dependency{{Name: reqs[i-1].Name}}
		}
	}
	return reqs
}

func audit(e env) {
	e.t.Helper()
	if err := jobstest.Check(e.t.Context(), e.store); err != nil {
		e.t.Error(err)
	}
}

func TestRunner_After_refuses(t *testing.T) {
	onMemory(t, func(e env) {
		r := newRunner(e.t, e.store, registry("task", nothing), nil)
		after := func(name string, deps ...jobs.Dependency) jobs.Request {
			return jobs.Request{Task: "task", Name: name, After: deps}
		}
		with := func(args string, deps ...jobs.Dependency) jobs.Request {
			return jobs.Request{Task: "task", Args: json.RawMessage(args), After: deps}
		}
		a, b, c := jobs.Dependency{Name: "a"}, jobs.Dependency{Name: "b"}, jobs.Dependency{Name: "c"}
		many := make([]jobs.Dependency, 1001)
		for i := range many {
			many[i].Job = jobs.ID(i + 1)
		}
		for want, reqs := range map[string][]jobs.Request{
			"a → b → c → a":              {after("a", c), after("b", a), after("c", b), after("d", a)},
			"a → a":                      {after("a", a)},
			`"b" is neither a job nor`:   {after("a", b)},
			"there is no job 99":         {after("a", jobs.Dependency{Job: 99})},
			`"a" is that of two`:         {after("a"), after("a"), after("b", a)},
			`"a" is there twice`:         {after("a"), after("b", a, a)},
			"After: is empty":            {after("a", jobs.Dependency{})},
			`"sometimes" is not one of`:  {after("a"), after("b", jobs.Dependency{Name: "a", Need: "sometimes"})},
			"1001 jobs, at most 1000":    {after("a", many...)},
			"contains # or begins with":  {after("b#c"), after("a", jobs.Dependency{Name: "b#c"})},
			`/x/0: it refers to the res`: {with(`{"x":[{"$result":"a#/y"}]}`)},
			"/x: it refers to an item":   {with(`{"x":{"$item":""}}`)},
			"is no JSON pointer":         {after("a"), with(`{"x":{"$result":"a#y"}}`, a)},
			"ChildPolicy":                {{Task: "task", ChildPolicy: "most"}},
			"use ResultOf":               {{Task: "task", Each: jobs.Secret("x")}},
			"setting /x/y: there is not": {func() jobs.Request { req := after("a"); req.Set("/x/y", 1); return req }()},
		} {
			_, err := r.Enqueue(e.t.Context(), reqs...)
			if !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(err.Error(), want) {
				e.t.Errorf("got %v, want …%s…", err, want)
			}
		}
		if n, err := r.Count(e.t.Context(), jobs.Query{}); n != 0 || err != nil {
			e.t.Errorf("%d jobs were stored, %v", n, err)
		}
	})
}

// secrets knows one secret.
func secrets(_ context.Context, name string) (string, error) {
	if name == "github" {
		return "s3cret-token", nil
	}
	return "", errors.New("unknown")
}

func TestRef(t *testing.T) {
	t.Run("what cannot be found or does not fit fails the job with the place", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, &jobs.Options{Secret: secrets})
			for want, edit := range map[string]func(req *jobs.Request){
				"/pages: in the result of crawl there is nothing at /missing": func(req *jobs.Request) { req.Set("/pages", jobs.ResultOf("crawl", "/missing")) },
				"/pages: must be a list":             func(req *jobs.Request) { req.Set("/pages", jobs.ResultOf("crawl", "/pages/0")) },
				`/label: the secret "none": unknown`: func(req *jobs.Request) { req.Set("/label", jobs.Secret("none")) },
			} {
				reqs := s.pair("a", jobs.NeedSuccess)
				edit(&reqs[0])
				job := end(e.t, r, enqueueAll(e.t, r, reqs...)[0].ID)
				wantState(e.t, job, jobs.Failed)
				if !strings.Contains(job.Message, want) || job.Errors[0].Kind != jobs.ErrorArgs {
					e.t.Errorf("got %q, want …%s…", job.Message, want)
				}
			}
		})
	})
	t.Run("a job that only needed to end has the result null if it did not succeed", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			seen := ""
			handle(&s.reg, jobs.Task{Name: "look"}, func(ctx context.Context) error {
				for name, job := range jobs.Dependencies(ctx) {
					seen += fmt.Sprintf("%s %s; ", name, job.State)
				}
				return nil
			})
			r := run(e.t, e.store, &s.reg, nil)
			for site, want := range map[string]string{"bad": "none: ", "a": "none: a/1 a/2"} {
				reqs := s.pair(site, jobs.NeedEnd)
				reqs[0].Set("/pages", jobs.ResultOf("crawl", "/pages"))
				job := end(e.t, r, enqueueAll(e.t, r, reqs...)[0].ID)
				if got, err := s.process.Result(job); got != want || err != nil {
					e.t.Errorf("%s: got %q, %v: %s", site, got, err, job.Message)
				}
				look := jobs.Request{Task: "look", After: []jobs.Dependency{{Name: site, Job: job.After[0].Job, Need: jobs.NeedEnd}}}
				end(e.t, r, enqueue(e.t, r, look).ID)
			}
			if !strings.Contains(seen, "bad failed; ") || !strings.Contains(seen, "a succeeded; ") {
				e.t.Errorf("seen were %s", seen)
			}
			for range jobs.Dependencies(e.t.Context()) {
				e.t.Error("there is something to come after outside of a job")
			}
		})
	})
	t.Run("what is beside a reference is checked and completed at the door", func(t *testing.T) {
		onMemory(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			reqs := s.pair("a", jobs.NeedSuccess)
			reqs[0].Set("/label", 7)
			if _, err := r.Enqueue(e.t.Context(), reqs...); !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(err.Error(), "/label") || strings.Contains(err.Error(), "/pages") {
				e.t.Errorf("got %v", err)
			}
			reqs = s.pair("a", jobs.NeedSuccess)
			made := enqueueAll(e.t, r, reqs...)
			if got, want := string(made[0].Args), `{"label":"none","pages":{"$result":"crawl#/pages"}}`; got != want {
				e.t.Errorf("the arguments are %s, want %s", got, want)
			}
		})
	})
}

func TestSecret(t *testing.T) {
	t.Run("a secret is given to the handler and to nobody else", func(t *testing.T) {
		onBoth(t, func(e env) {
			var reg jobs.Registry
			got := ""
			handler := jobs.Register(&reg, jobs.Task{Name: "task", MaxAttempts: 1}, func(ctx context.Context, args crawlArgs) (string, error) {
				got = args.Site + args.Token
				jobs.Logger(ctx).Warn("calling with "+args.Token, "token", args.Token, "err", fmt.Errorf("no %s", args.Token))
				return "", fmt.Errorf("401 for %s", args.Token)
			})
			var host strings.Builder
			r := run(e.t, e.store, &reg, &jobs.Options{Secret: secrets, Logger: slog.New(slog.NewTextHandler(&host, nil))})
			req := handler.Request(crawlArgs{})
			req.Set("/site", jobs.Secret("github"))
			req.Set("/token", jobs.Secret("github"))
			job := end(e.t, r, enqueue(e.t, r, req).ID)
			if got != "s3cret-tokens3cret-token" {
				e.t.Errorf("the handler got %q", got)
			}
			wantState(e.t, job, jobs.Failed)
			all, err := json.Marshal(job)
			if err != nil {
				e.t.Fatal(err)
			}
			for entry, err := range r.Log(e.t.Context(), job.ID, jobs.LogQuery{}) {
				if err != nil {
					e.t.Fatal(err)
				}
				all = append(all, entry.Message...)
				all = append(all, entry.Attrs...)
			}
			if text := string(all) + host.String(); strings.Contains(text, "s3cret") || !strings.Contains(text, "calling with "+jobs.Redacted) {
				e.t.Errorf("it is told: %s", text)
			}
			err = e.store.View(e.t.Context(), func(tx jobs.Tx) error {
				stored, err := tx.Job(job.ID)
				if err == nil && strings.Contains(fmt.Sprintf("%+v %s", stored, stored.Args), "s3cret") {
					e.t.Errorf("it is stored: %+v", stored)
				}
				return err
			})
			if err != nil {
				e.t.Error(err)
			}
		})
	})
}

// TestRunner_graph runs a graph in layers whose jobs fail at random, with a kill or a stop in the
// middle, and compares the end of each job with what the needs say.
func TestRunner_graph(t *testing.T) {
	n := 10_000
	if large < 100_000 || testing.Short() {
		n = 1000
	}
	seed := rand.Uint64()
	t.Run(fmt.Sprintf("a graph of %d jobs ends as the needs say, seed %d", n, seed), func(t *testing.T) {
		t.Run("bolt", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jobs.db")
			synctest.Test(t, func(t *testing.T) {
				runGraph(env{t, openBolt(t, path)}, n, seed, func() jobs.Store { return openCopy(t, path) })
			})
		})
		t.Run("memory", func(t *testing.T) {
			onMemory(t, func(e env) { runGraph(e, n, seed, func() jobs.Store { return e.store }) })
		})
	})
}

// openCopy opens the file as a process would find it if the one that has it open died now.
func openCopy(t *testing.T, path string) jobs.Store {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		path += ".copy"
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return openBolt(t, path)
}

type fate struct {
	Fails   int  `json:"fails,omitempty"` // attempts
	Dies    bool `json:"dies,omitempty"`
	Partial bool `json:"partial,omitempty"`
}

func runGraph(e env, n int, seed uint64, again func() jobs.Store) {
	rnd := rand.New(rand.NewPCG(seed, seed))
	reqs, want := randomGraph(rnd, n)
	var reg jobs.Registry
	jobs.Register(&reg, jobs.Task{Name: "node", MaxAttempts: 5}, func(ctx context.Context, f fate) (int, error) {
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		switch {
		case f.Dies:
			return 0, jobs.Fail(errBroken)
		case jobs.Current(ctx).Attempt <= f.Fails:
			return 0, errBroken
		case f.Partial:
			return 1, jobs.Partial(errBroken)
		}
		return 1, nil
	})
	opts := &jobs.Options{Workers: 16, Grace: -1}
	r := newRunner(e.t, e.store, &reg, opts)
	made := enqueueAll(e.t, r, reqs...)
	stop := start(e.t, r)
	time.Sleep(time.Second / 2)
	synctest.Wait()
	store := again() // with jobs that run
	if err := stop(); err != nil {
		e.t.Error(err)
	}
	e.store = store
	r = run(e.t, store, &reg, opts)
	left, err := r.Count(e.t.Context(), jobs.Query{States: []jobs.State{jobs.Waiting, jobs.Queued, jobs.Running, jobs.Retrying}})
	if err != nil || left == 0 || left == int64(n) {
		e.t.Errorf("%d of %d jobs are left after the stop, %v", left, n, err)
	}
	for i, job := range made {
		got := end(e.t, r, job.ID)
		if got.State != want[i].State || got.Partial != want[i].Partial {
			e.t.Fatalf("node %d ended as %s (partial: %t): %s; want %s (partial: %t)", i, got.State, got.Partial, got.Message, want[i].State, want[i].Partial)
		}
	}
	audit(e)
}

// randomGraph returns requests in layers, and how their jobs end.
func randomGraph(rnd *rand.Rand, n int) (reqs []jobs.Request, want []jobs.Job) {
	needs := []jobs.Need{jobs.NeedSuccess, jobs.NeedAll, jobs.NeedEnd, jobs.NeedEnd}
	const layer = 100
	for i := range n {
		f := fate{Fails: max(rnd.IntN(6)-3, 0), Dies: rnd.IntN(20) == 0, Partial: rnd.IntN(20) == 0}
		data, _ := json.Marshal(f)
		req := jobs.Request{Task: "node", Name: fmt.Sprint("n", i), Args: data}
		state := jobs.Job{State: jobs.Succeeded, Partial: f.Partial}
		if f.Dies {
			state = jobs.Job{State: jobs.Failed}
		}
		if above := i/layer*layer - layer; above >= 0 {
			for _, k := range rnd.Perm(layer)[:3] {
				need := needs[rnd.IntN(len(needs))]
				req.After = append(req.After, jobs.Dependency{Name: fmt.Sprint("n", above+k), Need: need})
				other := want[above+k]
				if need == jobs.NeedSuccess && other.State != jobs.Succeeded || need == jobs.NeedAll && (other.State != jobs.Succeeded || other.Partial) {
					state = jobs.Job{State: jobs.Skipped}
				}
			}
		}
		reqs, want = append(reqs, req), append(want, state)
	}
	return reqs, want
}
