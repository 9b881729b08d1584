package schedule

import (
	"math"
	"sync/atomic"
	"time"
)

// A cron is the rule of Schedule.Cron. It goes through the stretches of time in which the offset of
// the zone stays the same. Within each, the clock on the wall is a line of seconds in which
// [fields] finds what fits; "wall" below is such a second, which counts as if the clock were UTC's.
type cron struct {
	*fields
	loc *time.Location
	// The stretch that was needed last, because to find one can take a microsecond.
	last atomic.Pointer[stretch]
}

// A stretch of time has one offset, in seconds. Its end is the first second of the next one.
type stretch struct{ begin, offset, end int64 }

// stretch returns the one that second belongs to. Two in succession may have the same offset.
func (c *cron) stretch(second int64) stretch {
	if c.loc == time.UTC {
		return stretch{math.MinInt64, 0, math.MaxInt64}
	}
	if s := c.last.Load(); s != nil && s.begin <= second && second < s.end {
		return *s
	}
	t := time.Unix(second, 0).In(c.loc)
	_, offset := t.Zone()
	s := &stretch{math.MinInt64, int64(offset), math.MaxInt64}
	begin, end := t.ZoneBounds()
	if !begin.IsZero() {
		s.begin = begin.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
		// Where the rule of a zone goes beyond its table, ZoneBounds of Go 1.26 ends each year
		// after 365 days, so that the last day of a leap year is after the end.
		for s.end <= second {
			s.end += secondsPerDay
		}
	}
	c.last.Store(s)
	return *s
}

// first returns the stretch of that second, and the first wall after it that may count.
func (c *cron) first(after int64) (stretch, int64) {
	s := c.stretch(after)
	from := after + 1 + s.offset
	if c.everyHour {
		return s, from
	}
	// Skip what the clock shows for the second time. No clock was ever put back by more than a day.
	for at := s; at.begin > after-2*secondsPerDay; {
		before := c.stretch(at.begin - 1)
		from = max(from, at.begin+before.offset)
		at = before
	}
	return s, from
}

// follow returns the stretch after s, the first wall in it that may count, and whether a wall from
// the given one on fits that the clock left out between them.
func (c *cron) follow(s stretch, from int64) (next stretch, nextFrom int64, gap bool) {
	next = c.stretch(s.end)
	shown := s.end + next.offset
	if c.everyHour {
		return next, shown, false
	}
	from = max(from, s.end+s.offset)
	if from < shown {
		wall, ok := c.search(from)
		gap = ok && wall < shown
	}
	return next, max(from, shown), gap
}

func (c *cron) next(after int64) (int64, bool) {
	s, from := c.first(after)
	for {
		wall, ok := c.search(from)
		if !ok || wall > lastSecond+2*secondsPerDay {
			return 0, false
		}
		if s.end == math.MaxInt64 || wall-s.offset < s.end {
			return wall - s.offset, true
		}
		next, nextFrom, gap := c.follow(s, from)
		if gap {
			return s.end, true
		}
		s, from = next, nextFrom
	}
}

func (c *cron) count(after, upto int64) int64 {
	if after >= upto {
		return 0
	}
	s, from := c.first(after)
	var n int64
	for s.end <= upto {
		n += c.between(from, s.end+s.offset)
		next, nextFrom, gap := c.follow(s, from)
		// What was left out counts once, even if the first wall after the gap fits too.
		if gap && c.between(nextFrom, nextFrom+1) == 0 {
			n++
		}
		s, from = next, nextFrom
	}
	return n + c.between(from, upto+1+s.offset)
}
