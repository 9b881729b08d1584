package jobs

import (
	"context"
	"fmt"
	"time"
)

// recover queues the jobs that were running when an earlier process died, and returns the queues
// that have jobs in line.
func (r *Runner) recover(ctx context.Context) (queues []string, err error) {
	err = r.update(ctx, func(tx Tx) error {
		queues = queues[:0]
		if err := r.openSession(tx); err != nil {
			return err
		}
		var orphans []*Job
		for job, err := range tx.Jobs(Query{States: []State{Running}, Order: Oldest, Lean: true}) {
			if err != nil {
				return err
			}
			if r.isOrphan(job) {
				orphans = append(orphans, job)
			}
		}
		fresh := 0
		for _, job := range orphans {
			if job.Crashes < suspects {
				fresh++
			}
		}
		for _, job := range orphans {
			blamed := len(orphans) == 1 || job.Crashes >= suspects && fresh == 0
			if err := r.recoverOne(tx, job, blamed, time.Now()); err != nil {
				return err
			}
		}
		for tally, err := range tx.Tallies(ByQueue, Labels{}) {
			if err != nil {
				return err
			}
			queues = append(queues, tally.Queue)
		}
		return nil
	})
	return queues, err
}

// openSession finds the session of this process, by which orphans are told. A store that does not
// count sessions is taken to have one runner at a time, each Run of which is a session.
func (r *Runner) openSession(tx Tx) error {
	if e, ok := r.store.(Exclusive); ok {
		r.session = e.Session()
		return nil
	}
	data, err := tx.Record(spaceMeta, "session")
	if err != nil {
		return err
	}
	r.session = toNumber(data) + 1
	return tx.SetRecord(spaceMeta, "session", fromNumber(r.session))
}

func (r *Runner) isOrphan(job *Job) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return job.Session != r.session && r.running[job.ID] == nil
}

// recoverOne queues an orphan again. It is to blame for the crash if it ran alone, or if it is a
// suspect and nothing ran beside it that may be one tomorrow; only then the crash can use up its last
// attempt. Where there is always something new beside it, it will have to run alone.
func (r *Runner) recoverOne(tx Tx, job *Job, blamed bool, now time.Time) error {
	if job.Cancelling {
		job.Message = "cancelled; the process died before the handler had returned"
		return r.move(tx, job, Cancelled, now)
	}
	job.Crashes++
	job.fault(ErrorCrash, fmt.Sprintf("the process died while attempt %d ran", job.Attempt), "", now)
	if blamed && job.Attempt >= job.MaxAttempts {
		return r.move(tx, job, Failed, now)
	}
	if job.Crashes >= solitary {
		if err := tx.SetRecord(spaceTrial, string(fromID(job.ID)), []byte{}); err != nil {
			return err
		}
	}
	return r.move(tx, job, Queued, now)
}
