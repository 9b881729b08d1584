package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// property returns the schema of a struct field, with what its tags say, and whether the field is
// required. The schema of the struct is given because a tag may add to it.
func (r *typeReader) property(f jsonField, parent *jsonschema.Schema) (*jsonschema.Schema, bool) {
	words := tagWords(f.Tag.Get("jsonschema"))
	for key := range words {
		if !slices.Contains(knownWords, key) {
			panic(fmt.Sprintf("its tag has %q, which is not known", key))
		}
	}
	p := r.tagged(f, parent)
	if words["nullable"] != nil && len(p.OneOf) == 2 {
		p = p.OneOf[0] // null is added below, in one way for all
	}
	if p.Format == Duration && !f.quoted {
		p.Minimum, p.Maximum = nanoseconds(words["minimum"]), nanoseconds(words["maximum"])
	}
	if p.Type == "array" {
		p.Default = listDefault(p)
	}
	if words["default"] != nil && p.Default == nil {
		panic(fmt.Sprintf("its default %q does not fit %s", words["default"][0], f.Type))
	}
	if f.quoted {
		quote(p, f.Type)
	}
	p = finish(p)
	p.WriteOnly = p.WriteOnly || words["secret"] != nil
	if mayBeNull(f.Type) || words["nullable"] != nil {
		p = nullable(p)
	}
	optional := f.optional || p.Default != nil || f.Type.Kind() == reflect.Pointer
	return p, words["required"] != nil || !optional
}

// tagged has the invopop package read the tags of a field, as the only field of a struct.
func (r *typeReader) tagged(f jsonField, parent *jsonschema.Schema) *jsonschema.Schema {
	option := ""
	if f.quoted {
		option = ",string"
	}
	alone := reflect.StructOf([]reflect.StructField{{
		Name: "F",
		Type: f.Type,
		Tag:  reflect.StructTag(`json:` + strconv.Quote(f.name+option) + ` ` + string(f.Tag)), // the first one counts
	}})
	reflector := jsonschema.Reflector{
		Anonymous:      true,
		DoNotReference: true, // definitions are made in schema
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == alone {
				return nil
			}
			return r.schema(t)
		},
	}
	s := reflector.ReflectFromType(alone)
	parent.OneOf = mergeGroups(parent.OneOf, s.OneOf)
	parent.AnyOf = mergeGroups(parent.AnyOf, s.AnyOf)
	p, ok := s.Properties.Get(f.name)
	if !ok {
		panic("the tag jsonschema:\"-\" hides a field that JSON has; say json:\"-\"")
	}
	return p
}

// mergeGroups adds the groups of fields that oneof_required and anyof_required tags make.
func mergeGroups(groups, more []*jsonschema.Schema) []*jsonschema.Schema {
	for _, g := range more {
		i := slices.IndexFunc(groups, func(have *jsonschema.Schema) bool { return have.Title == g.Title })
		if i < 0 {
			groups = append(groups, g)
		} else {
			groups[i].Required = append(groups[i].Required, g.Required...)
		}
	}
	return groups
}

var knownWords = []string{
	"title", "description", "default", "enum", "example", "required", "nullable", "secret",
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems",
	"readOnly", "writeOnly", "type", "anchor",
	"oneof_required", "anyof_required", "oneof_ref", "oneof_type", "anyof_ref", "anyof_type",
}

// tagWords returns the values of each key in a jsonschema tag.
func tagWords(tag string) map[string][]string {
	words := map[string][]string{}
	for part := range strings.SplitSeq(strings.ReplaceAll(tag, `\,`, "\x00"), ",") {
		key, value, _ := strings.Cut(part, "=")
		if key != "" {
			words[key] = append(words[key], strings.ReplaceAll(value, "\x00", ","))
		}
	}
	return words
}

// nanoseconds reads a bound of a duration, such as minimum=1s.
func nanoseconds(values []string) json.Number {
	if len(values) == 0 {
		return ""
	}
	d, err := time.ParseDuration(values[0])
	if err != nil {
		panic(fmt.Sprintf("its bound %q is not a duration", values[0]))
	}
	return json.Number(strconv.FormatInt(int64(d), 10))
}

// listDefault returns the default of a list, whose values were read as strings.
func listDefault(p *jsonschema.Schema) any {
	list, _ := p.Default.([]any)
	if list == nil || p.Items == nil {
		return p.Default
	}
	for i, v := range list {
		text := fmt.Sprint(v)
		var value any
		switch p.Items.Type {
		case "integer", "number", "boolean":
			if json.Unmarshal([]byte(text), &value) != nil {
				panic(fmt.Sprintf("its default %q is not of type %s", text, p.Items.Type))
			}
			list[i] = json.RawMessage(text)
		}
	}
	return list
}

