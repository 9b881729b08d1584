// Package schedule says when something recurs: by a cron expression in a time zone, or at an interval.
// It also says what is to be done about times that nobody was there for. It knows nothing of jobs,
// stores or clocks: it is what package jobs uses for [jobs.Schedule], and can be used alone.
//
//	nightly := schedule.Schedule{Cron: "30 3 * * MON-FRI", Zone: "Europe/Berlin"}
//	fmt.Println(&nightly, nightly.Check()) // Monday to Friday at 03:30 (Europe/Berlin) <nil>
//	next := nightly.Next(time.Now())
//
// # Cron expressions
//
// An expression has five fields: minute (0-59), hour (0-23), day of the month (1-31), month (1-12 or
// JAN-DEC) and day of the week (0-7 or SUN-SAT, where 0 and 7 are Sunday). With six fields the first
// one is the second (0-59). A field is a list, separated by commas, of
//
//	5      a value
//	*      all values; in the fields of days also ?
//	8-17   a range; it may go over the end, as FRI-MON or 22-2
//	*/15   every 15th value; also of a range, as 8-17/3, or from a value on, as 5/15
//	L      in days of the month: the last one; L-3 is three days before it
//	FRI#2  in days of the week: the second Friday of the month
//	FRIL   in days of the week: the last Friday of the month
//
// Names are read in any case. If both fields of days are restricted, which is to say that neither
// begins with * or ?, a day needs to fit only one of them, as in crontab(5): "0 0 13 * FRI" is every
// 13th and every Friday. The whole expression may instead be one of @hourly, @daily or @midnight,
// @weekly (Sundays), @monthly, and @yearly or @annually.
//
// # Time zones and daylight saving time
//
// An expression is about the clock on the wall in [Schedule.Zone]. What happens when that clock is
// changed depends on the hours:
//
//   - Chosen hours, as in "30 1 * * *" or "0 8-17 * * *", have each of their times of day once. If an
//     hour is repeated in autumn, only the first one counts. Times that are left out in spring are
//     made up for at the first moment after the gap, by one run however many they are.
//   - If the field of hours begins with *, or names all of them, times are at every moment at which the
//     clock shows what fits, as cron does it: "15 * * * *" is at minute 15 of the repeated hour both
//     times, and not at all in an hour that is left out.
//
// The zones come from the machine, or from GOROOT. A program for machines without them, such as
// minimal containers and Windows, needs
//
//	import _ "time/tzdata"
//
// which makes it half a megabyte larger.
//
// [jobs.Schedule]: https://pkg.go.dev/github.com/embedjobs/jobs#Schedule
package schedule

import (
	"fmt"
	"iter"
	"time"

	"github.com/embedjobs/jobs/schema"
)

// Bounds of a schedule.
const (
	minEvery       = time.Second
	defaultMissed  = 100
	maxMissed      = 10_000
	maxZone        = 100 // bytes
	lastYear       = 9999
	secondsPerDay  = 24 * 60 * 60
	secondsPerHour = 60 * 60
)

// A Schedule says when something recurs: by Cron or by Every, of which one is set. The zero Schedule
// is none and has no times.
//
// It is a plain value: copy it, store it as JSON. Its methods only read it and may be called
// concurrently. Times are after the zero time and before the year 10000. Call [Schedule.Check] before
// you rely on one: without it, a mistake in Cron, its Zone or Every only shows in that there are no
// times.
type Schedule struct {
	// Cron is an expression of five fields, of six with seconds first, or a descriptor such as
	// @daily. See the documentation of the package. At most 1,000 bytes.
	Cron string `json:"cron,omitempty"`

	// Every is an interval of whole seconds, at least one. Times are Start + n × Every; without
	// Start they are multiples of Every since the zero time, as in [time.Time.Truncate]: "1h" is on
	// the hour and "168h" is Monday, midnight, in UTC. They follow elapsed time, whatever clocks on
	// the wall do. JSON has a string such as "1h30m"; an integer of nanoseconds is read as well.
	Every time.Duration `json:"every,omitempty"`

	// Zone is the time zone of Cron by its IANA name, as Europe/Berlin; empty is UTC. It does not
	// influence Every. Local is refused, because it is another zone on another machine.
	Zone string `json:"zone,omitempty"`

	// There is no time before Start and none at or after End. Zero is no bound.
	Start time.Time `json:"start,omitzero"`
	End   time.Time `json:"end,omitzero"`

	// Missed says what to do about times that passed while nobody looked. The default is to make up
	// for the latest one. See [Schedule.Due].
	Missed Missed `json:"missed,omitempty"`

	// MaxMissed bounds MissedAll: only that many of the latest times are made up for. 0 is 100; at
	// most 10,000.
	MaxMissed int `json:"max_missed,omitempty"`

	// Overlap says what to do at a time when the run before is not over yet. The default is to
	// skip. The methods of Schedule do not heed it: it is for who starts the runs.
	Overlap Overlap `json:"overlap,omitempty"`

	// Paused stops the schedule until it is false again. The methods of Schedule do not heed it:
	// it is for who starts the runs.
	Paused bool `json:"paused,omitempty"`
}

