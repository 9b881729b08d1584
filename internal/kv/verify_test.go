package kv_test

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
)

// Each test damages one bucket behind the back of a store, and the damage must be found, and must
// not do harm.
func TestVerify(t *testing.T) {
	id := binary.BigEndian.AppendUint64(nil, 1)
	chunk := make([]byte, 8) // the number of the first one
	for _, c := range []struct {
		name, bucket string
		want         string
		damage       func(*bbolt.Bucket) error
	}{
		{"a corrupt header", "job", "job 1: corrupt header", func(b *bbolt.Bucket) error { return b.Put(id, []byte{1, 2}) }},
		{"a header of another format", "job", "job 1: corrupt header", func(b *bbolt.Bucket) error { return b.Put(id, []byte{9}) }},
		{"a missing header", "job", "without a job", func(b *bbolt.Bucket) error { return b.Delete(id) }},
		{"a missing body", "body", "job 1: corrupt body: it is missing", func(b *bbolt.Bucket) error { return b.Delete(id) }},
		{"a corrupt body", "body", "job 1: corrupt body", func(b *bbolt.Bucket) error { return b.Put(id, []byte{1, 2, 200}) }},
		{"a body too many", "body", "body without a job", func(b *bbolt.Bucket) error { return b.Put(append(id, 1), []byte{1}) }},
		{"missing arguments", "args", "job 1: corrupt args: it is missing", func(b *bbolt.Bucket) error { return b.Delete(id) }},
		{"arguments too many", "args", "args without a job", func(b *bbolt.Bucket) error { return b.Put(append(id, 1), []byte{1}) }},
		{"a missing tail", "tail", "job 1: corrupt tail: it is missing", func(b *bbolt.Bucket) error { return b.Delete(id) }},
		{"a tail too many", "tail", "tail without a job", func(b *bbolt.Bucket) error { return b.Put(append(id, 1), []byte{1}) }},
		{"a missing entry", "line", "missing in the line index", func(b *bbolt.Bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) }},
		{"a dangling entry", "state", "state index", func(b *bbolt.Bucket) error { return b.Put(append([]byte{4}, chunk...), []byte{0, 1 << 1}) }},
		{"a corrupt set", "state", "corrupt index state", func(b *bbolt.Bucket) error { return b.Put(append([]byte{4}, chunk...), []byte{63, 1, 1}) }},
		{"a missing label", "label", "missing in the label index", func(b *bbolt.Bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) }},
		{"a wrong label", "label", "none of its labels", func(b *bbolt.Bucket) error { return b.Put(append([]byte("tx\x00"), chunk...), []byte{0, 1 << 1}) }},
		{"a missing tally", "tally", "is missing", func(b *bbolt.Bucket) error { k, _ := b.Cursor().First(); return b.Delete(k) }},
		{"a tally too many", "tally", "there are no such jobs", func(b *bbolt.Bucket) error {
			_, v := b.Cursor().First()
			return b.Put([]byte("qother"), v)
		}},
		{"a corrupt tally", "tally", "corrupt tally", func(b *bbolt.Bucket) error { return b.Put([]byte("a"), []byte{1}) }},
		{"a record without a space", "record", "has no space", func(b *bbolt.Bucket) error { return b.Put([]byte("x"), nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := bbolt.Open(filepath.Join(t.TempDir(), "jobs.db"), 0o600, &bbolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			s, err := bolt.New(db, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Update(t.Context(), func(tx jobs.Tx) error {
				large := make([]byte, 1000) // so that the body and the arguments are apart
				return tx.Save(&jobs.Job{Task: "task", Queue: "q", Line: "q", State: jobs.Queued, Message: "tail", Group: "g", Title: string(large), Args: large})
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				return c.damage(tx.Bucket([]byte("jobs")).Bucket([]byte(c.bucket)))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Check returned %v, want %q", err, c.want)
			}
			// None of this may panic.
			_ = s.Update(t.Context(), func(tx jobs.Tx) error {
				job, err := tx.Job(1)
				if err == nil {
					job.State = jobs.Running
					_ = tx.Save(job)
				}
				for q := range jobs.Due + 1 {
					for _, err := range tx.Jobs(jobs.Query{Order: q, Line: "q", Task: "task"}) {
						_ = err
					}
				}
				_ = tx.Remove(1)
				for _, err := range tx.Tallies(jobs.ByTotal, jobs.Labels{}) {
					_ = err
				}
				return nil
			})
		})
	}
}