// quote makes p the string that the json option "string" makes of a value.
func quote(p *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	p.Type, p.Minimum, p.Maximum = "string", "", ""
	switch t.Kind() {
	case reflect.String:
		panic(`the json option "string" is not supported for strings`)
	case reflect.Bool:
		p.Enum = []any{"true", "false"}
	case reflect.Float32:
		p.Format = "float"
	case reflect.Float64:
		p.Format = "double"
	default:
		p.Format = strings.Replace(t.Kind().String(), "uintptr", "uint", 1)
		if p.Format == "int" || p.Format == "uint" {
			p.Format += strconv.Itoa(t.Bits())
		}
	}
}

// finish gives a duration both its types, once its tags have been read as those of a string.
func finish(s *jsonschema.Schema) *jsonschema.Schema {
	if s.Format == Duration && s.Type == "string" {
		s.Type = ""
		setTypes(s, "string", "integer")
	}
	return s
}

// setTypes gives s several types, for which invopop's Schema has no room.
func setTypes(s *jsonschema.Schema, types ...string) {
	if s.Extras == nil {
		s.Extras = map[string]any{}
	}
	s.Extras["type"] = types
}

// nullable returns s with null allowed too.
func nullable(s *jsonschema.Schema) *jsonschema.Schema {
	if types, ok := s.Extras["type"].([]string); ok {
		setTypes(s, append(types, "null")...)
	} else if s.Type != "" {
		setTypes(s, s.Type, "null")
		s.Type = ""
	} else if s.Ref != "" || s.OneOf != nil || s.AnyOf != nil || s.AllOf != nil {
		inner := *s
		inner.Title, inner.Description, inner.Default, inner.WriteOnly = "", "", nil, false
		return &jsonschema.Schema{
			AnyOf:       []*jsonschema.Schema{&inner, {Type: "null"}},
			Title:       s.Title,
			Description: s.Description,
			Default:     s.Default,
			WriteOnly:   s.WriteOnly,
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, nil) {
		s.Enum = append(s.Enum, nil)
	}
	return s
}

func isBasic(k reflect.Kind) bool {
	return reflect.Bool <= k && k <= reflect.Float64 || k == reflect.String
}

// A jsonField is a struct field as encoding/json sees it.
type jsonField struct {
	reflect.StructField
	name     string // in JSON
	tagged   bool   // whether the name is from the tag
	quoted   bool   // the option "string"
	optional bool
	depth    int // of embedding
}

// jsonFields returns the fields of a struct that encoding/json reads and writes, in their order:
// of fields with one name the least embedded one, then the one with a tag, else none.
func jsonFields(t reflect.Type) []jsonField {
	all := embeddedFields(t, nil, false)
	var fields []jsonField
	for i, f := range all {
		hidden := false
		for j, g := range all {
			if i != j && g.name == f.name {
				hidden = hidden || g.depth < f.depth || g.depth == f.depth && (g.tagged || !f.tagged)
			}
		}
		if !hidden {
			fields = append(fields, f)
		}
	}
	return fields
}

// embeddedFields returns the fields of t and of the structs that it embeds. Optional means that
// they may all be missing, because a pointer to t is nil.
func embeddedFields(t reflect.Type, above []reflect.Type, optional bool) (fields []jsonField) {
	if slices.Contains(above, t) {
		return nil
	}
	above = append(slices.Clip(above), t)
	for i := range t.NumField() {
		f := t.Field(i)
		elem := f.Type
		if elem.Kind() == reflect.Pointer && elem.Name() == "" {
			elem = elem.Elem()
		}
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && (!f.Anonymous || elem.Kind() != reflect.Struct) {
			continue
		}
		name, rest, _ := strings.Cut(tag, ",")
		options := strings.Split(rest, ",")
		if strings.ContainsAny(name, "\"\\',") {
			name = ""
		}
		if f.Anonymous && name == "" && elem.Kind() == reflect.Struct {
			if elem != f.Type && !f.IsExported() {
				panic(fmt.Sprintf("the embedded pointer %s is not exported, so JSON cannot set it", f.Type))
			}
			fields = append(fields, embeddedFields(elem, above, optional || elem != f.Type)...)
			continue
		}
		fields = append(fields, jsonField{
			StructField: f,
			name:        cmp.Or(name, f.Name),
			tagged:      name != "",
			quoted:      slices.Contains(options, "string") && isBasic(elem.Kind()),
			optional:    optional || slices.Contains(options, "omitempty") || slices.Contains(options, "omitzero"),
			depth:       len(above),
		})
	}
	return fields
}
