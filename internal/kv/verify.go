package kv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/embedjobs/jobs"
)

// maxFindings bounds what Verify reports.
const maxFindings = 100

// A verifier collects where indexes, tallies, bodies and tails disagree with the headers.
type verifier struct {
	tx       *Tx
	ctx      func() error
	findings []error
	rows     map[string]*count
	entries  [NumBuckets]int64 // how many keys the headers ask for
}

// Verify reads everything that b holds and returns all disagreements joined, or nil. It needs a
// transaction that has nothing to flush.
func Verify(ctx context.Context, b Backend) error {
	tx := new(Tx)
	tx.Begin(b, ReadOnly)
	defer tx.End()
	v := &verifier{tx: tx, ctx: func() error { return context.Cause(ctx) }, rows: make(map[string]*count)}
	for _, step := range [...]func() error{v.jobs, v.parts, v.indexes, v.labels, v.tallies, v.records} {
		if err := step(); err != nil {
			return err
		}
	}
	return errors.Join(v.findings...)
}

func (v *verifier) report(format string, args ...any) {
	switch {
	case len(v.findings) < maxFindings:
		v.findings = append(v.findings, fmt.Errorf(format, args...))
	case len(v.findings) == maxFindings:
		v.findings = append(v.findings, errors.New("there are more disagreements"))
	}
}

// each calls fn with every key and value of a bucket.
func (v *verifier) each(b Bucket, fn func(key, value []byte)) error {
	w := walk{tx: v.tx, bucket: b}
	n := 0
	for k, val := w.seek(nil); k != nil; k, val = w.next() {
		if n++; n%1000 == 0 {
			if err := v.ctx(); err != nil {
				return err
			}
		}
		fn(k, val)
	}
	return v.ctx()
}

// jobs checks that every header has its parts, its entries in the indexes, and sums up the tallies.
func (v *verifier) jobs() error {
	tx := v.tx
	newest := jobs.ID(tx.b.LastID())
	return v.each(Job, func(key, value []byte) {
		id := idOf(key)
		if len(key) != idSize || id == 0 || id > newest {
			v.report("header of impossible job ID %x; the latest is %d", key, newest)
			return
		}
		var h header
		if err := h.decode(value); err != nil {
			v.report("%w", corrupt(id, Job, err))
			return
		}
		job, err := tx.load(id, &h, false)
		if err != nil {
			v.report("%w", err)
			return
		}
		bucket, entry := h.appendIndexKey(nil, id)
		v.expect(bucket, entry, id)
		tx.labels.labels(job, id)
		for i := range tx.labels.len() {
			v.expect(Label, tx.labels.at(i), id)
		}
		v.entries[Job]++
		for _, part := range h.parts() {
			v.entries[part]++
		}
		one := count{first: h.created, last: h.updated}
		one.by[h.state] = 1
		labels := splitLeaf(string(h.leaf))
		for by := range dimensions {
			row := string(appendRow(nil, jobs.Dimension(by), &labels))
			if v.rows[row] == nil {
				v.rows[row] = new(count)
			}
			v.rows[row].add(&one)
		}
	})
}

func (v *verifier) expect(b Bucket, key []byte, id jobs.ID) {
	v.entries[b]++
	if !v.has(b, key) {
		v.report("job %d: it is missing in the %s index, key %q", id, b, key)
	}
}

// has reports whether an index has the entry of a key, which ends with the ID.
func (v *verifier) has(b Bucket, key []byte) bool {
	if !isSet(b) {
		return v.tx.b.Get(b, key) != nil
	}
	id := idOf(key)
	data := v.tx.b.Get(b, appendID(append([]byte(nil), key[:len(key)-idSize]...), chunkOf(id)))
	var c chunk
	if data == nil || c.decode(data) != nil {
		return false
	}
	word, mask := bit(id)
	return c[word]&mask != 0
}

