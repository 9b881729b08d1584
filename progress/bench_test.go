package progress_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/embedjobs/jobs/progress"
)

func BenchmarkTracker_Add(b *testing.B) {
	node := progress.New("root").Child("node")
	b.ReportAllocs()
	for b.Loop() {
		node.Add(1)
	}
}

func BenchmarkTracker_AddParallel(b *testing.B) {
	b.Run("one node", func(b *testing.B) {
		node := progress.New("root").Child("node")
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				node.Add(1)
			}
		})
	})
	b.Run("a node each", func(b *testing.B) {
		root := progress.New("root")
		var n atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			node := root.Child(fmt.Sprint(n.Add(1)))
			for pb.Next() {
				node.Add(1)
			}
		})
	})
}

func BenchmarkTracker_AddFraction(b *testing.B) {
	node := progress.New("root")
	b.ReportAllocs()
	for b.Loop() {
		node.AddFraction(1e-9)
	}
}

func BenchmarkTracker_Child(b *testing.B) {
	for _, n := range []int{1, 7, 1000, 1_000_000} {
		b.Run(fmt.Sprint("of ", n), func(b *testing.B) {
			root := progress.New("root")
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprint(i)
				root.Child(names[i]).Add(1)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				root.Child(names[i%n])
			}
		})
	}
}

func BenchmarkTracker_Report(b *testing.B) {
	for _, n := range []int{1, 10, 1000, 1_000_000} {
		b.Run(fmt.Sprint("of ", n), func(b *testing.B) {
			root := progress.New("root")
			for i := range n {
				root.Child(fmt.Sprint(i)).Add(1)
			}
			b.ReportAllocs()
			for b.Loop() {
				root.Report()
			}
		})
	}
}
