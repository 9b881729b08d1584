// Tour reads every file of a directory with the jobs package and says what is in it: files, lines
// and bytes by language, the largest files, the duplicates.
//
//	go run ./examples/tour [-fresh] [-pace 1ms] [-db file] [directory]
//
// Without a directory it reads the source of the Go standard library. Stop it with Ctrl-C, or kill
// it at any moment with kill -9: the same command goes on where it was. Once the report is there,
// the same command prints it again; -fresh starts over.
//
// The files in their order of reading: pipeline.go has the tasks, walk.go and sum.go what they do,
// board.go draws their progress.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"go/build"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/examples/internal/screen"
)

var errStopped = errors.New("stopped; the same command goes on from here")

func main() {
	var o options
	flag.BoolVar(&o.fresh, "fresh", false, "forget what was done and start over")
	flag.DurationVar(&o.pace, "pace", 0, "wait so long after each file, to have time to look on or to kill it")
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
	b := newBoard(out)
	p, err := newPipeline(store, o.pace, b.options())
	if err != nil {
		return err
	}
	if err := p.start(ctx, o.dir); err != nil {
		return err
	}
	report, err := p.finished(ctx)
	if err != nil {
		return err
	}
	if report != nil {
		fmt.Print(report)
		fmt.Println("\nThis report was there already; -fresh starts over.")
		return nil
	}

	if err := b.load(ctx, p); err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- p.runner.Run(running) }()
	err = b.watch(ctx, p)
	stop() // the runner lets handlers finish for a moment
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	out.Close()
	if report, err = p.finished(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	if report == nil {
		return errStopped
	}
	fmt.Printf("\n%s\n%s\n", report, b.epilogue())
	return nil
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
