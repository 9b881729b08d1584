package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs"
)

// ticks is a task that notes for which times it ran.
type ticks struct {
	reg  jobs.Registry
	task *jobs.TaskOf[kidArgs, int]
	mu   sync.Mutex
	due  map[string][]time.Time
}

func newTicks() *ticks {
	k := &ticks{due: make(map[string][]time.Time)}
	k.task = jobs.Register(&k.reg, jobs.Task{Name: "tick", MaxAttempts: 1}, func(ctx context.Context, args kidArgs) (int, error) {
		job := jobs.Current(ctx)
		k.mu.Lock()
		k.due[job.Definition] = append(k.due[job.Definition], job.Due)
		k.mu.Unlock()
		if args.N > 0 {
			select {
			case <-time.After(time.Duration(args.N) * time.Second):
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		return 0, nil
	})
	return k
}

func (k *ticks) define(t *testing.T, r *jobs.Runner, id string, seconds int, s jobs.Schedule) *jobs.Definition {
	t.Helper()
	return save(t, r, jobs.Definition{ID: id, Request: k.task.Request(kidArgs{N: seconds}), Schedule: s})
}

func (k *ticks) of(id string) []time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.due[id])
}

func TestSchedule(t *testing.T) {
	t.Run("each time makes one job, also over two runners of one store", func(t *testing.T) {
		onBoth(t, func(e env) {
			k := newTicks()
			run(e.t, e.store, &k.reg, nil)
			r := run(e.t, e.store, &k.reg, nil)
			k.define(e.t, r, "hourly", 0, jobs.Schedule{Every: time.Hour})
			stop := start(e.t, newRunner(e.t, e.store, &k.reg, nil)) // finds it at its start
			began := time.Now()
			time.Sleep(48*time.Hour + time.Second)
			synctest.Wait()
			got := k.of("hourly")
			slices.SortFunc(got, time.Time.Compare)
			for i, due := range got {
				if want := began.Truncate(time.Hour).Add(time.Duration(i+1) * time.Hour); !due.Equal(want) {
					e.t.Fatalf("run %d was for %v, want %v", i, due, want)
				}
			}
			if len(got) != 48 {
				e.t.Errorf("%d runs", len(got))
			}
			st := statusOf(e.t, r, "hourly")
			if want := began.Truncate(time.Hour).Add(49 * time.Hour); !st.Schedule.Next.Equal(want) || st.Newest.Actor != "schedule:hourly" {
				e.t.Errorf("next is %v, by %q", st.Schedule.Next, st.Newest.Actor)
			}
			_ = stop()
			audit(e)
		})
	})
}

