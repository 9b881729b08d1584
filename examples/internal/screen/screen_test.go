package screen_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs/examples/internal/screen"
	"github.com/embedjobs/jobs/internal/columns"
)

// A terminal is what is seen after the escape sequences that Screen uses.
type terminal struct {
	t      *testing.T
	lines  []string
	row    int
	cursor bool
}

func (v *terminal) Write(data []byte) (int, error) {
	s := string(data)
	for s != "" {
		if v.row == len(v.lines) {
			v.lines = append(v.lines, "")
		}
		up := 0
		switch {
		case take(&s, "\x1b[?25l"):
			v.cursor = false
		case take(&s, "\x1b[?25h"):
			v.cursor = true
		case take(&s, "\x1b[K"):
		case take(&s, "\x1b[J"):
			v.lines = v.lines[:v.row]
		case take(&s, "\r"):
			v.lines[v.row] = ""
		case take(&s, "\n"):
			v.row++
			if v.row < len(v.lines) {
				v.lines[v.row] = ""
			}
		case s[0] == '\x1b':
			if _, err := fmt.Sscanf(s, "\x1b[%dA", &up); err != nil || up > v.row {
				v.t.Errorf("bad sequence %q in row %d", s, v.row)
				return 0, err
			}
			take(&s, fmt.Sprintf("\x1b[%dA", up))
			v.row -= up
		default:
			n := strings.IndexAny(s, "\x1b\r\n")
			if n < 0 {
				n = len(s)
			}
			v.lines[v.row] += s[:n]
			s = s[n:]
		}
	}
	return len(data), nil
}

func take(s *string, prefix string) bool {
	rest, ok := strings.CutPrefix(*s, prefix)
	*s = rest
	return ok
}

func (v *terminal) want(want ...string) {
	v.t.Helper()
	if got := strings.Join(v.lines[:v.row], "\n"); got != strings.Join(want, "\n") {
		v.t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

func TestScreen_Terminal(t *testing.T) {
	v := &terminal{t: t, cursor: true}
	width, height := 10, 5
	s := screen.NewSize(v, func() (int, int) { return width, height })
	if !s.Live() || s.Width() != 9 {
		t.Errorf("live %v, width %d", s.Live(), s.Width())
	}
	s.Print("before\n")
	s.Draw("one\ntwo\nthree\n")
	v.want("before", "one", "two", "three")
	if v.cursor {
		t.Error("the cursor is shown while drawing")
	}
	s.Draw("1\n2")
	v.want("before", "1", "2")
	s.Draw("1\n2\n3")
	v.want("before", "1", "2", "3")
	s.Print("to stay")
	v.want("before", "to stay")
	s.Draw("much too long\nテキストテキスト\n3\n4\n5")
	v.want("before", "to stay", "much too…", "テキスト…", "3", "… 2 more…")
	for _, line := range v.lines {
		if columns.Width(line) >= width {
			t.Errorf("%q fills the width", line)
		}
	}
	height = 1
	s.Draw("1\n2")
	v.want("before", "to stay", "… 2 more…")
	s.Close()
	s.Close()
	if !v.cursor {
		t.Error("the cursor is hidden after Close")
	}
	s.Draw("next")
	v.want("before", "to stay", "… 2 more…", "next")
}

func TestScreen_Plain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := screen.NewSize(&out, nil)
		if s.Live() || s.Width() != 80 {
			t.Errorf("live %v, width %d", s.Live(), s.Width())
		}
		for i := range 50 { // 5 s
			s.Draw(fmt.Sprintf("step %d\n", i/15))
			time.Sleep(100 * time.Millisecond)
		}
		s.Print("aside")
		s.Draw("held back") // step 3 was half a second ago
		s.Draw("end")
		s.Close()
		s.Close()
		want := "step 0\nstep 1\nstep 2\nstep 3\naside\nend\n"
		if got := out.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestNew_OnAPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	s := screen.New(w)
	s.Draw("line")
	s.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil || out.String() != "line\n" || s.Live() {
		t.Errorf("got %q, %v, live %v", out.String(), err, s.Live())
	}
}
