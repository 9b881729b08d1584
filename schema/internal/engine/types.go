package engine

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// OfType makes a JSON Schema of a Go type, and checks for the formats that it invents for
// types with text or JSON methods of their own.
//
// The invopop package reads the struct tags and calls the types' own schema methods. Which fields
// a struct has, what may be null, the ranges of numbers, names of definitions: in these it is not
// encoding/json's equal, so they are decided here, in its Mapper.
func OfType(t reflect.Type) (doc []byte, formats map[string]Format, err error) {
	r := typeReader{
		defs:    jsonschema.Definitions{},
		names:   map[reflect.Type]string{},
		uses:    map[string]int{},
		formats: map[string]Format{},
	}
	// The packages that are called here report mistakes by panicking, and so do we below them.
	defer func() {
		if p := recover(); p != nil {
			where := t.String()
			if len(r.path) > 0 {
				where += ", field " + strings.Join(r.path, ".")
			}
			doc, formats, err = nil, nil, fmt.Errorf("%s: %v", where, p)
		}
	}()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	root := r.schema(t)
	if name, ok := strings.CutPrefix(root.Ref, defsPrefix); ok {
		root = r.defs[name]
		if r.uses[name] == 1 {
			delete(r.defs, name)
		} else {
			root = &jsonschema.Schema{Ref: defsPrefix + name}
		}
	}
	root.Version = jsonschema.Version
	root.Definitions = r.defs
	doc, err = json.Marshal(root)
	return doc, r.formats, err
}

const defsPrefix = "#/$defs/"

type typeReader struct {
	defs    jsonschema.Definitions
	names   map[reflect.Type]string
	uses    map[string]int // references to a definition
	formats map[string]Format
	path    []string       // the fields that lead to the type that is read
	open    []reflect.Type // the lists and maps that it is in
}

var (
	durationType   = reflect.TypeFor[time.Duration]()
	timeType       = reflect.TypeFor[time.Time]()
	numberType     = reflect.TypeFor[json.Number]()
	rawMessageType = reflect.TypeFor[json.RawMessage]()
)

// value returns the schema of a value of type t where there are no tags: an item, a map's value.
func (r *typeReader) value(t reflect.Type) *jsonschema.Schema {
	null := mayBeNull(t)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if alias, ok := reflect.New(t).Interface().(interface{ JSONSchemaAlias() any }); ok {
		return r.value(reflect.TypeOf(alias.JSONSchemaAlias()))
	}
	s := finish(r.schema(t))
	if null {
		s = nullable(s)
	}
	return s
}

func mayBeNull(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return true
	default:
		return false
	}
}

// schema returns the schema of a type that is no pointer: a fresh one, because it is changed by
// the tags of the field that it is for.
func (r *typeReader) schema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case durationType: // finish makes it what it is, until then its tags are read as a string's
		return &jsonschema.Schema{Type: "string", Format: Duration}
	case timeType:
		return &jsonschema.Schema{Type: "string", Format: "date-time"}
	case numberType:
		return &jsonschema.Schema{Type: "number"}
	case rawMessageType:
		return &jsonschema.Schema{}
	}
	zero := reflect.New(t).Interface()
	if own, ok := zero.(interface{ JSONSchema() *jsonschema.Schema }); ok {
		return r.own(own.JSONSchema())
	}
	var s *jsonschema.Schema
	if s = r.coded(t, zero); s == nil {
		if t.Kind() == reflect.Struct && t.Name() != "" {
			return r.definition(t)
		}
		s = r.kind(t)
	}
	extend(zero, s)
	return s
}

func extend(zero any, s *jsonschema.Schema) {
	if e, ok := zero.(interface{ JSONSchemaExtend(*jsonschema.Schema) }); ok {
		e.JSONSchemaExtend(s)
	}
}

// own adopts what a type says of itself.
func (r *typeReader) own(s *jsonschema.Schema) *jsonschema.Schema {
	c := *s
	for name, def := range c.Definitions {
		if r.defs[name] == nil {
			r.defs[name] = def
			r.uses[name] = 2 // we do not count what refers to it
		}
	}
	c.Definitions, c.Version, c.ID = nil, "", ""
	return &c
}

// coded returns the schema of a type with JSON or text methods, nil if t has none. Only the type
// itself knows what it can decode, so it is asked, through a format.
func (r *typeReader) coded(t reflect.Type, zero any) *jsonschema.Schema {
	_, toJSON := zero.(json.Marshaler)
	_, fromJSON := zero.(json.Unmarshaler)
	_, toText := zero.(encoding.TextMarshaler)
	_, fromText := zero.(encoding.TextUnmarshaler)
	switch {
	case fromJSON:
		return &jsonschema.Schema{Format: r.format(t, func(v any) error {
			data, err := Encode(v)
			if err == nil {
				err = json.Unmarshal(data, reflect.New(t).Interface())
			}
			return err
		})}
	case toJSON:
		panic(fmt.Sprintf("%s has MarshalJSON, but no UnmarshalJSON to read it back", t))
	case fromText:
		return &jsonschema.Schema{Type: "string", Format: r.format(t, func(v any) error {
			s, ok := v.(string)
			if !ok {
				return nil
			}
			return reflect.New(t).Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s))
		})}
	case toText:
		panic(fmt.Sprintf("%s has MarshalText, but no UnmarshalText to read it back", t))
	}
	return nil
}

