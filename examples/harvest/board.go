package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/embedjobs/jobs"
)

// draw shows how far the newest job of each definition has come: as a tree in a terminal, elsewhere in
// one line.
func (h *harvest) draw(ctx context.Context, stage string) error {
	all, err := h.runner.Definitions().Status(ctx)
	if err != nil {
		return err
	}
	tree := &jobs.Report{Name: stage}
	var active []string
	for _, s := range all {
		bar := new(jobs.Report)
		if s.Newest != nil {
			bar = cmp.Or(s.Newest.Progress, bar)
			bar.Status = string(s.Newest.State)
			if c := s.Newest.Children; c != nil && c.Pending() > 0 {
				bar.Status = fmt.Sprintf("%d pages left", c.Pending())
			}
		}
		bar.Name, bar.Children, bar.Cut = s.Definition.ID, nil, 0
		tree.Children = append(tree.Children, bar)
		tree.Current, tree.Total = tree.Current+bar.Current, tree.Total+bar.Total
		if s.Counts.Active() > 0 && bar.Total > 0 {
			active = append(active, fmt.Sprintf("%s %d/%d", bar.Name, bar.Current, bar.Total))
		}
	}
	if h.out.Live() {
		h.out.Draw(tree.Format(h.out.Width()))
	} else if len(active) > 0 {
		h.out.Draw(stage + ": " + strings.Join(active, ", "))
	}
	return nil
}

// note tells of the job of a definition that has not ended well.
func (h *harvest) note(_ context.Context, job *jobs.Job) {
	if job.Definition != "" && (job.State == jobs.Failed || job.Partial) {
		how := "failed"
		if job.Partial {
			how = "succeeded in part"
		}
		h.out.Print(fmt.Sprintf("%s (job %d) has %s: %s", job.Definition, job.ID, how, job.Message))
	}
}

// show prints parts of what there is, and draws the graph into a file.
func (h *harvest) show(ctx context.Context, title string, parts ...func(context.Context) (string, error)) error {
	text := "\n" + title + "\n"
	for _, part := range parts {
		t, err := part(ctx)
		if err != nil {
			return err
		}
		text += "\n" + t
	}
	h.out.Print(text)
	h.out.Print("")
	if h.svg == "" {
		return nil
	}
	g, err := h.runner.Definitions().Graph(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(h.svg, g.SVG(nil), 0o600)
}

// graph says which definitions come after which.
func (h *harvest) graph(ctx context.Context) (string, error) {
	g, err := h.runner.Definitions().Graph(ctx)
	if err != nil {
		return "", err
	}
	return g.Text(), nil
}

// table says where the definitions stand.
func (h *harvest) table(ctx context.Context) (string, error) {
	all, err := h.runner.Definitions().Status(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "definition\tstatus\tactive\tlatest success\tnext run") // a Builder takes everything
	for _, s := range all {
		latest, next := "", ""
		if job := s.Last[jobs.Succeeded]; job != nil {
			latest = fmt.Sprintf("job %d, %s", job.ID, job.FinishedAt.Local().Format(time.TimeOnly))
		}
		if when := &s.Definition.Schedule; !when.IsZero() {
			next = when.String()
		}
		if at := s.Schedule.Next; !at.IsZero() {
			next += ", next at " + at.Local().Format(time.TimeOnly)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Definition.ID, s.Status, s.Counts.Active(), latest, next)
	}
	_ = w.Flush()
	return b.String(), nil
}

// words prints the latest report.
func (h *harvest) words(ctx context.Context) (string, error) {
	s, err := h.status(ctx, "report")
	if err != nil {
		return "", err
	}
	found, err := h.report.Result(s.Last[jobs.Succeeded])
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, site := range found {
		_, _ = fmt.Fprintf(&b, "%-8s %3d pages %5d words\n", site.Name, site.Pages, site.Words)
	}
	return b.String(), nil
}
