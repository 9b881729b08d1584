package main

import (
	"context"
	"encoding/json"
	"fmt"
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
	scanFiles  = 5000
)

// A pipeline has three tasks. A scan job reads part of the tree; together with its end appear one
// hash job for each chunk of files, and the scan job that goes on where it stopped. The job that
// ends last enqueues the report, in the transaction in which it ends. So whatever the moment of a
// kill, each step was either taken, with all that follows from it, or not at all.
type pipeline struct {
	store  *bolt.Store
	runner *jobs.Runner
	scan   *jobs.TaskOf[scanArgs, scanned]
	hash   *jobs.TaskOf[hashArgs, hashed]
	report *jobs.TaskOf[reportArgs, *report]
	pace   time.Duration
}

type scanArgs struct {
	Dir string `json:"dir"`
	// After is the path after which to go on, relative to Dir.
	After string `json:"after,omitempty"`
}

type scanned struct {
	Files  int64 `json:"files"`
	Bytes  int64 `json:"bytes"`
	Chunks int64 `json:"chunks"`
	// Last is set by the job that has reached the end of the tree.
	Last bool `json:"last,omitempty"`
}

type hashArgs struct {
	Dir   string   `json:"dir"`
	Files []string `json:"files"` // relative to Dir
	Bytes int64    `json:"bytes"`
}

type hashed struct {
	Sums []fileSum `json:"sums"` // of the files in the order of hashArgs.Files
}

type reportArgs struct {
	Dir string `json:"dir"`
}

func newPipeline(store *bolt.Store, pace time.Duration, opts jobs.Options) (*pipeline, error) {
	p := &pipeline{store: store, pace: pace}
	var reg jobs.Registry
	// A kill counts as an attempt, because a job might be what kills the process. Here it is
	// whoever tries this program.
	const attempts = 10_000
	p.scan = jobs.Register(&reg, jobs.Task{Name: "scan", Title: "Scan the tree", MaxAttempts: attempts}, p.runScan)
	p.hash = jobs.Register(&reg, jobs.Task{Name: "hash", Title: "Hash files", Queue: "hash", MaxAttempts: attempts}, p.runHash)
	p.report = jobs.Register(&reg, jobs.Task{Name: "report", Title: "Report", MaxAttempts: attempts}, p.runReport)

	opts.Queues = []jobs.Queue{{Name: "hash", Workers: runtime.GOMAXPROCS(0)}}
	opts.Grace = time.Second
	opts.Keep = map[jobs.State]time.Duration{jobs.Succeeded: -1} // the report needs every result
	var err error
	p.runner, err = jobs.NewRunner(store, &reg, &opts)
	return p, err
}

// start enqueues the first job, unless an earlier process has done so. It takes up again what has
// failed.
func (p *pipeline) start(ctx context.Context, dir string) error {
	first := p.scan.Request(scanArgs{Dir: dir})
	first.Unique = jobs.Unique{Key: "first", States: jobs.States()} // there will be no other
	made, err := p.runner.Enqueue(ctx, first)
	if err != nil {
		return err
	}
	args, err := p.scan.Args(made[0])
	if err != nil {
		return err
	}
	if args.Dir != dir {
		return fmt.Errorf("this file holds the jobs for %s; start over with -fresh", args.Dir)
	}
	_, err = p.runner.RetryAll(ctx, jobs.Query{})
	return err
}

// finished returns the report, or nil if there is none yet.
func (p *pipeline) finished(ctx context.Context) (*report, error) {
	page, err := p.runner.List(ctx, jobs.Query{Task: p.report.Name(), States: []jobs.State{jobs.Succeeded}, Limit: 1}, "")
	if err != nil || len(page.Jobs) == 0 {
		return nil, err
	}
	return p.report.Result(page.Jobs[0])
}

