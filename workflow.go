package jobs

// A Workflow builds the requests of jobs that come after each other, for one call of Enqueue:
//
//	var w jobs.Workflow
//	crawl := w.Add("crawl", crawlTask.Request(CrawlArgs{Site: site}))
//	process := w.Add("process", processTask.Request(ProcessArgs{})).After(crawl)
//	process.Set("/pages", crawl.Result("/pages"))
//	made, err := runner.Enqueue(ctx, w.Requests()...)
//
// The zero Workflow is empty and ready to use. Mistakes are reported by Enqueue.
type Workflow struct{ steps []*Step }

// A Step is a request of a [Workflow]. Its Request can be changed until Requests is called.
type Step struct{ Request *Request }

// Add adds a request, by whose name others refer to it.
func (w *Workflow) Add(name string, req Request) *Step {
	req.Name = name
	s := &Step{&req}
	w.steps = append(w.steps, s)
	return s
}

// After has the step come after the success of others, and returns it.
func (s *Step) After(others ...*Step) *Step { return s.Need(NeedSuccess, others...) }

// Need has the step come after the end of others, which need to end so, and returns it.
func (s *Step) Need(need Need, others ...*Step) *Step {
	for _, other := range others {
		s.Request.After = append(s.Request.After, Dependency{Name: other.Request.Name, Need: need})
	}
	return s
}

// Each makes the step one for each item of a list in a result of a step that it comes after, see
// Request.Each, and returns it.
func (s *Step) Each(list Ref) *Step {
	s.Request.Each = list
	return s
}

// Set puts a value or a [Ref] into the arguments, see [Request.Set], and returns the step.
func (s *Step) Set(pointer string, value any) *Step {
	s.Request.Set(pointer, value)
	return s
}

// Result stands for a part of the step's result in the arguments of steps that come after it.
func (s *Step) Result(pointer string) Ref { return ResultOf(s.Request.Name, pointer) }

// Requests returns the requests in the order in which they were added, in which Enqueue also returns
// the jobs.
func (w *Workflow) Requests() []Request {
	all := make([]Request, len(w.steps))
	for i, s := range w.steps {
		all[i] = *s.Request
	}
	return all
}
