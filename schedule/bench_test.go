package schedule_test

import (
	"testing"
	"time"

	"github.com/embedjobs/jobs/schedule"
)

func BenchmarkSchedule_Next(b *testing.B) {
	for name, s := range map[string]schedule.Schedule{
		"daily":    {Cron: "30 2 * * *", Zone: "Europe/Berlin"},
		"minutely": {Cron: "* * * * *", Zone: "Europe/Berlin"},
		"utc":      {Cron: "30 2 * * *"},
		"leap day": {Cron: "0 0 29 2 *", Zone: "Europe/Berlin"},
		"interval": {Every: 5 * time.Minute},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			after := at("2026-01-01T00:00:00Z")
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}

func BenchmarkSchedule_Due(b *testing.B) {
	last, now := at("2016-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")
	for name, s := range map[string]schedule.Schedule{
		"on time":           {Cron: "0 * * * *", Zone: "Europe/Berlin", Start: now.Add(-time.Hour)},
		"ten years, latest": {Cron: "* * * * * *", Zone: "Europe/Berlin"},
		"ten years, 10,000": {Cron: "* * * * * *", Zone: "Europe/Berlin", Missed: schedule.MissedAll, MaxMissed: 10_000},
		"ten years, sparse": {Cron: "0 0 1 1 *", Zone: "Europe/Berlin"},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				s.Due(last, now, 0)
			}
		})
	}
}

func BenchmarkSchedule_Check(b *testing.B) {
	s := schedule.Schedule{Cron: "*/5 8-18 * * MON-FRI", Zone: "Europe/Berlin"}
	for b.Loop() {
		if err := s.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSchedule_String(b *testing.B) {
	s := schedule.Schedule{Cron: "*/5 8-18 * * MON-FRI", Zone: "Europe/Berlin"}
	for b.Loop() {
		_ = s.String()
	}
}
