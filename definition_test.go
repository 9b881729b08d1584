package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// site saves the definitions crawl and process of a site.
func (s *stages) site(t *testing.T, r *jobs.Runner, name string) {
	t.Helper()
	crawl := jobs.Definition{ID: "crawl-" + name, Request: s.crawl.Request(crawlArgs{Site: name})}
	process := jobs.Definition{ID: "process-" + name, Request: s.process.Request(processArgs{Pages: []string{}})}
	process.After = []jobs.Dependency{{Name: crawl.ID}}
	process.Set("/pages", jobs.ResultOf(crawl.ID, "/pages"))
	save(t, r, crawl)
	save(t, r, process)
}

func save(t *testing.T, r *jobs.Runner, def jobs.Definition) *jobs.Definition {
	t.Helper()
	saved, err := r.Definitions().Save(t.Context(), def)
	if err != nil {
		t.Fatal(err)
	}
	return saved
}

func trigger(t *testing.T, r *jobs.Runner, id string, opts *jobs.Trigger) []*jobs.Job {
	t.Helper()
	made, err := r.Definitions().Trigger(t.Context(), id, opts)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func statusOf(t *testing.T, r *jobs.Runner, id string) *jobs.DefinitionStatus {
	t.Helper()
	all, err := r.Definitions().Status(t.Context(), id)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d statuses, %v", len(all), err)
	}
	return all[0]
}

func TestDefinitions_Save(t *testing.T) {
	t.Run("what is saved is found, changed with its version only, and removed", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			defs := r.Definitions()
			ctx := jobs.WithActor(e.t.Context(), "user:ada")
			def := jobs.Definition{ID: "a", Notes: "notes", Request: s.crawl.Request(crawlArgs{Site: "a", Token: "hush"})}
			def.Tags, def.Title = []string{"x"}, "A"
			saved, err := defs.Save(ctx, def)
			if err != nil || saved.Version != 1 || saved.UpdatedBy != "user:ada" || strings.Contains(string(saved.Args), "hush") {
				e.t.Fatalf("saved %+v %s, %v", saved, saved.Args, err)
			}
			if _, err := defs.Save(ctx, def); !errors.Is(err, jobs.ErrConflict) {
				e.t.Errorf("saved over a version that was not known: %v", err)
			}
			saved.Title = "B"
			if _, err := defs.Save(ctx, *saved); err != nil { // with the hidden secret
				e.t.Fatal(err)
			}
			got, err := defs.Get(ctx, "a")
			if err != nil || got.Version != 2 || got.Title != "B" || got.Tags[0] != "x" || got.Notes != "notes" {
				e.t.Errorf("got %+v, %v", got, err)
			}
			job := trigger(e.t, r, "a", nil)[0]
			err = e.store.View(ctx, func(tx jobs.Tx) error {
				stored, err := tx.Job(job.ID)
				if err == nil && !strings.Contains(string(stored.Args), "hush") {
					e.t.Errorf("the secret was lost: %s", stored.Args)
				}
				return err
			})
			if err != nil {
				e.t.Error(err)
			}
			if err := defs.Delete(ctx, "a"); err != nil {
				e.t.Error(err)
			}
			if _, err := defs.Get(ctx, "a"); !errors.Is(err, jobs.ErrNotFound) {
				e.t.Errorf("got %v", err)
			}
			if all, err := defs.List(ctx); len(all) != 0 || err != nil {
				e.t.Errorf("listed %v, %v", all, err)
			}
			audit(e)
		})
	})
}

