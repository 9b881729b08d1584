// Package screen shows a text that changes: in place in a terminal, line by line elsewhere.
package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/embedjobs/jobs/internal/columns"
	"golang.org/x/term"
)

// A Screen draws on a terminal, or writes plain lines to what is none. Its methods may be called
// concurrently.
type Screen struct {
	w    io.Writer
	size func() (width, height int) // nil if w is no terminal

	mu     sync.Mutex
	rows   int       // drawn in place, above the cursor
	hidden bool      // the cursor
	text   string    // the latest, where there is no terminal
	said   string    // and what was printed of it last
	saidAt time.Time // when
}

// The escape sequences that Screen uses; all terminals know them.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	eraseLine  = "\x1b[K" // from the cursor on
	eraseBelow = "\x1b[J"
)

// New returns a screen on w, which is usually os.Stdout.
func New(w *os.File) *Screen {
	fd := int(w.Fd())
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return &Screen{w: w}
	}
	return &Screen{w: w, size: func() (int, int) {
		width, height, err := term.GetSize(fd)
		if err != nil || width <= 0 || height <= 0 {
			return 80, 24
		}
		return width, height
	}}
}

// Live reports whether the screen is a terminal, on which Draw replaces what it drew before.
func (s *Screen) Live() bool { return s.size != nil }

// Width returns the number of columns that can be used, and 80 if the screen is no terminal. The
// last column stays free: writing it makes some terminals wrap.
func (s *Screen) Width() int {
	if s.size == nil {
		return 80
	}
	width, _ := s.size()
	return width - 1
}

// Draw shows text. In a terminal it replaces the text of the call before; lines that are too long
// are cut, and so are those that do not fit the height. Elsewhere it prints the text, unless that
// is what it printed last or a second has not passed since; callers that draw a tree for a
// terminal, see Live, pass a summary of one line then.
func (s *Screen) Draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text = strings.TrimRight(text, "\n")
	if s.size == nil {
		s.text = text
		if time.Since(s.saidAt) >= time.Second {
			s.say()
		}
		return
	}
	width, height := s.size()
	lines := strings.Split(text, "\n")
	if most := max(height-1, 1); len(lines) > most { // a line that scrolled off cannot be redrawn
		more := fmt.Sprintf("… %d more lines", len(lines)-most+1)
		lines = append(lines[:most-1:most-1], more)
	}
	// One write per picture, so that it does not flicker.
	var b strings.Builder
	if !s.hidden {
		b.WriteString(hideCursor)
		s.hidden = true
	}
	s.home(&b)
	for _, line := range lines {
		b.WriteString(columns.Cut(line, width-1) + eraseLine + "\n")
	}
	b.WriteString(eraseBelow)
	s.rows = len(lines)
	s.write(b.String())
}

// say prints the latest text, unless that was done.
func (s *Screen) say() {
	if s.text != s.said {
		s.said, s.saidAt = s.text, time.Now()
		s.write(s.text + "\n")
	}
}

// Print prints text to stay: in a terminal above what is drawn, elsewhere at once.
func (s *Screen) Print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	if s.size != nil {
		s.home(&b)
		b.WriteString(eraseBelow)
		s.rows = 0
	}
	b.WriteString(strings.TrimRight(text, "\n") + "\n")
	s.write(b.String())
}

// Close leaves what was drawn last where it is and shows the cursor again; where there is no
// terminal, it prints the latest text if Draw has held it back. A program that ends without it, as
// by an unhandled signal, leaves a terminal without a cursor.
func (s *Screen) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size == nil {
		s.say()
	}
	if s.hidden {
		s.write(showCursor)
		s.hidden = false
	}
	s.rows = 0
}

// write ignores errors: nobody is left to be told.
func (s *Screen) write(text string) { _, _ = io.WriteString(s.w, text) }

// home moves the cursor to the start of what was drawn.
func (s *Screen) home(b *strings.Builder) {
	if s.rows > 0 {
		fmt.Fprintf(b, "\x1b[%dA", s.rows)
	}
	b.WriteString("\r")
}
