package jobs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"
)

const (
	spaceLog    = "log"    // job ID + number of the first record → a chunk of records
	spaceLogAge = "logage" // class + time of its last record + key of the chunk
)

// A chunk is a run of log records, encoded to be stored under one key.
type chunk struct {
	first, last int // numbers; first is 0 if there are no records, last that of the log so far
	data        []byte
	ages        [4]time.Time // by class, the time of the latest record; zero if there is none
}

func (c *chunk) end() int { return c.last }

// Log records are kept and removed by class: the levels of slog and what lies between them.
var classes = [4]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

func classOf(level slog.Level) int {
	class := 0
	for class < 3 && level >= classes[class+1] {
		class++
	}
	return class
}

const chunkFormat = 1

// encode sets the chunk to entries: a format byte, then each record as its number, time, level
// and attempt, and the lengths and bytes of its three texts.
func (c *chunk) encode(entries []LogEntry) {
	if len(entries) == 0 {
		return
	}
	c.first, c.last = entries[0].Seq, entries[len(entries)-1].Seq
	size := 1
	for i := range entries {
		size += len(entries[i].Message) + len(entries[i].Attrs) + len(entries[i].Source) + 40
	}
	b := append(make([]byte, 0, size), chunkFormat)
	for i := range entries {
		e := &entries[i]
		b = binary.AppendUvarint(b, uint64(e.Seq))
		b = binary.AppendVarint(b, e.Time.UnixNano())
		b = binary.AppendVarint(b, int64(e.Level))
		b = binary.AppendUvarint(b, uint64(e.Attempt))
		b = append(binary.AppendUvarint(b, uint64(len(e.Message))), e.Message...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Attrs))), e.Attrs...)
		b = append(binary.AppendUvarint(b, uint64(len(e.Source))), e.Source...)
		class := classOf(e.Level)
		if e.Time.After(c.ages[class]) {
			c.ages[class] = e.Time
		}
	}
	c.data = b
}

