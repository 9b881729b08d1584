// Command bench measures this module beside its peers and beside the ceiling: what bbolt itself can
// do with the same keys and bytes. It prints one table, with the targets of this module at its end.
//
//	go run . -quick                          about 50 seconds, goqite and backlite
//	go run .                                 all scenarios and peers, within half an hour
//	go run . -scenario drain -peer goqite    some of them
//	go run . -postgres start                 with River on a PostgreSQL that it starts
//
// It needs a C compiler, for the driver of the SQLite peers; strace, to delay syncs; and, to start a
// PostgreSQL, initdb, pg_ctl and postgres in PATH. What is not there is left out, and the notes below
// the table say so.
//
// Each run has a process of its own. The systems take turns, in several rounds, and the medians
// are compared, so that what disturbs the machine disturbs all alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type options struct {
	quick, json    bool
	peer, scenario string
	dir            string
	rounds         int
	delay          time.Duration
	postgres       string
	cpuProfile     string
}

func main() {
	if child, err := isChild(); child {
		exit(err)
	}
	var o options
	flag.BoolVar(&o.quick, "quick", false, "fewer jobs, scenarios and peers, in 50 seconds")
	flag.BoolVar(&o.json, "json", false, "print JSON instead of a table")
	flag.StringVar(&o.peer, "peer", "", "only these peers, such as goqite,river/sqlite; \"none\" for none")
	flag.StringVar(&o.scenario, "scenario", "", "only these scenarios, such as drain,lifecycle-64")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "the directory in which files are made, on the disk to be measured")
	flag.IntVar(&o.rounds, "rounds", 0, "how often each scenario is run; 0 means 3 with -quick, otherwise 5")
	flag.DurationVar(&o.delay, "delay", 0, "what is added to every sync, such as 1ms; needs strace")
	flag.StringVar(&o.postgres, "postgres", os.Getenv("JOBS_BENCH_POSTGRES"), "the URL of a PostgreSQL database that may be emptied, or \"start\" to start a server")
	flag.StringVar(&o.cpuProfile, "cpuprofile", "", "write CPU profiles of this module's runs to files whose names begin so")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: unexpected argument", flag.Arg(0))
		os.Exit(2)
	}
	exit(bench(o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench runs what the options ask for, and prints it.
func bench(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p, err := newPlan(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	err = p.run(ctx)
	if len(p.results.rows) == 0 {
		return err
	}
	// After an error, too, what was measured until then is printed.
	if o.json {
		return errors.Join(err, p.printJSON(os.Stdout))
	}
	return errors.Join(err, p.print(os.Stdout))
}