// runScan reads the next part of the tree.
func (p *pipeline) runScan(ctx context.Context, args scanArgs) (scanned, error) {
	files := jobs.Progress(ctx)
	var (
		result scanned
		chunk  = hashArgs{Dir: args.Dir}
		last   string
	)
	flush := func() error {
		if len(chunk.Files) == 0 {
			return nil
		}
		result.Chunks++
		req := p.hash.Request(chunk)
		chunk = hashArgs{Dir: args.Dir}
		return jobs.Defer(ctx, req)
	}
	more, err := walk(ctx, args.Dir, args.After, func(path string, size int64) (bool, error) {
		if len(chunk.Files) == chunkFiles || len(chunk.Files) > 0 && chunk.Bytes+size > chunkBytes {
			if err := flush(); err != nil {
				return false, err
			}
		}
		chunk.Files, chunk.Bytes, last = append(chunk.Files, path), chunk.Bytes+size, path
		result.Files++
		result.Bytes += size
		files.Add(1)
		return result.Files < scanFiles, nil
	})
	if err != nil {
		return result, err
	}
	if err := flush(); err != nil {
		return result, err
	}
	if result.Last = !more; more {
		if err := jobs.Defer(ctx, p.scan.Request(scanArgs{Dir: args.Dir, After: last})); err != nil {
			return result, err
		}
	}
	return result, p.end(ctx, args.Dir, result)
}

// runHash reads the files of a chunk.
func (p *pipeline) runHash(ctx context.Context, args hashArgs) (hashed, error) {
	files, bytes := jobs.Progress(ctx), jobs.Progress(ctx).Child("bytes")
	files.SetTotal(int64(len(args.Files)))
	bytes.SetTotal(args.Bytes)
	result := hashed{Sums: make([]fileSum, len(args.Files))}
	for i, name := range args.Files {
		files.SetStatus(name)
		sum, err := sumFile(ctx, filepath.Join(args.Dir, filepath.FromSlash(name)), bytes)
		if ctx.Err() != nil {
			return result, context.Cause(ctx)
		}
		if err != nil { // it has been removed, or may not be read: nothing that a retry could mend
			jobs.Logger(ctx).Warn("cannot be read", "file", name, "err", err)
		}
		result.Sums[i] = sum
		files.Add(1)
		if err := wait(ctx, p.pace); err != nil {
			return result, err
		}
	}
	files.SetStatus("")
	return result, p.end(ctx, args.Dir, result)
}

// end ends the running job, and enqueues the report if it was the last one. In one transaction,
// so that two jobs cannot both, or neither of them, find that they are the last.
func (p *pipeline) end(ctx context.Context, dir string, result any) error {
	return p.store.Update(ctx, func(tx jobs.Tx) error {
		if err := jobs.Complete(ctx, tx, result); err != nil {
			return err
		}
		for _, task := range []string{p.scan.Name(), p.hash.Name()} {
			for tally, err := range tx.Tallies(jobs.ByTask, jobs.Labels{Task: task}) {
				if err != nil || tally.Succeeded < tally.Total() {
					return err
				}
			}
		}
		_, err := p.runner.EnqueueTx(ctx, tx, p.report.Request(reportArgs{Dir: dir}))
		return err
	})
}

// runReport adds up what the hash jobs have found.
func (p *pipeline) runReport(ctx context.Context, args reportArgs) (*report, error) {
	progress := jobs.Progress(ctx)
	all := jobs.Query{Task: p.hash.Name(), Order: jobs.Oldest, Limit: 50}
	n, err := p.runner.Count(ctx, jobs.Query{Task: all.Task})
	if err != nil {
		return nil, err
	}
	progress.SetTotal(n)
	b := newReportBuilder(args.Dir)
	for cursor := ""; ; {
		page, err := p.runner.List(ctx, all, cursor) // a page at a time: the results of all may be large
		if err != nil {
			return nil, err
		}
		for _, job := range page.Jobs {
			var chunk hashArgs
			var result hashed
			if err := json.Unmarshal(job.Args, &chunk); err != nil {
				return nil, err
			}
			if err := json.Unmarshal(job.Result, &result); err != nil {
				return nil, err
			}
			b.add(chunk.Files, result.Sums)
			progress.Add(1)
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
