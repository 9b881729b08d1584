package schema_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schema"
	"github.com/google/go-cmp/cmp"
)

type reportArgs struct {
	Name     string              `json:"name" jsonschema:"title=Title of the report,description=Shown first,minLength=1"`
	Note     string              `json:"note,omitempty" jsonschema:"format=textarea"`
	Greeting string              `json:"greeting,omitempty" jsonschema:"default=Hello"`
	Mail     string              `json:"mail,omitempty" jsonschema:"format=email"`
	MaxSize  int                 `json:"max_size,omitempty" jsonschema:"minimum=1,maximum=100,default=10"`
	Ratio    *float64            `json:"ratio" jsonschema:"exclusiveMinimum=0"`
	Draft    bool                `json:"draft,omitempty" jsonschema:"default=true"`
	Sure     *bool               `json:"sure"`
	Color    string              `json:"color,omitempty" jsonschema:"enum=red,enum=green"`
	Level    int                 `json:"level,omitempty" jsonschema:"enum=1,enum=2"`
	From     time.Time           `json:"from,omitzero"`
	Wait     time.Duration       `json:"wait,omitempty" jsonschema:"minimum=1s"`
	Tags     []string            `json:"tags,omitempty"`
	Sizes    []int               `json:"sizes,omitempty" jsonschema:"maxItems=3"`
	Steps    []stepArgs          `json:"steps,omitempty"`
	Env      map[string]string   `json:"env,omitempty"`
	Groups   map[string]stepArgs `json:"groups,omitempty"`
	Options  stepArgs            `json:"options,omitzero"`
	Extra    json.RawMessage     `json:"extra,omitempty"`
	Key      string              `json:"key,omitempty" jsonschema:"secret"`
	Parent   *reportArgs         `json:"parent"`
}

type stepArgs struct {
	Name string   `json:"name"`
	Fast bool     `json:"fast,omitempty"`
	Args []string `json:"args,omitempty"`
}

func TestSchema_Fields(t *testing.T) {
	fields := map[string]schema.Field{}
	var order []string
	var collect func(list []schema.Field)
	collect = func(list []schema.Field) {
		for _, f := range list {
			fields[f.Path] = f
			if strings.Count(f.Path, "/") == 1 {
				order = append(order, f.Name)
			}
			if f.Item != nil {
				collect([]schema.Field{*f.Item})
			}
			collect(f.Fields)
		}
	}
	collect(schemaFor[reportArgs](t).Fields())
	if got, want := strings.Join(order, " "), "name note greeting mail max_size ratio draft sure color level from wait tags sizes steps env groups options extra key parent"; got != want {
		t.Errorf("got order  %s\nwant %s", got, want)
	}

	one, hundred, zero, second := 1.0, 100.0, 0.0, 1e9
	length, items := 1, 3
	choices := func(values ...string) (all []schema.Choice) {
		for _, v := range values {
			all = append(all, schema.Choice{Value: json.RawMessage(v)})
		}
		return all
	}
	for _, want := range []schema.Field{
		{Path: "/name", Kind: schema.KindString, Title: "Title of the report", Description: "Shown first", MinLength: &length, Required: true},
		{Path: "/note", Kind: schema.KindText, Title: "Note", Format: "textarea"},
		{Path: "/mail", Kind: schema.KindString, Title: "Mail", Format: "email"},
		{Path: "/max_size", Kind: schema.KindInteger, Title: "Max size", Format: "int64", Minimum: &one, Maximum: &hundred, Default: json.RawMessage("10")},
		{Path: "/ratio", Kind: schema.KindNumber, Title: "Ratio", Minimum: &zero, ExclusiveMinimum: true, Nullable: true},
		{Path: "/draft", Kind: schema.KindBoolean, Title: "Draft", Default: json.RawMessage("true")},
		{Path: "/color", Kind: schema.KindChoice, Title: "Color", Choices: choices(`"red"`, `"green"`)},
		{Path: "/level", Kind: schema.KindChoice, Title: "Level", Format: "int64", Choices: choices("1", "2")},
		{Path: "/from", Kind: schema.KindTime, Title: "From", Format: "date-time"},
		{Path: "/wait", Kind: schema.KindDuration, Title: "Wait", Format: "go-duration", Minimum: &second},
		{Path: "/tags/*", Kind: schema.KindString},
		{Path: "/sizes", Kind: schema.KindList, Title: "Sizes", Nullable: true, MaxItems: &items},
		{Path: "/steps/*/args/*", Kind: schema.KindString},
		{Path: "/groups/*/name", Kind: schema.KindString, Title: "Name", Required: true},
		{Path: "/options", Kind: schema.KindObject, Title: "Options"},
		{Path: "/extra", Kind: schema.KindJSON, Title: "Extra"},
		{Path: "/key", Kind: schema.KindString, Title: "Key", Secret: true},
		{Path: "/parent", Kind: schema.KindObject, Title: "Parent", Nullable: true},
		{Path: "/parent/parent", Kind: schema.KindJSON, Title: "Parent", Nullable: true},
	} {
		got := fields[want.Path]
		got.Item, got.Fields = nil, nil
		want.Name = want.Path[strings.LastIndex(want.Path, "/")+1:]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", want.Path, diff)
		}
	}
}

