//go:build linux

package reliability_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/jobstest"
)

// A world is a host application: a database with data of its own, and jobs in it.
type world struct {
	db     *bbolt.DB
	store  *bolt.Store
	reg    jobs.Registry
	runner *jobs.Runner
	clock  func() int // how much has happened to the file; nil if nobody counts
	brief  bool       // tasks that would wait return

	mu    sync.Mutex
	facts []*fact
}

// A fact is something that was acknowledged. It holds in every image of the file that was taken
// after from steps and up to until.
type fact struct {
	subject     string
	from, until int
	text        string
	holds       func(ctx context.Context, w *world) error
}

var (
	ledger = []byte("ledger") // job ID → how often it was paid
	orders = []byte("orders") // number → nothing; there is a job for each
)

const forever = -1

var keepAll = jobs.Options{
	Workers: 3, Logger: slog.New(slog.DiscardHandler), KeepEvents: 100 * 365 * 24 * time.Hour,
	Keep:    map[jobs.State]time.Duration{jobs.Succeeded: forever, jobs.Failed: forever, jobs.Cancelled: forever},
	KeepLog: map[slog.Level]time.Duration{slog.LevelInfo: forever, slog.LevelWarn: forever, slog.LevelError: forever},
	Queues:  []jobs.Queue{{Name: "groups", Workers: 4, GroupLimit: 1}},
}

// newWorld returns the application over a database. clock may be nil.
func newWorld(db *bbolt.DB, clock func() int) (*world, error) {
	err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(ledger)
		_, err2 := tx.CreateBucketIfNotExists(orders)
		return errors.Join(err, err2)
	})
	if err != nil {
		return nil, err
	}
	w := &world{db: db, clock: clock}
	if w.store, err = bolt.New(db, nil); err != nil {
		return nil, err
	}
	w.register()
	opts := keepAll
	w.runner, err = jobs.NewRunner(w.store, &w.reg, &opts)
	return w, err
}

