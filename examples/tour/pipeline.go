package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// How much one job does. A kill costs the work of the jobs that were running, so they are small;
// each is also two commits, so they are not too small.
const (
	chunkFiles = 200
	chunkBytes = 8 << 20
)

const hashTitle = "Hash" // by which the progress of a scan sums up its hash jobs

// A pipeline has four tasks. The job tour has two children: scan, and report, which comes after it.
// A scan job reads part of the tree and has a child for each chunk of files, to hash them, and one for
// the next part. A job and its children appear together, and it ends when they have. So whatever the
// moment of a kill, each step was either taken, with all that follows from it, or not at all.
type pipeline struct {
	runner *jobs.Runner
	tour   *jobs.TaskOf[tourArgs, *report]
	scan   *jobs.TaskOf[scanArgs, scanned]
	hash   *jobs.TaskOf[hashArgs, hashed]
	report *jobs.TaskOf[reportArgs, *report]
	part   int64 // files that one scan job finds
	pace   time.Duration
}

type tourArgs struct {
	Dir string `json:"dir"`
}

type scanArgs struct {
	Dir string `json:"dir"`
	// After is the path after which to go on, relative to Dir.
	After string `json:"after,omitempty"`
}

type scanned struct {
	Files int64 `json:"files"`
}

type hashArgs struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"` // relative to Dir
}

type hashed struct {
	Sums []fileSum `json:"sums"` // of the files in the order of hashArgs.Files
}

type reportArgs struct {
	Dir   string `json:"dir"`
	Files int64  `json:"files,omitempty"`
}

func newPipeline(store *bolt.Store, o options, log *slog.Logger) (*pipeline, error) {
	p := &pipeline{part: o.part, pace: o.pace}
	var reg jobs.Registry
	// A kill counts as an attempt, because a job might be what kills the process. Here it is
	// whoever tries this program.
	const attempts = 10_000
	p.tour = jobs.Register(&reg, jobs.Task{Name: "tour", Title: "Tour", MaxAttempts: attempts}, p.runTour)
	p.scan = jobs.Register(&reg, jobs.Task{Name: "scan", Title: "Scan", MaxAttempts: attempts}, p.runScan)
	p.hash = jobs.Register(&reg, jobs.Task{Name: "hash", Title: hashTitle, Queue: "hash", MaxAttempts: attempts}, p.runHash)
	p.report = jobs.Register(&reg, jobs.Task{Name: "report", Title: "Report", MaxAttempts: attempts}, p.runReport)
	p.tour.Join(p.joinTour)
	p.scan.Join(p.joinScan)
	var err error
	p.runner, err = jobs.NewRunner(store, &reg, &jobs.Options{
		Queues: []jobs.Queue{{Name: "hash", Workers: runtime.GOMAXPROCS(0)}},
		Grace:  time.Second,
		Keep:   map[jobs.State]time.Duration{jobs.Succeeded: -1}, // the report needs every result
		Logger: log,
	})
	return p, err
}

// start enqueues the tour, unless an earlier process has done so, and returns its job. One that has
// failed is taken up again.
func (p *pipeline) start(ctx context.Context, dir string) (*jobs.Job, error) {
	req := p.tour.Request(tourArgs{Dir: dir})
	req.Unique = jobs.Unique{Key: "tour", States: jobs.States()} // there will be no other
	made, err := p.runner.Enqueue(ctx, req)
	if err != nil {
		return nil, err
	}
	job := made[0]
	args, err := p.tour.Args(job)
	if err != nil {
		return nil, err
	}
	if args.Dir != dir {
		return nil, fmt.Errorf("this file holds the jobs for %s; start over with -fresh", args.Dir)
	}
	if job.State.Final() && job.State != jobs.Succeeded {
		return p.runner.Retry(ctx, job.ID)
	}
	return job, nil
}

// runTour spawns the graph: the report comes after the scan, which ends when all files are hashed.
func (p *pipeline) runTour(ctx context.Context, args tourArgs) (*report, error) {
	var w jobs.Workflow
	scan := w.Add("scan", p.scan.Request(scanArgs{Dir: args.Dir}))
	w.Add("report", p.report.Request(reportArgs{Dir: args.Dir})).After(scan).Set("/files", scan.Result("/files"))
	return nil, jobs.Spawn(ctx, w.Requests()...)
}

