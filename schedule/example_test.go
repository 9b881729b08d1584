package schedule_test

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/embedjobs/jobs/schedule"
)

func ExampleSchedule() {
	nightly := schedule.Schedule{Cron: "30 2 * * *", Zone: "Europe/Berlin"}
	if err := nightly.Check(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(&nightly)
	// In the night to 29 March 2026 there is no half past two, on 25 October there are two.
	fmt.Println(nightly.Next(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)))
	fmt.Println(nightly.Next(time.Date(2026, 10, 24, 12, 0, 0, 0, time.UTC)))
	fmt.Println(nightly.Next(time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)))
	// Output:
	// every day at 02:30 (Europe/Berlin)
	// 2026-03-29 03:00:00 +0200 CEST
	// 2026-10-25 02:30:00 +0200 CEST
	// 2026-10-26 02:30:00 +0100 CET
}

func ExampleSchedule_Check() {
	for _, s := range []schedule.Schedule{
		{Cron: "0 9 * * Monday"},
		{Cron: "*/90 * * * *"},
		{Cron: "0 0 30 2 *"},
		{Cron: "@daily", Every: time.Hour},
		{Every: time.Hour, Missed: "some"},
	} {
		fmt.Println(s.Check())
	}
	// Output:
	// jobs: invalid cron: "0 9 * * Monday": day of the week: "Monday" is neither a number nor a name such as MON
	// jobs: invalid cron: "*/90 * * * *": minute: the step 90 does not fit into 60 values; use a smaller one, or an interval instead of cron
	// jobs: invalid cron: "0 0 30 2 *": no month has such a day; choose another day or month
	// jobs: invalid every: cron is set as well; keep one of the two
	// jobs: invalid missed: "some" is not known; use "none", "all", or nothing for the latest
}

func ExampleSchedule_Times() {
	payday := schedule.Schedule{Cron: "0 9 L * *"}
	n := 0
	for t := range payday.Times(time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)) {
		fmt.Println(t)
		if n++; n == 3 {
			break
		}
	}
	// Output:
	// 2028-01-31 09:00:00 +0000 UTC
	// 2028-02-29 09:00:00 +0000 UTC
	// 2028-03-31 09:00:00 +0000 UTC
}

func ExampleSchedule_Due() {
	last := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now := time.Date(2026, 1, 1, 16, 20, 0, 0, time.UTC) // the program was down
	for _, missed := range []schedule.Missed{schedule.MissedLatest, schedule.MissedNone, schedule.MissedAll} {
		hourly := schedule.Schedule{Every: time.Hour, Missed: missed}
		due, skipped, next := hourly.Due(last, now, time.Minute)
		fmt.Printf("%q: %d due, %d skipped, next at %v\n", missed, len(due), skipped, next.Format(time.TimeOnly))
	}
	// Output:
	// "": 1 due, 3 skipped, next at 17:00:00
	// "none": 0 due, 4 skipped, next at 17:00:00
	// "all": 4 due, 0 skipped, next at 17:00:00
}

func ExampleSchedule_String() {
	for _, s := range []schedule.Schedule{
		{Every: 5 * time.Minute},
		{Cron: "0 3 * * *", Zone: "Europe/Berlin"},
		{Cron: "30 9 * * MON"},
		{Cron: "*/15 9-17 * * MON-FRI"},
		{Cron: "0 0 1 * *"},
		{Cron: "0 9 * * FRIL"},
		{Cron: "7/11 3-20/4 * * *"},
		{},
	} {
		fmt.Println(&s)
	}
	// Output:
	// every 5 minutes
	// every day at 03:00 (Europe/Berlin)
	// on Mondays at 09:30
	// every 15 minutes from 09:00 to 17:45, Monday to Friday
	// on day 1 of every month at 00:00
	// on the last Friday of every month at 09:00
	// 7/11 3-20/4 * * *
	// never
}

func ExampleSchedule_UnmarshalJSON() {
	var s schedule.Schedule
	err := json.Unmarshal([]byte(`{"every": "90m", "start": "2026-01-01T08:00:00Z", "overlap": "skip"}`), &s)
	fmt.Println(&s, err)
	fmt.Println(s.Next(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)))
	// Output:
	// every 90 minutes, from 2026-01-01 08:00 <nil>
	// 2026-01-01 12:30:00 +0000 UTC
}