func TestSchedule_Missed(t *testing.T) {
	for _, c := range []struct {
		missed jobs.Schedule
		want   int
	}{
		{jobs.Schedule{Every: time.Hour}, 1},
		{jobs.Schedule{Every: time.Hour, Missed: jobs.MissedNone}, 0},
		{jobs.Schedule{Every: time.Hour, Missed: jobs.MissedAll, Overlap: jobs.OverlapAllow}, 10},
		{jobs.Schedule{Every: time.Hour, Missed: jobs.MissedAll, MaxMissed: 4, Overlap: jobs.OverlapAllow}, 4},
		{jobs.Schedule{Every: time.Hour, Missed: jobs.MissedAll, Overlap: jobs.OverlapQueue}, 10},
	} {
		t.Run(fmt.Sprintf("of ten times missed %q makes up for %d", c.missed.Missed, c.want), func(t *testing.T) {
			onBoth(t, func(e env) {
				k := newTicks()
				r := newRunner(e.t, e.store, &k.reg, nil)
				stop := start(e.t, r)
				k.define(e.t, r, "d", 0, c.missed)
				synctest.Wait()
				if err := stop(); err != nil {
					e.t.Error(err)
				}
				time.Sleep(10*time.Hour + 30*time.Minute)
				r = run(e.t, e.store, &k.reg, nil)
				synctest.Wait()
				if got := k.of("d"); len(got) != c.want {
					e.t.Errorf("made up for %d: %v", len(got), got)
				}
				if st := statusOf(e.t, r, "d").Schedule; st.Skipped != 10-c.want {
					e.t.Errorf("skipped were %d", st.Skipped)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := k.of("d"); len(got) != c.want+1 {
					e.t.Errorf("then %d", len(got))
				}
				audit(e)
			})
		})
	}
}

func TestSchedule_Overlap(t *testing.T) {
	for _, c := range []struct {
		overlap jobs.Schedule
		want    int // runs begun after ten minutes, each of which takes two and a half
		active  int64
	}{
		{jobs.Schedule{Every: time.Minute}, 4, 1},
		{jobs.Schedule{Every: time.Minute, Overlap: jobs.OverlapAllow}, 10, 3},
		{jobs.Schedule{Every: time.Minute, Overlap: jobs.OverlapQueue}, 4, 7},
	} {
		t.Run(fmt.Sprintf("overlap %q", c.overlap.Overlap), func(t *testing.T) {
			onBoth(t, func(e env) {
				k := newTicks()
				r := run(e.t, e.store, &k.reg, nil)
				k.define(e.t, r, "d", 150, c.overlap)
				time.Sleep(10*time.Minute + time.Second - time.Since(time.Now().Truncate(time.Minute)))
				synctest.Wait()
				st := statusOf(e.t, r, "d")
				if got := len(k.of("d")); got != c.want || st.Counts.Active() != c.active {
					e.t.Errorf("%d runs, %d active", got, st.Counts.Active())
				}
			})
		})
	}
}

func TestSchedule_edited(t *testing.T) {
	t.Run("pausing, resuming, changing and removing hold at once, and lose and repeat nothing", func(t *testing.T) {
		onBoth(t, func(e env) {
			k := newTicks()
			r := run(e.t, e.store, &k.reg, nil)
			def := k.define(e.t, r, "d", 0, jobs.Schedule{Every: time.Hour})
			want := func(n int) {
				e.t.Helper()
				synctest.Wait()
				if got := k.of("d"); len(got) != n {
					e.t.Fatalf("%d runs, want %d: %v", len(got), n, got)
				}
			}
			time.Sleep(2*time.Hour + time.Minute)
			want(2)
			def.Title = "renamed"
			save(e.t, r, *def)
			want(2)
			if err := r.Definitions().PauseSchedule(e.t.Context(), "d"); err != nil {
				e.t.Fatal(err)
			}
			time.Sleep(5 * time.Hour)
			want(2)
			if err := r.Definitions().ResumeSchedule(e.t.Context(), "d"); err != nil {
				e.t.Fatal(err)
			}
			want(2)
			time.Sleep(time.Hour)
			want(3)
			trigger(e.t, r, "d", nil) // now
			want(4)
			var err error
			if def, err = r.Definitions().Get(e.t.Context(), "d"); err != nil {
				e.t.Fatal(err)
			}
			def.Schedule = jobs.Schedule{Cron: "*/10 * * * *"}
			def = save(e.t, r, *def)
			time.Sleep(time.Hour)
			want(10)
			def.Inactive = true
			def = save(e.t, r, *def)
			time.Sleep(time.Hour)
			want(10)
			def.Inactive = false
			save(e.t, r, *def)
			time.Sleep(time.Hour)
			want(16)
			if err := r.Definitions().Delete(e.t.Context(), "d"); err != nil {
				e.t.Fatal(err)
			}
			time.Sleep(time.Hour)
			want(16)
			audit(e)
		})
	})
}

func TestSchedule_Problem(t *testing.T) {
	t.Run("a run that cannot be made is told, and the next one is made", func(t *testing.T) {
		onBoth(t, func(e env) {
			s := newStages()
			r := run(e.t, e.store, &s.reg, nil)
			s.site(e.t, r, "a")
			def, err := r.Definitions().Get(e.t.Context(), "process-a")
			if err != nil {
				e.t.Fatal(err)
			}
			def.Schedule = jobs.Schedule{Every: time.Hour}
			save(e.t, r, *def)
			time.Sleep(time.Hour + time.Minute)
			synctest.Wait()
			if st := statusOf(e.t, r, "process-a"); st.Counts.Total() != 0 || st.Schedule.Skipped != 1 || st.Schedule.Problem == "" {
				e.t.Errorf("without what it needs: %+v", st.Schedule)
			}
			if def, err = r.Definitions().Get(e.t.Context(), "process-a"); err != nil {
				e.t.Fatal(err)
			}
			def.Build = jobs.BuildAll
			save(e.t, r, *def)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if st := statusOf(e.t, r, "process-a"); st.Counts.Succeeded != 2 || st.Schedule.Problem != "" {
				e.t.Errorf("when that is built: %+v %+v", st.Counts, st.Schedule)
			}
			if st := statusOf(e.t, r, "crawl-a"); st.Counts.Succeeded != 2 {
				e.t.Errorf("what it needs: %+v", st.Counts)
			}
		})
	})
}
