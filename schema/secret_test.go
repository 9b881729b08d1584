package schema_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/embedjobs/jobs/schema"
)

type serverArgs struct {
	Host     string `json:"host"`
	Password string `json:"password,omitempty" jsonschema:"secret"`
}

type loginArgs struct {
	User    string                `json:"user"`
	Token   *string               `json:"token" jsonschema:"secret"`
	PIN     int                   `json:"pin,omitempty" jsonschema:"secret"`
	Servers []serverArgs          `json:"servers,omitempty"`
	ByName  map[string]serverArgs `json:"by_name,omitempty"`
	Keys    []string              `json:"keys,omitempty" jsonschema:"secret"`
	Next    *loginArgs            `json:"next"`
}

func TestSchema_Redact(t *testing.T) {
	s := schemaFor[loginArgs](t)
	if doc := string(s.JSON()); strings.Count(doc, `"writeOnly":true`) != 4 {
		t.Errorf("the document does not mark each secret: %s", doc)
	}
	for _, c := range []struct{ args, want string }{
		{`{"user":"a","token":"s","pin":1,"keys":["s"]}`, `{"keys":"•••","pin":"•••","token":"•••","user":"a"}`},
		{`{"user":"a","token":null}`, `{"token":null,"user":"a"}`},
		{`{"servers":[{"host":"h","password":"s"},{"host":"i"}]}`, `{"servers":[{"host":"h","password":"•••"},{"host":"i"}]}`},
		{`{"by_name":{"x":{"password":"s"}}}`, `{"by_name":{"x":{"password":"•••"}}}`},
		{`{"next":{"next":{"token":{"even":"s"}}}}`, `{"next":{"next":{"token":"•••"}}}`},
		{`{"user":"<a>","unknown":1}`, `{"unknown":1,"user":"<a>"}`},
		{`{"token":"s`, `"•••"`},
		{`["s"]`, `["s"]`},
		{``, ``},
	} {
		if got := string(s.Redact([]byte(c.args))); got != c.want {
			t.Errorf("%s: got %s, want %s", c.args, got, c.want)
		}
	}
	t.Run("secrets of a given schema", func(t *testing.T) {
		for _, field := range []string{
			`{"writeOnly":true}`, `{"format":"password"}`, `{"$ref":"#/$defs/s"}`, `{"allOf":[{"$ref":"#/$defs/s"}]}`,
			`{"anyOf":[{"type":"integer"},{"type":"string"},{"$ref":"#/$defs/s"}]}`, `{"if":{},"then":{"writeOnly":true}}`,
			`{"type":"string","allOf":[{"title":"x"},{"oneOf":[{"type":"null"},{"$ref":"#/$defs/s"}]}]}`,
		} {
			s := parseSchema(t, `{"type":"object","$defs":{"s":{"type":"string","writeOnly":true}},"properties":{"f":`+field+`}}`)
			if got := string(s.Redact([]byte(`{"f":"s"}`))); got != `{"f":"•••"}` {
				t.Errorf("%s: got %s", field, got)
			}
		}
		for _, root := range []string{
			`"patternProperties":{"^f":{"writeOnly":true}},"properties":{"f":{"type":"string"}}`,
			`"additionalProperties":{"writeOnly":true}`,
			`"unevaluatedProperties":{"writeOnly":true}`,
			`"properties":{"f":{}},"allOf":[{"properties":{"f":{"writeOnly":true}}}]`,
			`"dependentSchemas":{"f":{"properties":{"f":{"writeOnly":true}}}}`,
		} {
			s := parseSchema(t, `{"type":"object",`+root+`}`)
			if got := string(s.Redact([]byte(`{"f":"s"}`))); got != `{"f":"•••"}` {
				t.Errorf("%s: got %s", root, got)
			}
		}
	})
	t.Run("arguments without secrets stay as they are", func(t *testing.T) {
		if got := string(schemaFor[nested](t).Redact([]byte(`{ broken`))); got != `{ broken` {
			t.Errorf("got %s", got)
		}
	})
}

func TestSchema_RestoreSecrets(t *testing.T) {
	s := schemaFor[loginArgs](t)
	for _, c := range []struct{ name, edited, stored, want string }{
		{"hidden secrets come back", `{"user":"b","token":"•••","pin":"•••"}`, `{"user":"a","token":"s","pin":7}`, `{"pin":7,"token":"s","user":"b"}`},
		{"new secrets stay", `{"token":"new"}`, `{"token":"s"}`, `{"token":"new"}`},
		{"removed secrets stay away", `{}`, `{"token":"s"}`, `{}`},
		{"at any depth", `{"next":{"by_name":{"x":{"password":"•••"}}}}`, `{"next":{"by_name":{"x":{"password":"s"}}}}`, `{"next":{"by_name":{"x":{"password":"s"}}}}`},
		{"items move", `{"servers":[{"host":"b","password":"•••"}]}`, `{"servers":[{"host":"a","password":"A"},{"host":"b","password":"B"}]}`, `{"servers":[{"host":"b","password":"B"}]}`},
		{"items change places", `{"servers":[{"host":"b","password":"•••"},{"host":"a","password":"•••"}]}`, `{"servers":[{"host":"a","password":"A"},{"host":"b","password":"B"}]}`, `{"servers":[{"host":"b","password":"B"},{"host":"a","password":"A"}]}`},
		{"an item is edited", `{"servers":[{"host":"a","password":"•••"},{"host":"c","password":"•••"}]}`, `{"servers":[{"host":"a","password":"A"},{"host":"b","password":"B"}]}`, `{"servers":[{"host":"a","password":"A"},{"host":"c","password":"B"}]}`},
		{"equal items keep their places", `{"servers":[{"host":"a","password":"•••"},{"host":"a","password":"•••"}]}`, `{"servers":[{"host":"a","password":"1"},{"host":"a","password":"2"}]}`, `{"servers":[{"host":"a","password":"1"},{"host":"a","password":"2"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.RestoreSecrets([]byte(c.edited), []byte(c.stored))
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
	t.Run("what cannot be restored is an error", func(t *testing.T) {
		for _, c := range []struct{ edited, stored, path string }{
			{`{"token":"•••"}`, `{}`, "/token"},
			{`{"token":"•••"}`, ``, "/token"},
			{`{"servers":[{"host":"c","password":"•••"}]}`, `{"servers":[{"host":"a","password":"A"},{"host":"b","password":"B"}]}`, "/servers/0/password"},
		} {
			_, err := s.RestoreSecrets([]byte(c.edited), []byte(c.stored))
			if invalid, ok := errors.AsType[*schema.ValidationError](err); !ok || invalid.Fields[0].Path != c.path {
				t.Errorf("%s: got error %v, want one at %s", c.edited, err, c.path)
			}
		}
	})
	t.Run("hidden secrets are not accepted as arguments", func(t *testing.T) {
		if err := s.Validate([]byte(`{"user":"a","token":"•••"}`)); err == nil {
			t.Error("they are")
		}
	})
	t.Run("redacted arguments come back whole", func(t *testing.T) {
		args := asJSON(t, loginArgs{User: "a", PIN: 7, Keys: []string{"k"}, Servers: []serverArgs{{"a", "A"}, {"b", "B"}}, Next: &loginArgs{PIN: 8}})
		got, err := s.RestoreSecrets(s.Redact(args), args)
		if err != nil {
			t.Fatal(err)
		}
		var back loginArgs
		if err := json.Unmarshal(got, &back); err != nil || string(asJSON(t, back)) != string(args) {
			t.Errorf("got %s, %v, want %s", got, err, args)
		}
	})
}
