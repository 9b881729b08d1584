package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

const maxCron = 1000 // bytes of an expression

// descriptors are the expressions that have names.
var descriptors = map[string]string{
	"@hourly":   "0 * * * *",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@weekly":   "0 0 * * 0",
	"@monthly":  "0 0 1 * *",
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

// A unit describes the values of a field.
type unit struct {
	name     string
	min, max int
	names    []string // of the values from min on
}

var (
	unitSecond  = unit{name: "second", max: 59}
	unitMinute  = unit{name: "minute", max: 59}
	unitHour    = unit{name: "hour", max: 23}
	unitDay     = unit{name: "day of the month", min: 1, max: 31}
	unitMonth   = unit{"month", 1, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}}
	unitWeekday = unit{"day of the week", 0, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}}
)

// parse reads an expression. The error is one of invalidf.
func parse(expr string) (*fields, error) {
	if len(expr) > maxCron {
		return nil, invalidf("cron", "%d bytes are more than %d", len(expr), maxCron)
	}
	f, err := parseFields(expr)
	if err != nil {
		return nil, invalidf("cron", "%q: %w", expr, err)
	}
	if _, ok := f.search(0); !ok {
		return nil, invalidf("cron", "%q: no month has such a day; choose another day or month", expr)
	}
	return f, nil
}

func parseFields(expr string) (*fields, error) {
	texts := strings.Fields(expr)
	if len(texts) == 1 && strings.HasPrefix(texts[0], "@") {
		full, ok := descriptors[strings.ToLower(texts[0])]
		if !ok {
			return nil, fmt.Errorf("%s is not known; use @hourly, @daily, @weekly, @monthly or @yearly, or an interval instead of cron", texts[0])
		}
		texts = strings.Fields(full)
	}
	if len(texts) > 0 && (strings.HasPrefix(texts[0], "TZ=") || strings.HasPrefix(texts[0], "CRON_TZ=")) {
		return nil, errors.New("a time zone is not part of the expression; set zone")
	}
	switch len(texts) {
	case 5:
		texts = append([]string{"0"}, texts...)
	case 6:
	default:
		return nil, fmt.Errorf("there are %d fields; write five, minute hour day month weekday, or six with the second first", len(texts))
	}
	f := &fields{
		anyDay:     strings.HasPrefix(texts[3], "*") || strings.HasPrefix(texts[3], "?"),
		anyWeekday: strings.HasPrefix(texts[5], "*") || strings.HasPrefix(texts[5], "?"),
	}
	for i, set := range []struct {
		unit *unit
		to   *uint64
		item func(string) (bool, error) // reads what only this field has; false for anything else
	}{
		{&unitSecond, &f.seconds, nil},
		{&unitMinute, &f.minutes, nil},
		{&unitHour, &f.hours, nil},
		{&unitDay, &f.days, f.lastDay},
		{&unitMonth, &f.months, nil},
		{&unitWeekday, &f.weekdays, f.nthWeekday},
	} {
		for text := range strings.SplitSeq(texts[i], ",") {
			done, err := false, error(nil)
			if set.item != nil {
				done, err = set.item(text)
			}
			if err == nil && !done {
				var some uint64
				some, err = set.unit.parse(text)
				*set.to |= some
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", set.unit.name, err)
			}
		}
	}
	f.everyHour = strings.HasPrefix(texts[2], "*") || bits.OnesCount64(f.hours) == 24
	return f, nil
}

// parse reads an element of a list: *, a value or a range, with or without a step.
func (u *unit) parse(text string) (uint64, error) {
	text, stepText, stepped := strings.Cut(text, "/")
	lowText, highText, isRange := strings.Cut(text, "-")
	var low, high int
	switch {
	case text == "*", text == "?" && (u == &unitDay || u == &unitWeekday):
		low, high = u.min, u.max
	default:
		var err error
		if low, err = u.value(lowText); err != nil {
			return 0, err
		}
		high = low
		if isRange {
			if high, err = u.value(highText); err != nil {
				return 0, err
			}
		} else if stepped {
			high = u.max
		}
	}
	size := u.max - u.min + 1
	if u == &unitWeekday {
		// 7 is Sunday. As an end it is after Saturday, else it begins the week.
		if low == 7 {
			if low = 0; high == 7 {
				high = 0
			}
		}
	}
	if high < low {
		high += size
	}
	step := 1
	if stepped {
		var err error
		if step, err = number(stepText); err != nil {
			return 0, err
		}
		if step < 1 || step > 1 && step > high-low {
			return 0, fmt.Errorf("the step %d does not fit into %d values; use a smaller one, or an interval instead of cron", step, high-low+1)
		}
	}
	var set uint64
	for v := low; v <= high; v += step {
		set |= 1 << (u.min + (v-u.min)%size)
	}
	return set, nil
}

// value reads a number or a name.
func (u *unit) value(text string) (int, error) {
	for i, name := range u.names {
		if strings.EqualFold(text, name) {
			return u.min + i, nil
		}
	}
	n, err := number(text)
	if err != nil {
		if u.names != nil {
			return 0, fmt.Errorf("%q is neither a number nor a name such as %s", text, strings.ToUpper(u.names[1]))
		}
		return 0, err
	}
	highest := u.max
	if u == &unitWeekday {
		highest = 7
	}
	if n < u.min || n > highest {
		return 0, fmt.Errorf("%d is not from %d to %d", n, u.min, highest)
	}
	return n, nil
}

// number reads digits; strconv would take a sign as well.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number of that field", text)
	}
	return int(n), nil
}

// lastDay reads L and L-3.
func (f *fields) lastDay(text string) (bool, error) {
	rest, ok := cutLast(text, false)
	if !ok {
		return false, nil
	}
	n := 0
	if rest != "" {
		var err error
		if n, err = number(strings.TrimPrefix(rest, "-")); err != nil || rest[0] != '-' || n < 1 || n > 30 {
			return false, fmt.Errorf("%q is not known; use L, or L-1 to L-30 for days before the last one", text)
		}
	}
	f.lastDays |= 1 << n
	return true, nil
}

// nthWeekday reads FRI#2 and FRIL.
func (f *fields) nthWeekday(text string) (bool, error) {
	dayText, nText, ok := strings.Cut(text, "#")
	n := 0
	if ok {
		var err error
		if n, err = number(nText); err != nil || n < 1 || n > 5 {
			return false, fmt.Errorf("%q has no number from 1 to 5 after #; for the last one write %sL", text, dayText)
		}
	} else if dayText, ok = cutLast(text, true); !ok {
		return false, nil
	}
	day, err := unitWeekday.value(dayText)
	if err != nil {
		return false, err
	}
	f.nth[day%7] |= 1 << n
	return true, nil
}

// cutLast cuts an L off the end or the beginning, in any case.
func cutLast(text string, end bool) (string, bool) {
	switch {
	case text == "":
		return "", false
	case end:
		i := len(text) - 1
		return text[:i], text[i] == 'L' || text[i] == 'l'
	default:
		return text[1:], text[0] == 'L' || text[0] == 'l'
	}
}
