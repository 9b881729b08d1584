package schedule_test

import (
	"testing"
	"time"

	"github.com/embedjobs/jobs/schedule"
)

func TestSchedule_String(t *testing.T) {
	day := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		schedule schedule.Schedule
		want     string
	}{
		{schedule.Schedule{}, "never"},
		{schedule.Schedule{Zone: "Europe/Berlin", Paused: true}, "never"},

		{schedule.Schedule{Every: 5 * time.Minute}, "every 5 minutes"},
		{schedule.Schedule{Every: time.Minute}, "every minute"},
		{schedule.Schedule{Every: 90 * time.Second}, "every 90 seconds"},
		{schedule.Schedule{Every: time.Hour}, "every hour"},
		{schedule.Schedule{Every: 168 * time.Hour}, "every 168 hours"},
		{schedule.Schedule{Every: 90 * time.Minute}, "every 90 minutes"},
		{schedule.Schedule{Every: 150 * time.Minute}, "every 2h30m"},
		{schedule.Schedule{Every: time.Hour, Zone: "Europe/Berlin", Paused: true}, "every hour, paused"},

		{schedule.Schedule{Cron: "0 3 * * *", Zone: "Europe/Berlin"}, "every day at 03:00 (Europe/Berlin)"},
		{schedule.Schedule{Cron: "0 3 * * *", Zone: "UTC"}, "every day at 03:00"},
		{schedule.Schedule{Cron: "0 3 * * *", Zone: "Mars/Olympus"}, "every day at 03:00 (Mars/Olympus)"},
		{
			schedule.Schedule{Cron: "0 3 * * *", Zone: "Europe/Berlin", Start: day, End: day.AddDate(0, 1, 0).Add(time.Second)},
			"every day at 03:00 (Europe/Berlin), from 2026-03-01 09:00, until 2026-04-01 10:00:01",
		},
		{schedule.Schedule{Cron: "nonsense"}, "nonsense"},
	} {
		if got := c.schedule.String(); got != c.want {
			t.Errorf("%+v is %q, want %q", c.schedule, got, c.want)
		}
	}
}

func TestSchedule_String_of_times_of_day(t *testing.T) {
	testWords(t, [][2]string{
		{"* * * * *", "every minute"},
		{"*/15 * * * *", "every 15 minutes"},
		{"0,15,30,45 * * * *", "every 15 minutes"},
		{"*/7 * * * *", "*/7 * * * *"}, // does not fit into an hour
		{"0 * * * *", "every hour"},
		{"15 * * * *", "every hour at minute 15"},
		{"15,45 * * * *", "every hour at minutes 15 and 45"},
		{"5,20,35,50 * * * *", "every hour at minutes 5, 20, 35 and 50"},
		{"1-5 * * * *", "1-5 * * * *"},
		{"0 */2 * * *", "every 2 hours"},
		{"30 */2 * * *", "every 2 hours at minute 30"},
		{"30 1/2 * * *", "30 1/2 * * *"},
		{"0 */5 * * *", "0 */5 * * *"},
		{"0 */6 * * *", "every day at 00:00, 06:00, 12:00 and 18:00"},
		{"0 3 * * *", "every day at 03:00"},
		{"0,30 3 * * *", "every day at 03:00 and 03:30"},
		{"30 9,17 * * *", "every day at 09:30 and 17:30"},
		{"*/5 3 * * *", "every 5 minutes from 03:00 to 03:55"},
		{"*/15 9-17 * * *", "every 15 minutes from 09:00 to 17:45"},
		{"0 9-17 * * 1-5", "every hour from 09:00 to 17:00, Monday to Friday"},
		{"0,10 9-17 * * *", "0,10 9-17 * * *"},
		{"* 3 * * *", "every minute from 03:00 to 03:59"},
		{"*/15 9,13,17 * * *", "*/15 9,13,17 * * *"},

		{"* * * * * *", "every second"},
		{"*/10 * * * * *", "every 10 seconds"},
		{"0 * * * * *", "every minute"},
		{"30 * * * * *", "30 * * * * *"},
		{"*/10 30 * * * *", "*/10 30 * * * *"},
		{"*/10 * 3 * * *", "every 10 seconds from 03:00:00 to 03:59:50"},
		{"15 0 3 * * *", "every day at 03:00:15"},
	})
}

