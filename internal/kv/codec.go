package kv

import (
	"encoding/binary"
	"errors"
	"time"
)

// format is the first byte of every stored header, body and tail.
const format = 1

var (
	errShort   = errors.New("it ends too early")
	errFormat  = errors.New("it has an unknown format")
	errLong    = errors.New("it has bytes after its end")
	errValue   = errors.New("it holds an impossible value")
	errMissing = errors.New("it is missing")
)

// appendTime appends a time as 12 bytes whose order is that of the times.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix())^1<<63)
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

const timeSize = 12

func appendString[S ~string | ~[]byte](b []byte, s S) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendUvarint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

func appendVarint(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// uvarintSize returns the length of n as appendUvarint writes it.
func uvarintSize(n int) int {
	size := 1
	for ; n >= 1<<7; n >>= 7 {
		size++
	}
	return size
}

// A field is a tag, a length and a payload. Readers skip tags that they do not know, so a field
// can be added without a new format; its number is never used again for something else. Fields
// that are zero are not written.

func appendBytesField[S ~string | ~[]byte](b []byte, tag uint64, s S) []byte {
	if len(s) == 0 {
		return b
	}
	return appendString(binary.AppendUvarint(b, tag), s)
}

func appendIntField(b []byte, tag uint64, n int64) []byte {
	if n == 0 {
		return b
	}
	var buf [binary.MaxVarintLen64]byte
	return appendBytesField(b, tag, buf[:binary.PutVarint(buf[:], n)])
}

func appendUintField(b []byte, tag, n uint64) []byte {
	if n == 0 {
		return b
	}
	var buf [binary.MaxVarintLen64]byte
	return appendBytesField(b, tag, buf[:binary.PutUvarint(buf[:], n)])
}

func appendTimeField(b []byte, tag uint64, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	var buf [timeSize]byte
	return appendBytesField(b, tag, appendTime(buf[:0], t))
}

// A reader takes apart what the functions above have written. The first error sticks, and what is
// read after it is zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	head := r.b[:n:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

// string returns all that is left as a string.
func (r *reader) string() string { return string(r.take(uint64(len(r.b)))) }

// rest returns a copy of all that is left, nil if that is nothing.
func (r *reader) rest() []byte { return append([]byte(nil), r.take(uint64(len(r.b)))...) }

func (r *reader) time() time.Time {
	b := r.take(timeSize)
	if len(b) != timeSize {
		return time.Time{}
	}
	sec := int64(binary.BigEndian.Uint64(b) ^ 1<<63)
	nsec := binary.BigEndian.Uint32(b[8:])
	if nsec >= 1e9 {
		r.fail(errValue)
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// field reads a field's tag and returns a reader of its payload. It returns false at the end and
// after an error.
func (r *reader) field() (tag uint64, payload reader, ok bool) {
	if len(r.b) == 0 {
		return 0, reader{}, false
	}
	tag = r.uvarint()
	payload.b = r.bytes()
	return tag, payload, r.err == nil
}

// done takes over the error of a payload that has been read, which must have been read to its end.
func (r *reader) done(payload reader) {
	switch {
	case payload.err != nil:
		r.fail(payload.err)
	case len(payload.b) > 0:
		r.fail(errLong)
	}
}