func TestDefinitions_Save_refuses(t *testing.T) {
	t.Run("nonsense is refused with its name, and nothing is stored", func(t *testing.T) {
		onMemory(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			good := s.crawl.Request(crawlArgs{Site: "a"})
			with := func(change func(*jobs.Definition)) jobs.Definition {
				def := jobs.Definition{ID: "a", Request: good}
				change(&def)
				return def
			}
			for want, def := range map[string]jobs.Definition{
				"ID: is empty":        with(func(d *jobs.Definition) { d.ID = "" }),
				"contains # or":       with(func(d *jobs.Definition) { d.ID = "a#b" }),
				"is not registered":   with(func(d *jobs.Definition) { d.Task = "nope" }),
				"/site":               with(func(d *jobs.Definition) { d.Args = json.RawMessage(`{"site":1}`) }),
				"have no meaning":     with(func(d *jobs.Definition) { d.Name = "x" }),
				"Build":               with(func(d *jobs.Definition) { d.Build = "some" }),
				"Notes":               with(func(d *jobs.Definition) { d.Notes = strings.Repeat("x", 70_000) }),
				"Cron":                with(func(d *jobs.Definition) { d.Schedule.Cron = "0 0 30 2 *" }),
				`"b", which does not`: with(func(d *jobs.Definition) { d.After = []jobs.Dependency{{Name: "b"}} }),
				"a → a":               with(func(d *jobs.Definition) { d.After = []jobs.Dependency{{Name: "a"}} }),
			} {
				if _, err := r.Definitions().Save(e.t.Context(), def); !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
					e.t.Errorf("got %v, want …%s…", err, want)
				}
			}
			if all, err := r.Definitions().List(e.t.Context()); len(all) != 0 || err != nil {
				e.t.Errorf("stored were %v, %v", all, err)
			}
			s.site(e.t, r, "a")
			crawl, err := r.Definitions().Get(e.t.Context(), "crawl-a")
			if err != nil {
				e.t.Fatal(err)
			}
			crawl.After = []jobs.Dependency{{Name: "process-a"}}
			if _, err := r.Definitions().Save(e.t.Context(), *crawl); !errors.Is(err, jobs.ErrInvalid) || !strings.Contains(err.Error(), "crawl-a → process-a → crawl-a") {
				e.t.Errorf("a cycle: %v", err)
			}
			if err := r.Definitions().Delete(e.t.Context(), "crawl-a"); !errors.Is(err, jobs.ErrState) || !strings.Contains(err.Error(), "process-a") {
				e.t.Errorf("deleting what others come after: %v", err)
			}
		})
	})
}

func TestDefinitions_Sync(t *testing.T) {
	t.Run("at the start of a program the code or the store wins", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			defs, ctx := r.Definitions(), e.t.Context()
			code := []jobs.Definition{
				{ID: "a", Request: s.crawl.Request(crawlArgs{Site: "a"})},
				{ID: "b", Request: s.crawl.Request(crawlArgs{Site: "b"})},
			}
			sync := func(wins jobs.Winner, want ...string) {
				e.t.Helper()
				stored, err := defs.Sync(ctx, wins, code...)
				var ids []string
				for _, def := range stored {
					ids = append(ids, def.ID)
				}
				if err != nil || fmt.Sprint(ids) != fmt.Sprint(want) {
					e.t.Errorf("stored were %v, %v; want %v", ids, err, want)
				}
			}
			sync(jobs.StoreWins, "a", "b")
			sync(jobs.CodeWins)
			a, err := defs.Get(ctx, "a")
			if err != nil {
				e.t.Fatal(err)
			}
			a.Title, a.Inactive = "by hand", true
			save(e.t, r, *a)
			save(e.t, r, jobs.Definition{ID: "own", Request: s.crawl.Request(crawlArgs{})})
			sync(jobs.StoreWins)
			sync(jobs.CodeWins, "a")
			if a, err = defs.Get(ctx, "a"); err != nil || a.Title != "" || !a.Inactive || a.Version != 3 {
				e.t.Errorf("after the code has won: %+v, %v", a, err)
			}
			code = code[:1]
			sync(jobs.CodeWins)
			all, err := defs.List(ctx)
			if err != nil || len(all) != 2 || all[1].ID != "own" {
				e.t.Errorf("left are %v, %v", all, err)
			}
		})
	})
}

