package jobstest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/embedjobs/jobs"
)

var leanCases = []storeCase{
	{
		"arguments that were left out are kept",
		"A lean query may return jobs without their arguments, all or none of them. To save such a job does not change the arguments that are stored.",
		checkLean,
	},
}

func checkLean(ctx context.Context, s jobs.Store) error {
	small, large := newJob(), newJob()
	small.Args = []byte(`{"a":1}`)
	large.Args = append(append([]byte(`{"a":"`), bytes.Repeat([]byte("x"), 50_000)...), `"}`...)
	all := []*jobs.Job{small, large}
	if err := save(ctx, s, all...); err != nil {
		return err
	}
	return s.Update(ctx, func(tx jobs.Tx) error {
		for i, q := range []jobs.Query{
			{Order: jobs.InLine, Line: small.Line, Lean: true}, {Order: jobs.Oldest, Lean: true}, {Lean: true},
		} {
			var found []*jobs.Job
			for job, err := range tx.Jobs(q) {
				if err != nil {
					return err
				}
				found = append(found, job)
			}
			if len(found) != len(all) {
				return fmt.Errorf("query %d returned %d jobs, want %d", i, len(found), len(all))
			}
			for _, job := range found {
				want := all[0].Args
				if job.ID == all[1].ID {
					want = all[1].Args
				}
				if job.Args != nil && !bytes.Equal(job.Args, want) {
					return fmt.Errorf("a lean job has %d bytes of arguments, want none or all of %d", len(job.Args), len(want))
				}
				job.Attempt++
				if err := tx.Save(job); err != nil {
					return err
				}
				stored, err := tx.Job(job.ID)
				if err != nil {
					return err
				}
				if !bytes.Equal(stored.Args, want) || stored.Attempt != job.Attempt {
					return fmt.Errorf("after a lean job was saved, %d bytes of arguments are stored, want %d", len(stored.Args), len(want))
				}
			}
		}
		return nil
	})
}