// format returns the name of a format for the type t.
func (r *typeReader) format(t reflect.Type, check Format) string {
	name := r.name(t, t.String())
	r.formats[name] = check
	return name
}

// name returns base, or base with a number if another type has that name already: types of two
// packages, or two instances of a generic type.
func (r *typeReader) name(t reflect.Type, base string) string {
	if name, ok := r.names[t]; ok {
		return name
	}
	base, _, _ = strings.Cut(base, "[")
	name := base
	for i := 2; r.taken(name); i++ {
		name = base + "_" + strconv.Itoa(i)
	}
	r.names[t] = name
	return name
}

func (r *typeReader) taken(name string) bool {
	for _, n := range r.names {
		if n == name {
			return true
		}
	}
	return r.defs[name] != nil
}

// definition returns a reference to the definition of a named struct. All of them are kept as
// definitions, so that types may contain themselves.
func (r *typeReader) definition(t reflect.Type) *jsonschema.Schema {
	_, known := r.names[t]
	name := r.name(t, t.Name())
	if !known {
		s := &jsonschema.Schema{}
		r.defs[name] = s
		open := r.open
		r.open = nil
		*s = *r.kind(t)
		extend(reflect.New(t).Interface(), s)
		r.open = open
	}
	r.uses[name]++
	return &jsonschema.Schema{Ref: defsPrefix + name}
}

func (r *typeReader) kind(t reflect.Type) *jsonschema.Schema {
	switch t.Kind() {
	case reflect.Bool:
		return &jsonschema.Schema{Type: "boolean"}
	case reflect.String:
		return &jsonschema.Schema{Type: "string"}
	case reflect.Float32:
		return &jsonschema.Schema{Type: "number", Format: "float"}
	case reflect.Float64:
		return &jsonschema.Schema{Type: "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s := &jsonschema.Schema{Type: "integer", Format: fmt.Sprintf("int%d", t.Bits())}
		if t.Bits() < 64 { // the bounds of 64 bits would only be noise
			s.Minimum = json.Number(strconv.FormatInt(-1<<(t.Bits()-1), 10))
			s.Maximum = json.Number(strconv.FormatInt(1<<(t.Bits()-1)-1, 10))
		}
		return s
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		s := &jsonschema.Schema{Type: "integer", Format: fmt.Sprintf("uint%d", t.Bits()), Minimum: "0"}
		if t.Bits() < 64 {
			s.Maximum = json.Number(strconv.FormatUint(1<<t.Bits()-1, 10))
		}
		return s
	case reflect.Interface:
		if t.NumMethod() > 0 {
			panic(fmt.Sprintf("a value of the interface %s cannot be decoded", t))
		}
		return &jsonschema.Schema{}
	case reflect.Struct:
		return r.structure(t)
	case reflect.Slice, reflect.Array, reflect.Map:
		if slices.Contains(r.open, t) {
			panic(fmt.Sprintf("%s contains itself with no struct in between", t))
		}
		r.open = append(r.open, t)
		defer func() { r.open = r.open[:len(r.open)-1] }()
		if t.Kind() == reflect.Map {
			return r.mapping(t)
		}
		return r.list(t)
	default:
		panic(fmt.Sprintf("a value of type %s cannot be an argument", t))
	}
}

func (r *typeReader) list(t reflect.Type) *jsonschema.Schema {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 && r.coded(t.Elem(), reflect.New(t.Elem()).Interface()) == nil {
		return &jsonschema.Schema{Type: "string", ContentEncoding: "base64"}
	}
	s := &jsonschema.Schema{Type: "array", Items: r.value(t.Elem())}
	if t.Kind() == reflect.Array {
		n := uint64(t.Len())
		s.MinItems, s.MaxItems = &n, &n
	}
	return s
}

func (r *typeReader) mapping(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", AdditionalProperties: r.value(t.Elem())}
	names := r.coded(t.Key(), reflect.New(t.Key()).Interface())
	if names == nil {
		switch names = r.kind(t.Key()); names.Type {
		case "string":
			return s
		case "integer":
			names = &jsonschema.Schema{Format: names.Format}
		default:
			panic(fmt.Sprintf("%s has keys that are neither strings, integers nor text", t))
		}
	}
	if names.Type == "" && names.Format == "" {
		panic(fmt.Sprintf("%s has keys that are neither strings, integers nor text", t))
	}
	s.PropertyNames = names
	return s
}

// structure returns the schema of a struct, with the fields that encoding/json sees.
func (r *typeReader) structure(t reflect.Type) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           jsonschema.NewProperties(),
		AdditionalProperties: jsonschema.FalseSchema,
	}
	for _, f := range jsonFields(t) {
		r.path = append(r.path, f.Name)
		p, required := r.property(f, s)
		s.Properties.Set(f.name, p)
		if required {
			s.Required = append(s.Required, f.name)
		}
		r.path = r.path[:len(r.path)-1]
	}
	return s
}
