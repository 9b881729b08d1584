package schedule_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schedule"
	"pgregory.net/rapid"
)

func TestSchedule_Due(t *testing.T) {
	const (
		none   = schedule.MissedNone
		latest = schedule.MissedLatest
		all    = schedule.MissedAll
	)
	for _, c := range []struct {
		name      string
		missed    schedule.Missed
		bound     int
		last, now string // of one day, hourly
		late      time.Duration
		due       string
		skipped   int
		next      string
	}{
		{"nothing passed", latest, 0, "01:00", "01:59:59", 0, "", 0, "02:00"},
		{"on time", latest, 0, "01:00", "02:00", 0, "02:00", 0, "03:00"},
		{"on time, missed ones do not matter", none, 0, "01:00", "02:00", 0, "02:00", 0, "03:00"},
		{"a bit late", none, 0, "01:00", "02:00:01", time.Second, "02:00", 0, "03:00"},
		{"too late", none, 0, "01:00", "02:00:02", time.Second, "", 1, "03:00"},
		{"late without allowance", none, 0, "01:00", "02:00:01", -time.Hour, "", 1, "03:00"},
		{"on time without allowance", none, 0, "01:00", "02:00", -time.Hour, "02:00", 0, "03:00"},
		{"the latest was not missed", none, 0, "01:00", "05:00:01", time.Minute, "05:00", 3, "06:00"},
		{"several are not missed", none, 0, "01:00", "05:00:01", 3 * time.Hour, "05:00", 3, "06:00"},
		{"all were missed", none, 0, "01:00", "05:30", time.Minute, "", 4, "06:00"},
		{"the latest is made up for", latest, 0, "01:00", "05:30", time.Minute, "05:00", 3, "06:00"},
		{"all are made up for", all, 0, "01:00", "05:30", time.Minute, "02:00 03:00 04:00 05:00", 0, "06:00"},
		{"all up to a bound", all, 2, "01:00", "05:30", time.Minute, "04:00 05:00", 2, "06:00"},
		{"just the bound", all, 4, "01:00", "05:30", time.Minute, "02:00 03:00 04:00 05:00", 0, "06:00"},
		{"the clock was set back", all, 0, "05:00", "03:30", 0, "", 0, "06:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := schedule.Schedule{Cron: "@hourly", Missed: c.missed, MaxMissed: c.bound}
			due, skipped, next := s.Due(hour(c.last), hour(c.now), c.late)
			want := []time.Time{}
			for i := 0; i < len(c.due); i += 6 {
				want = append(want, hour(c.due[i:i+5]))
			}
			if !slices.EqualFunc(due, want, time.Time.Equal) || skipped != c.skipped || !next.Equal(hour(c.next)) {
				t.Errorf("got %v, %d, %v, want %v, %d, %v", due, skipped, next, want, c.skipped, c.next)
			}
		})
	}
}

func hour(text string) time.Time {
	if len(text) == 5 {
		text += ":00"
	}
	return at("2026-01-01T" + text + "Z")
}

func TestSchedule_Due_within_bounds(t *testing.T) {
	s := schedule.Schedule{Cron: "@hourly", Missed: schedule.MissedAll, Start: hour("03:00"), End: hour("06:00"), Paused: true}
	due, skipped, next := s.Due(time.Time{}, hour("04:30"), 0)
	if len(due) != 2 || !due[0].Equal(hour("03:00")) || skipped != 0 || !next.Equal(hour("05:00")) {
		t.Errorf("got %v, %d, %v", due, skipped, next)
	}
	due, skipped, next = s.Due(time.Time{}, hour("12:00"), 0)
	if len(due) != 3 || !due[2].Equal(hour("05:00")) || skipped != 0 || !next.IsZero() {
		t.Errorf("after the end: got %v, %d, %v", due, skipped, next)
	}
	due, skipped, next = s.Due(time.Time{}, hour("01:00"), 0)
	if len(due) != 0 || skipped != 0 || !next.Equal(hour("03:00")) {
		t.Errorf("before the start: got %v, %d, %v", due, skipped, next)
	}
	for _, s := range []schedule.Schedule{{}, {Cron: "x"}, {Every: -1}, {Cron: "@daily", Every: time.Hour}} {
		if due, skipped, next := s.Due(time.Time{}, hour("12:00"), 0); due != nil || skipped != 0 || !next.IsZero() {
			t.Errorf("%+v: got %v, %d, %v", s, due, skipped, next)
		}
	}
}

// Nobody looked for ten years: what is due is known without going through 315 million seconds.
func TestSchedule_Due_after_ten_years(t *testing.T) {
	last := at("2020-01-01T00:00:00Z")
	now := at("2030-01-01T00:00:00.5Z")
	for _, s := range []schedule.Schedule{
		{Cron: "* * * * * *", Zone: "Europe/Berlin"},
		{Every: time.Second, Start: at("1900-01-01T00:00:00.5Z")},
	} {
		for missed, wanted := range map[schedule.Missed]int{schedule.MissedLatest: 1, schedule.MissedNone: 1, schedule.MissedAll: 10_000} {
			s.Missed, s.MaxMissed = missed, 10_000
			due, skipped, next := s.Due(last, now, time.Second)
			if len(due) != wanted || len(due)+skipped != 3653*24*60*60+s.Start.Nanosecond()/5e8 {
				t.Fatalf("%q: %d due, %d skipped", missed, len(due), skipped)
			}
			for i, d := range due {
				if want := now.Add(-time.Duration(wanted-1-i) * time.Second); !d.Equal(want) && !d.Equal(want.Truncate(time.Second)) {
					t.Fatalf("%q: %d is %v, want %v", missed, i, d, want)
				}
			}
			if next.Sub(now) > time.Second || !next.After(now) {
				t.Errorf("%q: next is %v", missed, next)
			}
		}
	}
}

