package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// scratch is a directory for the files of examples.
var scratch string

func TestMain(m *testing.M) {
	var err error
	scratch, err = os.MkdirTemp("", "jobs-")
	check(err)
	code := m.Run()
	check(os.RemoveAll(scratch))
	os.Exit(code)
}

type Greeting struct {
	Name string `json:"name"`
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A whole program: it registers a task, opens a file, runs a job and waits for its result.
func Example() {
	var reg jobs.Registry
	greet := jobs.Register(&reg, jobs.Task{Name: "greet"}, func(ctx context.Context, g Greeting) (string, error) {
		return "Hello, " + g.Name, nil
	})
	store, err := bolt.Open(filepath.Join(scratch, "jobs.db"), nil)
	check(err)
	runner, err := jobs.NewRunner(store, &reg, nil)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }() // until stop is called and all handlers have returned

	job, err := greet.Enqueue(ctx, runner, Greeting{Name: "Ada"}) // from here on it survives a crash
	check(err)
	text, err := greet.Wait(ctx, runner, job.ID)
	check(err)
	fmt.Println(text)

	stop()
	check(<-done)
	check(store.Close())
	// Output: Hello, Ada
}

// The README shows the program of Example as it is, but for the place of its file, and a test of
// package jobstest.
func TestREADME_ShowsWhatRuns(t *testing.T) {
	readme := text(t, "README.md")
	example := strings.ReplaceAll(text(t, "example_test.go"), `filepath.Join(scratch, "jobs.db")`, `"jobs.db"`)
	for _, part := range []struct{ shown, source, begin string }{
		{"type Greeting struct {", example, "type Greeting struct {"},
		{"func main() {", example, "func Example() {"},
		{"func check(err error) {", example, "func check(err error) {"},
		{"func TestSixHoursOfRetries(t *testing.T) {", text(t, "jobstest/example_test.go"), "func TestSixHoursOfRetries(t *testing.T) {"},
	} {
		got, want := codeBlock(readme, part.shown), codeBlock(part.source, part.begin)
		if got != want || got == "" {
			t.Errorf("README.md has after %q\n%s\nwant\n%s", part.shown, got, want)
		}
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block returns the lines from begin up to the closing brace.
func codeBlock(text, begin string) string {
	_, text, _ = strings.Cut(text, "\n"+begin+"\n")
	text, _, _ = strings.Cut(text, "\n}\n")
	return text
}

// inMemory runs a runner over a store in memory, and returns it with a function that stops it.
func inMemory(reg *jobs.Registry) (*jobs.Runner, func()) { return inMemoryWith(reg, new(jobs.Options)) }

func inMemoryWith(reg *jobs.Registry, opts *jobs.Options) (*jobs.Runner, func()) {
	opts.Logger = slog.New(slog.DiscardHandler)
	runner, err := jobs.NewRunner(memory.New(), reg, opts)
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }()
	return runner, func() {
		stop()
		check(<-done)
	}
}

type Images struct {
	Files []string `json:"files" jsonschema:"minItems=1"`
	Width int      `json:"width,omitempty" jsonschema:"default=1024,minimum=1"`
}

type Resized struct {
	Count int `json:"count"`
}

func resize(_ context.Context, args Images) (Resized, error) {
	return Resized{Count: len(args.Files)}, nil
}

func ExampleRegister() {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{
		Name:        "images.resize",
		Title:       "Resize images",
		Queue:       "images",
		MaxAttempts: 5,
		Timeout:     10 * time.Minute,
	}, resize)
	runner, stop := inMemory(&reg)
	defer stop()

	ctx := context.Background()
	job, err := task.Enqueue(ctx, runner, Images{Files: []string{"a.png", "b.png"}})
	check(err)
	result, err := task.Wait(ctx, runner, job.ID)
	check(err)
	fmt.Println(result.Count)

	// Bad input is refused at the door.
	_, err = task.Enqueue(ctx, runner, Images{Width: -1, Files: []string{}})
	var invalid *jobs.ValidationError
	if errors.As(err, &invalid) {
		for _, field := range invalid.Fields {
			fmt.Println(field.Path, field.Message)
		}
	}
	// Output:
	// 2
	// /files must have at least 1 item, not 0
	// /width must be at least 1, not -1
}

// The context of Run is the one way to stop. Handlers get Options.Grace to finish, here none; then
// their context is cancelled.
func ExampleRunner_Run() {
	var reg jobs.Registry
	started := make(chan bool)
	sleep := jobs.Register(&reg, jobs.Task{Name: "sleep"}, func(ctx context.Context, _ struct{}) (struct{}, error) {
		close(started)
		<-ctx.Done()
		fmt.Println(context.Cause(ctx))
		return struct{}{}, context.Cause(ctx)
	})
	runner, err := jobs.NewRunner(memory.New(), &reg, &jobs.Options{Grace: -1})
	check(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- runner.Run(ctx) }()
	job, err := sleep.Enqueue(ctx, runner, struct{}{})
	check(err)
	<-started

	stop()
	check(<-done)
	job, err = runner.Get(context.Background(), job.ID)
	check(err)
	fmt.Println(job.State, "after", job.Attempt, "attempts")
	// Output:
	// jobs: runner is stopping
	// queued after 0 attempts
}

// Enqueue makes all jobs or none. A unique request gives the job that stands already.
func ExampleRunner_Enqueue() {
	var reg jobs.Registry
	task := jobs.Register(&reg, jobs.Task{Name: "resize"}, resize)
	runner, err := jobs.NewRunner(memory.New(), &reg, nil)
	check(err)

	ctx := context.Background()
	nightly := task.Request(Images{Files: []string{"a.png"}})
	nightly.Unique = jobs.Unique{Key: "nightly"}
	nightly.RunAt = time.Now().Add(time.Hour)
	urgent := task.Request(Images{Files: []string{"b.png"}})
	urgent.Priority = 10
	made, err := runner.Enqueue(ctx, nightly, urgent)
	check(err)
	for _, job := range made {
		fmt.Println(job)
	}

	made, err = runner.Enqueue(ctx, nightly)
	check(err)
	fmt.Println(made[0].ID, made[0].Duplicate)

	_, err = runner.Enqueue(ctx, urgent, jobs.Request{Task: "risize"})
	fmt.Println(err)
	// Output:
	// job 1 (resize) scheduled
	// job 2 (resize) queued
	// 1 true
	// request 1 (risize): jobs: invalid task: "risize" is not registered; registered are resize
}

// A configuration names the store by a URL.
func ExampleOpeners() {
	stores := jobs.Openers{
		"memory": func(*url.URL) (jobs.Store, error) { return memory.New(), nil },
		"bolt": func(u *url.URL) (jobs.Store, error) {
			store, err := bolt.Open(u.Path, nil)
			if err != nil {
				return nil, err
			}
			return store, nil
		},
	}
	store, err := stores.Open("memory:")
	check(err)
	check(store.Close())

	_, err = stores.Open("postgres://localhost/app")
	fmt.Println(err)
	// Output: jobs: invalid store URL: "postgres://localhost/app" has no scheme of bolt, memory
}
