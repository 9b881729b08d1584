package kv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/embedjobs/jobs"
)

// A header is the part of a job that is written at each save, and all that the upkeep of indexes
// and tallies needs to know of the job before. It is decoded without allocating: its byte slices
// point into the stored value.
type header struct {
	state    byte // its number, see states
	flags    byte
	priority int
	attempt  int
	claims   int
	crashes  int
	session  uint64
	stamp    uint64
	version  uint64
	gen      int
	created  time.Time
	runAt    time.Time
	started  time.Time
	finished time.Time
	updated  time.Time
	leaf     []byte // group 0 batch 0 queue 0 task
	line     []byte
	body     []byte // empty if it is apart
}

// The flags of a header.
const (
	flagCancelling = 1 << iota
	flagPartial
	flagTail
	flagAwaited
	flagJoining
	flagBody   // the body is apart
	flagArgs   // the arguments are apart
	flagsKnown = flagCancelling | flagPartial | flagTail | flagAwaited | flagJoining | flagsApart
	flagsApart = flagBody | flagArgs
)

// states gives each state its number in stored bytes, which never changes.
var states = [...]jobs.State{
	1: jobs.Waiting, jobs.Scheduled, jobs.Queued, jobs.Running, jobs.Retrying,
	jobs.Succeeded, jobs.Failed, jobs.Cancelled, jobs.Skipped,
}

const numStates = len(states)

// stateIndex returns the number of a state, and 0 for an unknown one.
func stateIndex(s jobs.State) byte {
	for i := 1; i < numStates; i++ {
		if states[i] == s {
			return byte(i)
		}
	}
	return 0
}

// The least and greatest priority that an index can order.
const (
	minPriority = -127
	maxPriority = 127
)

// setAsked takes over what was asked for, as far as a header holds it. The leaf is appended to buf.
func (h *header) setAsked(job *jobs.Job, buf []byte) []byte {
	h.priority, h.gen, h.created = job.Priority, job.Generation, job.CreatedAt
	start := len(buf)
	buf = appendLeaf(buf, job.Group, job.Batch, job.Queue, job.Task)
	h.leaf = buf[start:]
	return buf
}

// setHappened takes over what has happened to the job, but for the tail and the line.
func (h *header) setHappened(job *jobs.Job) {
	h.state = stateIndex(job.State)
	h.flags &= flagsApart
	if job.Cancelling {
		h.flags |= flagCancelling
	}
	if job.Partial {
		h.flags |= flagPartial
	}
	if job.Awaited {
		h.flags |= flagAwaited
	}
	if job.Joining {
		h.flags |= flagJoining
	}
	h.attempt, h.claims, h.crashes, h.session = job.Attempt, job.Claims, job.Crashes, job.Session
	h.runAt, h.started, h.finished, h.updated = job.RunAt, job.StartedAt, job.FinishedAt, job.UpdatedAt
	h.stamp = job.Stamp
}

// appendTo appends the header as it is stored.
func (h *header) appendTo(b []byte) []byte {
	times := [...]time.Time{h.created, h.runAt, h.started, h.finished, h.updated}
	var set byte
	for i := range times {
		if !times[i].IsZero() {
			set |= 1 << i
		}
	}
	b = append(b, format, h.state, h.flags, set)
	b = binary.AppendUvarint(b, h.version)
	b = binary.AppendUvarint(b, h.stamp)
	b = binary.AppendUvarint(b, h.session)
	b = binary.AppendVarint(b, int64(h.gen))
	b = binary.AppendVarint(b, int64(h.priority))
	b = binary.AppendVarint(b, int64(h.attempt))
	b = binary.AppendVarint(b, int64(h.claims))
	b = binary.AppendVarint(b, int64(h.crashes))
	for i := range times {
		if set&(1<<i) != 0 {
			b = appendTime(b, times[i])
		}
	}
	b = appendString(b, h.leaf)
	b = appendString(b, h.line)
	return appendString(b, h.body)
}

