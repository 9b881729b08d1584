package memory

import (
	"bytes"
	"unsafe"

	"github.com/tidwall/btree"

	"github.com/embedjobs/jobs/internal/kv"
)

// buckets is a kv.Backend over B-trees that are copied on write.
type buckets struct {
	trees  [kv.NumBuckets]btree.Map[string, []byte]
	lastID uint64

	// What the transaction under way replaced, for undo.
	log     []change
	firstID uint64
}

// A change is the value that a key had before.
type change struct {
	bucket  kv.Bucket
	existed bool
	key     string
	value   []byte
}

func (b *buckets) begin() { b.log, b.firstID = b.log[:0], b.lastID }

// maxLog is the number of changes for which memory is kept from one transaction to the next.
const maxLog = 10_000

func (b *buckets) undo() {
	for i := len(b.log) - 1; i >= 0; i-- {
		c := &b.log[i]
		if c.existed {
			b.trees[c.bucket].Set(c.key, c.value)
		} else {
			b.trees[c.bucket].Delete(c.key)
		}
	}
	b.lastID = b.firstID
	clear(b.log)
	if cap(b.log) > maxLog {
		b.log = nil
	}
}

// changed ends a transaction and reports whether it wrote.
func (b *buckets) changed() bool {
	wrote := len(b.log) > 0 || b.lastID != b.firstID
	clear(b.log)
	if cap(b.log) > maxLog {
		b.log = nil
	}
	return wrote
}

// copy returns a snapshot. It shares its nodes with b until b writes to them.
func (b *buckets) copy() *buckets {
	c := &buckets{lastID: b.lastID}
	for i := range b.trees {
		c.trees[i] = *b.trees[i].Copy()
	}
	return c
}

func (b *buckets) Get(bucket kv.Bucket, key []byte) []byte {
	v, ok := b.trees[bucket].Get(view(key))
	if ok && v == nil {
		return []byte{}
	}
	return v
}

func (b *buckets) Put(bucket kv.Bucket, key, value []byte) error {
	k := string(key)
	old, existed := b.trees[bucket].Set(k, bytes.Clone(value))
	b.log = append(b.log, change{bucket, existed, k, old})
	return nil
}

func (b *buckets) Delete(bucket kv.Bucket, key []byte) error {
	if old, existed := b.trees[bucket].Delete(view(key)); existed {
		b.log = append(b.log, change{bucket, true, string(key), old})
	}
	return nil
}

func (b *buckets) NextID() (uint64, error) {
	b.lastID++
	return b.lastID, nil
}

func (b *buckets) LastID() uint64 { return b.lastID }

func (b *buckets) Cursor(bucket kv.Bucket) kv.Cursor {
	return &cursor{tree: &b.trees[bucket], iter: b.trees[bucket].Iter()}
}

type cursor struct {
	tree *btree.Map[string, []byte]
	iter btree.MapIter[string, []byte]
}

func (c *cursor) at(ok bool) (k, v []byte) {
	if !ok {
		return nil, nil
	}
	key, v := c.iter.Key(), c.iter.Value()
	return unsafe.Slice(unsafe.StringData(key), len(key)), v
}

func (c *cursor) Seek(key []byte) (k, v []byte) { return c.at(c.iter.Seek(view(key))) }
func (c *cursor) Last() (k, v []byte)           { return c.at(c.iter.Last()) }
func (c *cursor) Next() (k, v []byte)           { return c.at(c.iter.Next()) }
func (c *cursor) Prev() (k, v []byte)           { return c.at(c.iter.Prev()) }

// view returns key as a string without copying it. It is for the keys of lookups, which no tree
// keeps.
func view(key []byte) string { return unsafe.String(unsafe.SliceData(key), len(key)) }
