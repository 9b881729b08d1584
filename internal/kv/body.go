package kv

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/embedjobs/jobs"
)

// The fields of a body: what was asked for, but for what the header holds.
const (
	bodyTitle = 1 + iota
	bodyArgs
	bodyArgsVersion
	bodyArgsSchema
	bodyTag  // one for each
	bodyMeta // one for each
	bodyActor
	bodyUnique
	bodyParent
	bodyDefinition
	bodyMaxAttempts
	bodyTimeout
	bodyDeadline
	bodyAfter // one for each
	bodyEach
	bodyParentClaim
	bodyChildPolicy
	bodyDue
)

// maxInline is the size up to which a body is kept in the value of the header. That saves a key when
// a job is inserted and a lookup when it is read. Of a larger one the arguments are apart, and if the
// rest is still larger, that is too, because what is in the value of the header is written again at
// each save.
const maxInline = 512

// appendBody appends the body of job as it is stored, with the arguments if they are not apart.
func appendBody(b []byte, job *jobs.Job, apart bool) []byte {
	b = append(b, format)
	b = appendBytesField(b, bodyTitle, job.Title)
	if !apart {
		b = appendBytesField(b, bodyArgs, job.Args)
	}
	b = appendIntField(b, bodyArgsVersion, int64(job.ArgsVersion))
	b = appendUintField(b, bodyArgsSchema, job.ArgsSchema)
	for _, tag := range job.Tags {
		// Not appendBytesField, because an empty tag is a tag.
		b = appendString(append(b, bodyTag), tag)
	}
	for _, key := range sortedKeys(job.Meta) {
		value := job.Meta[key]
		b = append(b, bodyMeta)
		b = appendUvarint(b, uvarintSize(len(key))+len(key)+uvarintSize(len(value))+len(value))
		b = appendString(appendString(b, key), value)
	}
	b = appendBytesField(b, bodyActor, job.Actor)
	b = appendBytesField(b, bodyUnique, job.Unique)
	b = appendUintField(b, bodyParent, uint64(job.Parent))
	b = appendBytesField(b, bodyDefinition, job.Definition)
	b = appendIntField(b, bodyMaxAttempts, int64(job.MaxAttempts))
	b = appendIntField(b, bodyTimeout, int64(job.Timeout))
	b = appendTimeField(b, bodyDeadline, job.Deadline)
	for i := range job.After {
		b = appendDependency(append(b, bodyAfter), &job.After[i])
	}
	b = appendBytesField(b, bodyEach, job.Each)
	b = appendIntField(b, bodyParentClaim, int64(job.ParentClaim))
	b = appendBytesField(b, bodyChildPolicy, string(job.ChildPolicy))
	return appendTimeField(b, bodyDue, job.Due)
}

// appendDependency appends a dependency, with its length before it.
func appendDependency(b []byte, d *jobs.Dependency) []byte {
	var buf [binary.MaxVarintLen64]byte
	id := binary.AppendUvarint(buf[:0], uint64(d.Job))
	b = appendUvarint(b, len(id)+uvarintSize(len(d.Name))+len(d.Name)+len(d.Need))
	return append(appendString(append(b, id...), d.Name), d.Need...)
}

// splitBody appends the body of job to buf and returns it, with the flags of a header that say what is
// apart.
func splitBody(buf []byte, job *jobs.Job) (body []byte, flags byte) {
	if len(job.Args) <= maxInline {
		if body = appendBody(buf, job, false); len(body)-len(buf) <= maxInline {
			return body[len(buf):], 0
		}
	}
	if len(job.Args) > 0 {
		flags = flagArgs
	}
	body = appendBody(buf, job, true)[len(buf):]
	if len(body) > maxInline {
		flags |= flagBody
	}
	return body, flags
}

// decodeBody sets the fields of job that a body holds.
func decodeBody(data []byte, job *jobs.Job) error {
	r := reader{b: data}
	if f := r.byte(); r.err == nil && f != format {
		return errFormat
	}
	for {
		tag, p, ok := r.field()
		if !ok {
			return r.err
		}
		switch tag {
		case bodyTitle:
			job.Title = p.string()
		case bodyArgs:
			job.Args = p.rest()
		case bodyArgsVersion:
			job.ArgsVersion = int(p.varint())
		case bodyArgsSchema:
			job.ArgsSchema = p.uvarint()
		case bodyTag:
			job.Tags = append(job.Tags, p.string())
		case bodyMeta:
			if job.Meta == nil {
				job.Meta = make(map[string]string)
			}
			key := string(p.bytes())
			job.Meta[key] = string(p.bytes())
		case bodyActor:
			job.Actor = p.string()
		case bodyUnique:
			job.Unique = p.string()
		case bodyParent:
			job.Parent = jobs.ID(p.uvarint())
		case bodyDefinition:
			job.Definition = p.string()
		case bodyMaxAttempts:
			job.MaxAttempts = int(p.varint())
		case bodyTimeout:
			job.Timeout = time.Duration(p.varint())
		case bodyDeadline:
			job.Deadline = p.time()
		case bodyAfter:
			d := jobs.Dependency{Job: jobs.ID(p.uvarint()), Name: string(p.bytes())}
			d.Need = jobs.Need(p.string())
			job.After = append(job.After, d)
		case bodyEach:
			job.Each = jobs.Ref(p.string())
		case bodyParentClaim:
			job.ParentClaim = int(p.varint())
		case bodyChildPolicy:
			job.ChildPolicy = jobs.Need(p.string())
		case bodyDue:
			job.Due = p.time()
		default:
			continue
		}
		r.done(p)
	}
}