func TestSchema_Fields_of_given_schemas(t *testing.T) {
	s := parseSchema(t, `{"type":"object","$defs":{"n":{"title":"N","type":"object","properties":{"next":{"$ref":"#/$defs/n"}}},`+doubling(30)+`},
		"required":["b"],"properties":{
		"b":{"$ref":"#/$defs/n","title":"B"},
		"aName":{"oneOf":[{"const":1,"title":"One"},{"const":2}]},
		"HTTPPort":{"type":"integer","exclusiveMaximum":9,"maximum":9},
		"any":{"anyOf":[{"type":"string"},{"type":"integer"}]},
		"tuple":{"type":"array","prefixItems":[{}]},
		"free":{"type":"object"},
		"key":{"type":"string","writeOnly":true,"default":"s"},
		"none":{"type":"object","additionalProperties":false}}}`)
	var got []string
	for _, f := range s.Fields() {
		got = append(got, f.Name+" "+string(f.Kind)+" "+f.Title+" "+string(f.Default))
		switch f.Name {
		case "b":
			if !f.Required || len(f.Fields) != 1 || f.Fields[0].Fields[0].Kind != schema.KindJSON {
				t.Errorf("got %+v", f)
			}
		case "aName":
			if f.Choices[0].Title != "One" || string(f.Choices[1].Value) != "2" {
				t.Errorf("got %+v", f)
			}
		case "HTTPPort":
			if !f.ExclusiveMaximum {
				t.Errorf("got %+v", f)
			}
		}
	}
	want := []string{
		"b object B ", "aName choice A name ", "HTTPPort integer HTTPPort ", "any json Any ", "tuple json Tuple ",
		"free json Free ", `key string Key "•••"`, "none object None ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSchema_FromForm(t *testing.T) {
	s := schemaFor[reportArgs](t)
	const rest = `"draft":false,"greeting":"Hello","max_size":10,"name":"a"`
	for _, c := range []struct{ name, form, want string }{
		{"what is not sent gets its default", "/name=a", `{` + rest + `}`},
		{"what is empty gets its default", "/name=a&/max_size=&/color=&/from=&/wait=&/tags=&/ratio=&/sure=&/extra=&/mail=&/steps/0/name=", `{` + rest + `,"steps":[{"fast":false,"name":""}]}`},
		{"a string with a default may be empty", "/name=a&/greeting=", `{` + strings.Replace(rest, "Hello", "", 1) + `}`},
		{"other names are ignored", "/name=a&csrf=1", `{` + rest + `}`},
		{"numbers", "/name=a&/max_size= 1e1 &/ratio=%2B0.5", `{` + rest + `,"ratio":0.5}`},
		{"a ticked box", "/name=a&/draft=on", `{` + strings.Replace(rest, "false", "true", 1) + `}`},
		{"a ticked box after a hidden value", "/name=a&/draft=false&/draft=true", `{` + strings.Replace(rest, "false", "true", 1) + `}`},
		{"a boolean of three states", "/name=a&/sure=no", `{` + rest + `,"sure":false}`},
		{"choices", "/name=a&/color=red&/level=2", `{"color":"red",` + strings.Replace(rest, `"max_`, `"level":2,"max_`, 1) + `}`},
		{"a time without zone", "/name=a&/from=2026-01-02T03:04", `{` + strings.Replace(rest, `"greet`, `"from":"2026-01-02T03:04:00Z","greet`, 1) + `}`},
		{"a time with zone", "/name=a&/from=2026-01-02T03:04:05.5%2B01:00", `{` + strings.Replace(rest, `"greet`, `"from":"2026-01-02T03:04:05.5+01:00","greet`, 1) + `}`},
		{"a duration", "/name=a&/wait=1m30s", `{` + rest + `,"wait":90000000000}`},
		{"line ends", "/name=a&/note=x%0D%0Ay", `{` + rest + `,"note":"x\ny"}`},
		{"lists as values", "/name=a&/tags=x&/tags=&/tags=y&/sizes=1&/sizes=2", `{` + rest + `,"sizes":[1,2],"tags":["x","y"]}`},
		{"lists as lines", "/name=a&/tags=x%0D%0A%0D%0Ay", `{` + rest + `,"tags":["x","y"]}`},
		{"lists with positions", "/name=a&/tags/7=y&/tags/2=x", `{` + rest + `,"tags":["x","y"]}`},
		{"lists as JSON", `/name=a&/sizes=[1, 2]&/steps=[{"name":"x"}]`, `{` + rest + `,"sizes":[1,2],"steps":[{"name":"x"}]}`},
		{"lists of objects", "/name=a&/steps/10/name=y&/steps/9/name=x&/steps/9/fast=1&/steps/9/args=p&/steps/9/args=q", `{` + rest + `,"steps":[{"args":["p","q"],"fast":true,"name":"x"},{"fast":false,"name":"y"}]}`},
		{"maps by name", "/name=a&/env/A=1&/env/B~1C=2", `{` + strings.Replace(rest, `"greet`, `"env":{"A":"1","B/C":"2"},"greet`, 1) + `}`},
		{"maps as lines", "/name=a&/env=A=1%0AB=x=y%0A%0A", `{` + strings.Replace(rest, `"greet`, `"env":{"A":"1","B":"x=y"},"greet`, 1) + `}`},
		{"maps as JSON", `/name=a&/env={"A":"1"}`, `{` + strings.Replace(rest, `"greet`, `"env":{"A":"1"},"greet`, 1) + `}`},
		{"maps of objects", "/name=a&/groups/g/name=x", `{` + strings.Replace(rest, `"max_`, `"groups":{"g":{"fast":false,"name":"x"}},"max_`, 1) + `}`},
		{"nested objects", "/name=a&/options/name=x&/options/fast=true", `{` + rest + `,"options":{"fast":true,"name":"x"}}`},
		{"anything", `/name=a&/extra=[1, {"a": null}]`, `{` + strings.Replace(rest, `"greet`, `"extra":[1,{"a":null}],"greet`, 1) + `}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			values, err := url.ParseQuery(c.form)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.FromForm(values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSchema_FromForm_refuses(t *testing.T) {
	s := schemaFor[reportArgs](t)
	for _, c := range []struct{ form, want string }{
		{"", "/name: is required"},
		{"/name=", "/name: must not be empty"},
		{"/name=a&/max_size=abc", `/max_size: must be a whole number, not "abc"`},
		{"/name=a&/max_size=0x10", `/max_size: must be a whole number, not "0x10"`},
		{"/name=a&/max_size=101", "/max_size: must be at most 100, not 101"},
		{"/name=a&/draft=maybe", `/draft: must be true or false, not "maybe"`},
		{"/name=a&/color=blue", `/color: must be one of "red", "green", not "blue"`},
		{"/name=a&/from=today", `/from: must be a time such as "2006-01-02T15:04:05Z", not "today"`},
		{"/name=a&/wait=5", `/wait: must be a duration such as "1h30m", or whole nanoseconds, not "5"`},
		{"/name=a&/sizes=1&/sizes=x", `/sizes/1: must be a whole number, not "x"`},
		{"/name=a&/extra={", "/extra: is not valid JSON: unexpected end of JSON input (at byte 1)"},
		{`/name=a&/steps=[{"name":"a","name":"b"}]`, "/steps/0/name: is given twice"},
		{"/name=a&/env=A", "/env: must have lines of the form name=value"},
		{"/name=a&/naem=b&/steps/x/name=b", "/naem: is not a known field; /steps/x/name: is not a known field"},
		{"/name=a&/key=" + schema.Redacted, "/key: is hidden and not known here; give its value"},
		{"/name=a&" + strings.Repeat("/a", 300) + "=1", "has a field that is nested too deep"},
	} {
		values, err := url.ParseQuery(c.form)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.FromForm(values)
		if _, ok := errors.AsType[*schema.ValidationError](err); !ok || err.Error() != "jobs: invalid arguments: "+c.want {
			t.Errorf("%s: got  %v\nwant %s", c.form, err, c.want)
		}
	}
}

func TestSchema_ToForm(t *testing.T) {
	s, ratio, yes := schemaFor[reportArgs](t), 0.5, true
	args, err := s.Accept(asJSON(t, reportArgs{
		Name: "a", Note: "x\ny", Mail: "a@example.org", MaxSize: 7, Ratio: &ratio, Draft: true, Sure: &yes, Color: "red", Level: 2,
		From: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Wait: 90 * time.Second,
		Tags: []string{"x", "y"}, Sizes: []int{1}, Steps: []stepArgs{{Name: "s", Fast: true, Args: []string{"[", "", "a\nb"}}},
		Env: map[string]string{"A/B": "1"}, Groups: map[string]stepArgs{"g": {Name: "h"}}, Options: stepArgs{Name: "o"},
		Extra: json.RawMessage(`{"a":[1]}`), Key: "secret", Parent: &reportArgs{Name: "p", Key: "secret"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	form := s.ToForm(args)
	if text := form.Encode(); strings.Contains(text, "secret") {
		t.Errorf("the form has secrets: %s", text)
	}
	for name, want := range map[string]string{
		"/wait": "1m30s", "/from": "2026-01-02T03:04:05.000000006Z", "/draft": "true", "/level": "2", "/env/A~1B": "1",
		"/steps/0/args": `["[","","a\nb"]`, "/groups/g/name": "h", "/extra": `{"a":[1]}`,
	} {
		if got := form.Get(name); got != want {
			t.Errorf("got %s = %q, want %q", name, got, want)
		}
	}
	back, err := s.UpdateFromForm(args, form)
	if err != nil {
		t.Fatal(err)
	}
	var want, got reportArgs
	if err := errors.Join(json.Unmarshal(args, &want), json.Unmarshal(back, &got)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("args do not come back: %s", diff)
	}
	if form := s.ToForm([]byte(`broken`)); len(form) != 0 {
		t.Errorf("got %v of what cannot be read", form)
	}
}

func TestSchema_UpdateFromForm(t *testing.T) {
	s := schemaFor[loginArgs](t)
	for _, c := range []struct{ name, form, stored, want string }{
		{"empty secrets keep their value", "/user=b&/token=", `{"token":"s","pin":7}`, `{"pin":7,"token":"s","user":"b"}`},
		{"hidden secrets keep their value", "/user=b&/token=•••", `{"token":"s"}`, `{"token":"s","user":"b"}`},
		{"new secrets replace them", "/user=b&/token=new", `{"token":"s"}`, `{"token":"new","user":"b"}`},
		{"in lists", "/user=b&/servers/0/host=y", `{"servers":[{"host":"x","password":"X"},{"host":"y","password":"Y"}]}`, `{"servers":[{"host":"y","password":"Y"}],"user":"b"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			values, err := url.ParseQuery(c.form)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.UpdateFromForm([]byte(c.stored), values)
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}
