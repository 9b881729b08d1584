package kv

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/embedjobs/jobs"
)

// The indexes that say which jobs have a label, and which are in a state, are sets of IDs. A set is
// cut into chunks of consecutive IDs, each a key whose value has a bit for each ID. IDs are given in
// the order of the commits, so that the jobs of a commit are near each other, and all changes that it
// makes to a chunk are one write: to claim and finish a job takes three keys instead of six, to insert
// one two instead of three, and with a million jobs the indexes are a tenth of what a key for each ID
// takes.

const (
	chunkShift = 9 // a chunk has 1<<chunkShift IDs
	chunkWords = 1 << chunkShift / 64
	chunkBytes = chunkWords * 8
)

// isSet reports whether the index of a bucket is made of sets.
func isSet(b Bucket) bool { return b == State || b == Label }

// A chunk has the bits of consecutive IDs.
type chunk [chunkWords]uint64

func chunkOf(id jobs.ID) jobs.ID { return id >> chunkShift }

// bit returns the word and the bit of an ID.
func bit(id jobs.ID) (word int, mask uint64) {
	i := id & (1<<chunkShift - 1)
	return int(i / 64), 1 << (i % 64)
}

// appendTo appends the chunk as it is stored: the number of zero bytes that are left out before the
// bytes that are written, and nothing after the last one that is not zero. An empty chunk is nothing.
func (c *chunk) appendTo(b []byte) []byte {
	var raw [chunkBytes]byte
	for i, w := range c {
		binary.LittleEndian.PutUint64(raw[8*i:], w)
	}
	first, end := 0, len(raw)
	for first < end && raw[first] == 0 {
		first++
	}
	for end > first && raw[end-1] == 0 {
		end--
	}
	if first == end {
		return b
	}
	return append(append(b, byte(first)), raw[first:end]...)
}

