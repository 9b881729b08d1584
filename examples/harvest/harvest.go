package main

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/examples/internal/screen"
)

// A harvest has three tasks, and definitions of them that come after each other:
//
//	crawl-garden  →  process-garden  ⇢  report
//	crawl-meadow  →  process-meadow  ⇢
//	…
//
// A crawl yields pages. A process makes one child for each page of the crawl that it comes after. The
// report comes after the end of all processes, so that a site which is closed does not hold up the
// others.
type harvest struct {
	runner  *jobs.Runner
	crawl   *jobs.TaskOf[crawlArgs, []page]
	process *jobs.TaskOf[page, counted]
	report  *jobs.TaskOf[reportArgs, []site]

	web *web
	out *screen.Screen
	options
}

type crawlArgs struct {
	Site  string `json:"site"`
	Token string `json:"token"` // that the sites want to see
}

type page struct {
	Path string `json:"path"`
	HTML string `json:"html"`
}

type counted struct {
	Title string `json:"title"`
	Words int    `json:"words"`
}

type reportArgs struct {
	Sites map[string][]counted `json:"sites"` // by name, with what was counted on each page
}

// A site is a part of the report.
type site struct {
	Name  string `json:"name"`
	Pages int    `json:"pages"`
	Words int    `json:"words"`
}

func newHarvest(ctx context.Context, store jobs.Store, w *web, out *screen.Screen, o options) (*harvest, error) {
	h := &harvest{web: w, out: out, options: o}
	var reg jobs.Registry
	// A kill counts as an attempt, because a job might be what kills the process. Here it is
	// whoever tries this program.
	const attempts = 10_000
	h.crawl = jobs.RegisterSeq(&reg, jobs.Task{Name: "crawl", MaxAttempts: attempts}, h.runCrawl)
	h.process = jobs.Register(&reg, jobs.Task{Name: "process", Queue: "process", MaxAttempts: attempts}, runProcess)
	h.report = jobs.Register(&reg, jobs.Task{Name: "report", MaxAttempts: attempts}, runReport)
	var err error
	h.runner, err = jobs.NewRunner(store, &reg, &jobs.Options{
		Queues:     []jobs.Queue{{Name: "process", Workers: 2, Rate: 100}},
		Grace:      time.Second,
		Secret:     func(context.Context, string) (string, error) { return w.token, nil },
		Middleware: []jobs.Middleware{h.turn},
		OnEnd:      h.note,
	})
	if err != nil {
		return nil, err
	}
	_, err = h.runner.Definitions().Sync(ctx, jobs.CodeWins, h.definitions()...)
	return h, err
}

func (h *harvest) definitions() []jobs.Definition {
	report := jobs.Definition{ID: "report", Request: h.report.Request(reportArgs{map[string][]counted{}})}
	report.Schedule = jobs.Schedule{Every: h.every}
	report.Build = jobs.BuildAll // each time everything that it comes after, too

	var all []jobs.Definition
	for _, s := range sites {
		crawl := jobs.Definition{ID: "crawl-" + s.name, Request: h.crawl.Request(crawlArgs{Site: s.name})}
		crawl.Set("/token", jobs.Secret("token"))

		process := jobs.Definition{ID: "process-" + s.name, Request: h.process.Request(page{})}
		process.After = []jobs.Dependency{{Name: crawl.ID}}
		process.Each = jobs.ResultOf(crawl.ID, "")
		process.Set("", jobs.ItemAt("")) // the arguments are the page

		report.After = append(report.After, jobs.Dependency{Name: process.ID, Need: jobs.NeedEnd})
		report.Set("/sites/"+s.name, jobs.ResultOf(process.ID, ""))
		all = append(all, crawl, process)
	}
	return append(all, report)
}

var (
	links  = regexp.MustCompile(`href="([^"]*)"`)
	titles = regexp.MustCompile(`<title>(.*)</title>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
)

// runCrawl walks a site by its links.
func (h *harvest) runCrawl(ctx context.Context, args crawlArgs) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		found := []string{"/" + args.Site + "/0"}
		for i := 0; i < len(found); i++ {
			jobs.Progress(ctx).Child("yielded").SetTotal(int64(len(found)))
			html, err := h.web.get(ctx, found[i], args.Token)
			if !yield(page{Path: found[i], HTML: html}, err) {
				return
			}
			for _, link := range links.FindAllStringSubmatch(html, -1) {
				if !slices.Contains(found, link[1]) {
					found = append(found, link[1])
				}
			}
		}
	}
}

// runProcess counts the words of a page.
func runProcess(_ context.Context, p page) (counted, error) {
	title := titles.FindStringSubmatch(p.HTML)
	if title == nil {
		return counted{}, jobs.Fail(fmt.Errorf("%s has no title", p.Path)) // to try again would not mend it
	}
	words := strings.Fields(tags.ReplaceAllString(p.HTML, " "))
	return counted{title[1], len(words)}, nil
}

// runReport adds up what was counted on the pages of each site. A site that could not be processed has
// none.
func runReport(_ context.Context, args reportArgs) ([]site, error) {
	var all []site
	for _, name := range slices.Sorted(maps.Keys(args.Sites)) {
		s := site{Name: name, Pages: len(args.Sites[name])}
		for _, page := range args.Sites[name] {
			s.Words += page.Words
		}
		all = append(all, s)
	}
	return all, nil
}
