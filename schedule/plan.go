package schedule

import (
	"math"
	"strings"
	"sync"
	"time"
)

// A rule has times at whole seconds, counted as in [time.Time.Unix].
type rule interface {
	// next returns the first time after the given one. It is false if there is none up to the
	// year 9999, or none far beyond it.
	next(after int64) (int64, bool)
	// count returns how many times there are after the first one and up to the second one.
	count(after, upto int64) int64
}

// A plan is a schedule made ready to be asked.
type plan struct {
	rule  rule
	loc   *time.Location
	nanos int64 // what is to be added to each time of the rule
	// There is no time up to floor and none after ceiling, in seconds of the rule.
	floor, ceiling int64
}

// The first and the last second that a schedule may have. The zero time means that there is none.
var (
	firstSecond = time.Time{}.Unix() + 1
	lastSecond  = time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix() - 1
)

// plan is false if s has no times.
func (s *Schedule) plan() (plan, bool) {
	p := plan{loc: time.UTC, floor: firstSecond - 1, ceiling: lastSecond}
	switch {
	case (s.Cron == "") == (s.Every == 0):
		return plan{}, false
	case s.Cron != "":
		c, err := compile(s.Cron, s.Zone)
		if err != nil {
			return plan{}, false
		}
		p.rule, p.loc = c, c.loc
	case s.Every < minEvery || s.Every%time.Second != 0:
		return plan{}, false
	default:
		p.rule = interval{anchor: s.Start.Unix(), every: int64(s.Every / time.Second)}
		p.nanos = int64(s.Start.Nanosecond())
	}
	if !s.Start.IsZero() {
		p.floor = p.second(s.Start.Add(-1))
	}
	if !s.End.IsZero() {
		p.ceiling = p.second(s.End.Add(-1))
	}
	return p, true
}

// second returns the last second of the rule whose time is not after t.
func (p *plan) second(t time.Time) int64 {
	second := t.Unix()
	if int64(t.Nanosecond()) < p.nanos {
		second--
	}
	return min(max(second, firstSecond-1), lastSecond)
}

// time is the time of a second of the rule.
func (p *plan) time(second int64) time.Time { return time.Unix(second, p.nanos).In(p.loc) }

// clamp returns the second from which on times after t are to be looked for.
func (p *plan) clamp(t time.Time) int64 { return max(p.second(t), p.floor) }

// next returns the first time after that second, as a second too.
func (p *plan) next(after int64) (time.Time, int64) {
	second, ok := p.rule.next(after)
	if !ok || second > p.ceiling {
		return time.Time{}, math.MaxInt64
	}
	return p.time(second), second
}

// An interval is the rule of Schedule.Every.
type interval struct{ anchor, every int64 } // both in seconds

func (i interval) next(after int64) (int64, bool) {
	return i.anchor + (floorDiv(after-i.anchor, i.every)+1)*i.every, true
}

func (i interval) count(after, upto int64) int64 {
	return max(0, floorDiv(upto-i.anchor, i.every)-floorDiv(after-i.anchor, i.every))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// maxCompiled bounds the memory of expressions. A program has few, and to read one again takes
// microseconds, so there is no order in which they are forgotten.
const maxCompiled = 1000

// compiled remembers expressions that were read, because a Schedule is a plain value that has no
// place for it, and to load a zone reads a file. What they say never changes.
var compiled = struct {
	sync.RWMutex
	crons map[cronKey]*cron
}{crons: make(map[cronKey]*cron)}

type cronKey struct{ expr, zone string }

func compile(expr, zone string) (*cron, error) {
	key := cronKey{expr, zone}
	compiled.RLock()
	c := compiled.crons[key]
	compiled.RUnlock()
	if c != nil {
		return c, nil
	}
	loc, err := location(zone)
	if err != nil {
		return nil, err
	}
	f, err := parse(expr)
	if err != nil {
		return nil, err
	}
	c = &cron{fields: f, loc: loc}
	compiled.Lock()
	defer compiled.Unlock()
	if len(compiled.crons) >= maxCompiled {
		clear(compiled.crons)
	}
	// The strings may be parts of large ones.
	compiled.crons[cronKey{strings.Clone(expr), strings.Clone(zone)}] = c
	return c, nil
}

func location(zone string) (*time.Location, error) {
	switch {
	case zone == "":
		return time.UTC, nil
	case zone == "Local":
		return nil, invalidf("zone", "Local is another zone on another machine; name the zone, as Europe/Berlin, or leave it empty for UTC")
	case len(zone) > maxZone:
		return nil, invalidf("zone", "%d bytes are more than %d", len(zone), maxZone)
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return nil, invalidf("zone", "%q is not known here; use a name such as Europe/Berlin, and import time/tzdata into programs for machines without zones: %w", zone, err)
	}
	return loc, nil
}
