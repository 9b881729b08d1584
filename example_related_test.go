package jobs_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

type Crawl struct {
	Site  string `json:"site"`
	Token string `json:"token,omitempty" jsonschema:"secret"`
}

type Pages struct {
	Pages []string `json:"pages"`
}

type Process struct {
	Pages []string `json:"pages"`
}

// crawler registers the tasks crawl and process.
func crawler(reg *jobs.Registry) (crawl *jobs.TaskOf[Crawl, Pages], process *jobs.TaskOf[Process, string]) {
	crawl = jobs.Register(reg, jobs.Task{Name: "crawl", MaxAttempts: 1}, func(_ context.Context, args Crawl) (Pages, error) {
		if args.Site == "down" {
			return Pages{}, fmt.Errorf("%s does not answer", args.Site)
		}
		return Pages{[]string{args.Site + "/a", args.Site + "/b"}}, nil
	})
	process = jobs.Register(reg, jobs.Task{Name: "process"}, func(_ context.Context, args Process) (string, error) {
		return strings.Join(args.Pages, " and "), nil
	})
	return crawl, process
}

// A workflow is enqueued as a whole. Steps get the results of those before them, and one whose
// dependency has failed is skipped.
func ExampleWorkflow() {
	var reg jobs.Registry
	crawl, process := crawler(&reg)
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()

	var w jobs.Workflow
	one := w.Add("crawl", crawl.Request(Crawl{Site: "up"}))
	two := w.Add("crawl 2", crawl.Request(Crawl{Site: "down"}))
	w.Add("process", process.Request(Process{})).After(one).Set("/pages", one.Result("/pages"))
	w.Add("process 2", process.Request(Process{})).After(two).Set("/pages", two.Result("/pages"))
	made, err := runner.Enqueue(ctx, w.Requests()...)
	check(err)

	text, err := process.Wait(ctx, runner, made[2].ID)
	check(err)
	fmt.Println(text)
	job, err := runner.Wait(ctx, made[3].ID)
	check(err)
	fmt.Println(job.State, "because", job.Message)

	g, err := runner.Graph(ctx, made[2].ID)
	check(err)
	for _, n := range g.Nodes {
		fmt.Println(n.ID, n.Label, n.State)
	}
	// Output:
	// up/a and up/b
	// skipped because crawl 2 (job 2) has failed: down does not answer
	// 1 crawl succeeded
	// 3 process succeeded
}