// The fields of a tail: what a handler left.
const (
	tailMessage = 1 + iota
	tailError   // one for each
	tailWarnings
	tailLoggedErrors
	tailCounter // one for each
	tailResult
	tailCheckpoint
	tailProgress
	tailSnoozes
	tailLogged
	tailPending
	tailBlocker
	tailBrood
	tailCheckpointVersion
)

// The fields of an AttemptError.
const (
	errorAttempt = 1 + iota
	errorTime
	errorKind
	errorMessage
	errorStack
)

// appendTail appends the tail of job as it is stored: nothing at all if it is empty. Equal tails
// are equal bytes. The error is that of encoding the progress.
func appendTail(b []byte, job *jobs.Job) ([]byte, error) {
	start := len(b)
	b = append(b, format)
	b = appendBytesField(b, tailMessage, job.Message)
	if len(job.Errors) > 0 {
		var scratch []byte
		for i := range job.Errors {
			scratch = appendAttemptError(scratch[:0], &job.Errors[i])
			b = appendString(append(b, tailError), scratch)
		}
	}
	b = appendIntField(b, tailWarnings, int64(job.Warnings))
	b = appendIntField(b, tailLoggedErrors, int64(job.LoggedErrors))
	b = appendIntField(b, tailSnoozes, int64(job.Snoozes))
	b = appendIntField(b, tailLogged, int64(job.Logged))
	b = appendIntField(b, tailPending, int64(job.Pending))
	b = appendUintField(b, tailBlocker, uint64(job.Blocker))
	b = appendIntField(b, tailBrood, int64(job.Brood))
	b = appendIntField(b, tailCheckpointVersion, int64(job.CheckpointVersion))
	for _, key := range sortedKeys(job.Counters) {
		var buf [10]byte
		n := appendVarint(buf[:0], job.Counters[key])
		b = append(b, tailCounter)
		b = appendUvarint(b, uvarintSize(len(key))+len(key)+len(n))
		b = append(appendString(b, key), n...)
	}
	b = appendBytesField(b, tailResult, job.Result)
	b = appendBytesField(b, tailCheckpoint, job.Checkpoint)
	if job.Progress != nil {
		progress, err := encodeProgress(job.Progress)
		if err != nil {
			return b[:start], err
		}
		b = appendBytesField(b, tailProgress, progress)
	}
	if len(b) == start+1 {
		return b[:start], nil
	}
	return b, nil
}

func appendAttemptError(b []byte, e *jobs.AttemptError) []byte {
	b = appendIntField(b, errorAttempt, int64(e.Attempt))
	b = appendTimeField(b, errorTime, e.Time)
	b = appendBytesField(b, errorKind, string(e.Kind))
	b = appendBytesField(b, errorMessage, e.Message)
	return appendBytesField(b, errorStack, e.Stack)
}

// decodeTail sets the fields of job that a tail holds.
func decodeTail(data []byte, job *jobs.Job) error {
	r := reader{b: data}
	if f := r.byte(); r.err == nil && f != format {
		return errFormat
	}
	for {
		tag, p, ok := r.field()
		if !ok {
			return r.err
		}
		switch tag {
		case tailMessage:
			job.Message = p.string()
		case tailError:
			job.Errors = append(job.Errors, decodeAttemptError(&p))
		case tailWarnings:
			job.Warnings = int(p.varint())
		case tailLoggedErrors:
			job.LoggedErrors = int(p.varint())
		case tailSnoozes:
			job.Snoozes = int(p.varint())
		case tailLogged:
			job.Logged = int(p.varint())
		case tailPending:
			job.Pending = int(p.varint())
		case tailBlocker:
			job.Blocker = jobs.ID(p.uvarint())
		case tailBrood:
			job.Brood = int(p.varint())
		case tailCheckpointVersion:
			job.CheckpointVersion = int(p.varint())
		case tailCounter:
			if job.Counters == nil {
				job.Counters = make(map[string]int64)
			}
			key := string(p.bytes())
			job.Counters[key] = p.varint()
		case tailResult:
			job.Result = p.rest()
		case tailCheckpoint:
			job.Checkpoint = p.rest()
		case tailProgress:
			var err error
			if job.Progress, err = decodeProgress(p.b); err != nil {
				return err
			}
			continue
		default:
			continue
		}
		r.done(p)
	}
}

func decodeAttemptError(r *reader) (e jobs.AttemptError) {
	for {
		tag, p, ok := r.field()
		if !ok {
			return e
		}
		switch tag {
		case errorAttempt:
			e.Attempt = int(p.varint())
		case errorTime:
			e.Time = p.time()
		case errorKind:
			e.Kind = jobs.ErrorKind(p.string())
		case errorMessage:
			e.Message = p.string()
		case errorStack:
			e.Stack = p.string()
		default:
			continue
		}
		r.done(p)
	}
}

// encodeProgress and decodeProgress are all that knows how a report is stored.

func encodeProgress(report *jobs.Report) ([]byte, error) { return json.Marshal(report) }

func decodeProgress(data []byte) (*jobs.Report, error) {
	report := new(jobs.Report)
	if err := json.Unmarshal(data, report); err != nil {
		return nil, err
	}
	return report, nil
}

func sortedKeys[V any](m map[string]V) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}
