package progress_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/embedjobs/jobs/internal/columns"
	"github.com/embedjobs/jobs/progress"
	"github.com/google/go-cmp/cmp"
)

func ExampleReport_Format() {
	began := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	r := &progress.Report{
		Name: "video 42", Current: 1300, Total: 2600, Started: began, Updated: began.Add(130 * time.Second),
		Children: []*progress.Report{
			{Name: "probe", Current: 3, Total: 3, Started: began, Updated: began.Add(2 * time.Second)},
			{
				Name: "encode", Current: 1297, Total: 2597, Started: began.Add(2 * time.Second),
				Updated: began.Add(130 * time.Second), Status: "second pass",
			},
		},
	}
	fmt.Println(r.Format(72))
	// Output:
	// video 42    █████░░░░░  50%  1,300/2,600   10/s  2m10s left
	// ├── probe   ██████████    ✓          3/3  1.5/s       in 2s
	// └── encode  ████▉░░░░░  49%  1,297/2,597   10/s  2m08s left  second pass
}

// importReport is the report of a made-up import.
func importReport(t *testing.T) (r *progress.Report) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		root := progress.New("Import of the holdings")
		download := root.Child("download")
		download.SetTotal(12)
		download.Set(0)
		pages := root.Child("pages")
		images := pages.Child("images")
		images.SetTotal(1_234_567)
		text := pages.Child("テキスト")
		text.SetTotal(400)
		time.Sleep(3 * time.Second)
		download.Add(12)
		images.Set(200)
		text.Add(1)
		root.Report()
		time.Sleep(90 * time.Second)
		images.Add(600_000)
		images.SetStatus("batch-0601/a-rather-long-file-name-that-needs-to-be-cut-somewhere.jpg")
		text.Add(99)
		root.Child("links").Add(4321)
		root.Child("index").SetFraction(0.66)
		root.Child("a step whose name is much longer than any name ought to be").SetStatus("soon")
		for i := range 995 {
			root.Child("report").Child(fmt.Sprint("sheet ", i))
		}
		r = root.Report()
	})
	last := r.Children[len(r.Children)-1]
	last.Children, last.Cut = last.Children[:1], last.Cut+len(last.Children)-1
	return r
}

func TestReport_Format(t *testing.T) {
	r := importReport(t)
	for width, want := range map[int]string{
		60: `
Import of the holdings
├── download              ██████████    ✓          12/12
├── pages                 ████▊░░░░░  48%  600,300/1.23M
│   ├── images            ████▊░░░░░  48%  600,200/1.23M
│   └── テキスト          ██▌░░░░░░░  25%        100/400
├── links                                          4,321
├── index                 ██████▌░░░  66%
├── a step whose name i…
└── report
    ├── sheet 0
    └── … 994 more
`,
		80: `
Import of the holdings
├── download              ██████████    ✓          12/12       in 3s
├── pages                 ████▊░░░░░  48%  600,300/1.23M  1m35s left
│   ├── images            ████▊░░░░░  48%  600,200/1.23M  1m35s left  batch-060…
│   └── テキスト          ██▌░░░░░░░  25%        100/400  4m30s left
├── links                                          4,321
├── index                 ██████▌░░░  66%
├── a step whose name i…                                              soon
└── report
    ├── sheet 0
    └── … 994 more
`,
		120: `
Import of the holdings
├── download                      ████████████████████    ✓          12/12    4.0/s       in 3s
├── pages                         █████████▋░░░░░░░░░░  48%  600,300/1.23M  6,668/s  1m35s left
│   ├── images                    █████████▋░░░░░░░░░░  48%  600,200/1.23M  6,667/s  1m35s left  batch-0601/a-rather-lo…
│   └── テキスト                  █████░░░░░░░░░░░░░░░  25%        100/400    1.1/s  4m30s left
├── links                                                            4,321
├── index                         █████████████▏░░░░░░  66%
├── a step whose name is much l…                                                                 soon
└── report
    ├── sheet 0
    └── … 994 more
`,
	} {
		got := "\n" + r.Format(width) + "\n"
		if got != want {
			t.Errorf("in %d columns:\n%s\nwant:\n%s", width, got, want)
		}
	}
}

