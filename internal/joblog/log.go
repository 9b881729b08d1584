// Package joblog is the log of a running attempt until it is stored: a slog handler that keeps
// records in memory, within bounds, and their encoding. It knows nothing of jobs and stores.
package joblog

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
	"strings"
	"sync"
	"time"
)

const (
	maxEntry   = 8 << 10                // bytes of a message, and of its attributes
	maxPending = 4 << 20                // bytes that wait to be stored before the handler has to wait
	earlyFlush = 256 << 10              // bytes that wait before they are to be stored at once
	maxBlock   = 200 * time.Millisecond // jobs.Logger promises 250, of which timer and scheduler need some
	overhead   = 32                     // of an entry, in bytes, besides its texts
)

// A Config is what a log needs to know. Seq, Warnings and Errors are those of the attempts before.
type Config struct {
	Attempt  int
	Limit    int          // the greatest number of records
	Level    slog.Leveler // the lowest level that is kept
	Host     slog.Handler // gets all records as well
	Seq      int
	Warnings int
	Errors   int
	// Mask hides secrets in texts; nil if there are none.
	Mask func(string) string
	// Tell is called when there is something to store, soon or now. No lock is held.
	Tell func(now bool)
}

// A Log is the log of a running attempt: what has not been stored yet.
type Log struct {
	config Config
	logger *slog.Logger

	mu               sync.Mutex
	pending          []Entry
	size             int // bytes of pending
	seq              int // number of the last record
	dropped          int // records that could not be kept because the store was too slow
	warnings, errors int
	full             bool // the limit was reached, and the log says so
	closed           bool
	room             chan struct{} // closed when pending becomes shorter
	sources          map[uintptr]string
}

// New returns an empty log.
func New(c Config) *Log {
	l := &Log{config: c, seq: c.Seq, full: c.Seq > c.Limit, warnings: c.Warnings, errors: c.Errors}
	l.logger = slog.New(newHandler(l, c.Host, func(h slog.Handler) slog.Handler { return h }))
	return l
}

// Logger returns the logger whose records the log keeps.
func (l *Log) Logger() *slog.Logger { return l.logger }

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

// A handler keeps records and passes them on to the host's handler.
type handler struct {
	log  *Log
	host slog.Handler
	// encoders write the attributes of records. Each has a buffer of its own, so that no lock is
	// held while values are asked for their text, which may itself log.
	encoders *sync.Pool
	derive   func(slog.Handler) slog.Handler // adds the attributes and groups of With
}

type encoder struct {
	slog.Handler
	buf bytes.Buffer
}

func newHandler(log *Log, host slog.Handler, derive func(slog.Handler) slog.Handler) *handler {
	return &handler{log, host, &sync.Pool{New: func() any {
		e := new(encoder)
		e.Handler = derive(slog.NewJSONHandler(&e.buf, attrsOnly))
		return e
	}}, derive}
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.keeps(level) || h.host.Enabled(ctx, level)
}

func (h *handler) keeps(level slog.Level) bool { return level >= h.log.config.Level.Level() }

func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	if mask := h.log.config.Mask; mask != nil {
		rec = masked(rec, mask)
	}
	if h.keeps(rec.Level) {
		h.log.add(rec, h.encode(ctx, rec))
	}
	if h.host.Enabled(ctx, rec.Level) {
		return h.host.Handle(ctx, rec)
	}
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if mask := h.log.config.Mask; mask != nil {
		attrs = maskedAttrs(attrs, mask)
	}
	return newHandler(h.log, h.host.WithAttrs(attrs), func(in slog.Handler) slog.Handler { return h.derive(in).WithAttrs(attrs) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	return newHandler(h.log, h.host.WithGroup(name), func(in slog.Handler) slog.Handler { return h.derive(in).WithGroup(name) })
}

// encode returns the attributes of a record as a JSON object, nil if there are none.
func (h *handler) encode(ctx context.Context, rec slog.Record) json.RawMessage {
	e := h.encoders.Get().(*encoder)
	defer h.encoders.Put(e)
	e.buf.Reset()
	rec.Time, rec.Message = time.Time{}, ""
	if err := e.Handle(ctx, rec); err != nil {
		return nil
	}
	data := bytes.TrimSpace(e.buf.Bytes())
	switch {
	case len(data) <= len("{}"):
		return nil
	case len(data) > maxEntry:
		data, _ = json.Marshal(map[string]string{"cut": strings.ToValidUTF8(string(data[:maxEntry]), "")})
	}
	return bytes.Clone(data)
}

// add keeps a record, or drops it if there is no room.
func (l *Log) add(rec slog.Record, attrs json.RawMessage) {
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
	switch {
	case l.full:
		return
	case l.seq >= l.config.Limit:
		l.full = true
		l.keep(Entry{Time: rec.Time, Level: slog.LevelWarn, Message: fmt.Sprintf("the log is cut here: this job has reached its limit of %d records (Options.LogLimit)", l.config.Limit)})
		return
	case l.size >= maxPending:
		l.dropped++
		return
	case l.dropped > 0:
		l.keep(l.gap(rec.Time))
	}
	l.keep(Entry{
		Time: rec.Time, Level: rec.Level, Message: cut(rec.Message),
		Attrs: attrs, Source: l.source(rec.PC),
	})
}

// gap returns an entry in place of the records that were dropped. It must be called with mu held.
func (l *Log) gap(now time.Time) Entry {
	n := l.dropped
	l.dropped = 0
	return Entry{Time: now, Level: slog.LevelWarn, Message: fmt.Sprintf("%d records are missing here: the handler logged faster than the store could write", n)}
}

// keep appends an entry to those that wait. It must be called with mu held.
func (l *Log) keep(e Entry) {
	l.seq++
	e.Seq, e.Attempt = l.seq, l.config.Attempt
	before := l.size
	l.pending = append(l.pending, e)
	l.size += e.size()
	if len(l.pending) == 1 || before < earlyFlush && l.size >= earlyFlush {
		l.mu.Unlock() // the loop takes the locks in the other order
		l.config.Tell(l.size >= earlyFlush)
		l.mu.Lock()
	}
}

func (e *Entry) size() int { return len(e.Message) + len(e.Attrs) + len(e.Source) + overhead }

// wait gives the store time to write. It must be called with mu held.
func (l *Log) wait() {
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
		return strings.ToValidUTF8(s[:maxEntry], "") + "… (cut)"
	}
	return s
}

// source names the line of code that logged. It must be called with mu held.
func (l *Log) source(pc uintptr) string {
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

// Take returns what waits to be stored, and the numbers of warnings and errors so far.
func (l *Log) Take() (c Chunk, warnings, errors int) {
	l.mu.Lock()
	pending := l.pending[:len(l.pending):len(l.pending)]
	c, warnings, errors = Chunk{Last: l.seq}, l.warnings, l.errors
	l.mu.Unlock()
	c.Encode(pending)
	return c, warnings, errors
}

// Stored forgets what a commit has stored, and reports whether something else waits.
func (l *Log) Stored(c Chunk) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.pending) && l.pending[n].Seq <= c.Last {
		l.size -= l.pending[n].size()
		n++
	}
	l.pending = slices.Clone(l.pending[n:])
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
	return len(l.pending) > 0
}

// After returns the records with numbers above seq that wait to be stored.
func (l *Log) After(seq int) []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, e := range l.pending {
		if e.Seq > seq {
			return slices.Clone(l.pending[i:])
		}
	}
	return nil
}

// Close ends the log: a handler that has returned can add nothing.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 {
		l.keep(l.gap(time.Now()))
	}
	l.closed = true
}
