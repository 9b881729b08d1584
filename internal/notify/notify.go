// Package notify tells subscribers of the commits of a store.
package notify

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/embedjobs/jobs"
)

// A List holds the subscribers of a store. The zero List is ready for use.
type List struct {
	mu   sync.Mutex // taken to subscribe and to stop
	subs atomic.Pointer[[]*subscriber]
}

type subscriber struct {
	fn      func([]jobs.Change)
	stopped atomic.Bool
}

// Add subscribes fn until stop is called. Both may be called from a subscriber's function.
func (l *List) Add(fn func([]jobs.Change)) (stop func()) {
	s := &subscriber{fn: fn}
	l.update(func(subs []*subscriber) []*subscriber { return append(subs, s) })
	return func() {
		s.stopped.Store(true)
		l.update(func(subs []*subscriber) []*subscriber {
			return slices.DeleteFunc(subs, func(other *subscriber) bool { return other == s })
		})
	}
}

// update replaces the list, which may be read meanwhile.
func (l *List) update(change func([]*subscriber) []*subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var subs []*subscriber
	if old := l.subs.Load(); old != nil {
		subs = slices.Clone(*old)
	}
	subs = change(subs)
	l.subs.Store(&subs)
}

// Call calls the subscribers with what a commit has changed. The caller sees to it that the calls
// are in the order of the commits and do not overlap.
func (l *List) Call(changes []jobs.Change) {
	subs := l.subs.Load()
	if subs == nil || len(changes) == 0 {
		return
	}
	for _, s := range *subs {
		if !s.stopped.Load() {
			s.fn(changes)
		}
	}
}