func TestDefinitions_Trigger(t *testing.T) {
	t.Run("configuration and dependencies are those at the time of creation", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			s.site(e.t, r, "a")
			_, err := r.Definitions().Trigger(e.t.Context(), "process-a", nil)
			if !errors.Is(err, jobs.ErrMissing) || !strings.Contains(err.Error(), "crawl-a") {
				e.t.Errorf("without a success of what it needs: %v", err)
			}
			first := end(e.t, r, trigger(e.t, r, "crawl-a", nil)[0].ID)
			if first.Definition != "crawl-a" {
				e.t.Errorf("it was made of %q", first.Definition)
			}
			if err := r.Pause(e.t.Context(), "default"); err != nil {
				e.t.Fatal(err)
			}
			process := trigger(e.t, r, "process-a", nil)[0]
			def, err := r.Definitions().Get(e.t.Context(), "process-a")
			if err != nil {
				e.t.Fatal(err)
			}
			def.Set("/label", "changed")
			save(e.t, r, *def)
			second := trigger(e.t, r, "crawl-a", &jobs.Trigger{Args: json.RawMessage(`{"site":"other"}`)})[0]
			if err := r.Resume(e.t.Context(), "default"); err != nil {
				e.t.Fatal(err)
			}
			synctest.Wait()
			if got, err := s.process.Result(end(e.t, r, process.ID)); got != "none: a/1 a/2" || err != nil {
				e.t.Errorf("with the configuration and the crawl of its creation it should have been none: a/1 a/2, was %q, %v", got, err)
			}
			wantState(e.t, end(e.t, r, second.ID), jobs.Succeeded)
			if st := statusOf(e.t, r, "process-a"); st.Status != jobs.Outdated || st.Outdated[0] != "crawl-a" {
				e.t.Errorf("the status is %s %v", st.Status, st.Outdated)
			}
			// Pins can be chosen.
			pinned := end(e.t, r, trigger(e.t, r, "process-a", &jobs.Trigger{Pins: map[string]jobs.ID{"crawl-a": first.ID}})[0].ID)
			if got, _ := s.process.Result(pinned); got != "changed: a/1 a/2" {
				e.t.Errorf("with the first crawl: %q", got)
			}
			for _, pins := range []map[string]jobs.ID{{"crawl-a": pinned.ID}, {"nope": first.ID}} {
				if _, err := r.Definitions().Trigger(e.t.Context(), "process-a", &jobs.Trigger{Pins: pins}); !errors.Is(err, jobs.ErrInvalid) {
					e.t.Errorf("pins %v: %v", pins, err)
				}
			}
			latest := end(e.t, r, trigger(e.t, r, "process-a", &jobs.Trigger{Title: "now", Queue: "other", Priority: 5})[0].ID)
			if got, _ := s.process.Result(latest); got != "changed: other/1 other/2" || latest.Title != "now" || latest.Queue != "other" || latest.Priority != 5 {
				e.t.Errorf("%+v", latest)
			}
			if st := statusOf(e.t, r, "process-a"); st.Status != jobs.Success || st.Newest.ID != latest.ID || st.Counts.Succeeded != 3 {
				e.t.Errorf("the status is %+v", st)
			}
			audit(e)
		})
	})
}

