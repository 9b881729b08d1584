package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

// benchArgs are about 100 bytes as JSON.
type benchArgs struct {
	Name string `json:"name"`
	Data string `json:"data"`
}

// onBenchStores runs a benchmark over both stores. The file is not synced, so that it measures the
// work and not the disk; bench/ measures both.
func onBenchStores(b *testing.B, fn func(b *testing.B, store jobs.Store)) {
	b.Helper()
	b.Run("memory", func(b *testing.B) { fn(b, memory.New()) })
	b.Run("bolt", func(b *testing.B) {
		store, err := bolt.Open(b.TempDir()+"/jobs.db", &bolt.Options{NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		fn(b, store)
	})
}

// benchRunner returns a runner whose task does nothing, and a channel that is closed when b.N jobs
// have been run.
func benchRunner(b *testing.B, store jobs.Store) (*jobs.Runner, *jobs.TaskOf[benchArgs, struct{}], <-chan struct{}) {
	b.Helper()
	var reg jobs.Registry
	var ran atomic.Int64
	all := make(chan struct{})
	task := jobs.Register(&reg, jobs.Task{Name: "nothing"}, func(context.Context, benchArgs) (struct{}, error) {
		if ran.Add(1) == int64(b.N) {
			close(all)
		}
		return struct{}{}, nil
	})
	r, err := jobs.NewRunner(store, &reg, &jobs.Options{Workers: 64})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return r, task, all
}

func enqueueMany(b *testing.B, r *jobs.Runner, task *jobs.TaskOf[benchArgs, struct{}]) {
	b.Helper()
	args := benchArgs{Name: "name", Data: strings.Repeat("x", 70)}
	for n := b.N; n > 0; n -= 1000 {
		reqs := make([]jobs.Request, min(n, 1000))
		for i := range reqs {
			reqs[i] = task.Request(args)
		}
		if _, err := r.Enqueue(b.Context(), reqs...); err != nil {
			b.Fatal(err)
		}
	}
}

func runUntil(b *testing.B, r *jobs.Runner, all <-chan struct{}) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	<-all
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRunner_Enqueue inserts jobs, a thousand at a time.
func BenchmarkRunner_Enqueue(b *testing.B) {
	onBenchStores(b, func(b *testing.B, store jobs.Store) {
		r, task, _ := benchRunner(b, store)
		enqueueMany(b, r, task)
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkRunner_Run claims, executes and finishes jobs that are in line.
func BenchmarkRunner_Run(b *testing.B) {
	onBenchStores(b, func(b *testing.B, store jobs.Store) {
		r, task, all := benchRunner(b, store)
		enqueueMany(b, r, task)
		b.ResetTimer()
		runUntil(b, r, all)
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkRunner_Lifecycle inserts jobs one by one from 64 goroutines and runs them meanwhile.
func BenchmarkRunner_Lifecycle(b *testing.B) {
	onBenchStores(b, func(b *testing.B, store jobs.Store) {
		r, task, all := benchRunner(b, store)
		args := benchArgs{Name: "name", Data: strings.Repeat("x", 70)}
		for g := range 64 {
			go func() {
				for i := g; i < b.N; i += 64 {
					if _, err := task.Enqueue(b.Context(), r, args); err != nil {
						b.Error(err)
					}
				}
			}()
		}
		runUntil(b, r, all)
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkLogger stores log records of one job after the other.
func BenchmarkLogger(b *testing.B) {
	onBenchStores(b, func(b *testing.B, store jobs.Store) {
		var reg jobs.Registry
		done := make(chan struct{})
		task := jobs.Register(&reg, jobs.Task{Name: "log"}, func(ctx context.Context, n logArgs) (struct{}, error) {
			logger := jobs.Logger(ctx)
			for i := range n.N {
				logger.Info("resized a picture", "file", "a.png", "width", i)
			}
			if n.Last {
				close(done)
			}
			return struct{}{}, nil
		})
		r, err := jobs.NewRunner(store, &reg, &jobs.Options{Workers: 1, Logger: slog.New(slog.DiscardHandler), LogLimit: 1 << 30})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		if _, err := task.Enqueue(b.Context(), r, logArgs{N: int64(b.N), Last: true}); err != nil {
			b.Fatal(err)
		}
		runUntil(b, r, done)
		b.StopTimer()
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
	})
}

type logArgs struct {
	N    int64 `json:"n"`
	Last bool  `json:"last"`
}

// A child costs the same among ten and among a hundred thousand. Those of ten bear a tenth of a parent.
func BenchmarkSpawn(b *testing.B) {
	for _, size := range []int{10, 100_000} {
		b.Run(fmt.Sprint("children of ", size), func(b *testing.B) {
			onBenchStores(b, func(b *testing.B, store jobs.Store) {
				b.ReportAllocs()
				reg := registry("child", nothing)
				parent := jobs.Register(reg, jobs.Task{Name: "parent"}, func(ctx context.Context, args kidArgs) (struct{}, error) {
					reqs := make([]jobs.Request, args.N)
					for i := range reqs {
						reqs[i].Task = "child"
					}
					return struct{}{}, jobs.Spawn(ctx, reqs...)
				})
				r, err := jobs.NewRunner(store, reg, &jobs.Options{Workers: 64})
				if err != nil {
					b.Fatal(err)
				}
				var last []*jobs.Job
				for n := b.N; n > 0; n -= size {
					if last, err = r.Enqueue(b.Context(), parent.Request(kidArgs{N: min(n, size)})); err != nil {
						b.Fatal(err)
					}
				}
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error)
				b.ResetTimer()
				go func() { done <- r.Run(ctx) }()
				for id := last[0].ID; id > 0 && id+10 > last[0].ID; id-- {
					if _, err := r.Wait(ctx, id); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				stop()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
