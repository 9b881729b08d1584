package columns_test

import (
	"testing"

	"github.com/embedjobs/jobs/internal/columns"
)

func TestWidth(t *testing.T) {
	for s, want := range map[string]int{
		"":            0,
		"plain":       5,
		"├── █▌░ … ✓": 11,
		"Käse":        4,
		"Ka\u0308se":  4, // with a combining diaeresis
		"テキスト":        8,
		"한국어":         6,
		"a😀b":         4,
	} {
		if got := columns.Width(s); got != want {
			t.Errorf("%q: got %d, want %d", s, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{
		{"plain", 5, "plain"},
		{"plain", 4, "pla…"},
		{"plain", 1, "…"},
		{"plain", 0, ""},
		{"plain", -1, ""},
		{"", 0, ""},
		{"テキスト", 8, "テキスト"},
		{"テキスト", 7, "テキス…"},
		{"テキスト", 6, "テキ…"}, // a wide character is not halved
	} {
		if got := columns.Cut(c.s, c.width); got != c.want {
			t.Errorf("Cut(%q, %d): got %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

func TestFill(t *testing.T) {
	if got := columns.Left("ト", 4) + "|" + columns.Right("ト", 4) + "|" + columns.Left("long", 2); got != "ト  |  ト|long" {
		t.Errorf("got %q", got)
	}
}
