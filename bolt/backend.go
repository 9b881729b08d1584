package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/embedjobs/jobs/internal/kv"
)

// fillPercent is how full pages are made. Most keys come in ascending order, so that little is put
// between those that are there.
const fillPercent = 0.9

// A backend is a kv.Backend over a bbolt transaction.
type backend struct {
	root    *bbolt.Bucket
	opened  [kv.NumBuckets]*bbolt.Bucket
	lookups [kv.NumBuckets]*bbolt.Cursor // used again, which Bucket.Get does not do
	values  arena
}

// begin makes b that of a transaction. The bytes that it handed out for an earlier one are void.
func (b *backend) begin(btx *bbolt.Tx, name []byte) error {
	*b = backend{root: btx.Bucket(name), values: b.values}
	b.values.reset()
	if b.root == nil {
		return fmt.Errorf("bolt: bucket %q is gone", name)
	}
	return nil
}

func (b *backend) bucket(i kv.Bucket) *bbolt.Bucket {
	if b.opened[i] == nil {
		bucket := b.root.Bucket(bucketNames[i])
		if bucket == nil {
			panic(fmt.Sprintf("bolt: bucket %q is gone", bucketNames[i]))
		}
		bucket.FillPercent = fillPercent
		b.opened[i] = bucket
	}
	return b.opened[i]
}

var bucketNames = func() (names [kv.NumBuckets][]byte) {
	for i := range kv.NumBuckets {
		names[i] = []byte(i.String())
	}
	return names
}()

func (b *backend) Get(i kv.Bucket, key []byte) []byte {
	if b.lookups[i] == nil {
		b.lookups[i] = b.bucket(i).Cursor()
	}
	k, v := b.lookups[i].Seek(key)
	switch {
	case string(k) != string(key):
		return nil
	case v == nil:
		return []byte{}
	}
	return v
}

func (b *backend) Put(i kv.Bucket, key, value []byte) error {
	return b.bucket(i).Put(key, b.values.copy(value))
}

func (b *backend) Delete(i kv.Bucket, key []byte) error { return b.bucket(i).Delete(key) }

func (b *backend) NextID() (uint64, error) { return b.bucket(kv.Job).NextSequence() }

func (b *backend) LastID() uint64 { return b.bucket(kv.Job).Sequence() }

func (b *backend) Cursor(i kv.Bucket) kv.Cursor {
	bucket := b.bucket(i)
	return &cursor{Cursor: bucket.Cursor(), bucket: bucket}
}

// A cursor is a bbolt cursor that gets past pages that deletions of its own transaction have
// emptied. With bbolt 1.5, Prev ends at such a page, and Last does not return if there are only
// such pages.
type cursor struct {
	*bbolt.Cursor
	bucket *bbolt.Bucket
	last   []byte // the latest key
}

func (c *cursor) Seek(key []byte) (k, v []byte) { return c.took(c.Cursor.Seek(key)) }

func (c *cursor) Next() (k, v []byte) { return c.took(c.Cursor.Next()) }

func (c *cursor) Last() (k, v []byte) {
	if c.bucket.Writable() {
		if first, _ := c.First(); first == nil {
			return c.took(nil, nil)
		}
	}
	return c.took(c.Cursor.Last())
}

func (c *cursor) Prev() (k, v []byte) {
	k, v = c.Cursor.Prev()
	if k == nil && c.last != nil && c.bucket.Writable() {
		// This is the beginning, or an empty page.
		first, _ := c.bucket.Cursor().First()
		if first != nil && string(first) < string(c.last) {
			for k == nil {
				k, v = c.Cursor.Prev()
			}
		}
	}
	return c.took(k, v)
}

func (c *cursor) took(k, v []byte) ([]byte, []byte) {
	c.last = k
	return k, v
}

// An arena copies values, which bbolt wants to stay as they are until the transaction ends, into
// few large pieces of memory.
type arena struct {
	free []byte
}

const (
	arenaPiece = 64 << 10
	arenaLarge = 8 << 10 // values of this size get a piece of their own
)

func (a *arena) copy(value []byte) []byte {
	switch n := len(value); {
	case n == 0:
		return nil
	case n >= arenaLarge:
		return append([]byte(nil), value...)
	case n > cap(a.free)-len(a.free):
		a.free = make([]byte, 0, arenaPiece)
	}
	start := len(a.free)
	a.free = append(a.free, value...)
	return a.free[start:len(a.free):len(a.free)]
}

// reset makes the memory that is left free again. It must not be called before the transaction has
// ended.
func (a *arena) reset() { a.free = a.free[:0] }
