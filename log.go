package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A LogEntry is a record of a job's log.
type LogEntry struct {
	// Seq numbers the records of a job, from 1. Numbers of records that were pruned are missing.
	Seq     int        `json:"seq"`
	Time    time.Time  `json:"time"`
	Level   slog.Level `json:"level"`
	Message string     `json:"message"`
	// Attrs is a JSON object of the attributes, as slog.JSONHandler writes them; nil if none.
	Attrs json.RawMessage `json:"attrs,omitempty"`
	// Source is the file and line that logged, such as "resize.go:42".
	Source string `json:"source,omitempty"`
	// Attempt is the number of the attempt that logged.
	Attempt int `json:"attempt,omitempty"`
}

const (
	maxEntry   = 8 << 10 // bytes of a message, and of its attributes
	maxPending = 4 << 20 // bytes that wait to be stored before the handler has to wait
	earlyFlush = 256 << 10
	maxBlock   = flushEvery // how long it waits
)

// jobLog is the log of a running attempt: what has not been stored yet.
type jobLog struct {
	attempt *attempt

	once sync.Once
	slog *slog.Logger

	mu               sync.Mutex
	scratch          bytes.Buffer // of the JSON handler
	pending          []LogEntry
	size             int // bytes of pending
	seq              int // number of the last record
	dropped          int // records that could not be kept because the store was too slow
	warnings, errors int
	full             bool // the limit was reached, and the log says so
	closed           bool
	room             chan struct{} // closed when pending becomes shorter
	sources          map[uintptr]string
}

func newJobLog(a *attempt) *jobLog {
	return &jobLog{
		attempt: a, seq: a.claimed.Logged, full: a.claimed.Logged > a.runner.opts.LogLimit,
		warnings: a.claimed.Warnings, errors: a.claimed.LoggedErrors,
	}
}

// logger returns the job's logger. It is made at first use, because many jobs do not log.
func (l *jobLog) logger() *slog.Logger {
	l.once.Do(func() {
		host := l.attempt.runner.opts.Logger.Handler().WithAttrs([]slog.Attr{
			slog.Uint64("job", uint64(l.attempt.id)), slog.String("task", l.attempt.task.Name),
		})
		l.slog = slog.New(&logHandler{log: l, host: host, attrs: slog.NewJSONHandler(&l.scratch, attrsOnly)})
	})
	return l.slog
}

// attrsOnly has a JSON handler write nothing but attributes. The handler leaves out a zero time.
var attrsOnly = &slog.HandlerOptions{
	Level: slog.Level(-1 << 30),
	ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 {
			if _, ok := attr.Value.Any().(slog.Level); ok && attr.Key == slog.LevelKey {
				return slog.Attr{}
			}
			if attr.Key == slog.MessageKey && attr.Value.String() == "" {
				return slog.Attr{}
			}
		}
		return attr
	},
}

// logHandler keeps records and passes them on to the host's handler.
type logHandler struct {
	log   *jobLog
	host  slog.Handler
	attrs slog.Handler
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.keeps(level) || h.host.Enabled(ctx, level)
}

func (h *logHandler) keeps(level slog.Level) bool {
	return level >= h.log.attempt.runner.opts.LogLevel.Level()
}

func (h *logHandler) Handle(ctx context.Context, rec slog.Record) error {
	if h.keeps(rec.Level) {
		h.log.add(ctx, h.attrs, rec)
	}
	if h.host.Enabled(ctx, rec.Level) {
		return h.host.Handle(ctx, rec)
	}
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.log, h.host.WithAttrs(attrs), h.attrs.WithAttrs(attrs)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.log, h.host.WithGroup(name), h.attrs.WithGroup(name)}
}

// add keeps a record, or drops it if there is no room.
func (l *jobLog) add(ctx context.Context, attrs slog.Handler, rec slog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size >= maxPending && !l.closed {
		l.wait()
	}
	if l.closed {
		return
	}
	switch {
	case rec.Level >= slog.LevelError:
		l.errors++
	case rec.Level >= slog.LevelWarn:
		l.warnings++
	}
	limit := l.attempt.runner.opts.LogLimit
	switch {
	case l.full:
		return
	case l.seq >= limit:
		l.full = true
		l.keep(LogEntry{Time: rec.Time, Level: slog.LevelWarn, Message: fmt.Sprintf("the log is cut here: this job has reached its limit of %d records (Options.LogLimit)", limit)})
		return
	case l.size >= maxPending:
		l.dropped++
		return
	case l.dropped > 0:
		l.keep(l.gap(rec.Time))
	}
	l.keep(LogEntry{
		Time: rec.Time, Level: rec.Level, Message: cut(rec.Message),
		Attrs: l.encode(ctx, attrs, rec), Source: l.source(rec.PC),
	})
}