// Ten years of a runner that looks when there is something to do.
func TestSchedule_Due_has_each_time_once_in_ten_years(t *testing.T) {
	for _, zone := range []string{"Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata"} {
		loc := mustLoad(t, zone)
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, loc)
		to := from.AddDate(10, 0, 0)
		for expr, want := range map[string]int{"30 2 * * *": 3652, "0 * * * *": int(to.Sub(from) / time.Hour), "0 3 1 * *": 120} {
			s := schedule.Schedule{Cron: expr, Zone: zone}
			last, now := from.Add(-1), s.Next(from.Add(-1))
			got := 0
			dates := make(map[string]int)
			for now.Before(to) {
				due, skipped, next := s.Due(last, now, 0)
				if len(due) != 1 || !due[0].Equal(now) || skipped != 0 || !next.After(now) {
					t.Fatalf("%q in %s at %v: got %v, %d, %v", expr, zone, now, due, skipped, next)
				}
				got++
				dates[now.Format(time.DateOnly)]++
				last, now = now, next
			}
			if got != want {
				t.Errorf("%q in %s: got %d times, want %d", expr, zone, got, want)
			}
			if expr == "30 2 * * *" && len(dates) != want {
				t.Errorf("%q in %s: got times on %d days, want %d", expr, zone, len(dates), want)
			}
		}
	}
}

// drawSchedule draws one with times that are not too many.
func drawSchedule(t *rapid.T) (schedule.Schedule, time.Time) {
	from := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "from"), rapid.Int64Range(0, 1).Draw(t, "nanos")*5e8)
	s := schedule.Schedule{Zone: rapid.SampledFrom(zones).Draw(t, "zone").name}
	if rapid.Bool().Draw(t, "interval") {
		s.Every = time.Duration(rapid.Int64Range(1, 100_000).Draw(t, "every")) * time.Second
	} else {
		s.Cron = field(t, 0, 59) + " " + field(t, 0, 23) + " " + field(t, 1, 31) + " " + field(t, 1, 12) + " " + field(t, 0, 6)
		if rapid.Bool().Draw(t, "seconds") {
			s.Cron = field(t, 0, 59) + " " + s.Cron
		}
	}
	if rapid.Bool().Draw(t, "start") {
		s.Start = from.Add(time.Duration(rapid.Int64Range(-1e14, 1e14).Draw(t, "start")))
	}
	if rapid.Bool().Draw(t, "end") {
		s.End = from.Add(time.Duration(rapid.Int64Range(1, 1e16).Draw(t, "end")))
	}
	s.MaxMissed = rapid.IntRange(0, 300).Draw(t, "bound")
	s.Missed = rapid.SampledFrom([]schedule.Missed{schedule.MissedLatest, schedule.MissedNone, schedule.MissedAll}).Draw(t, "missed")
	return s, from
}

func TestSchedule_Times_increase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, from := drawSchedule(t)
		before, n := from, 0
		for now := range s.Times(from) {
			if !now.After(before) || now.Before(s.Start) || !s.End.IsZero() && !now.Before(s.End) {
				t.Fatalf("%v is followed by %v", before, now)
			}
			between := before.Add(time.Duration(rapid.Int64Range(0, int64(now.Sub(before))-1).Draw(t, "between")))
			if got := s.Next(between); !got.Equal(now) {
				t.Fatalf("after %v is %v, want %v", between, got, now)
			}
			before = now
			if n++; n == 100 {
				return
			}
		}
		if got := s.Next(before); !got.IsZero() {
			t.Fatalf("got %v after the last one, %v", got, before)
		}
	})
}

func TestSchedule_Due_agrees_with_Times(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, last := drawSchedule(t)
		for range 3 {
			var passed []time.Time
			now := last.Add(time.Duration(rapid.Int64Range(0, 1e17).Draw(t, "away")))
			limit := rapid.IntRange(0, 2000).Draw(t, "limit")
			var want time.Time // the next one
			for want = range s.Times(last) {
				if want.After(now) {
					break
				}
				if len(passed) == limit {
					now = want.Add(-1)
					break
				}
				passed = append(passed, want)
				want = time.Time{}
			}
			late := time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "late"))
			due, skipped, next := s.Due(last, now, late)
			runs := 1
			if s.Missed == schedule.MissedAll {
				if runs = s.MaxMissed; runs == 0 {
					runs = 100
				}
			}
			wantDue := passed[max(0, len(passed)-runs):]
			if s.Missed == schedule.MissedNone && len(wantDue) > 0 && now.Sub(wantDue[0]) > late {
				wantDue = nil
			}
			if !slices.EqualFunc(due, wantDue, time.Time.Equal) || skipped != len(passed)-len(wantDue) || !next.Equal(want) {
				t.Fatalf("from %v to %v: got %v, %d, %v, want %v, %d, %v", last, now, due, skipped, next, wantDue, len(passed)-len(wantDue), want)
			}
			last = now
		}
	})
}

// A Schedule is read concurrently, and more expressions are in use than are remembered.
func TestSchedule_concurrently(t *testing.T) {
	var wait sync.WaitGroup
	for i := range 4 {
		wait.Go(func() {
			for n := range 600 {
				h, m := (n+i)/60%24, (n+i)%60
				s := schedule.Schedule{Cron: time.Date(2000, 1, 1, h, m, 0, 0, time.UTC).Format("4 15 * * *"), Zone: zones[(n+i)%len(zones)].name}
				if got := s.Next(hour("12:00")); got.Hour() != h || got.Minute() != m {
					t.Errorf("%+v: %v", s, got)
				}
			}
		})
	}
	wait.Wait()
}
