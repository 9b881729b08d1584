package main

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/alitto/pond/v2"
)

// pondSystem is alitto/pond: a pool of goroutines, with nothing stored.
type pondSystem struct {
	pool   pond.Pool
	handle func(int)
	size   int
	open   atomic.Int64
}

func openPond(_ context.Context, s settings) (system, error) {
	return &pondSystem{pool: pond.NewPool(s.workers), handle: s.handle, size: s.argBytes}, nil
}

func (p *pondSystem) insert(_ context.Context, first, n int) error {
	p.open.Add(int64(n))
	for i := range n {
		args := newArgs(first+i, p.size)
		p.pool.Submit(func() {
			p.handle(args.Number)
			p.open.Add(-1)
		})
	}
	return nil
}

func (p *pondSystem) start() error { return nil }

func (p *pondSystem) left(context.Context) (int, error) { return int(p.open.Load()), nil }

func (p *pondSystem) close() error {
	p.pool.StopAndWait()
	return nil
}

// poolSystem is the least that can be called a worker pool.
type poolSystem struct {
	jobs    chan Args
	handle  func(int)
	size    int
	workers int
	open    atomic.Int64
	done    sync.WaitGroup
}

func openPool(_ context.Context, s settings) (system, error) {
	return &poolSystem{jobs: make(chan Args, 1024), handle: s.handle, size: s.argBytes, workers: s.workers}, nil
}

func (p *poolSystem) insert(_ context.Context, first, n int) error {
	p.open.Add(int64(n))
	for i := range n {
		p.jobs <- newArgs(first+i, p.size)
	}
	return nil
}

func (p *poolSystem) start() error {
	for range p.workers {
		p.done.Go(func() {
			for args := range p.jobs {
				p.handle(args.Number)
				p.open.Add(-1)
			}
		})
	}
	return nil
}

func (p *poolSystem) left(context.Context) (int, error) { return int(p.open.Load()), nil }

func (p *poolSystem) close() error {
	close(p.jobs)
	p.done.Wait()
	return nil
}
