package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"unsafe"

	"go.etcd.io/bbolt"
)

// This file reads the pages of a bbolt file, as far as that is needed to know that bbolt can read
// them. Numbers are in the byte order of the machine that wrote them.

var order = binary.NativeEndian

// checkPages returns an error that wraps ErrCorrupt if the file cannot be the tree that its newest
// meta page tells of. Nobody may write to it meanwhile. It looks at the pages where db has mapped
// them: with a million jobs, to read them takes several times as long.
func checkPages(db *bbolt.DB, f *os.File) error {
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
	data := db.Info().Data
	t := tree{
		// Not unsafe.Pointer(data), which go vet takes for an address that may have moved.
		data: unsafe.Slice(*(**byte)(unsafe.Pointer(&data)), need),
		meta: m,
		seen: make([]uint64, m.pages/64+1),
	}
	err = t.walk(m.root, 0)
	if err == nil && m.freelist != noFreelist {
		err = t.freelist(m.freelist)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

// A meta is what of a meta page matters here.
type meta struct {
	pageSize                    uint32
	root, freelist, pages, txid uint64
}

// The layout of a meta page.
const (
	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = 64
	metaRoot     = 16
	metaFreelist = 32
	metaPages    = 40
	metaTxid     = 48
	metaChecksum = 56

	noFreelist = 1<<64 - 1
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
		freelist: order.Uint64(buf[metaFreelist:]),
		pages:    order.Uint64(buf[metaPages:]),
		txid:     order.Uint64(buf[metaTxid:]),
	}
	return m, m.pageSize >= 1<<9 && m.pageSize <= 1<<26 && m.pages < 1<<40
}

// The layout of branch and leaf pages: a header, elements, and the keys and values that they point
// to, counted from the beginning of the element.
const (
	pageHeader    = 16
	pageBranch    = 0x01
	pageLeaf      = 0x02
	pageFreelist  = 0x10
	elementSize   = 16
	elementBucket = 1  // the flag of a leaf's element whose value is a bucket
	bucketHeader  = 16 // of such a value: the root page, 0 for one that follows, and a sequence
)

// A tree walks through the pages that are in use.
type tree struct {
	data []byte // the pages
	meta meta
	seen []uint64 // a bit for each page
}

var errPage = errors.New("it makes no sense")

// maxDepth bounds the pages and buckets inside of each other.
const maxDepth = 100

// use notes that a page is in use.
func (t *tree) use(id uint64) error {
	if id < 2 || id >= t.meta.pages {
		return fmt.Errorf("there is no page %d", id)
	}
	if t.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	t.seen[id/64] |= 1 << (id % 64)
	return nil
}

// read returns a page together with those that it overflows to, which are then in use.
func (t *tree) read(id uint64) ([]byte, error) {
	size := uint64(t.meta.pageSize)
	page := t.data[id*size:]
	overflow := uint64(order.Uint32(page[12:]))
	if order.Uint64(page) != id || id+overflow >= t.meta.pages {
		return nil, fmt.Errorf("page %d: %w", id, errPage)
	}
	for i := range overflow {
		if err := t.use(id + 1 + i); err != nil {
			return nil, err
		}
	}
	return page[:(overflow+1)*size], nil
}

// walk checks the page and those below it.
func (t *tree) walk(id uint64, depth int) error {
	if err := t.use(id); err != nil {
		return err
	}
	if depth > maxDepth {
		return fmt.Errorf("page %d is too deep", id)
	}
	page, err := t.read(id)
	if err != nil {
		return err
	}
	if err := t.page(page, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// page checks what is on a page.
func (t *tree) page(page []byte, depth int) error {
	if len(page) < pageHeader {
		return errPage
	}
	flags, count := order.Uint16(page[8:]), int(order.Uint16(page[10:]))
	end, all := pageHeader+count*elementSize, int64(len(page))
	if flags != pageBranch && flags != pageLeaf || end > len(page) {
		return errPage
	}
	for at := pageHeader; at < end; at += elementSize {
		e := page[at : at+elementSize]
		if flags == pageBranch {
			if key := int64(at) + int64(order.Uint32(e)); key+int64(order.Uint32(e[4:])) > all {
				return errPage
			}
			if err := t.walk(order.Uint64(e[8:]), depth+1); err != nil {
				return err
			}
			continue
		}
		value := int64(at) + int64(order.Uint32(e[4:])) + int64(order.Uint32(e[8:]))
		size := int64(order.Uint32(e[12:]))
		if value+size > all {
			return errPage
		}
		if order.Uint32(e)&elementBucket != 0 {
			if err := t.bucket(page[value:value+size], depth); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket checks the bucket that is a value.
func (t *tree) bucket(value []byte, depth int) error {
	if len(value) < bucketHeader {
		return errPage
	}
	if root := order.Uint64(value); root != 0 {
		return t.walk(root, depth+1)
	}
	return t.page(value[bucketHeader:], depth+1)
}

// freelist checks that the pages in the stored list of free pages are not in use.
func (t *tree) freelist(id uint64) error {
	if err := t.use(id); err != nil {
		return err
	}
	page, err := t.read(id)
	if err != nil {
		return err
	}
	count, free := uint64(order.Uint16(page[10:])), page[pageHeader:]
	if count == 0xFFFF { // then the first number is the count
		count, free = order.Uint64(free), free[8:]
	}
	if order.Uint16(page[8:]) != pageFreelist || count > uint64(len(free)/8) {
		return fmt.Errorf("page %d: %w", id, errPage)
	}
	for i := range count {
		if err := t.use(order.Uint64(free[8*i:])); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	return nil
}