// joinTour returns the report.
func (p *pipeline) joinTour(ctx context.Context, _ tourArgs, _ *report) (*report, error) {
	var failed error
	for job, err := range jobs.Children(ctx) {
		switch {
		case err != nil:
			return nil, err
		case job.State != jobs.Succeeded:
			failed = errors.Join(failed, fmt.Errorf("%v: %s", job, job.Message))
		case job.Task == p.report.Name():
			return p.report.Result(job)
		}
	}
	return nil, jobs.Fail(failed)
}

// runScan reads the next part of the tree.
func (p *pipeline) runScan(ctx context.Context, args scanArgs) (scanned, error) {
	files := jobs.Progress(ctx)
	var (
		found int64
		last  string
		chunk = hashArgs{Dir: args.Dir}
		bytes int64 // of the chunk
	)
	flush := func() error {
		if len(chunk.Files) == 0 {
			return nil
		}
		req := p.hash.Request(chunk)
		chunk.Files, bytes = nil, 0
		return jobs.Spawn(ctx, req)
	}
	more, err := walk(ctx, args.Dir, args.After, func(path string, size int64) (bool, error) {
		if len(chunk.Files) == chunkFiles || len(chunk.Files) > 0 && bytes+size > chunkBytes {
			if err := flush(); err != nil {
				return false, err
			}
		}
		chunk.Files, bytes, last = append(chunk.Files, path), bytes+size, path
		found++
		files.Add(1)
		jobs.Count(ctx, "bytes found", size)
		return found < p.part, nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && more {
		err = jobs.Spawn(ctx, p.scan.Request(scanArgs{Dir: args.Dir, After: last}))
	}
	files.SetTotal(found)
	files.Child(hashTitle).SetTotal(found)
	return scanned{found}, err
}

// joinScan returns what a scan has found, and those of the parts that follow.
func (p *pipeline) joinScan(ctx context.Context, _ scanArgs, _ scanned) (scanned, error) {
	all := jobs.Current(ctx).Children
	if all.Succeeded < all.Total {
		return scanned{}, jobs.Fail(fmt.Errorf("%d of its jobs have not succeeded", all.Total-all.Succeeded))
	}
	return scanned{all.Counters["files"]}, nil
}

// runHash reads the files of a chunk.
func (p *pipeline) runHash(ctx context.Context, args hashArgs) (hashed, error) {
	for _, e := range jobs.Current(ctx).Errors {
		if e.Kind == jobs.ErrorCrash {
			jobs.Count(ctx, "cut off", 1)
		}
	}
	files := jobs.Progress(ctx)
	files.SetTotal(int64(len(args.Files)))
	result := hashed{Sums: make([]fileSum, len(args.Files))}
	for i, name := range args.Files {
		files.SetStatus(name)
		sum, err := sumFile(ctx, filepath.Join(args.Dir, filepath.FromSlash(name)))
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		if err != nil { // it has been removed, or may not be read: nothing that a retry could mend
			jobs.Logger(ctx).Warn("cannot be read", "file", name, "err", err)
		}
		result.Sums[i] = sum
		files.Add(1)
		jobs.Count(ctx, "files", 1)
		if err := wait(ctx, p.pace); err != nil {
			return result, err
		}
	}
	files.SetStatus("")
	return result, nil
}

// runReport adds up what the hash jobs have found.
func (p *pipeline) runReport(ctx context.Context, args reportArgs) (*report, error) {
	files := jobs.Progress(ctx)
	files.SetTotal(args.Files)
	b := newReportBuilder(args.Dir)
	all := jobs.Query{Task: p.hash.Name(), Order: jobs.Oldest, Limit: 50}
	for cursor := ""; ; {
		page, err := p.runner.List(ctx, all, cursor) // a page at a time: the results of all may be large
		if err != nil {
			return nil, err
		}
		for _, job := range page.Jobs {
			chunk, err := p.hash.Args(job)
			if err != nil {
				return nil, err
			}
			result, err := p.hash.Result(job)
			if err != nil {
				return nil, err
			}
			b.add(chunk.Files, result.Sums)
			files.Add(int64(len(chunk.Files)))
		}
		if cursor = page.Next; cursor == "" {
			return b.report(), nil
		}
	}
}

// wait waits for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