// write stores the chunk, if there is anything in it.
func (c *chunk) write(tx Tx, id ID) error {
	if c.first == 0 {
		return nil
	}
	key := string(fromID(id)) + string(fromNumber(uint64(c.first)))
	if err := tx.SetRecord(spaceLog, key, c.data); err != nil {
		return err
	}
	for class, age := range c.ages {
		if !age.IsZero() {
			if err := tx.SetRecord(spaceLogAge, ageKey(class, age)+key, []byte{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func ageKey(class int, t time.Time) string {
	return string(rune('0'+class)) + string(fromNumber(uint64(max(t.UnixNano(), 0))))
}

var errCorruptLog = errors.New("a chunk of the log is corrupt")

// decodeChunk reads the records of a chunk.
func decodeChunk(b []byte) ([]LogEntry, error) {
	if len(b) == 0 || b[0] != chunkFormat {
		return nil, errCorruptLog
	}
	r := reader{b: b[1:]}
	var entries []LogEntry
	for len(r.b) > 0 && !r.bad {
		e := LogEntry{Seq: int(r.uvarint()), Time: time.Unix(0, r.varint()).UTC(), Level: slog.Level(r.varint()), Attempt: int(r.uvarint())}
		e.Message = string(r.bytes())
		if attrs := r.bytes(); len(attrs) > 0 {
			e.Attrs = slices.Clone(attrs)
		}
		e.Source = string(r.bytes())
		entries = append(entries, e)
	}
	if r.bad {
		return nil, errCorruptLog
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

// A LogQuery selects records of a job's log. The zero LogQuery selects all that there are.
type LogQuery struct {
	Level    slog.Leveler // the lowest level; nil means all
	After    int          // only records with a greater Seq
	From, To time.Time    // To is not included; zero means no bound
	Attempt  int          // 0 means all
	Limit    int          // the greatest number of records; 0 means no limit
	// Follow goes on with records as they are logged, until the job has ended.
	Follow bool
}

func (q *LogQuery) match(e *LogEntry) bool {
	return (q.Level == nil || e.Level >= q.Level.Level()) &&
		(q.From.IsZero() || !e.Time.Before(q.From)) &&
		(q.To.IsZero() || e.Time.Before(q.To)) &&
		(q.Attempt == 0 || e.Attempt == q.Attempt)
}

// Log returns the records of a job's log, the oldest first. Those of a job that runs in this
// process are there at once, others when they are stored, a quarter of a second later. Who follows
// sees all of them within that time.
func (r *Runner) Log(ctx context.Context, id ID, q LogQuery) iter.Seq2[LogEntry, error] {
	return func(yield func(LogEntry, error) bool) {
		wake, stop := r.watch(id)
		defer stop()
		from := "" // the chunk to begin with
		for given := 0; ; {
			entries, final, err := r.readLog(ctx, id, q.After, &from)
			for i := range entries {
				q.After = entries[i].Seq
				if !q.match(&entries[i]) {
					continue
				}
				given++
				if !yield(entries[i], nil) || q.Limit > 0 && given >= q.Limit {
					return
				}
			}
			switch {
			case err != nil:
				yield(LogEntry{}, err)
				return
			case !q.Follow || final:
				return
			}
			select {
			case <-ctx.Done():
				yield(LogEntry{}, context.Cause(ctx))
				return
			case <-wake:
			case <-r.poll():
			}
		}
	}
}

// readLog returns the records after a number, and whether there will be no more.
func (r *Runner) readLog(ctx context.Context, id ID, after int, from *string) (entries []LogEntry, final bool, err error) {
	r.mu.Lock()
	a := r.running[id]
	r.mu.Unlock()
	var live []LogEntry
	if a != nil { // before the snapshot: what is stored in between is then in both
		if _, log := a.used(); log != nil {
			live = log.after(after)
		}
	}
	err = r.store.View(ctx, func(tx Tx) error {
		job, err := tx.Job(id)
		if err != nil {
			return err
		}
		final = job.State.Final()
		entries, err = storedLog(tx, id, after, from)
		return err
	})
	if n := len(entries); n > 0 {
		after = entries[n-1].Seq
	}
	for _, e := range live {
		if e.Seq > after {
			entries = append(entries, e)
		}
	}
	return entries, final, err
}

// storedLog returns the stored records after a number. It begins with the chunk from, and sets it
// to the last one it has seen, which may grow.
func storedLog(tx Tx, id ID, after int, from *string) ([]LogEntry, error) {
	var all []LogEntry
	for rec, err := range tx.Records(spaceLog, string(fromID(id)), *from) {
		if err != nil {
			return nil, err
		}
		*from = rec.Key
		entries, err := decodeChunk(rec.Value)
		if err != nil {
			return nil, fmt.Errorf("jobs: job %d: %w", id, err)
		}
		for _, e := range entries {
			if e.Seq > after {
				all, after = append(all, e), e.Seq
			}
		}
	}
	return all, nil
}

// removeLog removes the whole log of a job.
func removeLog(tx Tx, id ID) error {
	for rec, err := range tx.Records(spaceLog, string(fromID(id)), "") {
		if err != nil {
			return err
		}
		if err := rewriteChunk(tx, rec, func(LogEntry) bool { return false }); err != nil {
			return err
		}
	}
	return nil
}

// pruneLog removes records of a class from before a time, of at most n chunks, and reports whether
// there may be more.
func pruneLog(tx Tx, class int, before time.Time, n int) (more bool, err error) {
	end := ageKey(class, before)
	var old []string
	for rec, err := range tx.Records(spaceLogAge, end[:1], "") {
		if err != nil {
			return false, err
		}
		if rec.Key >= end || len(old) == n {
			break
		}
		old = append(old, rec.Key)
	}
	for _, key := range old {
		if err := tx.SetRecord(spaceLogAge, key, nil); err != nil {
			return false, err
		}
		chunkKey := key[len(end):]
		data, err := tx.Record(spaceLog, chunkKey)
		if err != nil {
			return false, err
		}
		if data == nil {
			continue
		}
		err = rewriteChunk(tx, Record{chunkKey, data}, func(e LogEntry) bool {
			return classOf(e.Level) != class || !e.Time.Before(before)
		})
		if err != nil {
			return false, err
		}
	}
	return len(old) == n, nil
}

// rewriteChunk keeps the records of a chunk for which keep returns true.
func rewriteChunk(tx Tx, rec Record, keep func(LogEntry) bool) error {
	entries, err := decodeChunk(rec.Value)
	if err != nil { // nothing in it can be read: remove it
		return tx.SetRecord(spaceLog, rec.Key, nil)
	}
	var was, is chunk
	was.encode(entries)
	is.encode(slices.DeleteFunc(entries, func(e LogEntry) bool { return !keep(e) }))
	for class, age := range was.ages {
		if !age.IsZero() && !age.Equal(is.ages[class]) {
			if err := tx.SetRecord(spaceLogAge, ageKey(class, age)+rec.Key, nil); err != nil {
				return err
			}
		}
	}
	return tx.SetRecord(spaceLog, rec.Key, is.data)
}
