package schedule

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// maxListed is how many values or times of day are listed before words give way to the expression.
const maxListed = 4

var (
	weekdayNames = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
	nthNames     = []string{"last", "first", "second", "third", "fourth", "fifth"}
)

// What the fields of days are when they restrict nothing.
const (
	fullMonths   = 1<<13 - 1<<1
	fullDays     = 1<<32 - 1<<1
	fullWeekdays = 1<<7 - 1
)

// String says in words when times are, as "every 5 minutes" or "every day at 03:00 (Europe/Berlin)".
// Where words would be long or could mislead it has the expression. Without a zone the time is UTC.
// The zero Schedule is "never". The text may change from version to version.
func (s *Schedule) String() string {
	var words string
	switch {
	case s.Cron == "" && s.Every == 0:
		return "never"
	case s.Cron == "":
		words = everyWords(s.Every)
	default:
		words = s.Cron
		if f, err := parse(s.Cron); err == nil {
			if in := f.words(); in != "" {
				words = in
			}
		}
		if s.Zone != "" && s.Zone != "UTC" {
			words += " (" + s.Zone + ")"
		}
	}
	// A zone that is not known is UTC here.
	loc := time.UTC
	if p, ok := s.plan(); ok {
		loc = p.loc
	}
	if !s.Start.IsZero() {
		words += ", from " + moment(s.Start.In(loc))
	}
	if !s.End.IsZero() {
		words += ", until " + moment(s.End.In(loc))
	}
	if s.Paused {
		words += ", paused"
	}
	return words
}

func moment(t time.Time) string {
	if t.Second() == 0 && t.Nanosecond() == 0 {
		return t.Format("2006-01-02 15:04")
	}
	return t.Format("2006-01-02 15:04:05")
}

func everyWords(every time.Duration) string {
	for _, unit := range []struct {
		name   string
		length time.Duration
	}{{"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := every / unit.length; n > 0 && every%unit.length == 0 && (n < 100 || unit.length == time.Hour) {
			return everyN(int(n), unit.name)
		}
	}
	return "every " + short(every)
}

func everyN(n int, unit string) string {
	if n == 1 {
		return "every " + unit
	}
	return fmt.Sprintf("every %d %ss", n, unit)
}

// words is empty if there are none for f.
func (f *fields) words() string {
	days, ok := f.dayWords()
	if !ok {
		return ""
	}
	if at := f.atWords(); at != "" {
		if days == "" {
			days = "every day"
		}
		return days + " at " + at
	}
	every := f.everyWords()
	if every != "" && days != "" {
		return every + ", " + days
	}
	return every
}

// atWords lists the times of the day if they are few.
func (f *fields) atWords() string {
	hours, minutes, seconds := members(f.hours), members(f.minutes), members(f.seconds)
	if len(hours)*len(minutes)*len(seconds) > maxListed {
		return ""
	}
	var at []string
	for _, h := range hours {
		for _, m := range minutes {
			for _, s := range seconds {
				at = append(at, f.clock(h, m, s))
			}
		}
	}
	return list(at)
}

// clock leaves out the second if the expression does not make use of it.
func (f *fields) clock(h, m, s int) string {
	if f.seconds == 1 {
		return fmt.Sprintf("%02d:%02d", h, m)
	}
	return fmt.Sprintf("%02d:%02d:%02d", h, m, s)
}

// everyWords says how times recur within a day.
func (f *fields) everyWords() string {
	var every string
	hourly := evenly(f.hours, 24)
	switch perMinute, perHour := evenly(f.seconds, 60), evenly(f.minutes, 60); {
	case f.seconds != 1:
		if perMinute == 0 || perHour != 1 {
			return ""
		}
		every = everyN(perMinute, "second")
	case perHour > 0 && perHour < 60:
		every = everyN(perHour, "minute")
	case hourly > 0:
		return minuteWords(everyN(hourly, "hour"), members(f.minutes))
	default:
		every = "every hour"
	}
	if hourly == 1 {
		return every
	}
	// A stretch of the day, by its first and last time.
	hours, minutes := members(f.hours), members(f.minutes)
	first, last := hours[0], hours[len(hours)-1]
	if !contiguous(hours) || every == "every hour" && len(minutes) > 1 {
		return ""
	}
	from := f.clock(first, minutes[0], nextBit(f.seconds, 0))
	to := f.clock(last, minutes[len(minutes)-1], bits.Len64(f.seconds)-1)
	return every + " from " + from + " to " + to
}

func minuteWords(every string, minutes []int) string {
	switch {
	case len(minutes) > maxListed:
		return ""
	case len(minutes) > 1:
		return every + " at minutes " + list(numbers(minutes))
	case minutes[0] != 0:
		return fmt.Sprintf("%s at minute %d", every, minutes[0])
	default:
		return every
	}
}

