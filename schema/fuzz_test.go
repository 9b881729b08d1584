package schema_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"testing"

	"github.com/embedjobs/jobs/schema"
)

var hostile = []string{
	``, `{}`, `null`, `[]`, `{"a":1}`, `{"a":1e999999999}`, `{"a":-0}`, `{"a":{"a":{"a":null}}}`, `{"":"","/":"~"}`,
	`{"text":"x","wait":"5m","small":1e2,"tree":{"value":1,"children":[{}]}}`, `{"user":"a","token":"•••","servers":[{"password":"s"}]}`,
	`{"int":"x","list":[{"name":1}],"map":{"a/b":{}},"numbered":{"300":1},"raw":[[[]]]}`, "{\"a\":\"\xff\"}", `{"a":1,"a":2}`,
}

func FuzzParse(f *testing.F) {
	for _, doc := range []string{
		`{"type":"object"}`, `{"type":"object","properties":{"a":{"$ref":"#"}}}`, `{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}`,
		`{"type":"object","allOf":[{"$ref":"#"}]}`, `{"type":"object","additionalProperties":{"type":"string","default":"x"}}`,
		`{"type":"object","properties":{"a":{"type":"object","required":["a"],"properties":{"a":{"$ref":"#/properties/a"}}}}}`,
		`{"type":"object","properties":{"a":{"anyOf":[{"type":"null"},{"enum":[1,null,{}]}],"default":null}}}`,
		`{"type":"object","properties":{"a":{"oneOf":[{"const":[1]},{"const":{}}],"writeOnly":true}}}`,
		`{"type":"object","properties":{"a":{"type":["integer","string"],"format":"go-duration","default":"1h"}}}`,
		`{"type":"object","properties":{"a":{"items":{"type":"integer"},"prefixItems":[true,false],"minimum":1e400}}}`,
		`{"type":"object","patternProperties":{"a":{"default":1}},"propertyNames":{"minLength":2},"unevaluatedProperties":false}`,
		`{"type":"object","properties":{"a":{"if":{"type":"integer"},"then":{"multipleOf":0.1},"else":{"not":{}}}}}`,
	} {
		f.Add([]byte(doc), []byte(`{"a":1,"aa":{"a":[1,2]}}`))
	}
	f.Fuzz(func(t *testing.T, doc, args []byte) {
		s, err := schema.Parse(doc)
		if err != nil {
			return
		}
		exercise(t, s, args)
		s.Fields()
		if _, err := schema.Parse(s.JSON()); err != nil {
			t.Errorf("its own document is refused: %v", err)
		}
	})
}

func FuzzSchema_Validate(f *testing.F) {
	for _, args := range hostile {
		f.Add([]byte(args))
	}
	typed := schemaFor[everything](f)
	f.Add([]byte(asJSON(f, filled())))
	f.Fuzz(func(t *testing.T, args []byte) {
		exercise(t, typed, args)
		if out, err := typed.Accept(args); err == nil {
			if err := json.Unmarshal(out, new(everything)); err != nil {
				t.Errorf("%s was accepted: %v", args, err)
			}
		}
	})
}

func FuzzSchema_Redact(f *testing.F) {
	for _, args := range hostile {
		f.Add([]byte(args), []byte(args))
	}
	s := schemaFor[loginArgs](f)
	f.Fuzz(func(t *testing.T, edited, stored []byte) {
		redacted := s.Redact(edited)
		if len(edited) > 0 && !json.Valid(redacted) {
			t.Errorf("got %s", redacted)
		}
		if again := s.Redact(redacted); !bytes.Equal(again, redacted) {
			t.Errorf("redacted twice it is %s", again)
		}
		out, err := s.RestoreSecrets(edited, stored)
		if (err == nil) != json.Valid(out) {
			t.Errorf("got %s, %v", out, err)
		}
		exercise(t, s, edited)
	})
}

func FuzzSchema_FromForm(f *testing.F) {
	for _, form := range []string{
		"/name=a", "/name=a&/steps/0/args=x&/steps/1=[]", "/parent/parent/parent/name=x", "/env={&/groups//name=", "/=&//=&/~=&/~3=",
		"/wait=1h&/from=2026-01-01&/level=9&/extra=[1,2", "/tags=[&/sizes/999999999999999999999=1",
	} {
		f.Add(form)
	}
	s := schemaFor[reportArgs](f)
	f.Fuzz(func(t *testing.T, form string) {
		values, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		args, err := s.FromForm(values)
		if err != nil {
			if _, ok := errors.AsType[*schema.ValidationError](err); !ok {
				t.Errorf("got error %v, want a ValidationError", err)
			}
			return
		}
		exercise(t, s, args)
		if err := json.Unmarshal(args, new(reportArgs)); err != nil {
			t.Errorf("%q became %s: %v", form, args, err)
		}
	})
}

// exercise calls what takes arguments and checks that it agrees with itself.
func exercise(t *testing.T, s *schema.Schema, args []byte) {
	t.Helper()
	before := bytes.Clone(args)
	out, err := s.Accept(args)
	if valid := s.Validate(args); (valid == nil) != (err == nil) {
		t.Errorf("Validate says %v, accept %v", valid, err)
	}
	if err == nil {
		again, err := s.Accept(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("accepted twice it is %s, %v, want %s", again, err, out)
		}
		_ = s.ToForm(out)
	} else if invalid, ok := errors.AsType[*schema.ValidationError](err); !ok || len(invalid.Fields) == 0 {
		t.Errorf("got error %#v, want a ValidationError", err)
	}
	s.Redact(args)
	if !bytes.Equal(before, args) {
		t.Errorf("arguments were changed to %s", args)
	}
}
