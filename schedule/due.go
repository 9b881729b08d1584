package schedule

import (
	"math"
	"time"
)

// Due returns the times after last and up to now that are to be run, oldest first, how many other
// times passed, and the next time, which is after both last and now and is the zero time if there is
// none. Call it with the latest time that was dealt with as last and the next call has what this one
// left: every time is either due or skipped exactly once. A zero last stands for all that came before.
//
// A time counts as missed when now is more than late after it; a negative late is 0. By Missed,
//
//   - MissedLatest makes only the latest time due, missed or not;
//   - MissedNone makes only the latest time due, unless it was missed;
//   - MissedAll makes all times due, but at most the latest MaxMissed ones.
//
// It takes microseconds for a schedule that nobody looked at in years. If now is before last, because
// a clock was set back, nothing is due.
func (s *Schedule) Due(last, now time.Time, late time.Duration) (due []time.Time, skipped int, next time.Time) {
	p, ok := s.plan()
	if !ok {
		return nil, 0, time.Time{}
	}
	from, to := p.clamp(last), p.second(now)
	next, _ = p.next(max(from, to))
	to = min(to, p.ceiling)
	passed := p.rule.count(from, to)
	if passed <= 0 {
		return nil, 0, next
	}
	wanted := int64(1)
	if s.Missed == MissedAll {
		wanted = defaultMissed
		if s.MaxMissed > 0 {
			wanted = int64(min(s.MaxMissed, maxMissed))
		}
	}
	wanted = min(wanted, passed)
	if wanted < passed {
		from = p.before(from, to, wanted)
	}
	due = make([]time.Time, 0, wanted)
	for int64(len(due)) < wanted {
		var t time.Time
		t, from = p.next(from)
		due = append(due, t)
	}
	if s.Missed == MissedNone && now.Sub(due[0]) > max(late, 0) {
		due = nil
	}
	return due, int(min(passed-int64(len(due)), math.MaxInt)), next
}

// before returns the last second after which the rule has n times up to the second to. There must be
// more of them after from.
func (p *plan) before(from, to, n int64) int64 {
	// Look back further and further: the latest times are nearly always near.
	low, high := to-1, to // high has fewer than n
	for step := int64(1); low > from && p.rule.count(low, to) < n; step *= 2 {
		low, high = max(from, low-step), low
	}
	for low+1 < high {
		if middle := low + (high-low)/2; p.rule.count(middle, to) < n {
			high = middle
		} else {
			low = middle
		}
	}
	return low
}
