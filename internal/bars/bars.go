// Package bars lays out rows with progress bars.
package bars

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/embedjobs/jobs/internal/columns"
)

// A Row is one line of a table. What is zero is left empty.
type Row struct {
	Label          string
	Fraction       float64 // negative means no bar
	Done           bool    // a check mark instead of the percentage, Took instead of Left
	Current, Total int64
	Rate           float64 // per second
	Left, Took     time.Duration
	Status         string
}

// Format lays out rows in lines of at most width columns, 40 at the least. When there is not
// enough room, the status is cut first, then columns are left out. Lines are separated by newlines
// and have no space at their end.
func Format(rows []Row, width int) string {
	t := &table{width: max(width, 40)}
	for i := range rows {
		t.add(&rows[i])
	}
	t.fit()
	var b strings.Builder
	for i, l := range t.lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(t.text(l))
	}
	return b.String()
}

// The columns of a table.
const (
	colLabel = iota
	colBar
	colPercent
	colCount
	colRate
	colTime
	colStatus
	colNumber
)

const (
	barWide   = 20
	barNarrow = 10
	colGap    = "  "
)

type line struct {
	cells    [colNumber]string // without the bar, whose width is not known yet
	fraction float64           // negative if there is no bar
}

type table struct {
	width  int
	lines  []line
	widths [colNumber]int
}

func (t *table) add(r *Row) {
	l := line{fraction: r.Fraction}
	l.cells[colLabel] = r.Label
	l.cells[colStatus] = r.Status
	if r.Fraction >= 0 {
		// Room for later, so that columns do not jump while somebody watches.
		t.widths[colBar], t.widths[colPercent] = barWide, len("99%")
		l.cells[colPercent] = strconv.Itoa(min(int(r.Fraction*100+1e-9), 99)) + "%"
	}
	if r.Total > 0 {
		total := shortCount(r.Total)
		l.cells[colCount] = shortCount(r.Current) + "/" + total
		t.widths[colCount] = max(t.widths[colCount], 2*len(total)+1)
	} else if r.Current != 0 {
		l.cells[colCount] = shortCount(r.Current)
	}
	if r.Rate > 0 {
		l.cells[colRate] = shortRate(r.Rate)
	}
	if r.Left > 0 {
		l.cells[colTime] = shortDuration(r.Left) + " left"
	}
	if r.Done {
		l.cells[colPercent], l.cells[colTime] = "✓", ""
		if r.Took > 0 {
			l.cells[colTime] = "in " + shortDuration(r.Took)
		}
	}
	for i, cell := range l.cells {
		t.widths[i] = max(t.widths[i], columns.Width(cell))
	}
	t.lines = append(t.lines, l)
}

// fit makes the columns narrow enough for the width.
func (t *table) fit() {
	w := &t.widths
	w[colLabel] = min(w[colLabel], max(t.width*2/5, 20))
	status := w[colStatus]
	w[colStatus] = min(status, 10) // what is worth a column
	for _, shrink := range []struct{ column, to int }{
		{colLabel, min(w[colLabel], 32)},
		{colBar, min(w[colBar], barNarrow)},
		{colRate, 0},
		{colLabel, min(w[colLabel], 24)},
		{colStatus, 0},
		{colTime, 0},
		{colCount, 0},
		{colLabel, min(w[colLabel], 20)},
		{colBar, 0},
	} {
		if t.used() <= t.width {
			break
		}
		w[shrink.column] = shrink.to
	}
	if w[colStatus] > 0 {
		w[colStatus] = min(status, w[colStatus]+t.width-t.used())
	}
}

// used returns the width of a full line.
func (t *table) used() int {
	n := -len(colGap)
	for _, w := range t.widths {
		if w > 0 {
			n += len(colGap) + w
		}
	}
	return n
}

func (t *table) text(l line) string {
	var b strings.Builder
	for i, w := range t.widths {
		if w == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(colGap)
		}
		switch cell := l.cells[i]; {
		case i == colBar && l.fraction >= 0:
			b.WriteString(drawBar(l.fraction, w))
		case i == colLabel || i == colStatus:
			b.WriteString(columns.Left(columns.Cut(cell, w), w))
		default:
			b.WriteString(columns.Right(cell, w))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// drawBar draws a fraction with a precision of an eighth of a column.
func drawBar(fraction float64, width int) string {
	eighths := int(fraction*float64(8*width) + 1e-9)
	s := strings.Repeat("█", eighths/8)
	n := eighths / 8
	if part := eighths % 8; part > 0 {
		s += string([]rune(" ▏▎▍▌▋▊▉")[part])
		n++
	}
	return s + strings.Repeat("░", width-n)
}

// shortCount writes n in full up to a million, then rounded down: 1.23M, 45.60G.
func shortCount(n int64) string {
	const units = "MGTPE"
	if -1e6 < n && n < 1e6 {
		return Thousands(n)
	}
	n /= 1e4 // hundredths of a unit
	unit := 0
	for ; n <= -1e5 || n >= 1e5; unit++ {
		n /= 1e3
	}
	return fmt.Sprintf("%.2f%c", float64(n)/100, units[unit])
}

// Thousands writes n with commas: 1,234,567.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// shortRate writes a rate per second in the unit that makes it a number of one to four digits.
func shortRate(rate float64) string {
	switch {
	case rate >= 9.95:
		return Thousands(int64(rate+0.5)) + "/s"
	case rate >= 0.95:
		return fmt.Sprintf("%.1f/s", rate)
	case rate*60 >= 0.95:
		return fmt.Sprintf("%.0f/min", rate*60)
	case rate*3600 >= 0.05:
		return fmt.Sprintf("%.1f/h", rate*3600)
	}
	return ""
}

// shortDuration writes a duration in its two largest units: 45s, 3m05s, 2h10m, 4d06h.
func shortDuration(d time.Duration) string {
	switch s := int64(d / time.Second); {
	case s < 1:
		return "<1s"
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 60*60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*60*60:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
	}
}