func TestSchedule_String_of_days(t *testing.T) {
	testWords(t, [][2]string{
		{"30 9 * * MON", "on Mondays at 09:30"},
		{"30 9 * * 7", "on Sundays at 09:30"},
		{"30 9 * * 0,6", "on Saturdays and Sundays at 09:30"},
		{"30 9 * * mon,wed,fri", "on Mondays, Wednesdays and Fridays at 09:30"},
		{"30 9 * * 1-5", "Monday to Friday at 09:30"},
		{"30 9 * * FRI-SUN", "Friday to Sunday at 09:30"},
		{"30 9 * * FRI-MON", "on Mondays, Fridays, Saturdays and Sundays at 09:30"},
		{"30 9 * * 0-7", "every day at 09:30"},
		{"30 9 * * TUE#2", "on the second Tuesday of every month at 09:30"},
		{"30 9 * * MON#1,MON#3,FRIL", "on the first Monday, the third Monday and the last Friday of every month at 09:30"},
		{"30 9 * JUN FRIL", "on the last Friday of June at 09:30"},
		{"30 9 * * MON,FRIL", "30 9 * * MON,FRIL"},
		{"30 9 * 6,7 MON", "on Mondays in June and July at 09:30"},
		{"*/5 * * * MON", "every 5 minutes, on Mondays"},

		{"0 0 1 * *", "on day 1 of every month at 00:00"},
		{"0 0 1 * ?", "on day 1 of every month at 00:00"},
		{"0 0 1,15 * *", "on days 1 and 15 of every month at 00:00"},
		{"0 0 1-7 * *", "on days 1 to 7 of every month at 00:00"},
		{"0 0 31 * *", "on day 31 of every month that has it at 00:00"},
		{"0 0 15,31 * *", "0 0 15,31 * *"},
		{"0 0 */2 * *", "0 0 */2 * *"},
		{"0 0 L * *", "on the last day of every month at 00:00"},
		{"0 0 15,L * *", "on day 15 and the last day of every month at 00:00"},
		{"0 0 L-1 * *", "0 0 L-1 * *"},
		{"0 0 1 1 *", "every year on 1 January at 00:00"},
		{"0 0 29 2 *", "in leap years on 29 February at 00:00"},
		{"0 0 1 1,4,7,10 *", "on day 1 of January, April, July and October at 00:00"},
		{"0 0 1 */2 *", "0 0 1 */2 *"},
		{"0 8 * 12 *", "every day in December at 08:00"},

		{"0 0 13 * FRI", "on day 13 of every month and on Fridays at 00:00"},
		{"0 0 13 * 0-6", "every day at 00:00"},
		{"0 0 1-31 * FRI", "every day at 00:00"},
		{"0 0 */2 * MON", "0 0 */2 * MON"}, // both
		{"0 0 13 6 FRI", "0 0 13 6 FRI"},

		{"@hourly", "every hour"},
		{"@daily", "every day at 00:00"},
		{"@midnight", "every day at 00:00"},
		{"@weekly", "on Sundays at 00:00"},
		{"@monthly", "on day 1 of every month at 00:00"},
		{"@yearly", "every year on 1 January at 00:00"},
		{"@annually", "every year on 1 January at 00:00"},
	})
}

// testWords takes pairs of an expression and its words.
func testWords(t *testing.T, cases [][2]string) {
	t.Helper()
	for _, c := range cases {
		s := schedule.Schedule{Cron: c[0]}
		if err := s.Check(); err != nil {
			t.Errorf("%q: %v", c[0], err)
		}
		if got := s.String(); got != c[1] {
			t.Errorf("%q is %q, want %q", c[0], got, c[1])
		}
	}
}
