package schedule_test

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schedule"
	"github.com/embedjobs/jobs/schema"
	"github.com/google/go-cmp/cmp"
)

func TestSchedule_Check(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, s := range []schedule.Schedule{
		{},
		{Every: time.Second},
		{Every: math.MaxInt64 / time.Second * time.Second},
		{Every: time.Hour, Zone: "Europe/Berlin", Start: start, End: start.Add(time.Nanosecond)},
		{Cron: "* * * * *", Missed: schedule.MissedAll, MaxMissed: 10_000, Overlap: schedule.OverlapQueue, Paused: true},
		{Cron: "* * * * *", Missed: schedule.MissedNone, Overlap: schedule.OverlapAllow, Zone: "UTC"},
		{Cron: "\t@Daily ", Zone: "Australia/Lord_Howe"},
		{Cron: "0-59/2,1 22-2 28-3 NOV-FEB,jun FRI-MON,7"},
		{Cron: "0 0 29 2 MON#5"},
		{Cron: "0 0 29 2 *", Start: time.Date(2097, 1, 1, 0, 0, 0, 0, time.UTC)}, // 2100 has none
		{Cron: "0 0 ? * ?"},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestSchedule_Check_refuses(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		schedule schedule.Schedule
		want     string // after "jobs: invalid "
	}{
		{schedule.Schedule{Zone: "Europe/Berlin"}, "cron: neither cron nor every is set"},
		{schedule.Schedule{Paused: true}, "cron: neither"},
		{schedule.Schedule{Cron: "@daily", Every: time.Hour}, "every: cron is set as well; keep one of the two"},
		{schedule.Schedule{Every: -time.Hour}, "every: -1h0m0s is not a number of whole seconds"},
		{schedule.Schedule{Every: time.Millisecond}, "every: 1ms is not"},
		{schedule.Schedule{Every: 1500 * time.Millisecond}, "every: 1.5s is not"},
		{schedule.Schedule{Cron: "@daily", Zone: "Mars/Olympus"}, `zone: "Mars/Olympus" is not known here; use a name such as Europe/Berlin`},
		{schedule.Schedule{Cron: "@daily", Zone: "Local"}, "zone: Local is another zone on another machine"},
		{schedule.Schedule{Every: time.Hour, Zone: "../../etc/passwd"}, "zone:"},
		{schedule.Schedule{Cron: "@daily", Zone: strings.Repeat("x", 101)}, "zone: 101 bytes are more than 100"},
		{schedule.Schedule{Cron: "@daily", Missed: "some"}, `missed: "some" is not known; use "none", "all", or nothing for the latest`},
		{schedule.Schedule{Cron: "@daily", Overlap: "skip"}, `overlap: "skip" is not known; use "queue", "allow", or nothing to skip`},
		{schedule.Schedule{Cron: "@daily", MaxMissed: -1}, "max_missed: -1 is not from 0 to 10000"},
		{schedule.Schedule{Cron: "@daily", MaxMissed: 10_001}, "max_missed: 10001"},
		{schedule.Schedule{Cron: "@daily", Start: start, End: start}, "end: there is no time before 2026-03-01T00:00:00Z; set it later"},
		{schedule.Schedule{Cron: "0 0 2 3 *", Start: start, End: start.AddDate(0, 0, 1)}, "end: there is no time"},
		{schedule.Schedule{Cron: "0 0 29 2 *", Start: at("9999-01-01T00:00:00Z")}, "start: there is no time after 9999-01-01T00:00:00Z; set it earlier"},
		{schedule.Schedule{Every: time.Hour, Start: start.AddDate(9000, 0, 0)}, "start: the year 11026 is not from 1 to 9999"},
		{schedule.Schedule{Every: time.Hour, End: start.AddDate(-3000, 0, 0)}, "end: the year -974"},

		{schedule.Schedule{Cron: " "}, `cron: " ": there are 0 fields; write five, minute hour day month weekday, or six`},
		{schedule.Schedule{Cron: "0 0 * *"}, "cron: \"0 0 * *\": there are 4 fields"},
		{schedule.Schedule{Cron: "0 0 0 * * * 2026"}, "there are 7 fields"},
		{schedule.Schedule{Cron: "@reboot"}, "@reboot is not known; use @hourly"},
		{schedule.Schedule{Cron: "@every 5m"}, "there are 2 fields"},
		{schedule.Schedule{Cron: "TZ=UTC 0 0 * * *"}, "a time zone is not part of the expression; set zone"},
		{schedule.Schedule{Cron: "CRON_TZ=UTC 0 0 * * *"}, "set zone"},
		{schedule.Schedule{Cron: "60 * * * *"}, "minute: 60 is not from 0 to 59"},
		{schedule.Schedule{Cron: "60 0 * * * *"}, "second: 60 is not"},
		{schedule.Schedule{Cron: "0 24 * * *"}, "hour: 24 is not from 0 to 23"},
		{schedule.Schedule{Cron: "0 0 0 * *"}, "day of the month: 0 is not from 1 to 31"},
		{schedule.Schedule{Cron: "0 0 * 13 *"}, "month: 13 is not from 1 to 12"},
		{schedule.Schedule{Cron: "0 0 * * 8"}, "day of the week: 8 is not from 0 to 7"},
		{schedule.Schedule{Cron: "0 0 * june *"}, `month: "june" is neither a number nor a name such as FEB`},
		{schedule.Schedule{Cron: "0 0 * * Montag"}, `day of the week: "Montag" is neither a number nor a name such as MON`},
		{schedule.Schedule{Cron: "? * * * *"}, `minute: "?" is not a number`},
		{schedule.Schedule{Cron: "+5 * * * *"}, `minute: "+5" is not a number`},
		{schedule.Schedule{Cron: ",5 * * * *"}, `minute: "" is not a number`},
		{schedule.Schedule{Cron: "*-5 * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "1-2-3 * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "-5 * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "*/ * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "*/0 * * * *"}, "minute: the step 0 does not fit into 60 values"},
		{schedule.Schedule{Cron: "*/60 * * * *"}, "minute: the step 60 does not fit into 60 values; use a smaller one, or an interval"},
		{schedule.Schedule{Cron: "1/2/3 * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "99999999999999999999 * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "٣ * * * *"}, "minute:"},
		{schedule.Schedule{Cron: "0 0 15W * *"}, `day of the month: "15W" is not a number`},
		{schedule.Schedule{Cron: "0 0 LW * *"}, `day of the month: "LW" is not known; use L, or L-1 to L-30`},
		{schedule.Schedule{Cron: "0 0 L-31 * *"}, `"L-31" is not known`},
		{schedule.Schedule{Cron: "0 0 * * FRI#6"}, `"FRI#6" has no number from 1 to 5 after #; for the last one write FRIL`},
		{schedule.Schedule{Cron: "0 0 * * L"}, "day of the week:"},
		{schedule.Schedule{Cron: "0 0 * * #1"}, "day of the week:"},
		{schedule.Schedule{Cron: "0 0 30 2 *"}, `cron: "0 0 30 2 *": no month has such a day; choose another day or month`},
		{schedule.Schedule{Cron: "0 0 31 2,4,6,9,11 *"}, "no month has such a day"},
		{schedule.Schedule{Cron: "0 0 L-29 2 *"}, "no month has such a day"},
		{schedule.Schedule{Cron: strings.Repeat("0", 1001)}, "cron: 1001 bytes are more than 1000"},
	} {
		err := c.schedule.Check()
		if err == nil || !errors.Is(err, schema.ErrInvalid) || !strings.HasPrefix(err.Error(), "jobs: invalid ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got error %v, want one that has %q", c.schedule, err, c.want)
		}
		// What has no right expression has no times. Other settings do not matter to Next.
		if got := c.schedule.Next(start); strings.Contains(c.want, "cron") && !got.IsZero() {
			t.Errorf("%+v has the time %v", c.schedule, got)
		}
		_ = c.schedule.String()
	}
}