// decode reads a stored chunk.
func (c *chunk) decode(data []byte) error {
	*c = chunk{}
	if len(data) < 2 {
		return errShort
	}
	first := int(data[0])
	if first+len(data)-1 > chunkBytes {
		return errLong
	}
	var raw [chunkBytes]byte
	copy(raw[first:], data[1:])
	for i := range c {
		c[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nil
}

func (c *chunk) count() (n int64) {
	for _, w := range c {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// keep leaves the IDs from the low one up to, and without, the high one.
func (c *chunk) keep(low, high int) {
	for i := range c {
		from, to := min(max(low-64*i, 0), 64), min(max(high-64*i, 0), 64)
		mask := ^uint64(0) << from
		if to < 64 {
			mask &= 1<<to - 1
		}
		c[i] &= mask
	}
}

// take removes the first or the last ID and returns its number in the chunk, -1 if there is none.
func (c *chunk) take(last bool) int {
	for n := range c {
		i := n
		if last {
			i = len(c) - 1 - n
		}
		if c[i] == 0 {
			continue
		}
		at := bits.TrailingZeros64(c[i])
		if last {
			at = bits.Len64(c[i]) - 1
		}
		c[i] &^= 1 << at
		return 64*i + at
	}
	return -1
}

// A pending chunk is one that a transaction has read, and perhaps changed.
type pending struct {
	stored, now chunk
}

// enter and leave put a job into an index and take it out. The key ends with the ID.

func (tx *Tx) enter(b Bucket, key []byte) error {
	if isSet(b) {
		return tx.mark(b, key, true)
	}
	if err := tx.flushGone(); err != nil { // which may be this key
		return err
	}
	return tx.put(b, key, nil)
}

func (tx *Tx) leave(b Bucket, key []byte) error {
	if isSet(b) {
		return tx.mark(b, key, false)
	}
	if b == Line {
		tx.gone.buf = append(tx.gone.buf, key...)
		tx.gone.ends = append(tx.gone.ends, len(tx.gone.buf))
		return nil
	}
	return tx.delete(b, key)
}

// flushGone deletes the jobs that have left their lines, the last one first: in bbolt to delete the
// first keys of a page one by one moves all others each time, which was a tenth of the work of a claim.
func (tx *Tx) flushGone() error {
	for i := tx.gone.len() - 1; i >= 0; i-- {
		if err := tx.delete(Line, tx.gone.at(i)); err != nil {
			return err
		}
	}
	tx.gone.reset()
	return nil
}

// mark sets or clears the bit of an ID.
func (tx *Tx) mark(b Bucket, key []byte, on bool) error {
	id := idOf(key)
	tx.chunkKey = append(append(tx.chunkKey[:0], byte(b)), key[:len(key)-idSize]...)
	tx.chunkKey = appendID(tx.chunkKey, chunkOf(id))
	p := tx.chunks[string(tx.chunkKey)]
	if p == nil {
		if n := len(tx.spare); n > 0 {
			p, tx.spare = tx.spare[n-1], tx.spare[:n-1]
			*p = pending{}
		} else {
			p = new(pending)
		}
		if data := tx.b.Get(b, tx.chunkKey[1:]); data != nil {
			if err := p.stored.decode(data); err != nil {
				tx.broken = fmt.Errorf("corrupt index %s, key %q: %w", b, tx.chunkKey[1:], err)
				return tx.broken
			}
		}
		p.now = p.stored
		if tx.chunks == nil {
			tx.chunks = make(map[string]*pending)
		}
		tx.chunks[string(tx.chunkKey)] = p
	}
	word, mask := bit(id)
	if on {
		p.now[word] |= mask
	} else {
		p.now[word] &^= mask
	}
	return nil
}

// dropSets forgets the chunks, and keeps their memory.
func (tx *Tx) dropSets() {
	for _, p := range tx.chunks {
		if len(tx.spare) < maxSpare {
			tx.spare = append(tx.spare, p)
		}
	}
	clear(tx.chunks)
}

const maxSpare = 64

// flushSets writes the chunks that have changed.
func (tx *Tx) flushSets() error {
	if len(tx.chunks) == 0 {
		return nil
	}
	for _, key := range sortedKeys(tx.chunks) {
		p := tx.chunks[key]
		if p.now == p.stored {
			continue
		}
		b := Bucket(key[0])
		tx.key = append(tx.key[:0], key[1:]...)
		var err error
		if tx.value = p.now.appendTo(tx.value[:0]); len(tx.value) > 0 {
			err = tx.put(b, tx.key, tx.value)
		} else {
			err = tx.delete(b, tx.key)
		}
		if err != nil {
			return err
		}
		p.stored = p.now
	}
	return nil
}

// A setSource yields the IDs of a set.
type setSource struct {
	walk
	after   jobs.ID // that of the query, 0 for none
	started bool
	base    jobs.ID // of the chunk
	chunk   chunk   // what of it is left
}

// bySet returns a source of the IDs of the set whose keys begin with prefix.
func (tx *Tx) bySet(b Bucket, prefix []byte, after jobs.ID, desc bool) *setSource {
	return &setSource{walk: walk{tx: tx, bucket: b, prefix: prefix, desc: desc}, after: after}
}

func (s *setSource) next() jobs.ID {
	for {
		if i := s.chunk.take(s.desc); i >= 0 {
			return s.base + jobs.ID(i)
		}
		var k, v []byte
		if s.started {
			k, v = s.walk.next()
		} else {
			s.started = true
			k, v = s.seek(s.first())
		}
		if k == nil {
			return 0
		}
		if len(k) != len(s.prefix)+idSize || s.chunk.decode(v) != nil {
			continue // of another set, or damaged: Verify says so
		}
		n := idOf(k)
		s.base = n << chunkShift
		if s.after != 0 && n == chunkOf(s.after) {
			at := int(s.after - s.base)
			if s.desc {
				s.chunk.keep(0, at)
			} else {
				s.chunk.keep(at+1, 1<<chunkShift)
			}
		}
	}
}

// first returns the key at which the walk begins, see [walk.seek].
func (s *setSource) first() []byte {
	if s.after == 0 {
		return nil
	}
	n := chunkOf(s.after)
	if s.desc {
		n++ // the keys less than this one
	}
	return appendID(append([]byte(nil), s.prefix...), n)
}