// register registers the tasks of the application, one for each way in which a job can end.
func (w *world) register() {
	handle := func(t jobs.Task, fn func(ctx context.Context, job *jobs.Job) error) {
		t.MaxAttempts = 5
		w.reg.Handle(t, func(ctx context.Context, _ json.RawMessage) (json.RawMessage, error) {
			job := jobs.Current(ctx)
			return json.RawMessage(job.ID.String()), fn(ctx, job)
		})
	}
	handle(jobs.Task{Name: "note"}, func(ctx context.Context, job *jobs.Job) error {
		jobs.Progress(ctx).Child("writing").Add(1)
		jobs.Logger(ctx).Info("one")
		jobs.Logger(ctx).Debug("two", "n", job.ID)
		jobs.Count(ctx, "notes", 1)
		n := 0
		if _, err := jobs.Restore(ctx, &n); err != nil {
			return err
		}
		n++
		if err := jobs.Checkpoint(ctx, n); err != nil {
			return err
		}
		w.ack(subject(job.ID), fmt.Sprintf("job %d has checkpoint %d", job.ID, n), func(ctx context.Context, w *world) error {
			stored, err := w.runner.Get(ctx, job.ID)
			if err != nil {
				return err
			}
			if got, _ := strconv.Atoi(string(stored.Checkpoint)); got < n {
				return fmt.Errorf("its checkpoint is %q", stored.Checkpoint)
			}
			return nil
		})
		jobs.Logger(ctx).Info("three")
		return nil
	})
	handle(jobs.Task{Name: "flaky"}, func(ctx context.Context, job *jobs.Job) error {
		jobs.Logger(ctx).Info("try")
		if job.Attempt == 1 {
			return errors.New("the first attempt fails")
		}
		return nil
	})
	handle(jobs.Task{Name: "pay", Sync: true}, func(ctx context.Context, job *jobs.Job) error {
		return w.db.Update(func(tx *bbolt.Tx) error {
			b, key := tx.Bucket(ledger), binary.BigEndian.AppendUint64(nil, uint64(job.ID))
			n := byte(0)
			if v := b.Get(key); v != nil {
				n = v[0]
			}
			return errors.Join(b.Put(key, []byte{n + 1}), jobs.Complete(ctx, w.store.Tx(tx), "paid"))
		})
	})
	handle(jobs.Task{Name: "chain"}, func(ctx context.Context, job *jobs.Job) error {
		jobs.Logger(ctx).Info("one")
		return jobs.Defer(ctx, jobs.Request{Task: "note", Meta: map[string]string{"after": job.ID.String()}})
	})
	handle(jobs.Task{Name: "slow"}, func(ctx context.Context, _ *jobs.Job) error {
		if w.brief {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	handle(jobs.Task{Name: "snooze"}, func(_ context.Context, job *jobs.Job) error {
		if job.Snoozes == 0 {
			return jobs.Snooze(time.Minute, "not yet")
		}
		return nil
	})
	w.registerFamilies()
	handle(jobs.Task{Name: "skip"}, func(context.Context, *jobs.Job) error { return jobs.Skip("nothing to do") })
}

func subject(id jobs.ID) string { return "job " + id.String() }

// ack notes what was acknowledged just now.
func (w *world) ack(subject, text string, holds func(context.Context, *world) error) {
	if w.clock == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = append(w.facts, &fact{subject, w.clock(), math.MaxInt, text, holds})
}

// begin notes that what is known of a subject may change from now on.
func (w *world) begin(subject string) {
	if w.clock == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.facts {
		if f.subject == subject && f.until == math.MaxInt {
			f.until = w.clock()
		}
	}
}

// ackJob notes that a job exists.
func (w *world) ackJob(job *jobs.Job) {
	w.ack(subject(job.ID), fmt.Sprintf("%v was enqueued", job), func(ctx context.Context, w *world) error {
		got, err := w.runner.Get(ctx, job.ID)
		if err == nil && (got.Task != job.Task || got.Group != job.Group || !got.CreatedAt.Equal(job.CreatedAt)) {
			return fmt.Errorf("there is %v instead", got)
		}
		return err
	})
}

// ackEnd notes that a job has ended.
func (w *world) ackEnd(job *jobs.Job) {
	w.ack(subject(job.ID), fmt.Sprintf("%v has ended", job), func(ctx context.Context, w *world) error {
		got, err := w.runner.Get(ctx, job.ID)
		if err != nil {
			return err
		}
		if got.State != job.State || !got.FinishedAt.Equal(job.FinishedAt) || string(got.Result) != string(job.Result) ||
			got.Logged != job.Logged || got.Claims != job.Claims {
			return fmt.Errorf("it is %s, ended %v, result %s, log %d, claims %d", got.State, got.FinishedAt, got.Result, got.Logged, got.Claims)
		}
		return nil
	})
}

// check checks everything that must be true at any time.
func (w *world) check(ctx context.Context) error {
	if err := jobstest.Check(ctx, w.store); err != nil {
		return err
	}
	all := make(map[jobs.ID]*jobs.Job)
	states := make(map[jobs.ID]jobs.State)
	var seq uint64
	var errs []error
	err := w.store.View(ctx, func(tx jobs.Tx) error {
		for job, err := range tx.Jobs(jobs.Query{}) {
			if err != nil {
				return err
			}
			all[job.ID] = job
		}
		for rec, err := range tx.Records("event", "", "") {
			if err != nil {
				return err
			}
			var e jobs.Event
			if err := json.Unmarshal(rec.Value, &e); err != nil {
				return err
			}
			if seq++; e.Seq != seq {
				errs = append(errs, fmt.Errorf("event %d is missing", seq))
				seq = e.Seq
			}
			if states[e.Job] != e.From {
				errs = append(errs, fmt.Errorf("event %d has job %d go on from %q, it was %q", e.Seq, e.Job, e.From, states[e.Job]))
			}
			states[e.Job] = e.State
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, job := range all {
		if states[id] != job.State {
			errs = append(errs, fmt.Errorf("the events say that %v is %q", job, states[id]))
		}
		delete(states, id)
	}
	for id, state := range states {
		if state != "" {
			errs = append(errs, fmt.Errorf("the events say that job %d is %s, and there is none", id, state))
		}
	}
	return errors.Join(append(errs, w.together(all), w.logs(ctx, all), w.families(ctx, all))...)
}

// together checks that what was written in one transaction is there together.
func (w *world) together(all map[jobs.ID]*jobs.Job) error {
	var errs []error
	pairs, after, ordered := make(map[string]int), make(map[string]int), make(map[string]bool)
	holders := make(map[string]*jobs.Job)
	for _, job := range all {
		if p := job.Meta["pair"]; p != "" {
			pairs[p]++
		}
		if p := job.Meta["after"]; p != "" {
			after[p]++
		}
		if o := job.Meta["order"]; o != "" {
			ordered[o] = true
		}
		if job.Meta["never"] != "" {
			errs = append(errs, fmt.Errorf("%v is of a transaction that was rolled back", job))
		}
		if job.Unique != "" && !job.State.Final() {
			if other := holders[job.Unique]; other != nil {
				errs = append(errs, fmt.Errorf("%v and %v have the same unique key", job, other))
			}
			holders[job.Unique] = job
		}
	}
	for p, n := range pairs {
		if n != 2 {
			errs = append(errs, fmt.Errorf("of pair %s there are %d jobs", p, n))
		}
	}
	err := w.db.View(func(tx *bbolt.Tx) error {
		for id, job := range all {
			switch job.Task {
			case "chain":
				if n := after[id.String()]; (n == 1) != (job.State == jobs.Succeeded) || n > 1 {
					errs = append(errs, fmt.Errorf("%v has %d jobs after it", job, n))
				}
			case "pay":
				v := tx.Bucket(ledger).Get(binary.BigEndian.AppendUint64(nil, uint64(id)))
				if (v != nil) != (job.State == jobs.Succeeded) || v != nil && v[0] != 1 {
					errs = append(errs, fmt.Errorf("%v was paid %v times", job, v))
				}
			}
		}
		return tx.Bucket(orders).ForEach(func(key, _ []byte) error {
			if !ordered[string(key)] {
				errs = append(errs, fmt.Errorf("order %s has no job", key))
			}
			delete(ordered, string(key))
			return nil
		})
	})
	for o := range ordered {
		errs = append(errs, fmt.Errorf("the job of order %s is there without it", o))
	}
	return errors.Join(append(errs, err)...)
}

// logs checks that the logs of jobs that have succeeded are whole.
func (w *world) logs(ctx context.Context, all map[jobs.ID]*jobs.Job) error {
	var errs []error
	want := map[string]int{"note": 2, "chain": 1, "flaky": 1}
	for id, job := range all {
		n := want[job.Task]
		if job.State != jobs.Succeeded || n == 0 {
			continue
		}
		attempts := make(map[int]bool)
		for e, err := range w.runner.Log(ctx, id, jobs.LogQuery{Level: slog.LevelInfo}) {
			if err != nil {
				errs = append(errs, fmt.Errorf("the log of %v: %w", job, err))
				break
			}
			attempts[e.Attempt] = true
			if e.Attempt == job.Attempt {
				n--
			}
		}
		for _, e := range job.Errors {
			if e.Kind == jobs.ErrorReturned && !attempts[e.Attempt] {
				errs = append(errs, fmt.Errorf("%v has lost the log of attempt %d", job, e.Attempt))
			}
		}
		if n > 0 || job.Result == nil || job.Task == "note" && job.Counters["notes"] == 0 {
			errs = append(errs, fmt.Errorf("%v is not whole: %d records are missing, its result is %s, its counters %v", job, n, job.Result, job.Counters))
		}
	}
	return errors.Join(errs...)
}

// finish runs everything to its end, and checks that it came to a good one.
func (w *world) finish(ctx context.Context) error {
	w.brief = true
	ctx, stop := context.WithTimeout(ctx, 10*365*24*time.Hour)
	defer stop()
	running, halt := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.runner.Run(running) }()
	err := w.drain(ctx)
	halt()
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	err = w.store.View(ctx, func(tx jobs.Tx) error {
		var errs []error
		for job, err := range tx.Jobs(jobs.Query{}) {
			if err != nil {
				return err
			}
			if !job.State.Final() || job.State == jobs.Failed {
				errs = append(errs, fmt.Errorf("%v came to no good end: %s", job, job.Message))
			}
		}
		return errors.Join(errs...)
	})
	return errors.Join(err, w.check(ctx))
}

// drain resumes all queues and waits until every job has ended.
func (w *world) drain(ctx context.Context) error {
	queues, err := w.runner.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if q.Paused {
			if err := w.runner.Resume(ctx, q.Name); err != nil {
				return err
			}
		}
	}
	var states []jobs.State
	for _, s := range jobs.States() {
		if !s.Final() {
			states = append(states, s)
		}
	}
	for {
		page, err := w.runner.List(ctx, jobs.Query{States: states, Limit: 1}, "")
		if err != nil || len(page.Jobs) == 0 {
			return err
		}
		if _, err := w.runner.Wait(ctx, page.Jobs[0].ID); err != nil {
			return fmt.Errorf("%v of queue %q, line %q, group %q, does not end: %w",
				page.Jobs[0], page.Jobs[0].Queue, page.Jobs[0].Line, page.Jobs[0].Group, err)
		}
	}
}