func TestSchedule_Next(t *testing.T) {
	const after = "2026-01-01T00:00:00Z" // a Thursday
	for _, c := range []struct {
		schedule schedule.Schedule
		after    string
		want     string
	}{
		// Fields.
		{schedule.Schedule{Cron: "@hourly"}, after, "2026-01-01T01:00:00Z 2026-01-01T02:00:00Z"},
		{schedule.Schedule{Cron: "@weekly"}, after, "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * 5-7/2"}, after, "2026-01-02T00:00:00Z 2026-01-04T00:00:00Z 2026-01-09T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * FRI-MON/2"}, after, "2026-01-02T00:00:00Z 2026-01-04T00:00:00Z 2026-01-09T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * 7-1"}, after, "2026-01-04T00:00:00Z 2026-01-05T00:00:00Z 2026-01-11T00:00:00Z"},
		{schedule.Schedule{Cron: "0 22-2/2 * * *"}, after, "2026-01-01T02:00:00Z 2026-01-01T22:00:00Z 2026-01-02T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 30-2 * *"}, after, "2026-01-02T00:00:00Z 2026-01-30T00:00:00Z 2026-01-31T00:00:00Z 2026-02-01T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 1 Nov-feb *"}, after, "2026-02-01T00:00:00Z 2026-11-01T00:00:00Z 2026-12-01T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 L * *"}, after, "2026-01-31T00:00:00Z 2026-02-28T00:00:00Z 2026-03-31T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 l-30,1 * *"}, after, "2026-02-01T00:00:00Z 2026-03-01T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 L-1 2 *"}, after, "2026-02-27T00:00:00Z 2027-02-27T00:00:00Z 2028-02-28T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * TUE#2"}, after, "2026-01-13T00:00:00Z 2026-02-10T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * 7#1,fril"}, after, "2026-01-04T00:00:00Z 2026-01-30T00:00:00Z 2026-02-01T00:00:00Z 2026-02-27T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 * * SATL"}, after, "2026-01-31T00:00:00Z 2026-02-28T00:00:00Z 2026-03-28T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 29 2 MON#5"}, after, "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"}, // either
		{schedule.Schedule{Cron: "0 0 29 2 */6"}, after, "2032-02-29T00:00:00Z 2048-02-29T00:00:00Z"},   // a Sunday or Saturday, both
		{schedule.Schedule{Cron: "0 0 29 2 *"}, "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
		{schedule.Schedule{Cron: "0 0 13 * FRI"}, after, "2026-01-02T00:00:00Z 2026-01-09T00:00:00Z 2026-01-13T00:00:00Z"},
		{schedule.Schedule{Cron: "58 59 23 31 12 *"}, after, "2026-12-31T23:59:58Z"},

		// Bounds.
		{schedule.Schedule{Cron: "@hourly", Start: at("2026-01-01T03:00:00Z"), End: at("2026-01-01T05:00:00Z")}, after, "2026-01-01T03:00:00Z 2026-01-01T04:00:00Z -"},
		{schedule.Schedule{Cron: "@hourly", Start: at("2026-01-01T03:00:00.5Z"), End: at("2026-01-01T05:00:00.5Z")}, after, "2026-01-01T04:00:00Z 2026-01-01T05:00:00Z -"},
		{schedule.Schedule{Every: time.Hour, Start: at("2026-01-01T03:30:00.5Z"), End: at("2026-01-01T05:30:00.5Z")}, after, "2026-01-01T03:30:00.5Z 2026-01-01T04:30:00.5Z -"},
		{schedule.Schedule{Every: time.Hour, End: at("2026-01-01T05:00:00Z")}, "2026-01-01T03:59:59.9Z", "2026-01-01T04:00:00Z -"},
		{schedule.Schedule{Every: time.Hour, Start: at("2026-01-01T03:30:00.5Z")}, "2026-01-01T05:30:00.4Z", "2026-01-01T05:30:00.5Z 2026-01-01T06:30:00.5Z"},
		{schedule.Schedule{Every: 168 * time.Hour}, after, "2026-01-05T00:00:00Z 2026-01-12T00:00:00Z"},
		{schedule.Schedule{Every: time.Hour}, "9999-12-31T22:00:00Z", "9999-12-31T23:00:00Z -"},
		{schedule.Schedule{Cron: "@yearly"}, "9998-12-31T22:00:00Z", "9999-01-01T00:00:00Z -"},
		{schedule.Schedule{Cron: "@yearly"}, "0001-01-01T00:00:00Z", "0002-01-01T00:00:00Z"},

		// Changes of clocks.
		{schedule.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2026-10-24T12:00:00Z", "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
		{schedule.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2026-10-25T02:10:00+01:00", "2026-10-26T02:30:00+01:00"},
		{schedule.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}, "2026-03-28T12:00:00Z", "2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00"},
		{schedule.Schedule{Cron: "30 * * * *", Zone: "Europe/Berlin"}, "2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00"},
		{schedule.Schedule{Cron: "30 * * * *", Zone: "Europe/Berlin"}, "2026-03-29T01:00:00+01:00", "2026-03-29T01:30:00+01:00 2026-03-29T03:30:00+02:00"},
		{schedule.Schedule{Cron: "15 2,3 * * *", Zone: "Australia/Lord_Howe"}, "2026-10-03T12:00:00Z", "2026-10-04T02:30:00+11:00 2026-10-04T03:15:00+11:00"},
		{schedule.Schedule{Cron: "0 0 1 * *", Zone: "Pacific/Apia"}, "2011-12-25T00:00:00Z", "2012-01-01T00:00:00+14:00"},
		{schedule.Schedule{Cron: "0 9 * * *", Zone: "Pacific/Apia"}, "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00 2011-12-31T09:00:00+14:00"},
		{schedule.Schedule{Every: 2 * time.Hour, Zone: "Europe/Berlin"}, "2026-03-28T23:00:00Z", "2026-03-29T00:00:00Z 2026-03-29T02:00:00Z"},
	} {
		var want, got []string
		for text := range strings.FieldsSeq(c.want) {
			want = append(want, text)
		}
		next := at(c.after)
		for range want {
			next = c.schedule.Next(next)
			text := next.Format(time.RFC3339Nano)
			if next.IsZero() {
				text = "-"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v after %s:\ngot  %s\nwant %s", c.schedule, c.after, got, want)
		}
	}
}

func TestSchedule_Next_of_times_far_away(t *testing.T) {
	for _, s := range []schedule.Schedule{{Cron: "@daily"}, {Cron: "@daily", Zone: "Europe/Berlin"}, {Every: time.Hour}, {Every: time.Hour, Start: at("2026-01-01T00:00:00.5Z")}} {
		for _, after := range []time.Time{time.Unix(math.MinInt64, 0), time.Unix(math.MaxInt64, 0), time.Unix(-1<<55, 0), time.Unix(1<<55, 0)} {
			next := s.Next(after)
			if !next.IsZero() && (!next.After(after) || next.UTC().Year() > 9999) {
				t.Errorf("%+v after %v: %v", s, after, next)
			}
			due, skipped, _ := s.Due(after, time.Unix(0, 0), 0)
			if skipped < 0 || len(due) > 1 {
				t.Errorf("%+v from %v: %v, %d", s, after, due, skipped)
			}
			s.Due(time.Unix(0, 0), after, 0)
		}
	}
}

func TestSchedule_JSON(t *testing.T) {
	full := schedule.Schedule{
		Cron: "@daily", Every: 90 * time.Minute, Zone: "Europe/Berlin", Start: at("2026-01-01T00:00:00Z"), End: at("2027-01-01T00:00:00Z"),
		Missed: schedule.MissedAll, MaxMissed: 5, Overlap: schedule.OverlapQueue, Paused: true,
	}
	for _, c := range []struct {
		schedule schedule.Schedule
		want     string
	}{
		{schedule.Schedule{}, `{}`},
		{schedule.Schedule{Every: 5 * time.Minute}, `{"every":"5m"}`},
		{schedule.Schedule{Every: 2 * time.Hour}, `{"every":"2h"}`},
		{schedule.Schedule{Every: 10 * time.Second}, `{"every":"10s"}`},
		{schedule.Schedule{Every: 20*time.Hour + 10*time.Second}, `{"every":"20h0m10s"}`},
		{full, `{"cron":"@daily","zone":"Europe/Berlin","start":"2026-01-01T00:00:00Z","end":"2027-01-01T00:00:00Z",` +
			`"missed":"all","max_missed":5,"overlap":"queue","paused":true,"every":"1h30m"}`},
	} {
		got, err := json.Marshal(c.schedule)
		if err != nil || string(got) != c.want {
			t.Errorf("%+v is %s, %v, want %s", c.schedule, got, err, c.want)
		}
		var back schedule.Schedule
		if err := json.Unmarshal(got, &back); err != nil || !cmp.Equal(back, c.schedule) {
			t.Errorf("%s is read as %+v, %v", got, back, err)
		}
	}
	for text, want := range map[string]schedule.Schedule{
		`{"every":300000000000,"missed":"latest","overlap":"skip"}`: {Every: 5 * time.Minute},
		`{"every":null,"cron":"* * * * *"}`:                         {Cron: "* * * * *"},
		`null`:                                                      {},
	} {
		var got schedule.Schedule
		if err := json.Unmarshal([]byte(text), &got); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{`{"every":"soon"}`, `{"every":"5"}`, `{"every":1.5}`, `{"every":[]}`, `{"every":1e30}`} {
		err := json.Unmarshal([]byte(text), new(schedule.Schedule))
		if !errors.Is(err, schema.ErrInvalid) || !strings.HasPrefix(err.Error(), "jobs: invalid every: ") {
			t.Errorf("%s: got error %v", text, err)
		}
	}
	// omitzero asks IsZero.
	got, err := json.Marshal(struct {
		Schedule schedule.Schedule `json:"schedule,omitzero"`
	}{})
	if err != nil || string(got) != `{}` {
		t.Errorf("an omitted schedule is %s, %v", got, err)
	}
}

func TestSchedule_IsZero(t *testing.T) {
	now := time.Now()
	for i, s := range []schedule.Schedule{
		{},
		{Cron: "x"},
		{Every: 1},
		{Zone: "x"},
		{Start: now},
		{End: now},
		{Missed: "x"},
		{MaxMissed: 1},
		{Overlap: "x"},
		{Paused: true},
	} {
		if got := s.IsZero(); got != (i == 0) {
			t.Errorf("%+v: got %v", s, got)
		}
	}
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err)
	}
	return t
}
