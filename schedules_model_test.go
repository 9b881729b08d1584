package jobs_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/embedjobs/jobs"
)

// Each time of a schedule makes one job, whenever the program is stopped, paused or changed. The model
// is the list of times that have passed while the schedule was set and not paused.
func TestSchedule_model(t *testing.T) {
	anyLife(t, "each time makes one job, under any operations", scheduleLife)
}

func scheduleLife(t *testing.T, rt *rapid.T, store jobs.Store) {
	t.Helper()
	k := newTicks()
	schedules := rapid.Custom(func(t *rapid.T) jobs.Schedule {
		s := jobs.Schedule{Missed: jobs.MissedAll, MaxMissed: 10_000, Overlap: jobs.OverlapAllow}
		if rapid.Bool().Draw(t, "cron") {
			s.Cron = rapid.SampledFrom([]string{"*/20 * * * *", "5,35 */2 * * *", "0 0 4 * * *"}).Draw(t, "expression")
		} else {
			s.Every = time.Duration(rapid.IntRange(10, 200).Draw(t, "minutes")) * time.Minute
		}
		return s
	})
	r := newRunner(t, store, &k.reg, nil)
	stop := start(t, r)
	def := k.define(t, r, "d", 0, schedules.Draw(rt, "schedule"))
	up, paused := true, false
	var want []time.Time
	from := time.Now() // up to when want is right
	pass := func() {
		for at := range def.Schedule.Times(from) {
			if at.After(time.Now()) || paused {
				break
			}
			want = append(want, at)
		}
		from = time.Now()
	}
	for range rapid.IntRange(3, 15).Draw(rt, "operations") {
		switch op := rapid.SampledFrom([]string{"sleep", "sleep", "stop", "start", "pause", "edit"}).Draw(rt, "operation"); {
		case op == "sleep":
			time.Sleep(time.Duration(rapid.IntRange(1, 300).Draw(rt, "slept minutes")) * time.Minute)
			pass()
		case op == "stop" && up:
			if up = false; stop() != nil {
				rt.Fatal("it did not stop")
			}
		case op == "start" && !up:
			r = newRunner(t, store, &k.reg, nil)
			stop, up = start(t, r), true
		case op == "pause" && up:
			pass()
			synctest.Wait()
			change := r.Definitions().PauseSchedule
			if paused {
				change = r.Definitions().ResumeSchedule
			}
			if err := change(t.Context(), "d"); err != nil {
				rt.Fatal(err)
			}
			paused = !paused
		case op == "edit" && up && !paused:
			pass()
			synctest.Wait()
			var err error
			if def, err = r.Definitions().Get(t.Context(), "d"); err != nil {
				rt.Fatal(err)
			}
			def.Schedule = schedules.Draw(rt, "schedule")
			def = save(t, r, *def)
		}
		if !up {
			continue
		}
		synctest.Wait()
		got := k.of("d")
		slices.SortFunc(got, time.Time.Compare)
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			rt.Fatalf("jobs were made for %v, want %v", got, want)
		}
	}
	audit(env{t, store})
}
