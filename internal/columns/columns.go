// Package columns measures and cuts text by the columns it takes in a terminal.
package columns

import (
	"strings"
	"unicode"
)

// wide holds what takes two columns: East Asian wide and fullwidth characters and emoji. It is an
// abridged Unicode TR 11, good enough to align a table; a full one is not worth a dependency.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, // Hangul Jamo
		{Lo: 0x231a, Hi: 0x231b, Stride: 1}, // watch, hourglass
		{Lo: 0x23e9, Hi: 0x23ec, Stride: 1},
		{Lo: 0x2705, Hi: 0x2705, Stride: 1}, // check mark button
		{Lo: 0x274c, Hi: 0x274c, Stride: 1}, // cross mark
		{Lo: 0x2e80, Hi: 0x303e, Stride: 1}, // CJK radicals and punctuation
		{Lo: 0x3041, Hi: 0x33ff, Stride: 1}, // kana and CJK compatibility
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1},
		{Lo: 0x4e00, Hi: 0xa4cf, Stride: 1}, // CJK ideographs, Yi
		{Lo: 0xa960, Hi: 0xa97f, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, // Hangul syllables
		{Lo: 0xf900, Hi: 0xfaff, Stride: 1},
		{Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff01, Hi: 0xff60, Stride: 1}, // fullwidth forms
		{Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1b000, Hi: 0x1b2ff, Stride: 1}, // kana
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, // emoji
		{Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1},
		{Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x1fa70, Hi: 0x1faff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1}, // CJK ideographs
	},
}

// Rune returns the number of columns that r takes: 0, 1 or 2.
func Rune(r rune) int {
	switch {
	case r < ' ':
		return 0
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// Width returns the number of columns that s takes.
func Width(s string) int {
	n := 0
	for _, r := range s {
		n += Rune(r)
	}
	return n
}

// Cut returns s, or what fits of it into width columns with an ellipsis at its end.
func Cut(s string, width int) string {
	if len(s) <= width || Width(s) <= width {
		return s
	}
	if width < 1 {
		return ""
	}
	n := 0
	for i, r := range s {
		w := Rune(r)
		if n+w > width-1 {
			return s[:i] + "…"
		}
		n += w
	}
	return s
}

// Left fills s with spaces at its end up to width columns.
func Left(s string, width int) string { return s + Spaces(width-Width(s)) }

// Right fills s with spaces at its start up to width columns.
func Right(s string, width int) string { return Spaces(width-Width(s)) + s }

// Spaces returns n spaces, and none if n is negative.
func Spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }
