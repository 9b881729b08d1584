//go:build linux

package reliability_test

import (
	"fmt"
	"math/rand/v2"
)

const sector = 512 // what a disk writes whole or not at all

// An image is a file as a power cut may leave it.
type image struct {
	name string
	at   int // the number of steps that had happened
	data []byte
}

// apply does a step to a file.
func (s *step) apply(file []byte) []byte {
	switch s.kind {
	case write:
		if end := s.at + int64(len(s.data)); int64(len(file)) < end {
			file = append(file, make([]byte, end-int64(len(file)))...)
		}
		copy(file[s.at:], s.data)
	case resize:
		if int64(len(file)) < s.size {
			return append(file, make([]byte, s.size-int64(len(file)))...)
		}
		return file[:s.size]
	case synced:
	}
	return file
}

// sectors returns the part of a write that consists of these of its sectors.
func (s *step) sectors(keep func(i int) bool) (parts []step) {
	if s.kind != write {
		return nil
	}
	for i := 0; i*sector < len(s.data); i++ {
		if keep(i) {
			part := s.data[i*sector : min((i+1)*sector, len(s.data))]
			parts = append(parts, step{kind: write, at: s.at + int64(i*sector), data: part})
		}
	}
	return parts
}

// images yields what a power cut after each of the steps may leave: what was synced, and any part
// of what came after that. With all set it leaves out and keeps each single write and tears the
// latest one at each sector; otherwise it makes these choices at random.
func images(trace []step, rng *rand.Rand, all bool, random int, yield func(image) bool) {
	var base []byte
	var pending []step
	for cut := 1; cut <= len(trace); cut++ {
		if latest := trace[cut-1]; latest.kind == synced {
			for _, s := range pending {
				base = s.apply(base)
			}
			pending = pending[:0]
		} else {
			pending = append(pending, latest)
		}
		for name, steps := range losses(pending, rng, all, random) {
			file := append([]byte(nil), base...)
			for i := range steps {
				file = steps[i].apply(file)
			}
			if !yield(image{fmt.Sprintf("after step %d of %d: %s", cut, len(trace), name), cut, file}) {
				return
			}
		}
	}
}

// losses yields what may be left of writes that were not synced.
func losses(pending []step, rng *rand.Rand, all bool, random int) func(yield func(string, []step) bool) {
	return func(yield func(string, []step) bool) {
		n := len(pending)
		if !yield("all that was written is there", pending) || n == 0 {
			return
		}
		if !yield("what was not synced is lost", nil) {
			return
		}
		without := func(i int) []step { return append(append([]step(nil), pending[:i]...), pending[i+1:]...) }
		last := &pending[n-1]
		size := (len(last.data) + sector - 1) / sector
		torn := func(to int, tail bool) []step {
			return append(without(n-1), last.sectors(func(i int) bool { return (i < to) != tail })...)
		}
		if all {
			for i := range pending {
				if n > 1 && (!yield(fmt.Sprintf("write %d of %d is lost", i, n), without(i)) ||
					!yield(fmt.Sprintf("only write %d of %d is there", i, n), pending[i:i+1])) {
					return
				}
			}
			for to := 1; to < size; to++ {
				if !yield(fmt.Sprintf("the latest write is torn after sector %d of %d", to, size), torn(to, false)) ||
					!yield(fmt.Sprintf("the latest write is torn before sector %d of %d", to, size), torn(to, true)) {
					return
				}
			}
		}
		for range random {
			var some []step
			for i := range pending {
				switch rng.IntN(3) {
				case 0: // lost
				case 1:
					some = append(some, pending[i])
				case 2:
					if pending[i].kind == resize {
						some = append(some, pending[i])
					}
					some = append(some, pending[i].sectors(func(int) bool { return rng.IntN(2) == 0 })...)
				}
			}
			if !yield("at random", some) {
				return
			}
		}
	}
}
