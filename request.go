package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what a request may ask for.
const (
	maxPriority = 100
	maxAttempts = 10_000
	maxTags     = 32
	maxMeta     = 64
	maxDuration = 100 * 365 * 24 * time.Hour
)

var maxTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC) // times are stored as int64 nanoseconds

// check refuses a request whose fields are out of bounds. Task and arguments are checked against
// the registry, by prepare.
func (req *Request) check(now time.Time) error {
	if req.err != nil {
		return invalidf("arguments", "%w", req.err)
	}
	if err := checkName("Queue", req.Queue, 100); err != nil {
		return err
	}
	for _, f := range []struct{ field, value string }{
		{"Title", req.Title}, {"Group", req.Group}, {"Batch", req.Batch}, {"Actor", req.Actor}, {"Unique.Key", req.Unique.Key},
	} {
		if f.value != "" {
			if err := checkName(f.field, f.value, 200); err != nil {
				return err
			}
		}
	}
	if len(req.Tags) > maxTags {
		return invalidf("Tags", "%d tags, at most %d are allowed", len(req.Tags), maxTags)
	}
	for _, tag := range req.Tags {
		if err := checkName("Tags", tag, 200); err != nil {
			return err
		}
	}
	if err := req.checkMeta(); err != nil {
		return err
	}
	if req.Priority < -maxPriority || req.Priority > maxPriority {
		return invalidf("Priority", "%d is not between -%d and %d", req.Priority, maxPriority, maxPriority)
	}
	if req.MaxAttempts < 0 || req.MaxAttempts > maxAttempts {
		return invalidf("MaxAttempts", "%d is not between 1 and %d", req.MaxAttempts, maxAttempts)
	}
	if err := checkDuration("Timeout", req.Timeout); err != nil {
		return err
	}
	if err := req.ChildPolicy.check("ChildPolicy"); err != nil {
		return err
	}
	if req.RunAt.After(maxTime) {
		return invalidf("RunAt", "%s is after the year 2199", req.RunAt)
	}
	if !req.Deadline.IsZero() && (req.Deadline.After(maxTime) || req.Deadline.Before(now)) {
		return invalidf("Deadline", "%s is in the past or after the year 2199", req.Deadline)
	}
	if !req.Deadline.IsZero() && req.RunAt.After(req.Deadline) {
		return invalidf("RunAt", "%s is after the deadline %s", req.RunAt, req.Deadline)
	}
	return req.Unique.check()
}

func (req *Request) checkMeta() error {
	if len(req.Meta) > maxMeta {
		return invalidf("Meta", "%d entries, at most %d are allowed", len(req.Meta), maxMeta)
	}
	for key, value := range req.Meta {
		if err := checkName("Meta", key, 200); err != nil {
			return err
		}
		if len(value) > 4096 {
			return invalidf("Meta", "the value of %q has %d bytes, at most 4096 are allowed", key, len(value))
		}
	}
	return nil
}

func checkDuration(field string, d time.Duration) error {
	if d < 0 || d > maxDuration {
		return invalidf(field, "%s is not between 0 and 100 years", d)
	}
	return nil
}

