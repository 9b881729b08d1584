// Harvest counts the words of a few web sites with the jobs package, again and again.
//
//	go run ./examples/harvest [-every 2s] [-rounds 2] [-pace 20ms] [-svg file] [-db file] [-fresh]
//
// It saves definitions: for each site one that crawls it and one that counts the words of each page
// that was found, and a report that merges all this and has a schedule. The sites are made up, and
// served by the program itself. One grows, one has a page that cannot be read, one is closed until
// the schedule has made its rounds.
//
// Stop it with Ctrl-C, or kill it at any moment with kill -9: the same command goes on where it was.
//
// The files in their order of reading: harvest.go has the tasks and the definitions, story.go what
// is done with them, board.go shows it, web.go serves the sites.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/examples/internal/screen"
)

var errStopped = errors.New("stopped; the same command goes on from here")

type options struct {
	every, pace time.Duration
	rounds      int64
	db, svg     string
	fresh       bool
}

func main() {
	var o options
	flag.DurationVar(&o.every, "every", 2*time.Second, "how often to harvest, in whole seconds")
	flag.Int64Var(&o.rounds, "rounds", 2, "how many times to do that")
	flag.DurationVar(&o.pace, "pace", 20*time.Millisecond, "how long the sites take for a page")
	flag.StringVar(&o.svg, "svg", "", "draw the graph of the definitions into this `file`")
	flag.StringVar(&o.db, "db", "", "keep definitions and jobs in this `file` (default: one in the user's cache)")
	flag.BoolVar(&o.fresh, "fresh", false, "forget what was done and start over")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, o)
	switch {
	case errors.Is(err, errStopped):
		fmt.Println(err)
		os.Exit(130) // as shells report an interrupt
	case err != nil:
		fmt.Fprintln(os.Stderr, "harvest:", err)
		os.Exit(1)
	}
}

// run harvests until the story is over, or ctx is done.
func run(ctx context.Context, o options) (err error) {
	if o.every == 0 { // which is no schedule
		return errors.New("-every has to be at least 1s")
	}
	store, err := open(&o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	w, err := serve(o.pace, o.rounds)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	out := screen.New(os.Stdout)
	defer out.Close()
	out.Print(fmt.Sprintf("Sites at %s\nDefinitions and jobs in %s", w.url, o.db))
	out.Print("")
	h, err := newHarvest(ctx, store, w, out, o)
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- h.runner.Run(running)
		stop() // also if it has failed
	}()
	err = h.story(running)
	stop() // the runner lets handlers finish for a moment
	switch failed := <-done; {
	case failed != nil:
		return failed
	case ctx.Err() != nil:
		return errStopped
	}
	return err
}

// open opens the file of jobs. To start over it removes it first, but only if it can be opened:
// another process may be at work.
func open(o *options) (*bolt.Store, error) {
	if o.db == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		o.db = filepath.Join(cache, "jobs-harvest", "harvest.db")
		if err := os.MkdirAll(filepath.Dir(o.db), 0o700); err != nil {
			return nil, err
		}
	}
	store, err := bolt.Open(o.db, nil)
	if err != nil || !o.fresh {
		return store, err
	}
	if err := errors.Join(store.Close(), os.Remove(o.db)); err != nil {
		return nil, err
	}
	return bolt.Open(o.db, nil)
}
