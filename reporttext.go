package jobs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/embedjobs/jobs/internal/columns"
)

// String returns the report as [Report.Format] lays it out in 80 columns.
func (r *Report) String() string { return r.Format(80) }

// Format lays the report out as a tree for a terminal or a log, one line per node: the name, a bar
// and the percentage or, once done, a check mark, the count, the rate, the time left or taken, the
// status line. Lines are not longer than width columns, 40 at the least, have no space at their
// end, and are separated by newlines; the last one has none. When there is not enough room, the
// status is cut first, then columns are left out. The layout may change.
func (r *Report) Format(width int) string {
	if r == nil {
		return ""
	}
	t := &reportTable{width: max(width, 40)}
	t.add(r, "", "")
	t.fit()
	var b strings.Builder
	for i, row := range t.rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(t.line(row))
	}
	return b.String()
}

// The columns of a reportTable.
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

type reportRow struct {
	cells    [colNumber]string // without the bar, whose width is not known yet
	fraction float64
	known    bool
}

type reportTable struct {
	width  int
	rows   []reportRow
	widths [colNumber]int
}

// add appends the row of r, whose label begins with first, and those of its children, which begin
// with rest.
func (t *reportTable) add(r *Report, first, rest string) {
	row := reportRow{}
	row.cells[colLabel] = first + r.Name
	row.cells[colStatus] = r.Status
	row.fraction, row.known = r.Fraction()
	if row.known {
		// Room for later, so that columns do not jump while somebody watches.
		t.widths[colBar], t.widths[colPercent] = barWide, len("99%")
		row.cells[colPercent] = strconv.Itoa(min(int(row.fraction*100+1e-9), 99)) + "%"
	}
	if !r.Parts && r.Total > 0 && !r.Open {
		row.cells[colCount] = shortCount(r.Current) + "/" + shortCount(r.Total)
		t.widths[colCount] = max(t.widths[colCount], 2*len(shortCount(r.Total))+1)
	} else if !r.Parts && r.Current != 0 {
		row.cells[colCount] = shortCount(r.Current)
	}
	if rate := r.Rate(); rate > 0 && !r.Parts {
		row.cells[colRate] = shortRate(rate)
	}
	if r.Done() {
		row.cells[colPercent] = "✓"
		if took := r.Updated.Sub(r.Started); !r.Started.IsZero() && took > 0 {
			row.cells[colTime] = "in " + shortDuration(took)
		}
	} else if left, ok := r.Remaining(); ok {
		row.cells[colTime] = shortDuration(left) + " left"
	}
	t.push(row)
	for i, c := range r.Children {
		if i == len(r.Children)-1 && r.Cut == 0 {
			t.add(c, rest+"└── ", rest+"    ")
		} else {
			t.add(c, rest+"├── ", rest+"│   ")
		}
	}
	if r.Cut > 0 {
		row := reportRow{}
		row.cells[colLabel] = rest + "└── … " + thousands(int64(r.Cut)) + " more"
		t.push(row)
	}
}

func (t *reportTable) push(row reportRow) {
	for i, cell := range row.cells {
		t.widths[i] = max(t.widths[i], columns.Width(cell))
	}
	t.rows = append(t.rows, row)
}

// fit makes the columns narrow enough for the width.
func (t *reportTable) fit() {
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
func (t *reportTable) used() int {
	n := -len(colGap)
	for _, w := range t.widths {
		if w > 0 {
			n += len(colGap) + w
		}
	}
	return n
}

func (t *reportTable) line(row reportRow) string {
	var b strings.Builder
	for i, w := range t.widths {
		if w == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(colGap)
		}
		switch cell := row.cells[i]; {
		case i == colBar && row.known:
			b.WriteString(drawBar(row.fraction, w))
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
		return thousands(n)
	}
	n /= 1e4 // hundredths of a unit
	unit := 0
	for ; n <= -1e5 || n >= 1e5; unit++ {
		n /= 1e3
	}
	return fmt.Sprintf("%.2f%c", float64(n)/100, units[unit])
}

// thousands writes n with commas: 1,234,567.
func thousands(n int64) string {
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
		return thousands(int64(rate+0.5)) + "/s"
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
