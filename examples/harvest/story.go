package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

const drawEvery = 100 * time.Millisecond

// story has the schedule make its rounds, and then does what people do by hand: it crawls a site, sees
// what is outdated by that, and has it built. How far the story has come is only in the store, in the
// numbers of jobs of each definition, so that another process can go on with it.
func (h *harvest) story(ctx context.Context) error {
	report, err := h.status(ctx, "report")
	if err != nil {
		return err
	}
	round := report.Counts.Succeeded
	h.web.edition.Store(round)
	if round < h.rounds {
		if err := h.runner.Definitions().ResumeSchedule(ctx, "report"); err != nil {
			return err
		}
	}
	for round++; round <= h.rounds; round++ {
		stage := fmt.Sprintf("round %d of %d", round, h.rounds)
		over := func(report *jobs.DefinitionStatus) bool { return report.Counts.Succeeded >= round }
		if err := h.until(ctx, stage, "report", over); err != nil {
			return err
		}
		if err := h.show(ctx, "After "+stage+":", h.table); err != nil {
			return err
		}
	}

	made, err := h.byHand(ctx, "crawl-garden", nil)
	if err == nil && made {
		err = h.show(ctx, "That outdates what comes after it:", h.graph)
	}
	if err == nil {
		_, err = h.byHand(ctx, "report", &jobs.Trigger{Build: jobs.BuildOutdated})
	}
	if err == nil {
		err = h.show(ctx, "In the end:", h.graph, h.words)
	}
	if err == nil {
		h.out.Draw("That was all; -fresh starts over.") // in place of the bars
	}
	return err
}

// turn is called around each attempt. While the schedule's report is made, the sites bring out their
// next edition. The last one pauses the schedule, and no other can have begun meanwhile.
func (h *harvest) turn(ctx context.Context, job *jobs.Job, next func(context.Context) error) error {
	err := next(ctx)
	if err != nil || job.Definition != "report" || job.Due.IsZero() {
		return err
	}
	report, err := h.status(ctx, "report")
	if err != nil {
		return err
	}
	round := report.Counts.Succeeded + 1
	h.web.edition.Store(round)
	if round < h.rounds {
		return nil
	}
	return h.runner.Definitions().PauseSchedule(ctx, "report")
}

// byHand makes a job of a definition, unless that was done by an earlier process, and waits for its end.
func (h *harvest) byHand(ctx context.Context, id string, t *jobs.Trigger) (made bool, err error) {
	s, err := h.status(ctx, id)
	if err != nil {
		return false, err
	}
	if s.Counts.Total() == h.rounds {
		all, err := h.runner.Definitions().Trigger(jobs.WithActor(ctx, "by hand"), id, t)
		if err != nil {
			return false, err
		}
		var ids []string
		for _, job := range all {
			ids = append(ids, job.Definition)
		}
		h.out.Print("Made by hand: " + strings.Join(ids, ", "))
		made = true
	}
	over := func(s *jobs.DefinitionStatus) bool { return s.Counts.Active() == 0 }
	return made, h.until(ctx, "by hand", id, over)
}

// status returns where a definition stands.
func (h *harvest) status(ctx context.Context, id string) (*jobs.DefinitionStatus, error) {
	all, err := h.runner.Definitions().Status(ctx, id)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// until draws what happens until a stage of the story is over.
func (h *harvest) until(ctx context.Context, stage, id string, over func(*jobs.DefinitionStatus) bool) error {
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for {
		if err := h.draw(ctx, stage); err != nil {
			return err
		}
		if s, err := h.status(ctx, id); err != nil || over(s) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
