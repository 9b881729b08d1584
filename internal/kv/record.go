package kv

import (
	"bytes"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/embedjobs/jobs"
)

// An overlay is a record that has been read, or set and not yet flushed.
type overlay struct {
	value []byte
	none  bool // there is no such record
	set   bool
}

const maxRecordKey = 1000

func appendRecordKey(b []byte, space, key string) ([]byte, error) {
	switch {
	case space == "" || len(space) > maxRecordKey || strings.IndexByte(space, 0) >= 0:
		return b, fmt.Errorf("%w record space: %q", jobs.ErrInvalid, space)
	case len(key) > maxRecordKey:
		return b, fmt.Errorf("%w record key: %d bytes are more than %d", jobs.ErrInvalid, len(key), maxRecordKey)
	}
	return append(append(append(b, space...), 0), key...), nil
}

// Record implements jobs.Tx.
func (tx *Tx) Record(space, key string) ([]byte, error) {
	k, err := appendRecordKey(tx.key[:0], space, key)
	tx.key = k
	if err != nil {
		return nil, err
	}
	if tx.mode != Buffered {
		return bytes.Clone(tx.b.Get(Record, k)), nil
	}
	o := tx.records[string(k)]
	if o == nil { // the functions of one commit mostly ask for the same ones
		o = tx.overlay(k)
		value := tx.b.Get(Record, k)
		o.value, o.none = append(o.value, value...), value == nil
	}
	if o.none {
		return nil, nil
	}
	return append([]byte{}, o.value...), nil
}

// overlay makes an overlay.
func (tx *Tx) overlay(key []byte) *overlay {
	if tx.records == nil {
		tx.records = make(map[string]*overlay)
	}
	o := new(overlay)
	tx.records[string(key)] = o
	return o
}

// SetRecord implements jobs.Tx.
func (tx *Tx) SetRecord(space, key string, value []byte) error {
	if tx.mode == ReadOnly {
		return errReadOnly
	}
	k, err := appendRecordKey(tx.key[:0], space, key)
	tx.key = k
	if err != nil {
		return err
	}
	tx.touched++
	if space == "due" && value != nil { // see jobs.Notifier
		tx.changes = append(tx.changes, jobs.Change{})
	}
	if tx.mode != Buffered {
		return tx.writeRecord(k, value)
	}
	o := tx.records[string(k)]
	if o == nil {
		o = tx.overlay(k)
	}
	o.value, o.none, o.set = append(o.value[:0], value...), value == nil, true
	return nil
}

func (tx *Tx) writeRecord(key, value []byte) error {
	if value == nil {
		return tx.delete(Record, key)
	}
	return tx.put(Record, key, value)
}

func (tx *Tx) flushRecords() error {
	maps.DeleteFunc(tx.records, func(_ string, o *overlay) bool { return !o.set })
	for _, key := range sortedKeys(tx.records) {
		o := tx.records[key]
		tx.key = append(tx.key[:0], key...)
		value := o.value
		if o.none {
			value = nil
		} else if value == nil {
			value = []byte{}
		}
		if err := tx.writeRecord(tx.key, value); err != nil {
			return err
		}
	}
	clear(tx.records)
	return nil
}

// Records implements jobs.Tx.
func (tx *Tx) Records(space, prefix, from string) iter.Seq2[jobs.Record, error] {
	return func(yield func(jobs.Record, error) bool) {
		start, err := appendRecordKey(nil, space, prefix)
		if err == nil {
			err = tx.flushRecords()
		}
		if err != nil {
			yield(jobs.Record{}, err)
			return
		}
		w := walk{tx: tx, bucket: Record, prefix: start}
		skip := len(space) + 1
		if from > prefix {
			start = append(slices.Clone(start[:skip]), from...)
		}
		for k, v := w.seek(start); k != nil; k, v = w.next() {
			if !yield(jobs.Record{Key: string(k[skip:]), Value: append([]byte{}, v...)}, nil) {
				return
			}
		}
	}
}