// Missed says what to do about times that passed while nobody looked, because the program was not
// running or was busy.
type Missed string

// What can be done about missed times.
const (
	MissedLatest Missed = ""     // run once, for the latest time; the default, in JSON also "latest"
	MissedNone   Missed = "none" // run for none of them
	MissedAll    Missed = "all"  // run for each of them, up to Schedule.MaxMissed
)

// Overlap says what to do at a time when the run before is not over yet.
type Overlap string

// What can be done about overlapping runs.
const (
	OverlapSkip  Overlap = ""      // no new run while one is active; the default, in JSON also "skip"
	OverlapQueue Overlap = "queue" // the new run starts when the one before is over
	OverlapAllow Overlap = "allow" // runs may overlap
)

// IsZero reports whether s is the zero Schedule, that is none.
func (s *Schedule) IsZero() bool {
	return s.Cron == "" && s.Every == 0 && s.Zone == "" && s.Start.IsZero() && s.End.IsZero() &&
		s.Missed == "" && s.MaxMissed == 0 && s.Overlap == "" && !s.Paused
}

// Check returns nil if s is the zero Schedule or can be used. Else the error wraps
// [schema.ErrInvalid], names the field and says what to do. Refused are, among others, an unknown
// zone, Cron and Every together, settings without either, and what never comes, such as the 30th of
// February or an End before the first time.
//
// A zone that is known on one machine may be unknown on another; see the documentation of the
// package.
func (s *Schedule) Check() error {
	if s.IsZero() {
		return nil
	}
	if err := s.checkSettings(); err != nil {
		return err
	}
	switch {
	case s.Cron != "" && s.Every != 0:
		return invalidf("every", "cron is set as well; keep one of the two")
	case s.Cron != "":
		if _, err := parse(s.Cron); err != nil {
			return err
		}
	case s.Every == 0:
		return invalidf("cron", "neither cron nor every is set; set one, or leave out the other fields of the schedule too")
	case s.Every < minEvery || s.Every%time.Second != 0:
		return invalidf("every", "%v is not a number of whole seconds of at least one", s.Every)
	}
	switch {
	case !s.Next(time.Time{}).IsZero():
		return nil
	case s.End.IsZero():
		return invalidf("start", "there is no time after %s; set it earlier", s.Start.Format(time.RFC3339))
	default:
		return invalidf("end", "there is no time before %s; set it later", s.End.Format(time.RFC3339))
	}
}

// checkSettings checks all but Cron and Every.
func (s *Schedule) checkSettings() error {
	if _, err := location(s.Zone); err != nil {
		return err
	}
	for _, bound := range []struct {
		field string
		time  time.Time
	}{{"start", s.Start}, {"end", s.End}} {
		if year := bound.time.UTC().Year(); year < 1 || year > lastYear {
			return invalidf(bound.field, "the year %d is not from 1 to %d", year, lastYear)
		}
	}
	switch s.Missed {
	case MissedLatest, MissedNone, MissedAll:
	default:
		return invalidf("missed", "%q is not known; use %q, %q, or nothing for the latest", s.Missed, MissedNone, MissedAll)
	}
	switch s.Overlap {
	case OverlapSkip, OverlapQueue, OverlapAllow:
	default:
		return invalidf("overlap", "%q is not known; use %q, %q, or nothing to skip", s.Overlap, OverlapQueue, OverlapAllow)
	}
	if s.MaxMissed < 0 || s.MaxMissed > maxMissed {
		return invalidf("max_missed", "%d is not from 0 to %d", s.MaxMissed, maxMissed)
	}
	return nil
}

// Next returns the first time of s after the given one, which itself does not count. It is the zero
// time if there is none. The result is in the location of Zone for Cron, and in UTC for Every.
func (s *Schedule) Next(after time.Time) time.Time {
	p, ok := s.plan()
	if !ok {
		return time.Time{}
	}
	next, _ := p.next(p.clamp(after))
	return next
}

// Times returns the times of s after the given one, in order. Without End they go on until the year
// 9999, so leave the loop when you have enough.
func (s *Schedule) Times(after time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for t := s.Next(after); !t.IsZero() && yield(t); {
			t = s.Next(t)
		}
	}
}

// invalidf returns an error that wraps schema.ErrInvalid and reads "jobs: invalid <field>: <why>".
func invalidf(field, format string, args ...any) error {
	return fmt.Errorf("%w %s: %w", schema.ErrInvalid, field, fmt.Errorf(format, args...))
}