// dayWords is empty for every day, and false if there are no words.
func (f *fields) dayWords() (string, bool) {
	anyMonth, anyDay, anyWeekday := f.months == fullMonths, f.days == fullDays, f.weekdays == fullWeekdays
	both := f.anyDay || f.anyWeekday // else one is enough
	if !both && (anyDay || anyWeekday) {
		anyDay, anyWeekday = true, true
	}
	months := members(f.months)
	if !anyMonth && len(months) > maxListed {
		return "", false
	}
	in := "every month"
	if !anyMonth {
		names := make([]string, len(months))
		for i, m := range months {
			names[i] = time.Month(m).String()
		}
		in = list(names)
	}
	switch {
	case anyDay && anyWeekday && anyMonth:
		return "", true
	case anyDay && anyWeekday:
		return "every day in " + in, true
	case anyDay:
		return f.weekdayWords(in, anyMonth)
	case anyWeekday:
		return f.monthDayWords(in, months)
	case both || !anyMonth:
		return "", false
	}
	days, ok := f.monthDayWords(in, months)
	weekdays, alsoOK := f.weekdayWords(in, anyMonth)
	return days + " and " + weekdays, ok && alsoOK
}

func (f *fields) monthDayWords(in string, months []int) (string, bool) {
	days := members(f.days)
	few := len(days) <= maxListed
	switch {
	case f.lastDays == 1 && len(days) == 0:
		return "on the last day of " + in, true
	case f.lastDays == 1 && few && days[len(days)-1] <= 28:
		return dayList(days) + " and the last day of " + in, true
	case f.lastDays != 0:
		return "", false
	case len(days) == 1 && len(months) == 1 && days[0] == 29 && months[0] == 2:
		return "in leap years on 29 February", true
	case len(days) == 1 && len(months) == 1:
		return fmt.Sprintf("every year on %d %s", days[0], in), true
	case len(days) > 2 && contiguous(days):
		return fmt.Sprintf("on days %d to %d of %s", days[0], days[len(days)-1], in), true
	case len(days) == 1 && days[0] > 28 && len(months) == 12:
		return fmt.Sprintf("on day %d of every month that has it", days[0]), true
	case few && days[len(days)-1] <= 28:
		return dayList(days) + " of " + in, true
	default:
		return "", false
	}
}

func dayList(days []int) string {
	if len(days) == 1 {
		return fmt.Sprintf("on day %d", days[0])
	}
	return "on days " + list(numbers(days))
}

func (f *fields) weekdayWords(in string, anyMonth bool) (string, bool) {
	var plain []int // 1 is Monday, 7 is Sunday
	var names, nth []string
	for day := 1; day <= 7; day++ {
		name := weekdayNames[day%7]
		if f.weekdays>>(day%7)&1 != 0 {
			plain = append(plain, day)
			names = append(names, name+"s")
		}
		// The last one comes last.
		for _, n := range []int{1, 2, 3, 4, 5, 0} {
			if f.nth[day%7]>>n&1 != 0 {
				nth = append(nth, "the "+nthNames[n]+" "+name)
			}
		}
	}
	var words string
	switch {
	case len(nth) > 0:
		return "on " + list(nth) + " of " + in, len(plain) == 0 && len(nth) <= maxListed
	case len(plain) > 2 && contiguous(plain):
		words = weekdayNames[plain[0]%7] + " to " + weekdayNames[plain[len(plain)-1]%7]
	default:
		words = "on " + list(names)
	}
	if !anyMonth {
		words += " in " + in
	}
	return words, true
}

// members returns the bits of a set.
func members(set uint64) []int {
	var all []int
	for n := nextBit(set, 0); n >= 0; n = nextBit(set, n+1) {
		all = append(all, n)
	}
	return all
}

func contiguous(sorted []int) bool { return sorted[len(sorted)-1]-sorted[0]+1 == len(sorted) }

// evenly returns the distance between the members of a set if it is the same throughout, also from
// each day or hour to the next one, and begins at 0. Else it is 0.
func evenly(set uint64, size int) int {
	n := bits.OnesCount64(set)
	if size%n != 0 {
		return 0
	}
	for v := 0; v < size; v += size / n {
		if set>>v&1 == 0 {
			return 0
		}
	}
	return size / n
}

func numbers(values []int) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = strconv.Itoa(v)
	}
	return texts
}

// list joins with commas and an and.
func list(texts []string) string {
	if len(texts) < 2 {
		return strings.Join(texts, "")
	}
	last := len(texts) - 1
	return strings.Join(texts[:last], ", ") + " and " + texts[last]
}
