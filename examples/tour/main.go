// Tour reads every file of a directory with the jobs package and says what is in it: files, lines
// and bytes by language, the largest files, the duplicates.
//
//	go run ./examples/tour [-fresh] [-pace 1ms] [-part 20000] [-db file] [directory]
//
// Without a directory it reads the source of the Go standard library. Stop it with Ctrl-C, or kill
// it at any moment with kill -9: the same command goes on where it was. Once the report is there,
// the same command prints it again; -fresh starts over.
//
// The files in their order of reading: pipeline.go has the tasks, walk.go and sum.go what they do,
// report.go what comes of it.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"go/build"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/examples/internal/screen"
)

var errStopped = errors.New("stopped; the same command goes on from here")

func main() {
	var o options
	flag.BoolVar(&o.fresh, "fresh", false, "forget what was done and start over")
	flag.DurationVar(&o.pace, "pace", 0, "wait so long after each file, to have time to look on or to kill it")
	flag.Int64Var(&o.part, "part", 20_000, "have one scan job find so many files; a small number needs less memory")
	flag.StringVar(&o.db, "db", "", "keep the jobs in this `file` (default: one for each directory, in the user's cache)")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: tour [flags] [directory]")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.dir = flag.Arg(0)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, o)
	switch {
	case errors.Is(err, errStopped):
		fmt.Println(err)
		os.Exit(130) // as shells report an interrupt
	case err != nil:
		fmt.Fprintln(os.Stderr, "tour:", err)
		os.Exit(1)
	}
}

type options struct {
	dir, db string
	fresh   bool
	part    int64
	pace    time.Duration
}

func run(ctx context.Context, o options) (err error) {
	if o.dir, err = directory(ctx, o.dir); err != nil {
		return err
	}
	if o.db == "" {
		if o.db, err = defaultFile(o.dir); err != nil {
			return err
		}
	}
	store, err := open(o.db, o.fresh)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	fmt.Printf("Reading %s\nJobs in %s\n\n", o.dir, o.db)
	return tour(ctx, store, o)
}

// tour runs the pipeline to its end, or until ctx is done, and prints the report.
func tour(ctx context.Context, store *bolt.Store, o options) error {
	out := screen.New(os.Stdout)
	defer out.Close()
	p, err := newPipeline(store, o, slog.New(slog.NewTextHandler(printer{out}, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	job, err := p.start(ctx, o.dir)
	if err != nil {
		return err
	}
	if job.State == jobs.Succeeded {
		report, err := p.tour.Result(job)
		fmt.Printf("%v\nThis report was there already; -fresh starts over.\n", report)
		return err
	}

	begin := time.Now()
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.runner.Run(running) }()
	err = nil
	for job, err = range p.runner.Watch(ctx, job.ID) {
		if err != nil {
			break
		}
		draw(out, job)
	}
	stop() // the runner lets handlers finish for a moment
	runErr := <-done
	out.Close()
	switch {
	case runErr != nil || err != nil && ctx.Err() == nil:
		return errors.Join(err, runErr)
	case err != nil:
		return errStopped
	case job.State != jobs.Succeeded:
		return fmt.Errorf("%v: %s", job, job.Message)
	}
	return p.print(context.WithoutCancel(ctx), job, time.Since(begin))
}

// draw shows the progress of all jobs, which is that of the tour.
func draw(out *screen.Screen, job *jobs.Job) {
	var count map[string]int64
	if job.Children != nil {
		count = job.Children.Counters
	}
	text := size(count["bytes"]) + " of " + size(count["bytes found"])
	hash := job.Progress.Child("Scan", hashTitle)
	if !out.Live() {
		if hash != nil {
			out.Draw(fmt.Sprintf("%s of %s files, %s", grouped(hash.Current), grouped(hash.Total), text))
		}
		return
	}
	if hash != nil {
		hash.Status = text
	}
	out.Draw(job.Progress.Format(out.Width()))
}

// print prints the report of a tour that has ended, and what it took.
func (p *pipeline) print(ctx context.Context, job *jobs.Job, took time.Duration) error {
	report, err := p.tour.Result(job)
	if err != nil {
		return err
	}
	all, err := p.runner.Count(ctx, jobs.Query{})
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\nIt took %s and %d jobs.", report, took.Round(time.Millisecond), all)
	if n := job.Children.Counters["cut off"]; n > 0 {
		fmt.Printf(" %d attempts were cut off by the end of the process and made again.", n)
	}
	fmt.Println()
	return nil
}

// A printer prints log records above what is drawn.
type printer struct{ out *screen.Screen }

func (p printer) Write(text []byte) (int, error) {
	p.out.Print(string(text))
	return len(text), nil
}

// directory returns the absolute path of a directory, by default that of the standard library.
func directory(ctx context.Context, dir string) (string, error) {
	if dir == "" {
		root := build.Default.GOROOT
		if out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output(); err == nil {
			root = strings.TrimSpace(string(out))
		}
		dir = filepath.Join(root, "src")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	return dir, err
}

// defaultFile returns a file of jobs for the directory.
func defaultFile(dir string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "jobs-tour")
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(cache, hex.EncodeToString(sum[:6])+".db"), os.MkdirAll(cache, 0o700)
}

// open opens the file of jobs. To start over it removes it first, but only if it can be opened:
// another process may be at work.
func open(file string, fresh bool) (*bolt.Store, error) {
	store, err := bolt.Open(file, nil)
	if err != nil || !fresh {
		return store, err
	}
	if err := errors.Join(store.Close(), os.Remove(file)); err != nil {
		return nil, err
	}
	return bolt.Open(file, nil)
}