// eachEntry calls fn with every entry of an index, as a key that ends with the ID.
func (v *verifier) eachEntry(b Bucket, fn func(key []byte)) error {
	return v.each(b, func(key, value []byte) {
		if !isSet(b) {
			fn(key)
			return
		}
		var c chunk
		if err := c.decode(value); err != nil || len(key) < idSize || len(c.appendTo(nil)) != len(value) {
			v.report("corrupt index %s, key %q: %w", b, key, cmp.Or(err, errValue))
			return
		}
		base := idOf(key) << chunkShift
		entry := bytes.Clone(key)
		for i := c.take(false); i >= 0; i = c.take(false) {
			fn(appendID(entry[:len(entry)-idSize], base+jobs.ID(i)))
		}
	})
}

// parts checks that each part of a job belongs to a header that knows of it.
func (v *verifier) parts() error {
	for _, b := range [...]Bucket{Body, Args, Tail} {
		n := int64(0)
		err := v.each(b, func(key, _ []byte) {
			n++
			var h header
			if err := v.tx.header(idOf(key), &h); err != nil {
				v.report("%s without a job: %w", b, err)
			} else if !slices.Contains(h.parts(), b) {
				v.report("job %d: it has a %s that its header does not know of", idOf(key), b)
			}
		})
		if err != nil {
			return err
		}
		v.tallyEntries(b, n)
	}
	return nil
}

func (v *verifier) tallyEntries(b Bucket, n int64) {
	if n != v.entries[b] && len(v.findings) == 0 {
		v.report("bucket %s has %d entries, and should have %d", b, n, v.entries[b])
	}
}

// indexes checks that every entry of an index of states belongs to a job that stands there.
func (v *verifier) indexes() error {
	for _, b := range [...]Bucket{State, Line, Due} {
		n := int64(0)
		err := v.eachEntry(b, func(key []byte) {
			n++
			var h header
			if err := v.tx.header(idOf(key), &h); err != nil {
				v.report("dangling key %q in the %s index: %w", key, b, err)
				return
			}
			bucket, entry := h.appendIndexKey(nil, idOf(key))
			if bucket != b || string(entry) != string(key) {
				v.report("job %d: it stands in the %s index under %q, and should stand in the %s index under %q",
					idOf(key), b, key, bucket, entry)
			}
		})
		if err != nil {
			return err
		}
		v.tallyEntries(b, n)
	}
	return nil
}

func (v *verifier) labels() error {
	n := int64(0)
	err := v.eachEntry(Label, func(key []byte) {
		n++
		if err := v.tx.storedLabels(idOf(key)); err != nil {
			v.report("dangling key %q in the label index: %w", key, err)
		} else if !v.tx.labels.contains(key) {
			v.report("job %d: it stands in the label index under %q, which is none of its labels", idOf(key), key)
		}
	})
	if err == nil {
		v.tallyEntries(Label, n)
	}
	return err
}

func (v *verifier) tallies() error {
	err := v.each(Tally, func(key, value []byte) {
		var stored count
		if err := stored.decode(value); err != nil {
			v.report("corrupt tally %q: %w", key, err)
			return
		}
		want := v.rows[string(key)]
		if want == nil {
			v.report("tally %q counts %v, and there are no such jobs", key, stored.by[1:])
			return
		}
		delete(v.rows, string(key))
		if stored.by != want.by {
			v.report("tally %q counts %v, and should count %v", key, stored.by[1:], want.by[1:])
		}
		// Jobs that were removed still count for the times.
		if earliest(stored.first, want.first) != stored.first || latest(stored.last, want.last) != stored.last {
			v.report("tally %q is of %v to %v, and there are jobs of %v to %v",
				key, stored.first, stored.last, want.first, want.last)
		}
	})
	for _, key := range sortedKeys(v.rows) {
		v.report("tally %q is missing", key)
	}
	return err
}

func (v *verifier) records() error {
	return v.each(Record, func(key, _ []byte) {
		if space, _, ok := strings.Cut(string(key), "\x00"); !ok || space == "" {
			v.report("record %q has no space", key)
		}
	})
}
