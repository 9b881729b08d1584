package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/examples/internal/screen"
	"github.com/embedjobs/jobs/progress"
)

const (
	drawEvery = 100 * time.Millisecond
	shown     = 8 // jobs that have a bar of their own
)

// A board shows the progress of all jobs as one tree. It asks the runner for the jobs that are
// running, which are few; of those that have ended it knows the sum.
type board struct {
	out   *screen.Screen
	tree  *jobs.Tracker
	begin time.Time
	ended chan error // gets a value when there is nothing more to be waited for

	mu      sync.Mutex
	done    map[string]*sums      // of jobs that have ended, by task
	live    map[jobs.ID]*jobs.Job // that were running when looked at last
	all     scanned               // what the scan has found; Last says that this is all
	crashes int                   // attempts that ended with the process
}

// sums are the sum of the reports of jobs.
type sums struct{ jobs, files, bytes int64 }

func (p *sums) add(job *jobs.Job) {
	p.jobs++
	if job.Progress != nil {
		p.files += job.Progress.Current
	}
	if bytes := job.Progress.Child("bytes"); bytes != nil {
		p.bytes += bytes.Current
	}
}

func newBoard(out *screen.Screen) *board {
	b := &board{
		out: out, tree: progress.New("all jobs"), begin: time.Now(), ended: make(chan error, 1),
		done: make(map[string]*sums), live: make(map[jobs.ID]*jobs.Job),
	}
	for _, task := range []string{"scan", "hash", "report"} {
		b.tree.Child(task)
		b.done[task] = new(sums)
	}
	return b
}

// options are those of a runner that tells the board of ends and warnings.
func (b *board) options() jobs.Options {
	return jobs.Options{
		Logger: slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnEnd:  func(_ context.Context, job *jobs.Job) { b.note(job) },
	}
}

// Write prints a log record above the bars.
func (b *board) Write(text []byte) (int, error) {
	b.out.Print(string(text))
	return len(text), nil
}

// note adds a job that has ended.
func (b *board) note(job *jobs.Job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, job.ID)
	for _, e := range job.Errors {
		if e.Kind == jobs.ErrorCrash {
			b.crashes++
		}
	}
	if job.State != jobs.Succeeded {
		b.end(fmt.Errorf("%v: %s", job, job.Message))
		return
	}
	b.done[job.Task].add(job)
	switch job.Task {
	case "scan":
		if err := b.found(job); err != nil {
			b.end(err)
		}
	case "report":
		b.end(nil)
	}
}

// end has watch return. Only the first end counts.
func (b *board) end(err error) {
	select {
	case b.ended <- err:
	default:
	}
}

// load adds the jobs that earlier processes have brought to an end.
func (b *board) load(ctx context.Context, p *pipeline) error {
	for _, task := range []string{"scan", "hash"} {
		q := jobs.Query{Task: task, States: []jobs.State{jobs.Succeeded}, Order: jobs.Oldest}
		for cursor := ""; ; {
			page, err := p.runner.List(ctx, q, cursor)
			if err != nil {
				return err
			}
			for _, job := range page.Jobs {
				b.note(job)
			}
			if cursor = page.Next; cursor == "" {
				break
			}
		}
	}
	return nil
}

// found adds what a scan job has found.
func (b *board) found(job *jobs.Job) error {
	var part scanned
	if err := json.Unmarshal(job.Result, &part); err != nil {
		return fmt.Errorf("%v: %w", job, err)
	}
	b.all.Files += part.Files
	b.all.Bytes += part.Bytes
	b.all.Chunks += part.Chunks
	b.all.Last = b.all.Last || part.Last
	return nil
}

// watch draws until there is a report, a job has failed, or ctx is done.
func (b *board) watch(ctx context.Context, p *pipeline) error {
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		if err := b.draw(ctx, p); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-b.ended:
			return errors.Join(err, b.draw(ctx, p))
		case <-tick.C:
		}
	}
}

func (b *board) draw(ctx context.Context, p *pipeline) error {
	b.mu.Lock()
	defer b.mu.Unlock() // so that no job is counted both as running and as ended
	running, err := p.runner.List(ctx, jobs.Query{States: []jobs.State{jobs.Running}, Order: jobs.Oldest, Limit: 1000}, "")
	if err != nil {
		return err
	}
	for _, job := range running.Jobs {
		b.live[job.ID] = job
	}
	tree := b.report(running.Jobs)
	if b.out.Live() {
		b.out.Draw(tree.Format(b.out.Width()))
		return nil
	}
	hash := tree.Child("hash")
	b.out.Draw(fmt.Sprintf("%s of %s files, %s", grouped(hash.Current), grouped(b.all.Files), hash.Status))
	return nil
}

// report returns the tree of all jobs, with those that are running now below their task. It must be
// called with mu held.
func (b *board) report(running []*jobs.Job) *jobs.Report {
	totals := make(map[string]sums)
	ended := int64(0)
	for task, sum := range b.done {
		totals[task] = *sum
		ended += sum.jobs
	}
	for _, job := range b.live { // also those that end just now
		sum := totals[job.Task]
		sum.add(job)
		totals[job.Task] = sum
	}
	scan, hash, report := b.tree.Child("scan"), b.tree.Child("hash"), b.tree.Child("report")
	b.tree.Set(ended)
	scan.Set(max(totals["scan"].files, b.all.Files))
	hash.Set(totals["hash"].files)
	hash.SetStatus(size(totals["hash"].bytes) + " of " + size(b.all.Bytes))
	if n := totals["report"].files; n > 0 {
		report.Set(n)
	}
	if b.all.Last {
		b.tree.SetTotal(b.done["scan"].jobs + b.all.Chunks + 1)
		scan.SetTotal(b.all.Files)
		hash.SetTotal(b.all.Files)
		report.SetTotal(b.all.Chunks)
	}
	tree := b.tree.Report()
	for _, job := range running {
		parent := tree.Child(job.Task)
		if job.Task != "hash" || job.Progress == nil {
			continue
		}
		if len(parent.Children) == shown {
			parent.Cut++
			continue
		}
		bar := *job.Progress
		bar.Name, bar.Children = "job "+job.ID.String(), nil
		parent.Children = append(parent.Children, &bar)
	}
	return tree
}

// epilogue says what it took.
func (b *board) epilogue() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var text strings.Builder
	took := time.Since(b.begin)
	fmt.Fprintf(&text, "It took %s and %d jobs.", took.Round(time.Millisecond), b.done["scan"].jobs+b.done["hash"].jobs+1)
	if b.crashes > 0 {
		fmt.Fprintf(&text, " %d attempts were cut off by the end of the process and made again.", b.crashes)
	}
	return text.String()
}