func TestDefinitions_Trigger_builds(t *testing.T) {
	t.Run("what it needs is built first, what needs it after", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			s.site(e.t, r, "a")
			last := jobs.Definition{ID: "report", Request: s.process.Request(processArgs{Pages: []string{}})}
			last.After = []jobs.Dependency{{Name: "process-a"}}
			save(e.t, r, last)
			tasks := func(made []*jobs.Job) (text string) {
				for _, job := range made {
					text += job.Definition + " "
					wantState(e.t, end(e.t, r, job.ID), jobs.Succeeded)
				}
				return text
			}
			for _, c := range []struct {
				id   string
				t    jobs.Trigger
				want string
			}{
				{"report", jobs.Trigger{Build: jobs.BuildMissing}, "report process-a crawl-a "},
				{"report", jobs.Trigger{Build: jobs.BuildMissing}, "report "},
				{"report", jobs.Trigger{Build: jobs.BuildOutdated}, "report "},
				{"crawl-a", jobs.Trigger{}, "crawl-a "},
				{"report", jobs.Trigger{Build: jobs.BuildMissing}, "report "},
				{"report", jobs.Trigger{Build: jobs.BuildOutdated}, "report process-a "},
				{"report", jobs.Trigger{Build: jobs.BuildAll}, "report process-a crawl-a "},
				{"crawl-a", jobs.Trigger{Dependents: true}, "crawl-a process-a report "},
			} {
				if got := tasks(trigger(e.t, r, c.id, &c.t)); got != c.want {
					e.t.Errorf("%s with %+v made %s, want %s", c.id, c.t, got, c.want)
				}
			}
			g, err := r.Definitions().Graph(e.t.Context())
			if err != nil || len(g.Nodes) != 3 || len(g.Edges) != 2 || g.Nodes[0].State != "success" {
				e.t.Errorf("the graph is %+v, %v", g, err)
			}
			audit(e)
		})
	})
	t.Run("protected ones have to be confirmed, inactive ones make nothing", func(t *testing.T) {
		onMemory(t, func(e env) {
			s := newStages()
			r := newRunner(e.t, e.store, &s.reg, nil)
			save(e.t, r, jobs.Definition{ID: "p", Protected: true, Request: s.crawl.Request(crawlArgs{})})
			save(e.t, r, jobs.Definition{ID: "i", Inactive: true, Request: s.crawl.Request(crawlArgs{})})
			for _, id := range []string{"p", "i"} {
				if _, err := r.Definitions().Trigger(e.t.Context(), id, nil); !errors.Is(err, jobs.ErrState) || !strings.Contains(err.Error(), `"`+id+`"`) {
					e.t.Errorf("%s: %v", id, err)
				}
			}
			trigger(e.t, r, "p", &jobs.Trigger{Confirm: true})
			if _, err := r.Definitions().Trigger(e.t.Context(), "nope", nil); !errors.Is(err, jobs.ErrNotFound) {
				e.t.Errorf("an unknown one: %v", err)
			}
		})
	})
}

func TestDefinitions_Trigger_arguments(t *testing.T) {
	t.Run("custom arguments replace saved ones, these computed ones, these those of the schema", func(t *testing.T) {
		onBoth(t, func(e env) {
			var reg jobs.Registry
			var got []importArgs
			task := jobs.Register(&reg, jobs.Task{Name: "import"}, func(_ context.Context, args importArgs) (struct{}, error) {
				got = append(got, args)
				return struct{}{}, nil
			})
			r := run(e.t, e.store, &reg, nil)
			save(e.t, r, jobs.Definition{ID: "a", Request: task.Request(importArgs{From: "saved"})})
			save(e.t, r, jobs.Definition{ID: "b", Request: task.Request(importArgs{})})
			first := end(e.t, r, trigger(e.t, r, "a", nil)[0].ID)
			time.Sleep(time.Hour)
			end(e.t, r, trigger(e.t, r, "b", nil)[0].ID)
			time.Sleep(time.Hour)
			end(e.t, r, trigger(e.t, r, "a", &jobs.Trigger{Args: json.RawMessage(`{"from":null,"limit":7}`)})[0].ID)
			if got[0].From != "saved" || got[0].Limit != 10 || !got[0].Since.IsZero() {
				e.t.Errorf("saved: %+v", got[0])
			}
			if !got[1].Since.IsZero() {
				e.t.Errorf("the latest success of another definition counted: %+v", got[1])
			}
			if got[2].From != "computed" || got[2].Limit != 7 || !got[2].Since.Equal(first.StartedAt) {
				e.t.Errorf("custom: %+v", got[2])
			}
		})
	})
}

type importArgs struct {
	From  string    `json:"from,omitempty"`
	Limit int       `json:"limit,omitempty" jsonschema:"default=10"`
	Since time.Time `json:"since,omitzero"`
}

func (a *importArgs) SetDefaults(last *jobs.Job) {
	if a.From == "" {
		a.From = "computed"
	}
	if a.Since.IsZero() && last != nil {
		a.Since = last.StartedAt
	}
}

