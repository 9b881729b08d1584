package bolt

import (
	"encoding/binary"
	"fmt"
	"slices"

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
	found   [kv.NumBuckets][]byte        // the key at which the lookup cursor is; nil if it may be wrong
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
	c := b.lookups[i]
	if c == nil {
		c = b.bucket(i).Cursor()
		b.lookups[i] = c
	}
	k, v := b.after(i, key)
	if k == nil {
		k, v = c.Seek(key)
	}
	b.found[i] = nil
	switch {
	case string(k) != string(key):
		return nil
	case v == nil:
		v = []byte{}
	}
	b.found[i] = k
	return v
}

// after looks for key just after the one that was found last, and returns nil if it is not there. The
// IDs of the jobs that a claim takes follow each other mostly; a step takes a fifth of a search.
func (b *backend) after(i kv.Bucket, key []byte) (k, v []byte) {
	last := b.found[i]
	if len(last) != 8 || len(key) != 8 || binary.BigEndian.Uint64(last)+1 != binary.BigEndian.Uint64(key) {
		return nil, nil
	}
	if k, v = b.lookups[i].Next(); string(k) != string(key) {
		return nil, nil
	}
	return k, v
}

func (b *backend) Put(i kv.Bucket, key, value []byte) error {
	b.found[i] = nil
	return b.bucket(i).Put(key, b.values.copy(value))
}

// Delete uses the cursor of the lookups again, because that of Bucket.Delete is made anew.
func (b *backend) Delete(i kv.Bucket, key []byte) error {
	if b.Get(i, key) == nil {
		return nil
	}
	b.found[i] = nil
	return b.lookups[i].Delete()
}

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
// few large pieces of memory that are used again. Without it they are a tenth of what is allocated
// for a job.
type arena struct {
	pieces [][]byte
	at     int // the piece that is being filled
}

const (
	arenaPiece = 64 << 10
	arenaLarge = 8 << 10 // values of this size get a piece of their own
	arenaKept  = 16      // pieces that are kept from one transaction to the next
)

func (a *arena) copy(value []byte) []byte {
	n := len(value)
	switch {
	case n == 0:
		return nil
	case n >= arenaLarge:
		return append([]byte(nil), value...)
	}
	if a.at < len(a.pieces) && n > arenaPiece-len(a.pieces[a.at]) {
		a.at++
	}
	if a.at == len(a.pieces) {
		a.pieces = append(a.pieces, make([]byte, 0, arenaPiece))
	}
	piece := a.pieces[a.at]
	start := len(piece)
	piece = append(piece, value...)
	a.pieces[a.at] = piece
	return piece[start:len(piece):len(piece)]
}

// reset makes the memory free again. It must not be called before the transaction has ended.
func (a *arena) reset() {
	if len(a.pieces) > arenaKept {
		a.pieces = slices.Clone(a.pieces[:arenaKept])
	}
	for i := range a.pieces {
		a.pieces[i] = a.pieces[i][:0]
	}
	a.at = 0
}