// checkName refuses what cannot be part of a key or be shown on one line.
func checkName(field, name string, limit int) error {
	switch {
	case name == "":
		return invalidf(field, "is empty")
	case len(name) > limit:
		return invalidf(field, "%q… has %d bytes, at most %d are allowed", shorten(name, 20), len(name), limit)
	case !utf8.ValidString(name):
		return invalidf(field, "%q is not valid UTF-8", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return invalidf(field, "%q contains a control character", name)
	}
	return nil
}

// shorten cuts s to at most n bytes, at the beginning of a character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Request returns what was asked for, to ask for it again or as the starting point of Edit.
func (j *Job) Request() Request {
	c := j.Clone()
	return Request{
		Task: c.Task, Args: c.Args, Title: c.Title, Queue: c.Queue, Priority: c.Priority, RunAt: c.RunAt,
		Group: c.Group, Batch: c.Batch, Tags: c.Tags, Meta: c.Meta, Actor: c.Actor,
		MaxAttempts: c.MaxAttempts, Timeout: c.Timeout, Deadline: c.Deadline,
		After: c.After, Each: c.Each, ChildPolicy: c.ChildPolicy,
	}
}

// A prepared request is valid and needs no more than a transaction to become a job.
type prepared struct {
	job    Job
	unique Unique
	name   string // what other requests of the same call know it by
	links  []int  // for each of job.After the place of the request that it is, -1 for a job that exists
	place  int    // in the call
}

// A lastFunc finds the job that succeeded last of a definition, if it is not "", or else of a task.
type lastFunc func(task, definition string) (*Job, error)

// prepare checks requests and turns them into jobs, in the memory of all if that is enough. It runs
// outside of transactions; last finds the job of a task that succeeded last, by a transaction of its
// own if it is nil.
func (r *Runner) prepare(ctx context.Context, all []prepared, reqs []Request, last lastFunc) ([]prepared, error) {
	now := time.Now()
	all = slices.Grow(all[:0], len(reqs))[:len(reqs)]
	for i := range reqs {
		if err := r.prepareOne(ctx, &reqs[i], &all[i], i, now, last); err != nil {
			if reqs[i].Name != "" {
				err = fmt.Errorf("request %s (%s): %w", reqs[i].Name, reqs[i].Task, err)
			} else if len(reqs) > 1 {
				err = fmt.Errorf("request %d (%s): %w", i, reqs[i].Task, err)
			}
			return nil, err
		}
	}
	return link(all)
}

func (r *Runner) prepareOne(ctx context.Context, req *Request, p *prepared, place int, now time.Time, last lastFunc) error {
	t := r.registry.lookup(req.Task)
	if t == nil {
		return invalidf("task", "%q is not registered; %s", shorten(req.Task, 100), r.registry.known())
	}
	p.job = Job{
		Task: t.Name, Title: req.Title, Queue: req.Queue, Priority: req.Priority, RunAt: req.RunAt,
		Group: req.Group, Batch: req.Batch, Tags: slices.Clone(req.Tags), Meta: cloneMap(req.Meta),
		Actor: req.Actor, MaxAttempts: req.MaxAttempts, Timeout: req.Timeout, Deadline: req.Deadline,
		After: slices.Clone(req.After), Each: req.Each, ChildPolicy: req.ChildPolicy,
		Definition: req.definition,
	}
	p.name, p.place = req.Name, place
	j := &p.job
	if j.ChildPolicy == "" {
		j.ChildPolicy = t.ChildPolicy
	}
	if j.Queue == "" {
		j.Queue = t.Queue
	}
	if err := r.checkWorkers(t, j.Queue); err != nil {
		return err
	}
	if j.Priority == 0 {
		j.Priority = t.Priority
	}
	if j.MaxAttempts == 0 {
		j.MaxAttempts = t.MaxAttempts
	}
	if j.Timeout == 0 {
		j.Timeout = t.Timeout
	}
	if j.Actor == "" {
		j.Actor = actor(ctx)
	}
	checked := *req
	checked.Queue, checked.Actor = j.Queue, j.Actor
	if err := checked.check(now); err != nil {
		return err
	}
	if err := checkAfter(j.After); err != nil {
		return err
	}
	if err := r.acceptArgs(ctx, t, j, req.Args, last); err != nil {
		return err
	}
	if err := j.checkRefs(); err != nil {
		return err
	}
	p.unique = req.Unique
	if p.unique.isZero() {
		p.unique = t.Unique
	}
	var err error
	j.Unique, err = p.unique.key(j)
	return err
}

// checkWorkers refuses a queue whose workers cannot run the task, because this program only declares it.
func (r *Runner) checkWorkers(t *task, queue string) error {
	if t.handle != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[queue]
	if r.configured(queue).Workers < 0 || q != nil && q.Workers < 0 {
		return nil
	}
	return invalidf("Queue", "task %s is declared only, and this program works on queue %s, so it cannot run there; set the queue's Workers to -1 in Options.Queues", t.Name, queue)
}

// acceptArgs sets the job's arguments to args with all defaults, if they fit the task's schema.
func (r *Runner) acceptArgs(ctx context.Context, t *task, j *Job, args json.RawMessage, last lastFunc) error {
	if len(args) > r.opts.MaxArgs {
		return invalidf("arguments", "%d bytes, at most %d are allowed (Options.MaxArgs)", len(args), r.opts.MaxArgs)
	}
	accept := t.Schema.Accept
	if hasRefs(args) {
		accept = func(args json.RawMessage) (json.RawMessage, error) { return t.Schema.AcceptOpen(args, isRef) }
	}
	args, err := accept(args)
	if err != nil {
		return err
	}
	if t.defaults != nil {
		if last == nil {
			last = r.lastOf(ctx)
		}
		job, err := last(t.Name, j.Definition)
		if err != nil {
			return err
		}
		if args, err = t.complete(args, job); err != nil {
			return err
		}
		if args, err = accept(args); err != nil {
			return err
		}
	}
	j.Args, j.ArgsVersion, j.ArgsSchema = args, t.Version, t.Schema.Fingerprint()
	return nil
}

// insert stores a prepared request as a job, or returns the one that stands for it. Before are the jobs
// of the requests of the same call that come before it.
func (r *Runner) insert(tx Tx, p *prepared, before []*Job, claims []claim, now time.Time) (*Job, error) {
	job := p.job // the transaction may run again
	job.After = slices.Clone(job.After)
	job.CreatedAt = now
	if job.Unique != "" {
		standing, err := p.unique.standing(tx, job.Unique, now)
		if err != nil || standing != nil {
			return standing, err
		}
	}
	state := job.ready(now)
	if state == Queued {
		job.RunAt = now
	}
	var blocker *Job
	if len(job.After) > 0 {
		var err error
		blocker, err = r.countPending(tx, &job, func(i int) (*Job, error) {
			if other := p.links[i]; other >= 0 {
				return before[other], nil
			}
			return tx.Job(job.After[i].Job)
		})
		if err != nil {
			return nil, err
		}
		if blocker != nil || job.Pending > 0 {
			state = Waiting
		}
	}
	var err error
	if c := r.directly(claims, &job, now); c != nil && state == Queued {
		err = r.start(tx, c, &job, now)
	} else {
		err = r.move(tx, &job, state, now)
	}
	if err != nil {
		return nil, err
	}
	if blocker != nil {
		job.block(blocker)
		if err := r.move(tx, &job, Skipped, now); err != nil {
			return nil, err
		}
	}
	if job.Unique != "" {
		return &job, tx.SetRecord(spaceUnique, job.Unique, fromID(job.ID))
	}
	return &job, nil
}

func (u *Unique) isZero() bool {
	return u.Key == "" && !u.Args && len(u.Fields) == 0
}

func (u *Unique) check() error {
	set := 0
	for _, is := range []bool{u.Key != "", u.Args, len(u.Fields) > 0} {
		if is {
			set++
		}
	}
	if set > 1 {
		return invalidf("Unique", "only one of Key, Args and Fields may be set")
	}
	if set == 0 && (u.Period != 0 || len(u.States) > 0) {
		return invalidf("Unique", "Period and States need one of Key, Args and Fields")
	}
	for _, s := range u.States {
		if !s.Valid() {
			return invalidf("Unique.States", "%q is no state", s)
		}
	}
	return checkDuration("Unique.Period", u.Period)
}

// key returns the unique key of a job, "" if it needs none. Keys made from arguments are hashed,
// so that they are short and tell no secret.
func (u *Unique) key(j *Job) (string, error) {
	if u.isZero() || u.Key != "" {
		return u.Key, nil
	}
	var args map[string]json.RawMessage
	if err := json.Unmarshal(j.Args, &args); err != nil {
		return "", invalidf("Unique", "the arguments of task %s are no object: %w", j.Task, err)
	}
	if !u.Args {
		chosen := make(map[string]json.RawMessage, len(u.Fields))
		for _, field := range u.Fields {
			if value, ok := args[field]; ok {
				chosen[field] = value
			}
		}
		args = chosen
	}
	text, err := canonical(args)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return j.Task + ":" + hex.EncodeToString(sum[:16]), nil
}

// canonical encodes a value with sorted keys and without white space.
func canonical(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var plain any
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&plain); err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

// standing returns the job that holds the key, marked as Duplicate, or nil.
func (u *Unique) standing(tx Tx, key string, now time.Time) (*Job, error) {
	id, err := recordID(tx, spaceUnique, key)
	if err != nil || id == 0 {
		return nil, err
	}
	job, err := tx.Job(id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil || !u.holds(job, now) {
		return nil, err
	}
	job.Duplicate = true
	return job, nil
}

func (u *Unique) holds(job *Job, now time.Time) bool {
	if u.Period > 0 && now.Sub(job.CreatedAt) >= u.Period {
		return false
	}
	if len(u.States) > 0 {
		return slices.Contains(u.States, job.State)
	}
	if u.Period > 0 {
		return job.State != Failed && job.State != Cancelled
	}
	return !job.State.Final()
}
