package schedule_test

import (
	"strconv"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/embedjobs/jobs/schedule"
	"pgregory.net/rapid"
)

// An oracle knows when a cron expression has a time, by looking at the clock on the wall at every step
// of time. It shares nothing with the package: it reads expressions on its own, value by value, and
// never computes a time.
type oracle struct {
	second, minute, hour, day, month, weekday []bool
	anyDay, anyWeekday, everyHour             bool
}

func newOracle(expr string) *oracle {
	texts := strings.Fields(expr)
	if len(texts) == 5 {
		texts = append([]string{"0"}, texts...)
	}
	return &oracle{
		second: values(texts[0], 0, 59), minute: values(texts[1], 0, 59), hour: values(texts[2], 0, 23),
		day: values(texts[3], 1, 31), month: values(texts[4], 1, 12), weekday: values(texts[5], 0, 6),
		anyDay: texts[3][0] == '*', anyWeekday: texts[5][0] == '*', everyHour: texts[2][0] == '*' || texts[2] == "0-23",
	}
}

// values tries every value of a field. Names, L and # are left to tests of their own.
func values(text string, lowest, highest int) []bool {
	fits := make([]bool, 60)
	for v := lowest; v <= highest; v++ {
		for part := range strings.SplitSeq(text, ",") {
			part, stepText, stepped := strings.Cut(part, "/")
			step := 1
			if stepped {
				step = atoi(stepText)
			}
			low, high := lowest, highest
			if part != "*" {
				lowText, highText, ranged := strings.Cut(part, "-")
				low = atoi(lowText)
				switch {
				case ranged:
					high = atoi(highText)
				case !stepped:
					high = low
				}
			}
			if v >= low && v <= high && (v-low)%step == 0 {
				fits[v] = true
			}
		}
	}
	return fits
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// A reading is what a clock on the wall shows.
type reading struct{ month, day, weekday, hour, minute, second uint8 }

func read(t time.Time) reading {
	_, month, day := t.Date()
	hour, minute, second := t.Clock()
	return reading{uint8(month), uint8(day), uint8(t.Weekday()), uint8(hour), uint8(minute), uint8(second)}
}

func (o *oracle) fits(r reading) bool {
	if !o.second[r.second] || !o.minute[r.minute] || !o.hour[r.hour] || !o.month[r.month] {
		return false
	}
	day, weekday := o.day[r.day], o.weekday[r.weekday]
	if o.anyDay || o.anyWeekday {
		return day && weekday
	}
	return day || weekday
}

// A moment of a walk. Its wall is where the hands of the clock are, in seconds: it advances by one in
// a second unless the clock is changed.
type moment struct {
	unix, wall int64
	reading    reading
	near       bool // the clock is changed within some hours
}

// walk goes through time in steps. It is done once for many oracles.
func walk(loc *time.Location, from, to time.Time, step time.Duration) []moment {
	walked := make([]moment, 0, to.Sub(from)/step)
	changed := -1 << 30
	const near = 200
	for t := from; t.Before(to); t = t.Add(step) {
		_, offset := t.In(loc).Zone()
		wall := t.Unix() + int64(offset)
		now := moment{t.Unix(), wall, read(time.Unix(wall, 0).UTC()), false}
		if i := len(walked); i > 0 && now.wall-walked[i-1].wall != int64(step/time.Second) {
			changed = i
			for j := max(0, i-near); j < i; j++ {
				walked[j].near = true
			}
		}
		now.near = len(walked) < changed+near
		walked = append(walked, now)
	}
	return walked
}

// times returns the moments that are times. The first day only tells what the clock has shown.
func (o *oracle) times(walked []moment, step time.Duration) []int64 {
	var times []int64
	seconds := int64(step / time.Second)
	from := walked[0].unix + 24*60*60
	shown := walked[0].wall // the latest that the clock has shown yet
	for i := range walked[1:] {
		now := &walked[i+1]
		is := o.fits(now.reading)
		if !o.everyHour {
			is = is && now.wall > shown
			for wall := shown + seconds; wall < now.wall && !is; wall += seconds {
				is = o.fits(read(time.Unix(wall, 0).UTC()))
			}
		}
		shown = max(shown, now.wall)
		if is && now.unix >= from {
			times = append(times, now.unix)
		}
	}
	return times
}

var zones = []struct {
	name string
	from string // of a year in which there is something to see
}{
	{"", "2024-01-01"},
	{"Europe/Berlin", "2024-01-01"},
	{"Europe/Berlin", "2040-01-01"}, // beyond the table of the zone, in a leap year
	{"America/New_York", "2023-07-01"},
	{"America/St_Johns", "2009-12-01"}, // changed clocks at 00:01
	{"Australia/Lord_Howe", "2024-01-01"},
	{"Australia/Sydney", "2040-01-01"},
	{"America/Santiago", "2024-01-01"}, // changes clocks at midnight
	{"America/Asuncion", "2023-09-01"},
	{"Asia/Kolkata", "2024-01-01"},
	{"Pacific/Apia", "2011-01-01"},      // left out 30 December 2011
	{"Africa/Casablanca", "2024-01-01"}, // negative daylight saving time
	{"Antarctica/Troll", "2024-01-01"},  // by two hours
}

var expressions = []string{
	"30 1 * * *", "30 2 * * *", "0 0 * * *", "0 3 * * *", "45 23 * * *", "15 0,2,12 * * *",
	"0 * * * *", "15 * * * *", "*/15 * * * *", "*/5 * * * *", "30 */2 * * *", "*/20 0-23 * * *", "*/15 0-3 * * *", "* 2 * * *",
	"0 0 1 * *", "30 2 31 * *", "0 12 29 2 *", "0 9 * * 1-5", "0 0 13 * 5", "0 1 */2 * 0", "0 2 1-7 * *",
	"5,35 8-18/2 1,15 3-11/4 *", "10 22 * 1,12 0,6", "7/13 1/5 3/9 * *",
}

func TestSchedule_Next_agrees_with_a_clock_on_the_wall(t *testing.T) {
	for _, zone := range zones {
		t.Run(zone.name, func(t *testing.T) {
			t.Parallel()
			loc := mustLoad(t, zone.name)
			from, err := time.ParseInLocation(time.DateOnly, zone.from, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			walked := walk(loc, from, from.AddDate(0, 0, days), time.Minute)
			for _, expr := range expressions {
				compare(t, newOracle(expr), &schedule.Schedule{Cron: expr, Zone: zone.name}, walked, time.Minute)
			}
		})
	}
}

func TestSchedule_Next_agrees_with_a_clock_on_the_wall_over_years(t *testing.T) {
	t.Parallel()
	const zone = "America/New_York"
	from := time.Date(2021, 6, 1, 0, 0, 0, 0, time.UTC)
	walked := walk(mustLoad(t, zone), from, from.AddDate(0, 0, 7*days), time.Minute)
	for _, expr := range []string{"0 12 29 2 *", "30 2 * 3,11 0", "0 0 31 */2 *", "15 1 1 1 *", "59 23 31 12 1-5"} {
		compare(t, newOracle(expr), &schedule.Schedule{Cron: expr, Zone: zone}, walked, time.Minute)
	}
}

// Around changes of clocks, with all kinds of expressions, to the second.
func TestSchedule_Next_agrees_with_a_clock_that_is_changed(t *testing.T) {
	type change struct {
		zone string
		time time.Time
	}
	var changes []change
	for _, zone := range zones {
		from, _ := time.ParseInLocation(time.DateOnly, zone.from, mustLoad(t, zone.name))
		_, offset := from.Zone()
		for at := from; at.Before(from.AddDate(1, 0, 1)); at = at.Add(30 * time.Minute) {
			if _, now := at.Zone(); now != offset {
				changes = append(changes, change{zone.name, at})
				offset = now
			}
		}
	}
	if len(changes) < 20 {
		t.Fatalf("there are %d changes", len(changes))
	}
	rapid.Check(t, func(t *rapid.T) {
		change := rapid.SampledFrom(changes).Draw(t, "change")
		expr := field(t, 0, 59) + " " + field(t, 0, 23) + " " + field(t, 1, 31) + " * " + field(t, 0, 6)
		step := time.Minute
		from, to := change.time.Add(-48*time.Hour), change.time.Add(30*time.Hour)
		if rapid.Bool().Draw(t, "seconds") {
			step, expr = time.Second, field(t, 0, 59)+" "+expr
			from, to = change.time.Add(-24*time.Hour-20*time.Minute), change.time.Add(80*time.Minute)
		}
		s := &schedule.Schedule{Cron: expr, Zone: change.zone}
		if s.Check() != nil {
			t.Skip("never")
		}
		compare(t, newOracle(expr), s, walk(change.time.Location(), from, to, step), step)
	})
}

// field draws a field whose values are likely to be near a change of clocks.
func field(t *rapid.T, lowest, highest int) string {
	value := func(low, high int) int { return rapid.IntRange(low, high).Draw(t, "value") }
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0, 1:
		return "*"
	case 2:
		return "*/" + strconv.Itoa(value(2, (highest-lowest+1)/2))
	case 3:
		low := value(lowest, highest)
		return strconv.Itoa(low) + "-" + strconv.Itoa(value(low, highest))
	case 4:
		return strconv.Itoa(value(lowest, highest)) + "," + strconv.Itoa(value(lowest, min(lowest+3, highest)))
	default:
		return strconv.Itoa(value(lowest, highest))
	}
}

// compare fails the test unless the schedule has the times of the oracle, and finds them from any
// moment near a change of the clock.
func compare(t rapid.TB, o *oracle, s *schedule.Schedule, walked []moment, step time.Duration) {
	t.Helper()
	want := o.times(walked, step)
	from, to := walked[0].unix+24*60*60, walked[len(walked)-1].unix
	next := 0
	for got := range s.Times(time.Unix(from, -1)) {
		if got.Unix() > to {
			break
		}
		if next == len(want) || got.Unix() != want[next] {
			t.Fatalf("%q in %q: got %v, want %v", s.Cron, s.Zone, got, want[next:min(next+1, len(want))])
		}
		next++
	}
	if next < len(want) {
		t.Fatalf("%q in %q: got none, want %v", s.Cron, s.Zone, time.Unix(want[next], 0).UTC())
	}
	if due, skipped, _ := s.Due(time.Unix(from, -1), time.Unix(to, 0), 0); len(due)+skipped != len(want) {
		t.Fatalf("%q in %q: counts %d times, want %d", s.Cron, s.Zone, len(due)+skipped, len(want))
	}
	next = 0
	for i := range walked {
		now := &walked[i]
		for next < len(want) && want[next] <= now.unix {
			next++
		}
		if next == len(want) || now.unix < from || !now.near {
			continue
		}
		if got := s.Next(time.Unix(now.unix, int64(step/2))); got.Unix() != want[next] {
			t.Fatalf("%q in %q after %v: got %v, want %v", s.Cron, s.Zone, now.unix, got, time.Unix(want[next], 0).UTC())
		}
	}
}

func mustLoad(tb testing.TB, name string) *time.Location {
	tb.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return loc
}
