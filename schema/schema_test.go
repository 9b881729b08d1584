package schema_test

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"mime/multipart"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schema"
	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

// everything has a field of each kind that arguments can have.
type everything struct {
	Text      string                   `json:"text"`
	Flag      bool                     `json:"flag"`
	Int       int                      `json:"int"`
	Small     int8                     `json:"small"`
	Unsigned  uint16                   `json:"unsigned"`
	Big       uint64                   `json:"big"`
	Float     float64                  `json:"float"`
	Single    float32                  `json:"single"`
	Color     color                    `json:"color,omitempty" jsonschema:"enum=red,enum=green"`
	Start     time.Time                `json:"start"`
	Wait      time.Duration            `json:"wait"`
	Waits     []time.Duration          `json:"waits"`
	Nested    nested                   `json:"nested"`
	Pointer   *nested                  `json:"pointer"`
	Number    *int8                    `json:"number"`
	List      []nested                 `json:"list"`
	Fixed     [2]int                   `json:"fixed"`
	Map       map[string]nested        `json:"map"`
	Numbered  map[int8]string          `json:"numbered"`
	Addresses map[netip.Addr]int       `json:"addresses"`
	Address   netip.Addr               `json:"address"`
	ID        uuid                     `json:"id"`
	Bytes     []byte                   `json:"bytes"`
	Raw       json.RawMessage          `json:"raw"`
	Any       any                      `json:"any"`
	Exact     json.Number              `json:"exact"`
	Quoted    int8                     `json:"quoted,string"`
	Own       percent                  `json:"own"`
	Switch    onOff                    `json:"switch"`
	Page      page[nested]             `json:"page"`
	Pages     page[string]             `json:"pages"`
	File      zip.FileHeader           `json:"file"`
	Upload    multipart.FileHeader     `json:"upload"`
	Tree      *treeArgs                `json:"tree"`
	Deep      map[string][]map[int]any `json:"deep"`
	Inline    struct{ X, Y int }       `json:"inline"`
	embedded
	*Optional

	Ignored chan int `json:"-"`
}

type color string

type nested struct {
	Name string `json:"name"`
	Size uint8  `json:"size,omitempty"`
}

type page[T any] struct {
	Items []T `json:"items"`
}

type treeArgs struct {
	Value    int         `json:"value"`
	Children []*treeArgs `json:"children,omitempty"`
}

type embedded struct {
	Text     int    `json:"text"` // hidden by the outer one
	Embedded string `json:"embedded"`
}

type Optional struct {
	Option string `json:"option"`
}

type uuid [16]byte

func (u uuid) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(u[:])), nil }

func (u *uuid) UnmarshalText(text []byte) error {
	if len(text) != 32 {
		return errors.New("wrong length")
	}
	_, err := hex.Decode(u[:], text)
	return err
}

// percent describes itself.
type percent int

func (percent) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: "0", Maximum: "100"}
}

// onOff is written as JSON of its own.
type onOff bool

func (o onOff) MarshalJSON() ([]byte, error) {
	if o {
		return []byte(`"on"`), nil
	}
	return []byte(`"off"`), nil
}

func (o *onOff) UnmarshalJSON(data []byte) error {
	switch string(data) {
	case `"on"`, `"off"`:
		*o = string(data) == `"on"`
		return nil
	}
	return errors.New("neither on nor off")
}

func filled() everything {
	n := int8(-5)
	return everything{
		Text: "tést <&>", Flag: true, Int: -1 << 63, Small: -128, Unsigned: 65535, Big: 1<<64 - 1,
		Float: 1e300, Single: 1.5, Color: "green",
		Start: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
		Wait:  90 * time.Minute, Waits: []time.Duration{time.Second},
		Nested: nested{"a", 1}, Pointer: &nested{"b", 2}, Number: &n, List: []nested{{"c", 3}},
		Fixed: [2]int{1, 2}, Map: map[string]nested{"k/~": {"d", 4}},
		Numbered:  map[int8]string{-7: "seven"},
		Addresses: map[netip.Addr]int{netip.MustParseAddr("::1"): 1},
		Address:   netip.MustParseAddr("192.0.2.1"),
		ID:        uuid{1, 2, 3}, Bytes: []byte{0, 255}, Raw: json.RawMessage(`[1,{"a":null}]`),
		Any: map[string]any{"x": "y"}, Exact: "12345678901234567890", Quoted: 7, Own: 50, Switch: true,
		Page: page[nested]{Items: []nested{{"e", 5}}}, Pages: page[string]{Items: []string{"f"}},
		File:     zip.FileHeader{Name: "g.txt", Modified: time.Unix(0, 0).UTC()},
		Upload:   multipart.FileHeader{Filename: "h.txt", Size: 3},
		Tree:     &treeArgs{Value: 1, Children: []*treeArgs{{Value: 2}}},
		Deep:     map[string][]map[int]any{"a": {{1: "b"}}},
		embedded: embedded{Embedded: "i"}, Optional: &Optional{Option: "j"},
	}
}

