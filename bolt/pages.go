package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// This file reads the pages of a bbolt file, as far as that is needed to know that bbolt can read
// them. Numbers are in the byte order of the machine that wrote them.

var order = binary.NativeEndian

// checkPages returns an error that wraps ErrCorrupt if the file cannot be the tree that its newest
// meta page tells of. Nobody may write to it meanwhile.
func checkPages(f *os.File) error {
	m, ok := newestMeta(f)
	if !ok {
		return fmt.Errorf("%w: it has no valid meta page", ErrCorrupt)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	need := int64(m.pages) * int64(m.pageSize)
	if info.Size() < need {
		return fmt.Errorf("%w: it has been cut off, %d bytes of %d are left", ErrCorrupt, info.Size(), need)
	}
	t := tree{f: f, meta: m, seen: make([]uint64, m.pages/64+1)}
	if err := t.walk(m.root, 0); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// A meta is what of a meta page matters here.
type meta struct {
	pageSize          uint32
	root, pages, txid uint64
}

// The layout of a meta page.
const (
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64
	metaRoot     = 16
	metaPages    = 40
	metaTxid     = 48
	metaChecksum = 56
)

// newestMeta returns the newest valid meta page.
func newestMeta(r io.ReaderAt) (newest meta, ok bool) {
	// The second one is at the page size, which the first one tells. Without the first, the sizes
	// that bbolt tries are tried.
	at := []int64{0}
	if m, ok := readMeta(r, 0); ok {
		at = append(at, int64(m.pageSize))
	} else {
		for i := range 15 {
			at = append(at, 1<<10<<i)
		}
	}
	for _, at := range at {
		if m, valid := readMeta(r, at); valid && (!ok || m.txid > newest.txid) {
			newest, ok = m, true
		}
	}
	return newest, ok
}

// readMeta reads the meta page at an offset and reports whether there is a valid one.
func readMeta(r io.ReaderAt, at int64) (m meta, ok bool) {
	var buf [metaSize]byte
	if _, err := r.ReadAt(buf[:], at+pageHeader); err != nil {
		return meta{}, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(buf[:metaChecksum])
	if order.Uint32(buf[0:]) != metaMagic || order.Uint32(buf[4:]) != metaVersion ||
		order.Uint64(buf[metaChecksum:]) != sum.Sum64() {
		return meta{}, false
	}
	m = meta{
		pageSize: order.Uint32(buf[8:]),
		root:     order.Uint64(buf[metaRoot:]),
		pages:    order.Uint64(buf[metaPages:]),
		txid:     order.Uint64(buf[metaTxid:]),
	}
	return m, m.pageSize >= 1<<9 && m.pageSize <= 1<<26 && m.pages < 1<<40
}

// The layout of branch and leaf pages: a header, elements, and the keys and values that they point
// to, counted from the beginning of the element.
const (
	pageHeader    = 16
	pageBranch    = 1
	pageLeaf      = 2
	elementSize   = 16
	elementBucket = 1  // the flag of a leaf's element whose value is a bucket
	bucketHeader  = 16 // of such a value: the root page, 0 for one that follows, and a sequence
)

// A tree walks through the pages that are in use.
type tree struct {
	f    io.ReaderAt
	meta meta
	seen []uint64 // a bit for each page
}

var errPage = errors.New("it makes no sense")

// maxDepth bounds the pages and buckets inside of each other.
const maxDepth = 100

// walk checks the page and those below it.
func (t *tree) walk(id uint64, depth int) error {
	if id < 2 || id >= t.meta.pages {
		return fmt.Errorf("there is no page %d", id)
	}
	if t.seen[id/64]&(1<<(id%64)) != 0 || depth > maxDepth {
		return fmt.Errorf("page %d is used twice", id)
	}
	t.seen[id/64] |= 1 << (id % 64)
	at := int64(id) * int64(t.meta.pageSize)
	buf := make([]byte, t.meta.pageSize)
	if _, err := t.f.ReadAt(buf, at); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(order.Uint32(buf[12:]))
	if order.Uint64(buf) != id || id+overflow >= t.meta.pages {
		return fmt.Errorf("page %d: %w", id, errPage)
	}
	size := (int64(overflow) + 1) * int64(t.meta.pageSize)
	if err := t.page(buf, io.NewSectionReader(t.f, at, size), depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// page checks the page that all holds; buf is its beginning.
func (t *tree) page(buf []byte, all *io.SectionReader, depth int) error {
	flags, count := order.Uint16(buf[8:]), int64(order.Uint16(buf[10:]))
	end := pageHeader + count*elementSize
	if flags != pageBranch && flags != pageLeaf || end > all.Size() {
		return errPage
	}
	if end > int64(len(buf)) {
		buf = make([]byte, end)
		if _, err := all.ReadAt(buf, 0); err != nil {
			return err
		}
	}
	for at := int64(pageHeader); at < end; at += elementSize {
		e := buf[at:]
		if flags == pageBranch {
			if key := at + int64(order.Uint32(e)); key+int64(order.Uint32(e[4:])) > all.Size() {
				return errPage
			}
			if err := t.walk(order.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		value := at + int64(order.Uint32(e[4:])) + int64(order.Uint32(e[8:]))
		size := int64(order.Uint32(e[12:]))
		if value+size > all.Size() {
			return errPage
		}
		if order.Uint32(e)&elementBucket != 0 {
			if err := t.bucket(io.NewSectionReader(all, value, size), depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket checks the bucket that is a value.
func (t *tree) bucket(value *io.SectionReader, depth int) error {
	var buf [bucketHeader + pageHeader]byte
	n, err := value.ReadAt(buf[:], 0)
	if root := order.Uint64(buf[:]); n >= bucketHeader && root != 0 {
		return t.walk(root, depth+1)
	}
	if err != nil {
		return errPage
	}
	inline := io.NewSectionReader(value, bucketHeader, value.Size()-bucketHeader)
	return t.page(buf[bucketHeader:], inline, depth+1)
}
