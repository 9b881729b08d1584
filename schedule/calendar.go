package schedule

import (
	"math/bits"
	"time"
)

// fields is what an expression says, as sets of bits. It knows the calendar and nothing of zones:
// seconds count from 1970 on a clock that is never changed.
type fields struct {
	seconds, minutes, hours uint64
	days, months, weekdays  uint64

	lastDays uint64   // bit n: the n-th day before the last one of the month
	nth      [7]uint8 // of a weekday; bit 1 to 5: its n-th one in the month, bit 0: its last one

	anyDay, anyWeekday bool // the field begins with *
	everyHour          bool // the field of hours begins with *, or has all of them
}

// calendarYears is the period of the calendar, also of its weekdays. What does not come within it
// never comes.
const calendarYears = 400

// search returns the first second from the given one on that fits. It is false if there is none.
func (f *fields) search(from int64) (int64, bool) {
	day := floorDiv(from, secondsPerDay)
	y, m, d := date(day)
	if f.fits(day, y, m, d) {
		if s := f.searchDay(int(from - day*secondsPerDay)); s >= 0 {
			return day*secondsPerDay + int64(s), true
		}
	}
	day, ok := f.searchDays(day+1, y, m, d+1)
	return day*secondsPerDay + int64(f.searchDay(0)), ok
}

// searchDays returns the first day from the given one on that fits. The day of the month may be one
// too many.
func (f *fields) searchDays(day int64, y int, m time.Month, d int) (int64, bool) {
	for last := y + calendarYears; y <= last; {
		length := monthLength(y, m)
		if f.months>>m&1 != 0 {
			for ; d <= length; d++ {
				if f.fits(day, y, m, d) {
					return day, true
				}
				day++
			}
		}
		day += int64(length + 1 - d)
		d = 1
		if m++; m > time.December {
			y, m = y+1, time.January
		}
	}
	return 0, false
}

// between returns how many seconds fit from the first one on and before the second one.
func (f *fields) between(from, before int64) int64 {
	if from >= before {
		return 0
	}
	first, last := floorDiv(from, secondsPerDay), floorDiv(before, secondsPerDay)
	daily := int64(f.countDay(secondsPerDay))
	head, tail := int64(f.countDay(int(from-first*secondsPerDay))), int64(f.countDay(int(before-last*secondsPerDay)))
	var n int64
	y, m, d := date(first)
	if f.fits(first, y, m, d) {
		n -= head
	}
	for day := first; day < last; {
		length := monthLength(y, m)
		rest := min(int64(length+1-d), last-day)
		if f.months>>m&1 != 0 {
			for i := range rest {
				if f.fits(day+i, y, m, d+int(i)) {
					n += daily
				}
			}
		}
		day += rest
		if d += int(rest); d > length {
			d = 1
			if m++; m > time.December {
				y, m = y+1, time.January
			}
		}
	}
	if f.fits(last, y, m, d) {
		n += tail
	}
	return n
}

// fits reports whether a day fits, given as a number since 1970 and as a date.
func (f *fields) fits(day int64, y int, m time.Month, d int) bool {
	if f.months>>m&1 == 0 {
		return false
	}
	weekday := (day + 4) % 7
	if weekday < 0 {
		weekday += 7
	}
	byDay := f.days>>d&1 != 0
	if !byDay && f.lastDays != 0 {
		byDay = f.lastDays>>(monthLength(y, m)-d)&1 != 0
	}
	byWeekday := f.weekdays>>weekday&1 != 0
	if nth := f.nth[weekday]; !byWeekday && nth != 0 {
		byWeekday = nth>>((d+6)/7)&1 != 0 || nth&1 != 0 && d+7 > monthLength(y, m)
	}
	if f.anyDay || f.anyWeekday {
		return byDay && byWeekday
	}
	return byDay || byWeekday
}

// searchDay returns the first second of the day from the given one on that fits, or -1.
func (f *fields) searchDay(from int) int {
	h, m, s := from/secondsPerHour, from/60%60, from%60
	if f.hours>>h&1 != 0 {
		if f.minutes>>m&1 != 0 {
			if s := nextBit(f.seconds, s); s >= 0 {
				return h*secondsPerHour + m*60 + s
			}
		}
		if m := nextBit(f.minutes, m+1); m >= 0 {
			return h*secondsPerHour + m*60 + nextBit(f.seconds, 0)
		}
	}
	if h := nextBit(f.hours, h+1); h >= 0 {
		return h*secondsPerHour + nextBit(f.minutes, 0)*60 + nextBit(f.seconds, 0)
	}
	return -1
}

// countDay returns how many seconds of the day fit before the given one.
func (f *fields) countDay(before int) int {
	h, m, s := before/secondsPerHour, before/60%60, before%60
	perMinute := bits.OnesCount64(f.seconds)
	n := countBits(f.hours, h) * bits.OnesCount64(f.minutes) * perMinute
	if f.hours>>h&1 != 0 {
		n += countBits(f.minutes, m) * perMinute
		if f.minutes>>m&1 != 0 {
			n += countBits(f.seconds, s)
		}
	}
	return n
}

// nextBit returns the first bit of set from the given one on, or -1.
func nextBit(set uint64, from int) int {
	if set >>= from; set == 0 {
		return -1
	}
	return from + bits.TrailingZeros64(set)
}

// countBits returns how many bits of set are below the given one.
func countBits(set uint64, below int) int { return bits.OnesCount64(set & (1<<below - 1)) }

func date(day int64) (int, time.Month, int) { return time.Unix(day*secondsPerDay, 0).UTC().Date() }

func monthLength(y int, m time.Month) int {
	switch m {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}