// gap returns an entry in place of the records that were dropped. It must be called with mu held.
func (l *jobLog) gap(now time.Time) LogEntry {
	n := l.dropped
	l.dropped = 0
	return LogEntry{Time: now, Level: slog.LevelWarn, Message: fmt.Sprintf("%d records are missing here: the handler logged faster than the store could write", n)}
}

// keep appends an entry to those that wait. It must be called with mu held.
func (l *jobLog) keep(e LogEntry) {
	l.seq++
	e.Seq, e.Attempt = l.seq, l.attempt.claimed.Attempt
	before := l.size
	l.pending = append(l.pending, e)
	l.size += len(e.Message) + len(e.Attrs) + len(e.Source) + 32
	if len(l.pending) == 1 || before < earlyFlush && l.size >= earlyFlush {
		l.mu.Unlock() // the loop takes the locks in the other order
		l.attempt.tell(l.size >= earlyFlush)
		l.mu.Lock()
	}
}

// wait gives the store time to write. It must be called with mu held.
func (l *jobLog) wait() {
	if l.room == nil {
		l.room = make(chan struct{})
	}
	room := l.room
	l.mu.Unlock()
	timer := time.NewTimer(maxBlock)
	select {
	case <-room:
	case <-timer.C:
	}
	timer.Stop()
	l.mu.Lock()
}

func cut(s string) string {
	if len(s) > maxEntry {
		return shorten(s, maxEntry) + "… (cut)"
	}
	return s
}

// encode returns the attributes of a record as a JSON object. It must be called with mu held.
func (l *jobLog) encode(ctx context.Context, attrs slog.Handler, rec slog.Record) json.RawMessage {
	rec.Time, rec.Message = time.Time{}, ""
	l.scratch.Reset()
	if err := attrs.Handle(ctx, rec); err != nil {
		return nil
	}
	data := bytes.TrimSpace(l.scratch.Bytes())
	switch {
	case len(data) <= len("{}"):
		return nil
	case len(data) > maxEntry:
		data, _ = json.Marshal(map[string]string{"cut": shorten(string(data), maxEntry)})
	}
	return bytes.Clone(data)
}

// source names the line of code that logged. It must be called with mu held.
func (l *jobLog) source(pc uintptr) string {
	if pc == 0 {
		return ""
	}
	if s, ok := l.sources[pc]; ok {
		return s
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	if frame.File == "" {
		return ""
	}
	if l.sources == nil {
		l.sources = make(map[uintptr]string)
	}
	l.sources[pc] = path.Base(frame.File) + ":" + strconv.Itoa(frame.Line)
	return l.sources[pc]
}

// take returns what waits to be stored, and the numbers of warnings and errors so far.
func (l *jobLog) take() (c chunk, warnings, errors int) {
	l.mu.Lock()
	pending := l.pending[:len(l.pending):len(l.pending)]
	c, warnings, errors = chunk{last: l.seq}, l.warnings, l.errors
	l.mu.Unlock()
	c.encode(pending)
	return c, warnings, errors
}

// stored forgets what a commit has stored, and reports whether something else waits.
func (l *jobLog) stored(c chunk) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.pending) && l.pending[n].Seq <= c.last {
		l.size -= len(l.pending[n].Message) + len(l.pending[n].Attrs) + len(l.pending[n].Source) + 32
		n++
	}
	l.pending = slices.Clone(l.pending[n:])
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	return len(l.pending) > 0
}

// after returns the records with numbers above seq that wait to be stored.
func (l *jobLog) after(seq int) []LogEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.pending {
		if e.Seq > seq {
			return slices.Clone(l.pending[i:])
		}
	}
	return nil
}

// close ends the log: a handler that has returned can add nothing.
func (l *jobLog) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		l.keep(l.gap(time.Now()))
	}
	l.closed = true
}
