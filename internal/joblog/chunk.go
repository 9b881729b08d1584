package joblog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// An Entry is a record of a log. Package jobs documents its fields, as those of LogEntry.
type Entry struct {
	Seq     int
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   json.RawMessage
	Source  string
	Attempt int
}

// Classes are the levels by which records are kept and removed: those of slog, each with what lies
// between it and the next.
var Classes = [4]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// ClassOf returns the class of a level, as an index of Classes.
func ClassOf(level slog.Level) int {
	class := 0
	for class < 3 && level >= Classes[class+1] {
		class++
	}
	return class
}

// A Chunk is a run of records, encoded to be stored under one key.
type Chunk struct {
	First, Last int // numbers; First is 0 if there are no records, Last that of the log so far
	Data        []byte
	Ages        [len(Classes)]time.Time // by class, the time of the latest record; zero if there is none
}

const format = 1

// Encode sets the chunk to entries: a format byte, then each record as its number, time, level
// and attempt, and the lengths and bytes of its three texts.
func (c *Chunk) Encode(entries []Entry) {
	if len(entries) == 0 {
		return
	}
	c.First, c.Last = entries[0].Seq, entries[len(entries)-1].Seq
	size := 1
	for i := range entries {
		size += len(entries[i].Message) + len(entries[i].Attrs) + len(entries[i].Source) + 40
	}
	b := append(make([]byte, 0, size), format)
	for i := range entries {
		e := &entries[i]
		b = binary.AppendUvarint(b, uint64(e.Seq))
		b = binary.AppendVarint(b, e.Time.UnixNano())
		b = binary.AppendVarint(b, int64(e.Level))
		b = binary.AppendUvarint(b, uint64(e.Attempt))
		b = append(binary.AppendUvarint(b, uint64(len(e.Message))), e.Message...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Attrs))), e.Attrs...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Source))), e.Source...)
		class := ClassOf(e.Level)
		if e.Time.After(c.Ages[class]) {
			c.Ages[class] = e.Time
		}
	}
	c.Data = b
}

var errCorrupt = errors.New("a chunk of the log is corrupt")

// Decode reads the records of a chunk.
func Decode(b []byte) ([]Entry, error) {
	if len(b) == 0 || b[0] != format {
		return nil, errCorrupt
	}
	r := reader{b: b[1:]}
	var entries []Entry
	for len(r.b) > 0 && !r.bad {
		e := Entry{Seq: int(r.uvarint()), Time: time.Unix(0, r.varint()).UTC(), Level: slog.Level(r.varint()), Attempt: int(r.uvarint())}
		e.Message = string(r.bytes())
		if attrs := r.bytes(); len(attrs) > 0 {
			e.Attrs = slices.Clone(attrs)
		}
		e.Source = string(r.bytes())
		entries = append(entries, e)
	}
	if r.bad {
		return nil, errCorrupt
	}
	return entries, nil
}

// A reader takes numbers and texts off a slice; bad is set when there is less than was expected.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) skip(n int) {
	if n <= 0 || n > len(r.b) {
		r.b, r.bad = nil, true
		return
	}
	r.b = r.b[n:]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}
