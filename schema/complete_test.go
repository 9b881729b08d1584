package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schema"
	"github.com/google/go-cmp/cmp"
)

func TestSchema_Complete(t *testing.T) {
	type limits struct {
		Retries int           `json:"retries,omitempty" jsonschema:"default=3"`
		Pause   time.Duration `json:"pause,omitempty" jsonschema:"default=1m30s"`
	}
	type args struct {
		Name     string            `json:"name"`
		Level    int               `json:"level,omitempty" jsonschema:"default=1"`
		Sizes    []int             `json:"sizes,omitempty" jsonschema:"default=10,default=20"`
		Limits   limits            `json:"limits"`
		Optional limits            `json:"optional,omitzero"`
		Pointer  *limits           `json:"pointer"`
		Each     []limits          `json:"each,omitempty"`
		ByName   map[string]limits `json:"by_name,omitempty"`
		Wait     *time.Duration    `json:"wait"`
	}
	const (
		full  = `{"pause":90000000000,"retries":3}`
		rest  = `"level":1,"limits":` + full + `,"name":"a","optional":` + full
		sizes = `,"sizes":[10,20]`
	)
	s := schemaFor[args](t)
	for _, c := range []struct{ name, args, want string }{
		{"missing fields get their defaults", `{"name":"a"}`, `{` + rest + sizes + `}`},
		{"empty arguments are an object", ``, `{` + strings.Replace(rest, `"name":"a",`, "", 1) + sizes + `}`},
		{"given fields stay", `{"name":"a","level":0,"sizes":[]}`, `{` + strings.Replace(rest, `:1`, `:0`, 1) + `,"sizes":[]}`},
		{"null stays null", `{"name":"a","sizes":null}`, `{` + rest + `,"sizes":null}`},
		{"objects that are given are completed", `{"name":"a","pointer":{},"each":[{"retries":1}],"by_name":{"x":{}}}`, `{"by_name":{"x":` + full + `},"each":[{"pause":90000000000,"retries":1}],` + rest + `,"pointer":` + full + sizes + `}`},
		{"durations become integers", `{"name":"a","wait":"-1.5us"}`, `{` + rest + sizes + `,"wait":-1500}`},
		{"integers lose fraction and exponent", `{"name":"a","wait":1.50e2}`, `{` + rest + sizes + `,"wait":150}`},
		{"what is wrong stays for Validate", `{"name":7,"wait":"x"}`, `{` + strings.Replace(rest, `"a"`, `7`, 1) + sizes + `,"wait":"x"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.Complete(json.RawMessage(c.args))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if again, _ := s.Complete(got); string(again) != string(got) {
				t.Errorf("completed twice it is %s", again)
			}
		})
	}
	if got, want := string(s.Defaults()), `{`+strings.Replace(rest, `"name":"a",`, "", 1)+sizes+`}`; got != want {
		t.Errorf("got defaults  %s\nwant %s", got, want)
	}

	t.Run("complete arguments keep their order and lose white space", func(t *testing.T) {
		s := schemaFor[limits](t)
		got, err := s.Complete([]byte(" {\"retries\": 1,\n\"pause\": 0}\n"))
		if want := `{"retries":1,"pause":0}`; err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	})
	t.Run("the result does not share memory with the arguments", func(t *testing.T) {
		s, args := schemaFor[limits](t), []byte(`{"retries":1,"pause":0}`)
		got, _ := s.Complete(args)
		got[0] = 'x'
		if args[0] != '{' {
			t.Error("it does")
		}
	})
	t.Run("a missing object that would lack something is not made", func(t *testing.T) {
		s := parseSchema(t, `{"type":"object","properties":{"a":{"type":"object","required":["b"],
			"properties":{"b":{"type":"string"},"c":{"type":"integer","default":1}}}}}`)
		if got, _ := s.Complete(nil); string(got) != `{}` {
			t.Errorf("got %s", got)
		}
	})
}

func TestSchema_Complete_refuses_what_is_no_object(t *testing.T) {
	s := schemaFor[map[string]any](t)
	for _, c := range []struct{ args, want string }{
		{`[1]`, "must be an object, not a list"},
		{`null`, "must be an object, not null"},
		{`"x"`, `must be an object, not "x"`},
		{`{"a":1`, "is not valid JSON: unexpected end of JSON input (at byte 6)"},
		{`{} {}`, "is not valid JSON: invalid character '{' after top-level value (at byte 4)"},
		{`{"a":{"b":1,"b":2}}`, "/a/b: is given twice"},
		{`{"a":1,"\u0061":2}`, "/a: is given twice"},
		{"{\"a\":\"\xff\"}", "is not valid UTF-8"},
		{`{"a":[1e999999999]}`, "/a/0: is a number out of range"},
		{`{"a":1e-999999999}`, "/a: is a number out of range"},
		{`{"a":` + strings.Repeat("9", 500) + `}`, "/a: is a number out of range"},
		{`{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, strings.Repeat("/0", 249) + ": is nested more than 250 deep"},
	} {
		for name, err := range map[string]error{"Complete": errorOf(s.Complete([]byte(c.args))), "Validate": s.Validate([]byte(c.args))} {
			if _, ok := errors.AsType[*schema.ValidationError](err); !ok || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("%s(%.40s): got error %v, want %s", name, c.args, err, c.want)
			}
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestSchema_Validate_reports_in_order_and_once_per_field(t *testing.T) {
	s := parseSchema(t, `{"type":"object","required":["z","a"],"additionalProperties":false,"properties":{
		"z":{"type":"string"},
		"a":{"type":"string","minLength":3,"pattern":"^x"},
		"list":{"items":{"type":"integer"}}}}`)
	err := s.Validate([]byte(`{"zz":1,"list":[1,"a",2,3,4,5,6,7,8,9,10,true],"a":"b"}`))
	want := `jobs: invalid arguments: /z: is required; /a: must have at least 3 characters, not 1; ` +
		`/list/1: must be a whole number, not "a"; /list/11: must be a whole number, not true; /zz: is not a known field`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}

	many := `{"list":["` + strings.Repeat(`x","`, 30) + `"]}`
	invalid, _ := errors.AsType[*schema.ValidationError](s.Validate([]byte(many)))
	if len(invalid.Fields) != 20 {
		t.Errorf("got %d entries, want 20", len(invalid.Fields))
	}
}

func TestSchema_Validate_messages(t *testing.T) {
	long := strings.Repeat("é", 100)
	for _, c := range []struct{ schema, value, want string }{
		{`{"type":["string","number"]}`, `true`, "/f: must be a number or a string, not true"},
		{`{"type":["string","null"]}`, `1`, "/f: must be a string, not 1"},
		{`{"type":"null"}`, `1`, "/f: must be null, not 1"},
		{`{"type":"integer"}`, `"` + long + `"`, `/f: must be a whole number, not "` + long[:59*2] + `…"`},
		{`{"enum":["a",1,null]}`, `"b"`, `/f: must be one of "a", 1, not "b"`},
		{`{"enum":[1,2,3,4,5,6,7,8,9,10,11]}`, `0`, `/f: must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …, not 0`},
		{`{"const":"a"}`, `{}`, `/f: must be "a", not an object`},
		{`{"minimum":0.5}`, `0`, "/f: must be at least 0.5, not 0"},
		{`{"maximum":12345678901234567890}`, `12345678901234567891`, "/f: must be at most 12345678901234567890, not 12345678901234567891"},
		{`{"exclusiveMinimum":0}`, `0`, "/f: must be more than 0, not 0"},
		{`{"exclusiveMaximum":1}`, `1.0`, "/f: must be less than 1, not 1.0"},
		{`{"multipleOf":5}`, `7`, "/f: must be a multiple of 5, not 7"},
		{`{"minLength":1}`, `""`, "/f: must not be empty"},
		{`{"maxLength":1}`, `"éé"`, "/f: must have at most 1 character, not 2"},
		{`{"pattern":"^a+$"}`, `"b"`, `/f: must match the pattern ^a+$, not "b"`},
		{`{"format":"email"}`, `"x"`, `/f: must be an email address, not "x"`},
		{`{"format":"uuid"}`, `"x"`, `/f: must be a valid uuid, not "x"`},
		{`{"format":"uri"}`, `"x"`, `/f: must be an absolute URL, not "x"`},
		{`{"format":"date"}`, `"x"`, `/f: must be a date such as "2006-01-02", not "x"`},
		{`{"contentEncoding":"base64"}`, `"*"`, "/f: must be encoded as base64"},
		{`{"contentMediaType":"application/json"}`, `"{"`, "/f: has content of the wrong kind"},
		{`{"minItems":1}`, `[]`, "/f: must have at least 1 item, not 0"},
		{`{"maxItems":1}`, `[1,2]`, "/f: must have at most 1 item, not 2"},
		{`{"uniqueItems":true}`, `["a","b","a"]`, "/f/2: is the same as item 0"},
		{`{"prefixItems":[{}],"items":false}`, `[1,2]`, "/f/1: is not allowed"},
		{`{"contains":{"type":"string"}}`, `[1]`, "/f: must have an item of the right kind"},
		{`{"contains":{"type":"string"},"minContains":2}`, `["a"]`, "/f: must have at least 2 items of the right kind, not 1"},
		{`{"contains":{"type":"string"},"maxContains":1}`, `["a","b"]`, "/f: must have at most 1 item of that kind, not 2"},
		{`{"minProperties":1}`, `{}`, "/f: must have at least 1 field, not 0"},
		{`{"maxProperties":1}`, `{"a":1,"b":2}`, "/f: must have at most 1 field, not 2"},
		{`{"dependentRequired":{"a":["b"]}}`, `{"a":1}`, "/f/b: is required together with a"},
		{`{"propertyNames":{"maxLength":1}}`, `{"ab":1}`, "/f/ab: its name must have at most 1 character, not 2"},
		{`{"patternProperties":{"^x":{"type":"string"}},"additionalProperties":false}`, `{"x1":1}`, "/f/x1: must be a string, not 1"},
		{`{"properties":{"a":{}},"unevaluatedProperties":false}`, `{"A":1}`, "/f/A: is not a known field; did you mean a?"},
		{`{"properties":{"a":false}}`, `{"a":1}`, "/f/a: is not allowed"},
		{`{"not":{"type":"string"}}`, `"x"`, "/f: is not allowed"},
		{`{"allOf":[{"type":"string"},{"minLength":2}]}`, `"x"`, "/f: must have at least 2 characters, not 1"},
		{`{"anyOf":[{"type":"object","required":["a"]},{"type":"null"}]}`, `{}`, "/f/a: is required"},
		{`{"anyOf":[{"$ref":"#/$defs/s"},{"type":"null"}]}`, `1`, "/f: must be a string, not 1"},
		{`{"anyOf":[{"type":"string"},{"type":"array"}]}`, `1`, "/f: must be a string or a list, not 1"},
		{`{"anyOf":[{"type":"string","minLength":2},{"type":"array"}]}`, `"a"`, "/f: must have at least 2 characters, not 1"},
		{`{"oneOf":[{"const":"a","title":"A"},{"const":"b"}]}`, `"c"`, `/f: must be one of "a", "b", not "c"`},
		{`{"oneOf":[{"type":"string"},{"minLength":1}]}`, `"c"`, "/f: fits more than one of the forms it may have"},
		{`{"oneOf":[{"properties":{"kind":{"const":"x"},"x":{"type":"string"}}},{"properties":{"kind":{"const":"y"}}}]}`, `{"kind":"x","x":1}`, "/f/x: must be a string, not 1"},
		{`{"anyOf":[{"required":["a"]},{"required":["b"]}]}`, `{}`, "/f: fits none of the forms it may have"},
		{`{"if":{"type":"string"},"then":{"minLength":2}}`, `"x"`, "/f: must have at least 2 characters, not 1"},
	} {
		t.Run(c.schema, func(t *testing.T) {
			s := parseSchema(t, `{"type":"object","$defs":{"s":{"type":"string"}},"properties":{"f":`+c.schema+`}}`)
			err := s.Validate([]byte(`{"f":` + c.value + `}`))
			if want := "jobs: invalid arguments: " + c.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestSchema_Validate_never_tells_secrets(t *testing.T) {
	s := parseSchema(t, `{"type":"object","additionalProperties":false,"properties":{
		"password":{"type":"string","writeOnly":true,"minLength":20,"enum":["x"]},
		"pin":{"type":"integer","format":"password"},
		"token":{"oneOf":[{"type":"string","maxLength":3},{"type":"string","writeOnly":true,"maxLength":4}]},
		"login":{"type":"object","writeOnly":true,"properties":{"user":{"type":"integer"}}}}}`)
	err := s.Validate([]byte(`{"password":"hunter2","pin":"hunter2","token":"hunter2","login":{"user":"hunter2"},"pasword":"hunter2"}`))
	invalid, ok := errors.AsType[*schema.ValidationError](err)
	if !ok || len(invalid.Fields) != 5 {
		t.Fatalf("got %v, want 5 entries", err)
	}
	for _, f := range invalid.Fields {
		if strings.Contains(f.Message+f.Value, "hunter2") {
			t.Errorf("%+v tells the secret", f)
		}
	}
}

func TestParse_refuses(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{`, "is not valid JSON"},
		{`[]`, "must be an object"},
		{`true`, "must be an object"},
		{`{}`, "must describe an object"},
		{`{"type":"string"}`, "must describe an object"},
		{`{"type":["object","null"]}`, "must describe an object"},
		{`{"$ref":"#"}`, "must describe an object"},
		{`{"type":"object","type":"object"}`, "is given twice"},
		{`{"type":"object","$schema":"http://json-schema.org/draft-07/schema#"}`, "only draft 2020-12 is understood"},
		{`{"type":"object","$ref":"file:///etc/passwd"}`, "does not point into the document"},
		{`{"type":"object","properties":{"a":{"$ref":"http://localhost/x"}}}`, "does not point into the document"},
		{`{"type":"object","properties":{"a":{"not":{"$ref":"file:///etc/passwd"}}}}`, "only its own definitions are allowed"},
		{`{"type":"object","properties":{"a":{"$ref":"#/$defs/b"}}}`, "points to nothing"},
		{`{"type":"object","properties":{"a":{"$id":"http://x/y"}}}`, "$id inside the document"},
		{`{"type":"object","properties":{"a":{"$dynamicRef":"#a"}}}`, "$dynamicRef is not supported"},
		{`{"type":"object","properties":{"a":{"type":"text"}}}`, "jsonschema"},
		{`{"type":"object","properties":{"a":{"pattern":"("}}}`, "regex"},
		{`{"type":"object","patternProperties":{"(":{}}}`, "missing closing"},
		{`{"type":"object","properties":{"a":{"type":"string","default":1}}}`, "default of /a: must be a string, not 1"},
		{`{"type":"object","$defs":{` + doubling(20) + `},"properties":{"a":{"$ref":"#/$defs/d20"}}}`, "has defaults of more than 10000 values"},
	} {
		_, err := schema.Parse([]byte(c.doc))
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, schema.ErrInvalid) {
			t.Errorf("%.80s: got error %v, want one with %q", c.doc, err, c.want)
		}
	}
}

// doubling returns definitions of which each has twice as many defaults as the one before.
func doubling(n int) string {
	defs := `"d0":{"type":"integer","default":1}`
	for i := range n {
		ref := `{"$ref":"#/$defs/d` + string(asNumber(i)) + `"}`
		defs += `,"d` + string(asNumber(i+1)) + `":{"type":"object","properties":{"a":` + ref + `,"b":` + ref + `}}`
	}
	return defs
}

func asNumber(i int) []byte { b, _ := json.Marshal(i); return b }
