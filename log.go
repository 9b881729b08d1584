package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/embedjobs/jobs/internal/joblog"
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
	var live []joblog.Entry
	if a != nil { // before the snapshot: what is stored in between is then in both
		if _, log := a.used(); log != nil {
			live = log.After(after)
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
			entries = append(entries, LogEntry(e))
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
		entries, err := joblog.Decode(rec.Value)
		if err != nil {
			return nil, fmt.Errorf("jobs: job %d: %w", id, err)
		}
		for _, e := range entries {
			if e.Seq > after {
				all, after = append(all, LogEntry(e)), e.Seq
			}
		}
	}
	return all, nil
}

// writeChunk stores a chunk, if there is anything in it.
func writeChunk(tx Tx, id ID, c *joblog.Chunk) error {
	if c.First == 0 {
		return nil
	}
	key := string(fromID(id)) + string(fromNumber(uint64(c.First)))
	if err := tx.SetRecord(spaceLog, key, c.Data); err != nil {
		return err
	}
	for class, age := range c.Ages {
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

// removeLog removes the whole log of a job.
func removeLog(tx Tx, id ID) error {
	for rec, err := range tx.Records(spaceLog, string(fromID(id)), "") {
		if err != nil {
			return err
		}
		if err := rewriteChunk(tx, rec, func(joblog.Entry) bool { return false }); err != nil {
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
		err = rewriteChunk(tx, Record{chunkKey, data}, func(e joblog.Entry) bool {
			return joblog.ClassOf(e.Level) != class || !e.Time.Before(before)
		})
		if err != nil {
			return false, err
		}
	}
	return len(old) == n, nil
}

// rewriteChunk keeps the records of a chunk for which keep returns true.
func rewriteChunk(tx Tx, rec Record, keep func(joblog.Entry) bool) error {
	entries, err := joblog.Decode(rec.Value)
	if err != nil { // nothing in it can be read: remove it
		return tx.SetRecord(spaceLog, rec.Key, nil)
	}
	var was, is joblog.Chunk
	was.Encode(entries)
	is.Encode(slices.DeleteFunc(entries, func(e joblog.Entry) bool { return !keep(e) }))
	for class, age := range was.Ages {
		if !age.IsZero() && !age.Equal(is.Ages[class]) {
			if err := tx.SetRecord(spaceLogAge, ageKey(class, age)+rec.Key, nil); err != nil {
				return err
			}
		}
	}
	return tx.SetRecord(spaceLog, rec.Key, is.Data)
}
