package engine

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// typedSchema returns the schema of a type with fields of many kinds.
func typedSchema(t *testing.T) *Schema {
	t.Helper()
	type inner struct {
		Name string            `json:"name" jsonschema:"minLength=2"`
		Map  map[string]uint8  `json:"map,omitempty"`
		Wait time.Duration     `json:"wait,omitempty" jsonschema:"minimum=1s"`
		At   time.Time         `json:"at,omitzero"`
		Text map[int8]float32  `json:"text,omitempty"`
		Any  any               `json:"any,omitempty"`
		Ptr  *inner            `json:"ptr"`
		List [][]int8          `json:"list,omitempty"`
		Enum string            `json:"enum,omitempty" jsonschema:"enum=a,enum=b"`
		Null *string           `json:"null" jsonschema:"enum=a"`
		Nums []float64         `json:"nums,omitempty"`
		More map[string]*inner `json:"more,omitempty"`
	}
	doc, formats, err := OfType(reflect.TypeFor[inner]())
	if err != nil {
		t.Fatal(err)
	}
	typed, err := New(doc, formats)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

// What fits says is valid, the validator says too. It must also know plain arguments, otherwise
// it is of no use.
func TestNode_fits_agrees_with_the_validator(t *testing.T) {
	typed := typedSchema(t)
	schemas := []*Schema{typed}
	for _, f := range []string{
		`{"type":"integer","minimum":1,"$ref":"#/$defs/i"}`, `{"$ref":"#/$defs/i"}`, `{"anyOf":[{"$ref":"#/$defs/i"},{"type":"null"}]}`,
		`{"type":"null"}`, `{"anyOf":[{"type":"null"}]}`, `{"enum":[null,1,"a"]}`, `{"type":["integer","string"]}`, `{"items":false}`,
		`{"type":"string","anyOf":[{"type":"null"},{}]}`, `{"oneOf":[{"type":"null"},{}]}`, `{"format":"email"}`, `{"format":"int8"}`,
		`{"allOf":[{"type":"string"},{"minLength":2}]}`, `{"additionalProperties":false,"required":["b"]}`, `{"const":1}`, `true`, `false`,
		`{"type":"number","maximum":0.5}`, `{"type":"array","minItems":1,"maxItems":2}`, `{"minItems":1.0}`, `{"type":"array","items":{"type":"integer"},"maxItems":0}`, `{"anyOf":[true,{"type":"string"}]}`, `{"$ref":"#/$defs/never"}`, `{"not":{}}`,
	} {
		s, err := New([]byte(`{"type":"object","$defs":{"i":{"type":"integer","minimum":5},"never":false},"properties":{"f":`+f+`}}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		schemas = append(schemas, s)
	}
	known := 0
	values := []string{`null`, `true`, `0`, `1`, `7`, `-1`, `300`, `1.5`, `1e30`, `""`, `"a"`, `"ab"`, `"2026-01-02T03:04:05Z"`, `"5m"`, `[]`, `[1]`, `[1,2,3]`, `[[1]]`, `[[300]]`, `[null]`, `{}`, `{"a":1}`, `{"b":1}`, `{"1":1}`, `{"name":"ab"}`, `{"name":"a"}`, `{"x":{"name":"ab"}}`}
	for _, s := range schemas {
		for _, field := range []string{"f", "name", "map", "wait", "at", "text", "any", "ptr", "list", "enum", "null", "nums", "more", "other"} {
			for _, value := range values {
				text := `{"` + field + `":` + value + `}`
				if s == typed && field != "name" {
					text = `{"name":"ab",` + text[1:]
				}
				checkPlain(t, s, text)
				v, _, prob := Parse([]byte(text))
				if prob != nil {
					t.Fatal(prob)
				}
				v, _ = s.Root.Complete(v)
				if !s.Root.fits(v) {
					continue
				}
				known++
				if err := s.validator.Validate(v); err != nil {
					t.Errorf("%v fits, but the validator says: %v", v, err)
				}
			}
		}
	}
	if known < 100 {
		t.Errorf("fits knew only %d values", known)
	}
	v, _, _ := Parse([]byte(`{"name":"ab","map":{"a":1},"wait":"5m","at":"2026-01-02T03:04:05Z","ptr":{"name":"cd"},"list":[[1]],"enum":"a","any":[{}],"nums":[1.5]}`))
	if v, _ = typed.Root.Complete(v); !typed.Root.fits(v) {
		t.Error("plain arguments take the validator")
	}
}

// What the scanner takes for plain is so, however the text is damaged.
func TestSchema_Plain(t *testing.T) {
	typed := typedSchema(t)
	const plain = `{"name":"äb","map":{},"wait":1000000000,"at":"2026-01-02T03:04:05Z","ptr":{"name":"cd","ptr":null},"list":[[1,-2],[]],"enum":"a"}`
	if !typed.Plain([]byte(plain)) {
		t.Error("plain arguments take more than the scanner")
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		text := []byte(plain)
		for range 1 + random.IntN(3) {
			from, n := random.IntN(len(text)), 1+random.IntN(4)
			with := "\"\"{}[]:,0123456789-.eE \\\x00\xff\xc3\xa4abnulltruefalse"
			at := random.IntN(len(with) - 4)
			text = slices.Replace(text, from, min(from+random.IntN(n+1), len(text)), []byte(with[at:at+random.IntN(4)])...)
		}
		checkPlain(t, typed, string(text))
	}
}

// checkPlain checks that what the scanner takes for plain is so.
func checkPlain(t *testing.T, s *Schema, text string) {
	t.Helper()
	if !s.Plain([]byte(text)) {
		return
	}
	v, spaced, prob := Parse([]byte(text))
	if prob != nil || spaced {
		t.Errorf("%q is plain, but cannot be read: %v, spaced %v", text, prob, spaced)
		return
	}
	v, changed := s.Root.Complete(v)
	if problems := s.Check(v); changed || problems != nil {
		t.Errorf("%q is plain, but changes: %v, and is wrong: %v", text, changed, problems)
	}
}
