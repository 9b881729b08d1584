package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/embedjobs/jobs"
)

var keepEvents = &jobs.Options{KeepEvents: 7 * day}

// readEvents returns the events after a number that there are now.
func readEvents(t *testing.T, r *jobs.Runner, after uint64) (all []jobs.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Minute, cancel)
	for e, err := range r.Events(ctx, after) {
		if errors.Is(err, context.Canceled) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func TestRunner_Events(t *testing.T) {
	onBothNamed(t, "every change of state is there, in order and without gaps", func(e env) {
		t, store := e.t, e.store
		reg := registry("task", func(ctx context.Context) error {
			if jobs.Current(ctx).Attempt == 1 {
				return errBroken
			}
			return nil
		})
		r := run(t, store, reg, keepEvents)
		job := end(t, r, enqueue(t, r, jobs.Request{Task: "task", Group: "g", RunAt: time.Now().Add(time.Hour)}).ID)
		if err := r.Delete(t.Context(), job.ID); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, e := range readEvents(t, r, 0) {
			if e.Seq != uint64(i+1) || e.Job != 1 || e.Task != "task" || e.Queue != "default" || e.Group != "g" {
				t.Errorf("event %d is %+v", i, e)
			}
			got = append(got, fmt.Sprintf("%s>%s", e.From, e.State))
		}
		want := []string{
			">scheduled", "scheduled>queued", "queued>running", "running>retrying", "retrying>queued", "queued>running",
			"running>succeeded", "succeeded>",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

func TestRunner_Events_Restart(t *testing.T) {
	t.Run("a reader that comes back misses none, across restarts", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "jobs.db")
			last := uint64(0)
			n := 0
			for range 4 {
				store := openBolt(t, path)
				r := newRunner(t, store, registry("task", nothing), keepEvents)
				stop := start(t, r)
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						for range 25 {
							if _, err := r.Enqueue(t.Context(), jobs.Request{Task: "task"}); err != nil {
								t.Error(err)
							}
						}
					})
				}
				for e, err := range r.Events(t.Context(), last) {
					if err != nil {
						t.Fatal(err)
					}
					if e.Seq != last+1 {
						t.Fatalf("event %d follows %d", e.Seq, last)
					}
					last = e.Seq
					if n++; n%400 == 0 {
						break
					}
				}
				wg.Wait()
				synctest.Wait()
				if err := errors.Join(stop(), store.Close()); err != nil {
					t.Fatal(err)
				}
			}
			r := newRunner(t, openBolt(t, path), registry("task", nothing), keepEvents)
			if n += len(readEvents(t, r, last)); n != 4*200*3 {
				t.Errorf("%d events, want %d", n, 4*200*3)
			}
		})
	})
}

func TestRunner_Events_Kept(t *testing.T) {
	onBothNamed(t, "old ones are removed, and numbers go on", func(e env) {
		t, store := e.t, e.store
		r := run(t, store, registry("task", nothing), keepEvents)
		for range 300 {
			enqueue(t, r, jobs.Request{Task: "task"})
		}
		time.Sleep(9 * day)
		if all := readEvents(t, r, 0); len(all) != 0 {
			t.Errorf("%d events are left", len(all))
		}
		end(t, r, enqueue(t, r, jobs.Request{Task: "task"}).ID)
		if all := readEvents(t, r, 0); len(all) != 3 || all[0].Seq != 901 {
			t.Errorf("events are %+v", all)
		}
	})

	t.Run("without KeepEvents they are refused", func(t *testing.T) {
		onMemory(t, func(e env) {
			t, store := e.t, e.store
			for _, err := range newRunner(t, store, registry("task", nothing), nil).Events(t.Context(), 0) {
				wantError(t, err, jobs.ErrInvalid)
			}
		})
	})
}
