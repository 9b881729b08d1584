// Package kv implements jobs.Tx once, over ordered buckets of keys and values. Packages bolt and
// memory bring the buckets; so both stores behave the same by construction.
//
// # Layout
//
// What changes at each step of a job is kept apart from what does not, and keys that are written
// together are near each other:
//
//	job     id                                       header: what upkeep needs of the job before;
//	                                                 with the body, if that is small
//	body    id                                       what was asked for, but for the arguments
//	args    id                                       large arguments
//	tail    id                                       what a handler left: errors, result, progress
//	state   state, chunk of IDs                      waiting, running and final jobs, see set.go
//	line    line 0, priority, stamp, id              queued jobs in the order of their claims
//	due     run-at, id                               scheduled and retrying jobs
//	label   kind, label 0, chunk of IDs              jobs by task, group, batch, definition, …
//	tally   dimension, labels                        counts by state
//	record  space 0, key                             small named records
//
// Numbers in keys are big-endian, so that the order of keys is that of the numbers. Labels end
// with a zero byte, so that the order of keys is that of the labels; a label that contains one is
// refused.
//
// Tallies, records and sets of IDs are collected while a transaction runs and written when it ends: a
// clock that a thousand jobs of one commit move is written once.
package kv

// A Bucket names one of the ordered key spaces of a [Backend].
type Bucket uint8

// The buckets.
const (
	Job Bucket = iota
	Body
	Args
	Tail
	State
	Line
	Due
	Label
	Tally
	Record
	NumBuckets
)

var bucketNames = [NumBuckets]string{
	"job", "body", "args", "tail", "state", "line", "due", "label", "tally", "record",
}

func (b Bucket) String() string { return bucketNames[b] }

// A Backend is one transaction over the buckets. It is used by one goroutine at a time.
//
// Keys are never empty. Bytes that are given are copied; bytes that are returned belong to the
// backend, are not changed, and stay valid until the transaction ends.
type Backend interface {
	// Get returns the value of key: not nil if there is one, even when it is empty.
	Get(b Bucket, key []byte) []byte
	Put(b Bucket, key, value []byte) error
	// Delete removes key; to remove a missing one does nothing.
	Delete(b Bucket, key []byte) error
	// Cursor returns a cursor that is valid until the bucket is written to. After that, only
	// Seek and Last make it valid again.
	Cursor(b Bucket) Cursor
	// NextID returns 1, 2, 3 and so on; LastID the latest one that was returned, by this
	// transaction or an earlier one that was committed.
	NextID() (uint64, error)
	LastID() uint64
}

// A Cursor walks through a bucket. A nil key means that there is nothing (more) there.
type Cursor interface {
	// Seek goes to the first key that is not less than key.
	Seek(key []byte) (k, v []byte)
	Last() (k, v []byte)
	Next() (k, v []byte)
	Prev() (k, v []byte)
}
