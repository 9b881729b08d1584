package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/embedjobs/jobs"
)

// A fileSum is what is known of a file. Names are short, because a result has many.
type fileSum struct {
	Sum    []byte `json:"s,omitempty"` // SHA-256; nil if the file could not be read
	Bytes  int64  `json:"n,omitempty"`
	Lines  int64  `json:"l,omitempty"`
	Binary bool   `json:"b,omitempty"`
}

var buffers = sync.Pool{New: func() any { return new([256 << 10]byte) }}

// sumFile reads a file once, a piece at a time, so that large files need no memory and can be
// interrupted.
func sumFile(ctx context.Context, name string) (fileSum, error) {
	f, err := os.Open(name)
	if err != nil {
		return fileSum{}, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	buf := buffers.Get().(*[256 << 10]byte)
	defer buffers.Put(buf)
	var (
		sum  fileSum
		hash = sha256.New()
		last byte
	)
	for ctx.Err() == nil {
		n, err := f.Read(buf[:])
		piece := buf[:n]
		if n > 0 {
			sum.Binary = sum.Binary || sum.Bytes == 0 && bytes.IndexByte(piece[:min(n, 8000)], 0) >= 0
			sum.Bytes += int64(n)
			sum.Lines += int64(bytes.Count(piece, []byte{'\n'}))
			last = piece[n-1]
			hash.Write(piece)
			jobs.Count(ctx, "bytes", int64(n))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fileSum{}, err
		}
	}
	if sum.Bytes > 0 && last != '\n' {
		sum.Lines++
	}
	if sum.Binary { // as Git decides it: by a zero byte near the beginning
		sum.Lines = 0
	}
	sum.Sum = hash.Sum(nil)
	return sum, ctx.Err()
}