// A handler spawns children. Join is called when they have ended.
func ExampleSpawn() {
	type Album struct {
		Photos []string `json:"photos"`
	}
	type Photo struct {
		Name string `json:"name"`
	}
	var reg jobs.Registry
	resize := jobs.Register(&reg, jobs.Task{Name: "resize"}, func(ctx context.Context, p Photo) (int, error) {
		jobs.Count(ctx, "resized", 1)
		return len(p.Name), nil
	})
	album := jobs.Register(&reg, jobs.Task{Name: "album"}, func(ctx context.Context, a Album) (int, error) {
		for _, name := range a.Photos {
			if err := jobs.Spawn(ctx, resize.Request(Photo{name})); err != nil {
				return 0, err
			}
		}
		return 0, nil // the job waits for its children, without a worker
	})
	album.Join(func(ctx context.Context, _ Album, total int) (int, error) {
		for child, err := range jobs.Children(ctx) {
			if err != nil {
				return 0, err
			}
			n, err := resize.Result(child)
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	made, err := album.Enqueue(ctx, runner, Album{[]string{"sea.jpg", "sun.jpg", "moon.jpg"}})
	check(err)
	job, err := runner.Wait(ctx, made.ID)
	check(err)
	fmt.Println(string(job.Result), job.Children.Succeeded, "of", job.Children.Total, job.Children.Counters)
	// Output: 22 3 of 3 map[resized:3]
}

// A task yields results one by one; the next one runs for each of them.
func ExampleRegisterSeq() {
	type City struct {
		Name string `json:"name"`
	}
	var reg jobs.Registry
	list := jobs.RegisterSeq(&reg, jobs.Task{Name: "list"}, func(context.Context, struct{}) iter.Seq2[City, error] {
		return func(yield func(City, error) bool) {
			_ = yield(City{"Rome"}, nil) && yield(City{"Oslo"}, nil)
		}
	})
	greet := jobs.Register(&reg, jobs.Task{Name: "greet"}, func(_ context.Context, c City) (string, error) {
		return "Hello, " + c.Name, nil
	})
	join := jobs.Register(&reg, jobs.Task{Name: "join"}, func(_ context.Context, args Process) (string, error) {
		return strings.Join(args.Pages, "; "), nil
	})
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()

	var w jobs.Workflow
	cities := w.Add("cities", list.Request(struct{}{}))
	greetings := w.Add("greetings", greet.Request(City{})).After(cities).Each(cities.Result("")).Set("/name", jobs.ItemAt("/name"))
	w.Add("all", join.Request(Process{})).After(greetings).Set("/pages", greetings.Result(""))
	made, err := runner.Enqueue(ctx, w.Requests()...)
	check(err)
	text, err := join.Wait(ctx, runner, made[2].ID)
	check(err)
	fmt.Println(text)
	// Output: Hello, Rome; Hello, Oslo
}

// Definitions are saved configurations that people edit, schedules follow and jobs are made of.
func ExampleDefinitions() {
	var reg jobs.Registry
	crawl, process := crawler(&reg)
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	defs := runner.Definitions()

	first := jobs.Definition{ID: "crawl-up", Request: crawl.Request(Crawl{Site: "up"})}
	first.Schedule = jobs.Schedule{Cron: "0 3 * * *", Zone: "Europe/Berlin"}
	then := jobs.Definition{ID: "process-up", Request: process.Request(Process{})}
	then.After = []jobs.Dependency{{Name: "crawl-up"}}
	then.Set("/pages", jobs.ResultOf("crawl-up", "/pages"))
	_, err := defs.Sync(ctx, jobs.CodeWins, first, then)
	check(err)

	_, err = defs.Trigger(ctx, "process-up", nil)
	fmt.Println(err)
	made, err := defs.Trigger(ctx, "process-up", &jobs.Trigger{Build: jobs.BuildMissing})
	check(err)
	text, err := process.Wait(ctx, runner, made[0].ID)
	check(err)
	fmt.Println(text)

	made, err = defs.Trigger(ctx, "crawl-up", nil) // again, by hand
	check(err)
	_, err = runner.Wait(ctx, made[0].ID)
	check(err)
	all, err := defs.Status(ctx)
	check(err)
	for _, s := range all {
		fmt.Println(s.Definition.ID, s.Status, s.Outdated)
	}
	// Output:
	// jobs: no successful run of "crawl-up", which "process-up" comes after; Build can make them
	// up/a and up/b
	// crawl-up success []
	// process-up outdated [crawl-up]
}

// Arguments can refer to secrets, which are neither stored nor shown.
func ExampleSecret() {
	var reg jobs.Registry
	call := jobs.Register(&reg, jobs.Task{Name: "call", MaxAttempts: 1}, func(_ context.Context, args Crawl) (struct{}, error) {
		return struct{}{}, fmt.Errorf("401 for %s?key=%s", args.Site, args.Token)
	})
	runner, stop := inMemoryWith(&reg, &jobs.Options{
		Secret: func(_ context.Context, name string) (string, error) { return "8e1f-of-" + name, nil },
	})
	defer stop()
	ctx := context.Background()
	req := call.Request(Crawl{Site: "api"})
	req.Set("/token", jobs.Secret("api"))
	made, err := runner.Enqueue(ctx, req)
	check(err)
	job, err := runner.Wait(ctx, made[0].ID)
	check(err)
	fmt.Println(job.Message)
	// Output: 401 for api?key=•••
}

// A tree of counts says how the jobs of a group stand, and how long they will take.
func ExampleRunner_Tree() {
	var reg jobs.Registry
	crawl, _ := crawler(&reg)
	runner, stop := inMemory(&reg)
	defer stop()
	ctx := context.Background()
	for _, site := range []string{"up", "down"} {
		req := crawl.Request(Crawl{Site: site})
		req.Group, req.Batch = "tenant", "june"
		made, err := runner.Enqueue(ctx, req)
		check(err)
		_, err = runner.Wait(ctx, made[0].ID)
		check(err)
	}
	later := crawl.Request(Crawl{Site: "up"})
	later.Group, later.RunAt = "tenant", time.Now().Add(time.Hour)
	_, err := runner.Enqueue(ctx, later)
	check(err)
	tree, err := runner.Tree(ctx, jobs.Labels{Group: "tenant"})
	check(err)
	for _, batch := range tree.Parts[0].Parts {
		_, known := batch.Remaining()
		fmt.Printf("%q: %d active, %d finished, %d failed; time left known: %t\n", batch.Label, batch.Active(), batch.Finished(), batch.Failed, known)
	}
	// Output:
	// "": 1 active, 0 finished, 0 failed; time left known: false
	// "june": 0 active, 2 finished, 1 failed; time left known: true
}
