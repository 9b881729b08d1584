package schedule_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schedule"
	"github.com/embedjobs/jobs/schema"
	"github.com/google/go-cmp/cmp"
)

func FuzzSchedule_Check(f *testing.F) {
	for _, expr := range append(expressions, "@daily", "@every 1h", "0 0 L-3,LW * FRI#2,monL", "* * * * * *", "0 0 30 2 *", "60 25 32 13 8", ",/-#L?*", "*/59 22-2/3 28-3 NOV-FEB FRI-MON/2", "0 0 29 2 1#5") {
		f.Add(expr, "Europe/Berlin", int64(0), int64(1e9))
	}
	f.Add("1 2 3 4 5", "Local", int64(-1), int64(1))
	f.Add("", "Pacific/Apia", int64(5*time.Minute), int64(1<<62))
	f.Fuzz(func(t *testing.T, expr, zone string, every, unix int64) {
		s := schedule.Schedule{Cron: expr, Zone: zone, Every: time.Duration(every), Missed: schedule.MissedAll}
		after := time.Unix(unix, 0)
		if s.String() == "" {
			t.Error("there are no words")
		}
		due, skipped, next := s.Due(after.Add(-1000*time.Hour), after, time.Minute)
		if len(due) > 100 || skipped < 0 || !next.IsZero() && !next.After(after) {
			t.Errorf("due: %v, %d, %v", due, skipped, next)
		}
		err := s.Check()
		if err != nil {
			if !errors.Is(err, schema.ErrInvalid) {
				t.Errorf("got error %v", err)
			}
			return
		}
		n := 0
		for next := range s.Times(after) {
			if !next.After(after) {
				t.Fatalf("%v is followed by %v", after, next)
			}
			after = next
			if n++; n == 5 {
				break
			}
		}
		if unix > 0 && unix < 2e11 && n < 5 {
			t.Errorf("there are %d times", n)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back schedule.Schedule
		if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(back, s) {
			t.Errorf("%s is read as %+v, %v", text, back, err)
		}
	})
}

func FuzzSchedule_JSON(f *testing.F) {
	f.Add([]byte(`{"cron":"@daily","zone":"Asia/Kolkata","start":"2026-01-01T00:00:00Z","missed":"latest","overlap":"skip"}`))
	f.Add([]byte(`{"every":"5m","end":"2027-01-01T00:00:00Z","max_missed":5,"paused":true}`))
	f.Add([]byte(`{"every":300000000000,"missed":"all"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, back schedule.Schedule
		if json.Unmarshal(text, &s) != nil || s.Check() != nil {
			return
		}
		out, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		if err := json.Unmarshal(out, &back); err != nil || !cmp.Equal(back, s) {
			t.Errorf("%s is read as %+v, %v", out, back, err)
		}
	})
}