func schemaFor[T any](tb testing.TB) *schema.Schema {
	tb.Helper()
	s, err := schema.For[T]()
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func parseSchema(tb testing.TB, doc string) *schema.Schema {
	tb.Helper()
	s, err := schema.Parse([]byte(doc))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// asJSON writes a pointer to v, so that methods of pointers are called, too.
func asJSON[T any](tb testing.TB, v T) json.RawMessage {
	tb.Helper()
	data, err := json.Marshal(&v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestFor_values_of_the_type_are_accepted_and_come_back(t *testing.T) {
	s := schemaFor[everything](t)
	for name, v := range map[string]everything{"filled": filled(), "zero": {}} {
		t.Run(name, func(t *testing.T) {
			args, err := s.Accept(asJSON(t, v))
			if err != nil {
				t.Fatal(err)
			}
			var got everything
			if err := json.Unmarshal(args, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(asJSON(t, v)), string(asJSON(t, got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFor_wrong_values_are_refused_by_name(t *testing.T) {
	s := schemaFor[everything](t)
	for _, c := range []struct{ field, value, path, message string }{
		{"text", `7`, "/text", "must be a string, not 7"},
		{"text", `null`, "/text", "must be a string, not null"},
		{"flag", `"yes"`, "/flag", `must be true or false, not "yes"`},
		{"int", `1.5`, "/int", "must be a whole number, not 1.5"},
		{"int", `9223372036854775808`, "/int", "must be a whole number from -9223372036854775808 to 9223372036854775807, not 9223372036854775808"},
		{"small", `300`, "/small", "must be a whole number from -128 to 127, not 300"},
		{"unsigned", `-1`, "/unsigned", "must be a whole number from 0 to 65535, not -1"},
		{"big", `18446744073709551616`, "/big", "must be a whole number from 0 to 18446744073709551615, not 18446744073709551616"},
		{"float", `1e400`, "/float", "is a number out of range"},
		{"single", `1e39`, "/single", "must be a number that fits 32 bits, not 1e39"},
		{"color", `"blue"`, "/color", `must be one of "red", "green", not "blue"`},
		{"start", `"tomorrow"`, "/start", `must be a time such as "2006-01-02T15:04:05Z", not "tomorrow"`},
		{"start", `"2016-12-31T23:59:60Z"`, "/start", `must be a time such as "2006-01-02T15:04:05Z", not "2016-12-31T23:59:60Z"`},
		{"wait", `"long"`, "/wait", `must be a duration such as "1h30m", or whole nanoseconds, not "long"`},
		{"wait", `true`, "/wait", `must be a duration such as "1h30m", or whole nanoseconds, not true`},
		{"wait", `1e30`, "/wait", "must be a duration of less than 292 years, not 1000000000000000000000000000000"},
		{"waits", `["1s","x"]`, "/waits/1", `must be a duration such as "1h30m", or whole nanoseconds, not "x"`},
		{"nested", `{}`, "/nested/name", "is required"},
		{"nested", `{"name":"a","size":256}`, "/nested/size", "must be a whole number from 0 to 255, not 256"},
		{"nested", `{"name":"a","Size":1}`, "/nested/Size", "is not a known field; did you mean size?"},
		{"pointer", `[]`, "/pointer", "must be an object, not a list"},
		{"pointer", `{"name":1}`, "/pointer/name", "must be a string, not 1"},
		{"number", `128`, "/number", "must be a whole number from -128 to 127, not 128"},
		{"list", `[{"name":"a"},{"name":null}]`, "/list/1/name", "must be a string, not null"},
		{"fixed", `[1,2,3]`, "/fixed", "must have at most 2 items, not 3"},
		{"map", `{"a/b":{"name":1}}`, "/map/a~1b/name", "must be a string, not 1"},
		{"numbered", `{"300":"x"}`, "/numbered/300", "its name must be a whole number from -128 to 127"},
		{"numbered", `{"007":"x"}`, "/numbered/007", "its name must be a whole number from -128 to 127"},
		{"addresses", `{"here":1}`, "/addresses/here", "its name must be a valid netip.Addr"},
		{"address", `"here"`, "/address", `must be a valid netip.Addr, not "here"`},
		{"id", `"abc"`, "/id", `must be a valid schema_test.uuid, not "abc"`},
		{"bytes", `"%"`, "/bytes", "must be encoded as base64"},
		{"exact", `"12"`, "/exact", `must be a number, not "12"`},
		{"quoted", `7`, "/quoted", "must be a string, not 7"},
		{"quoted", `"300"`, "/quoted", `must be a whole number from -128 to 127, not "300"`},
		{"own", `101`, "/own", "must be at most 100, not 101"},
		{"switch", `"maybe"`, "/switch", `must be a valid schema_test.onOff, not "maybe"`},
		{"page", `{"items":[{"name":1}]}`, "/page/items/0/name", "must be a string, not 1"},
		{"pages", `{"items":[1]}`, "/pages/items/0", "must be a string, not 1"},
		{"file", `{"Filename":"a"}`, "/file/Filename", "is not a known field"},
		{"tree", `{"value":1,"children":[null,{"value":"x"}]}`, "/tree/children/1/value", `must be a whole number, not "x"`},
		{"deep", `{"a":[{"x":1}]}`, "/deep/a/0/x", "its name must be a whole number from -9223372036854775808 to 9223372036854775807"},
		{"inline", `{"X":1,"Y":"2"}`, "/inline/Y", `must be a whole number, not "2"`},
		{"embedded", `1`, "/embedded", "must be a string, not 1"},
		{"option", `1`, "/option", "must be a string, not 1"},
		{"tex", `1`, "/tex", "is not a known field; did you mean text?"},
		{"-", `1`, "/-", "is not a known field"},
	} {
		t.Run(c.field+" "+c.value, func(t *testing.T) {
			fields := map[string]json.RawMessage{}
			if err := json.Unmarshal(asJSON(t, filled()), &fields); err != nil {
				t.Fatal(err)
			}
			fields[c.field] = json.RawMessage(c.value)
			err := s.Validate(asJSON(t, fields))
			invalid, ok := errors.AsType[*schema.ValidationError](err)
			if !ok || !errors.Is(err, schema.ErrInvalid) {
				t.Fatalf("got error %v, want a ValidationError", err)
			}
			for _, f := range invalid.Fields {
				if f.Path == c.path && f.Message == c.message {
					return
				}
			}
			t.Errorf("got  %v\nwant %s: %s", err, c.path, c.message)
		})
	}
}

// Whatever is accepted can be decoded, and whatever is refused names the field that was changed.
func TestFor_what_is_accepted_can_be_decoded(t *testing.T) {
	s := schemaFor[everything](t)
	values := []string{
		`null`, `true`, `0`, `-0`, `-1`, `1.0`, `1e2`, `1.5`, `127.0`, `300`, `65536`, `1e30`, `1e39`, `-1e308`,
		`18446744073709551615`, `18446744073709551616`, `0.1e1`, `12e-1`,
		`""`, `"x"`, `"7"`, `"-0"`, `"+7"`, `"1e2"`, `"5m"`, `"AA=="`, `"AA"`, `"red"`, `"on"`, `"::1"`, `"2026-01-02T03:04:05Z"`,
		`"2026-01-02t03:04:05z"`, `[]`, `[null]`, `[1]`, `[1.0,2]`, `["5m"]`, `{}`, `{"a":1}`, `{"1":"x"}`, `{"1.0":"x"}`, `{"name":"x"}`,
		`{"name":"x","size":2e2}`, `{"items":null}`, `{"::1":1e0}`, `{"value":3.0,"children":[{"value":1}]}`,
	}
	var doc any
	numbers := json.NewDecoder(bytes.NewReader(asJSON(t, filled())))
	numbers.UseNumber()
	if err := numbers.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	accepted := 0
	try := func(path, value string) {
		args, err := s.Accept(asJSON(t, doc))
		if err != nil {
			invalid, ok := errors.AsType[*schema.ValidationError](err)
			if !ok || !strings.HasPrefix(invalid.Fields[0].Path, path) {
				t.Fatalf("%s was changed to %s: got error %v", path, value, err)
			}
			return
		}
		accepted++
		if err := json.Unmarshal(args, new(everything)); err != nil {
			t.Fatalf("%s = %s was accepted: %v", path, value, err)
		}
	}
	var visit func(v any, path string, set func(any))
	visit = func(v any, path string, set func(any)) {
		for _, value := range values {
			set(json.RawMessage(value))
			try(path, value)
		}
		set(v)
		switch v := v.(type) {
		case map[string]any:
			for key, e := range v {
				visit(e, path+"/"+strings.ReplaceAll(strings.ReplaceAll(key, "~", "~0"), "/", "~1"), func(e any) { v[key] = e })
			}
		case []any:
			for i, e := range v {
				visit(e, path+"/"+string(rune('0'+i)), func(e any) { v[i] = e })
			}
		}
	}
	fields := doc.(map[string]any)
	for key, v := range fields {
		visit(v, "/"+key, func(e any) { fields[key] = e })
	}
	if accepted < 300 {
		t.Errorf("only %d changes were accepted; the test tests little", accepted)
	}
}

func TestFor_refuses_types_that_cannot_be_arguments(t *testing.T) {
	type loop []loop
	for _, c := range []struct {
		make func() (*schema.Schema, error)
		want string
	}{
		{schema.For[struct{ Done chan int }], "field Done: a value of type chan int cannot be an argument"},
		{schema.For[struct{ A struct{ F []func() } }], "field A.F: a value of type func() cannot be an argument"},
		{schema.For[struct{ C complex128 }], "field C: a value of type complex128 cannot be an argument"},
		{schema.For[struct{ M map[bool]int }], "field M: map[bool]int has keys that are neither"},
		{schema.For[struct{ M map[float64]int }], "field M: map[float64]int has keys that are neither"},
		{schema.For[struct{ E error }], "field E: a value of the interface error cannot be decoded"},
		{schema.For[struct{ L loop }], "field L: schema_test.loop contains itself"},
		{schema.For[struct{ W writeOnly }], "field W: schema_test.writeOnly has MarshalText, but no UnmarshalText"},
		{schema.For[struct {
			N int `jsonschema:"minimun=1"`
		}], `field N: its tag has "minimun", which is not known`},
		{schema.For[struct {
			N int `jsonschema:"default=x"`
		}], `field N: its default "x" does not fit int`},
		{schema.For[struct {
			N int8 `jsonschema:"default=300"`
		}], "default of /N: must be a whole number from -128 to 127, not 300"},
		{schema.For[struct {
			S string `jsonschema:"enum=a,default=b"`
		}], `default of /S: must be "a", not "b"`},
		{schema.For[any], "must describe an object"},
		{schema.For[error], "a value of the interface error cannot be decoded"},
		{schema.For[[]string], "must describe an object"},
		{schema.For[string], "must describe an object"},
		{schema.For[json.RawMessage], "must describe an object"},
		{schema.For[time.Time], "must describe an object"},
	} {
		_, err := c.make()
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
}

type writeOnly struct{}

func (writeOnly) MarshalText() ([]byte, error) { return nil, nil }

func TestFor_roots(t *testing.T) {
	if err := schemaFor[*nested](t).Validate([]byte(`{"name":"a"}`)); err != nil {
		t.Error("pointer:", err)
	}
	if err := schemaFor[map[string]int](t).Validate([]byte(`{"a":1}`)); err != nil {
		t.Error("map:", err)
	}
	if err := schemaFor[treeArgs](t).Validate([]byte(`{"value":1,"children":[{"value":2}]}`)); err != nil {
		t.Error("recursive:", err)
	}
	if err := schemaFor[struct{}](t).Validate(nil); err != nil {
		t.Error("none:", err)
	}
}

func TestFor_required_fields(t *testing.T) {
	type args struct {
		Plain     int    `json:"plain"`
		Empty     int    `json:"empty,omitempty"`
		Zero      int    `json:"zero,omitzero"`
		Default   int    `json:"default" jsonschema:"default=1"`
		Pointer   *int   `json:"pointer"`
		List      []int  `json:"list"`
		Forced    *int   `json:"forced" jsonschema:"required"`
		Nullable  int    `json:"nullable" jsonschema:"nullable"`
		Untagged  int    //nolint:tagliatelle // the point of it
		Described string `json:"described,omitempty" jsonschema:"title=A\\, B"`
		*Optional
	}
	var got []string
	for _, f := range schemaFor[args](t).Fields() {
		if f.Required {
			got = append(got, f.Name)
		}
	}
	if diff := cmp.Diff([]string{"plain", "list", "forced", "nullable", "Untagged"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFor_document_is_stable(t *testing.T) {
	a, b := schemaFor[everything](t), schemaFor[everything](t)
	if !bytes.Equal(a.JSON(), b.JSON()) || a.Fingerprint() != b.Fingerprint() {
		t.Error("two schemas of one type differ")
	}
	if a.Fingerprint() == schemaFor[nested](t).Fingerprint() {
		t.Error("schemas of two types have one fingerprint")
	}
	given := parseSchema(t, string(a.JSON()))
	if given.Fingerprint() != a.Fingerprint() || !reflect.DeepEqual(given.Fields(), a.Fields()) {
		t.Error("the document does not say what the schema does")
	}
}
