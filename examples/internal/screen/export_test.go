package screen

import "io"

// NewSize returns a screen on a terminal of that size, or on none if size is nil.
func NewSize(w io.Writer, size func() (width, height int)) *Screen { return &Screen{w: w, size: size} }