func TestReport_FormatNumbers(t *testing.T) {
	began := time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		current int64
		took    time.Duration
		want    string
	}{
		{0, time.Second, "n"},
		{999_999, 0, "n  999,999"},
		{-999_999, 0, "n  -999,999"},
		{1_000_000, 0, "n  1.00M"},
		{-1_999_999, 0, "n  -1.99M"},
		{999_999_999, 0, "n  999.99M"},
		{1_000_000_000, 0, "n  1.00G"},
		{math.MaxInt64, 0, "n  9.22E"},
		{1234, time.Second, "n  1,234  1,234/s"},
		{10, 4 * time.Second, "n  10  2.5/s"},
		{1, time.Minute, "n  1  1/min"},
		{59, time.Minute, "n  59  1.0/s"},
		{1, 24 * time.Hour, "n  1"},
		{1, 90 * time.Minute, "n  1  0.7/h"},
	} {
		r := &progress.Report{Name: "n", Current: c.current, Started: began, Updated: began.Add(c.took)}
		if got := r.String(); got != c.want {
			t.Errorf("%d in %v: got %q, want %q", c.current, c.took, got, c.want)
		}
	}
	for took, want := range map[time.Duration]string{
		0:                             "n  ████████████████████    ✓  1/1",
		500 * time.Millisecond:        "n  ████████████████████    ✓  1/1  2.0/s  in <1s",
		59*time.Second + 999e6:        "n  ████████████████████    ✓  1/1  1/min  in 59s",
		time.Hour - time.Second:       "n  ████████████████████    ✓  1/1  1.0/h  in 59m59s",
		25 * time.Hour:                "n  ████████████████████    ✓  1/1  in 1d01h",
		23*time.Hour + 59*time.Minute: "n  ████████████████████    ✓  1/1  in 23h59m",
		time.Minute + 5*time.Second:   "n  ████████████████████    ✓  1/1  55.4/h  in 1m05s",
		2000 * 24 * time.Hour:         "n  ████████████████████    ✓  1/1  in 2000d00h",
	} {
		r := &progress.Report{Name: "n", Current: 1, Total: 1, Started: began, Updated: began.Add(took)}
		if got := r.String(); got != want {
			t.Errorf("done in %v: got %q, want %q", took, got, want)
		}
	}
	for current, want := range map[int64]string{
		999_999: "n  ███████████████████▉  99%  999,999/1.00M",
		-5:      "n  ░░░░░░░░░░░░░░░░░░░░   0%     -5/1.00M",
		2e6:     "n  ████████████████████    ✓  2.00M/1.00M",
	} {
		r := &progress.Report{Name: "n", Current: current, Total: 1e6}
		if got := r.String(); got != want {
			t.Errorf("%d of a million: got %q, want %q", current, got, want)
		}
	}
}

func TestReport_FormatKeepsToItsWidth(t *testing.T) {
	r := importReport(t)
	for width := range 200 {
		for line := range strings.SplitSeq(r.Format(width), "\n") {
			if got := columns.Width(line); got > max(width, 40) {
				t.Errorf("in %d columns: %d taken: %s", width, got, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("in %d columns: space at the end: %q", width, line)
			}
		}
	}
	if r.String() != r.Format(80) {
		t.Error("String is not Format(80)")
	}
}

func TestReport_JSON(t *testing.T) {
	r := importReport(t)
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back *progress.Report
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Error(diff)
	}
	data, err = json.Marshal(progress.New("new").Report())
	if want := `{"name":"new","current":0}`; string(data) != want {
		t.Errorf("got %s, %v; want %s", data, err, want)
	}
}

func TestReport_OddJSON(t *testing.T) {
	for _, data := range []string{
		`{}`, `{"children":[null,{"name":"a"},null]}`, `{"current":-1,"total":-1,"base":-1,"cut":-1}`,
		`{"current":9223372036854775807,"total":9223372036854775807,"base":-9223372036854775808,
			"started":"0001-01-01T00:00:00.1Z","updated":"9999-01-01T00:00:00Z"}`,
	} {
		var r *progress.Report
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			t.Fatal(err)
		}
		r = r.Clone()
		_ = r.String() // does not panic
		if r.Child("none") != nil || r.Child("a") == nil && strings.Contains(data, `"a"`) {
			t.Errorf("%s: wrong child", data)
		}
	}
}

func TestReport_Clone(t *testing.T) {
	r := importReport(t)
	c := r.Clone()
	if diff := cmp.Diff(r, c); diff != "" {
		t.Fatal(diff)
	}
	c.Child("pages", "images").Current = 1
	c.Children[0] = nil
	if r.Child("pages", "images").Current == 1 || r.Children[0] == nil {
		t.Error("the clone shares its nodes")
	}
}

func TestReport_Child(t *testing.T) {
	r := importReport(t)
	if r.Child() != r {
		t.Error("the empty path is not the report itself")
	}
	for _, path := range [][]string{{"none"}, {"none", "images"}, {"pages", "none"}} {
		if got := r.Child(path...); got != nil {
			t.Errorf("%q: got %q", path, got.Name)
		}
	}
}