func TestDefinitions_Status(t *testing.T) {
	t.Run("each state has its latest job, also after retries and deletions", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			save(e.t, r, jobs.Definition{ID: "d", Request: s.crawl.Request(crawlArgs{Site: "bad"})})
			want := func(status jobs.Status, last map[jobs.State]jobs.ID) {
				e.t.Helper()
				synctest.Wait()
				got := statusOf(e.t, r, "d")
				ids := make(map[jobs.State]jobs.ID)
				for s, job := range got.Last {
					ids[s] = job.ID
				}
				if got.Status != status || fmt.Sprint(ids) != fmt.Sprint(last) {
					e.t.Errorf("the status is %s %v, want %s %v", got.Status, ids, status, last)
				}
			}
			want(jobs.NotBuilt, nil)
			fails := []*jobs.Job{end(e.t, r, trigger(e.t, r, "d", nil)[0].ID), trigger(e.t, r, "d", nil)[0]}
			want(jobs.Failure, map[jobs.State]jobs.ID{jobs.Failed: fails[1].ID})
			skip := trigger(e.t, r, "d", &jobs.Trigger{Args: json.RawMessage(`{"site":"skip"}`)})[0]
			want(jobs.Failure, map[jobs.State]jobs.ID{jobs.Failed: fails[1].ID, jobs.Skipped: skip.ID})
			s.mu.Lock()
			s.heals = true
			s.mu.Unlock()
			if _, err := r.Retry(e.t.Context(), fails[1].ID); err != nil {
				e.t.Fatal(err)
			}
			want(jobs.Success, map[jobs.State]jobs.ID{jobs.Failed: fails[0].ID, jobs.Skipped: skip.ID, jobs.Succeeded: fails[1].ID})
			if err := r.Delete(e.t.Context(), fails[1].ID); err != nil {
				e.t.Fatal(err)
			}
			want(jobs.Failure, map[jobs.State]jobs.ID{jobs.Failed: fails[0].ID, jobs.Skipped: skip.ID})
			if n, err := r.DeleteAll(e.t.Context(), jobs.Query{}); n != 2 || err != nil {
				e.t.Errorf("deleted %d, %v", n, err)
			}
			want(jobs.NotBuilt, nil)
			audit(e)
		})
	})
}

func TestRunner_Tree(t *testing.T) {
	onBoth(t, func(e env) {
		reg := registry("a", func(ctx context.Context) error {
			select {
			case <-time.After(40 * time.Hour):
			case <-ctx.Done():
			}
			return nil
		})
		handle(reg, jobs.Task{Name: "b", Queue: "q"}, nothing)
		r := run(e.t, e.store, reg, &jobs.Options{Workers: 1})
		for _, req := range []jobs.Request{
			{Task: "a", Group: "g", Batch: "1"}, {Task: "a", Group: "g", Batch: "1"}, {Task: "b", Group: "g", Batch: "2"}, {Task: "b"},
		} {
			enqueue(e.t, r, req)
		}
		time.Sleep(50 * time.Hour) // more than a day: the first is done, the second is not
		all, err := r.Tree(e.t.Context(), jobs.Labels{})
		if err != nil {
			e.t.Fatal(err)
		}
		if all.Active() != 1 || all.Finished() != 3 || len(all.Parts) != 2 || all.Parts[1].Label != "g" || len(all.Parts[1].Parts) != 2 {
			e.t.Fatalf("the tree is\n%s", all)
		}
		g, err := r.Tree(e.t.Context(), jobs.Labels{Group: "g", Batch: "1"})
		if err != nil {
			e.t.Fatal(err)
		}
		if left, ok := g.Remaining(); g.Took() != 50*time.Hour || !ok || left != 50*time.Hour {
			e.t.Errorf("it took %v, and will take %v, %t", g.Took(), left, ok)
		}
		if left, ok := all.Parts[0].Remaining(); left != 0 || !ok || all.Parts[0].Took() != 0 {
			e.t.Errorf("what has ended takes %v longer", left)
		}
		if text := all.String(); !strings.Contains(text, "50h0m0s") || !strings.Contains(text, "(none)") {
			e.t.Errorf("as a text:\n%s", text)
		}
	})
}
