package graph

import (
	"unicode"

	"github.com/embedjobs/jobs/internal/columns"
)

// Sizes of letters in pixels, and how wide the label of an edge may be.
const (
	labelSize    = 13.0
	noteSize     = 11.0
	edgeSize     = 11.0
	edgeMaxWidth = 120.0
)

// widths are the widths of the printable ASCII characters, from the space on, in hundredths of the
// size. They are between those of narrow and of wide sans serif fonts: which one the reader has is
// not known.
var widths = [...]uint8{
	31, 37, 42, 78, 60, 90, 72, 26, 37, 37, 48, 78, 31, 35, 31, 34, // space to /
	60, 60, 60, 60, 60, 60, 60, 60, 60, 60, 33, 33, 78, 78, 78, 51, // 0 to ?
	95, 66, 66, 68, 73, 61, 56, 74, 72, 29, 31, 64, 55, 83, 72, 76, // @ to O
	60, 76, 67, 62, 60, 71, 66, 94, 66, 60, 66, 37, 34, 37, 78, 50, // P to _
	50, 58, 60, 53, 60, 59, 34, 60, 60, 27, 28, 56, 27, 92, 60, 58, // ` to o
	60, 60, 40, 50, 38, 60, 57, 78, 57, 57, 51, 60, 34, 60, 78, // p to ~
}

func runeWidth(r rune) float64 {
	switch {
	case r >= ' ' && int(r-' ') < len(widths):
		return float64(widths[r-' ']) / 100
	case r == '…':
		return 0.95
	case unicode.IsUpper(r):
		return 0.72
	}
	switch columns.Rune(r) {
	case 0:
		return 0
	case 2:
		return 1.05
	}
	return 0.64
}

// textWidth returns about how wide a text is.
func textWidth(s string, size float64) float64 {
	width := 0.0
	for _, r := range s {
		width += runeWidth(r)
	}
	return width * size * 1.04
}

// fit returns s, or what fits of it with an ellipsis at its end.
func fit(s string, size, width float64) string {
	if textWidth(s, size) <= width {
		return s
	}
	left := width/size/1.04 - runeWidth('…')
	for i, r := range s {
		if left -= runeWidth(r); left < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