// decode reads a stored header.
func (h *header) decode(data []byte) error {
	r := reader{b: data}
	if f := r.byte(); r.err == nil && f != format {
		return errFormat
	}
	h.state, h.flags = r.byte(), r.byte()
	set := r.byte()
	h.version = r.uvarint()
	h.stamp = r.uvarint()
	h.session = r.uvarint()
	h.gen = int(r.varint())
	h.priority = int(r.varint())
	h.attempt = int(r.varint())
	h.claims = int(r.varint())
	h.crashes = int(r.varint())
	for i, t := range [...]*time.Time{&h.created, &h.runAt, &h.started, &h.finished, &h.updated} {
		*t = time.Time{}
		if set&(1<<i) != 0 {
			*t = r.time()
		}
	}
	h.leaf = r.bytes()
	h.line = r.bytes()
	h.body = r.bytes()
	switch {
	case r.err != nil:
		return r.err
	case len(r.b) > 0:
		return errLong
	case h.state == 0 || int(h.state) >= numStates || h.flags&^flagsKnown != 0 || set >= 1<<5 ||
		(h.flags&flagBody != 0) != (len(h.body) == 0) ||
		bytes.Count(h.leaf, zero) != leafSeparators ||
		h.priority < minPriority || h.priority > maxPriority:
		return errValue
	}
	return nil
}

// fill sets the fields of job that a header holds. The tx keeps labels that many jobs share.
func (h *header) fill(job *jobs.Job, labels *jobs.Labels, line string) {
	job.Task, job.Queue, job.Group, job.Batch = labels.Task, labels.Queue, labels.Group, labels.Batch
	job.Priority, job.Generation, job.CreatedAt = h.priority, h.gen, h.created
	job.State = states[h.state]
	job.Attempt, job.Claims, job.Crashes, job.Session = h.attempt, h.claims, h.crashes, h.session
	job.RunAt, job.StartedAt, job.FinishedAt, job.UpdatedAt = h.runAt, h.started, h.finished, h.updated
	job.Cancelling = h.flags&flagCancelling != 0
	job.Partial = h.flags&flagPartial != 0
	job.Awaited = h.flags&flagAwaited != 0
	job.Joining = h.flags&flagJoining != 0
	job.Line, job.Stamp = line, h.stamp
	job.Version = h.version
}

// parts returns the buckets besides that of headers in which a job has a value.
func (h *header) parts() []Bucket {
	all := make([]Bucket, 0, 3)
	for _, p := range [...]struct {
		flag byte
		b    Bucket
	}{{flagBody, Body}, {flagArgs, Args}, {flagTail, Tail}} {
		if h.flags&p.flag != 0 {
			all = append(all, p.b)
		}
	}
	return all
}

// A leaf is the finest set of labels that jobs are counted by.

var zero = []byte{0}

const leafSeparators = 3

func appendLeaf(b []byte, group, batch, queue, task string) []byte {
	b = append(append(b, group...), 0)
	b = append(append(b, batch...), 0)
	b = append(append(b, queue...), 0)
	return append(b, task...)
}

func splitLeaf(leaf string) (l jobs.Labels) {
	l.Group, leaf, _ = strings.Cut(leaf, "\x00")
	l.Batch, leaf, _ = strings.Cut(leaf, "\x00")
	l.Queue, l.Task, _ = strings.Cut(leaf, "\x00")
	return l
}

// maxLabel is the greatest length of a label in bytes; it keeps every key far below the limits of
// any backend.
const maxLabel = 4000

func checkLabel(name, s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("%w %s: %q contains a zero byte", jobs.ErrInvalid, name, s)
	}
	if len(s) > maxLabel {
		return fmt.Errorf("%w %s: %d bytes are more than %d", jobs.ErrInvalid, name, len(s), maxLabel)
	}
	return nil
}

// checkAsked refuses what an index cannot hold.
func checkAsked(job *jobs.Job) error {
	if job.Priority < minPriority || job.Priority > maxPriority {
		return fmt.Errorf("%w priority: %d is not between %d and %d", jobs.ErrInvalid, job.Priority, minPriority, maxPriority)
	}
	for _, l := range [...]struct{ name, value string }{
		{"task", job.Task},
		{"queue", job.Queue},
		{"group", job.Group},
		{"batch", job.Batch},
		{"definition", job.Definition},
	} {
		if err := checkLabel(l.name, l.value); err != nil {
			return err
		}
	}
	for _, tag := range job.Tags {
		if err := checkLabel("tag", tag); err != nil {
			return err
		}
	}
	return nil
}
