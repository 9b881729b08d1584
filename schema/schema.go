// Package schema describes the arguments of tasks: it makes a JSON Schema of a Go type or reads a
// given one, completes, checks and redacts arguments, and has all that a program needs to draw a
// form and to read it back. It is what package jobs uses for [jobs.Task], and can be used alone.
//
//	s, err := schema.For[Resize]()
//	for _, field := range s.Fields() { … }
//	args, err := s.FromForm(request.PostForm)
//
// [jobs.Task]: https://pkg.go.dev/github.com/embedjobs/jobs#Task
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"strings"

	"github.com/embedjobs/jobs/schema/internal/engine"
)

// A Schema describes the arguments of a task: which fields there are, of what kind, and with what
// defaults. It completes and checks arguments, hides their secrets and makes forms of them.
//
// A Schema never changes and may be used concurrently. Arguments are always one JSON object;
// empty arguments stand for {}. They must be UTF-8, name no field twice and be nested at most 250
// deep; numbers must fit a float64 or be integers of up to 400 digits.
type Schema struct {
	doc         json.RawMessage
	fingerprint uint64
	defaults    json.RawMessage
	engine      *engine.Schema
}

// For makes a schema from the Go type T, a struct or a map, as encoding/json reads and
// writes it. What the schema accepts can be decoded into T once Complete has returned it.
//
// A field is required unless it has omitempty or omitzero, has a default, or is a pointer.
// Fields that T does not have are refused. Nil pointers, slices and maps may be null. Integers
// are held to the range of their type. A [time.Time] is a string in the form of RFC 3339. A
// [time.Duration] is a string such as "1h30m" or an integer of nanoseconds; the document marks it
// with the format "go-duration" and Complete turns it into the integer. Types with text or JSON
// methods of their own are asked whether they can decode a value.
//
// The struct tag "jsonschema" says more, as a list of key=value, with \\, for a comma in a value:
//
//	title, description        for people
//	default                   filled in by Complete; for a list repeat it
//	enum                      one allowed value; repeat it
//	minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf
//	minLength, maxLength, pattern, format
//	minItems, maxItems, uniqueItems
//	example
//	required                  (a word alone) even if the rule above says otherwise
//	nullable                  (a word alone) may be null
//	secret                    (a word alone) hidden by Redact; writeOnly in the document
//
// A description may also stand in a tag of its own, "jsonschema_description". The format textarea
// asks for more than one line, any other is one of JSON Schema. A type that has a method
// JSONSchema or JSONSchemaExtend of package github.com/invopop/jsonschema describes itself.
//
// The error names the field that cannot be an argument, such as a channel, a function, a complex
// number or a map whose keys are neither strings, integers nor text.
func For[T any]() (*Schema, error) {
	doc, formats, err := engine.OfType(reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("%w arguments: %w", ErrInvalid, err)
	}
	return build(doc, formats)
}

// Parse reads a JSON Schema (draft 2020-12) for a task whose arguments have no Go type. It
// must describe an object. References may only point into the document itself, as in
// "#/$defs/name"; nothing is ever loaded. Formats are checked. Fields that are writeOnly or have
// the format password are secret. The format "go-duration" works as in [For].
//
// Defaults and form fields are those of properties, $ref and allOf. Of anyOf and oneOf they are
// known if only one alternative is other than null.
func Parse(doc []byte) (*Schema, error) {
	return build(doc, nil)
}

func build(doc []byte, formats map[string]engine.Format) (*Schema, error) {
	parsed, err := engine.New(doc, formats)
	if err != nil {
		return nil, fmt.Errorf("%w schema: %w", ErrInvalid, err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, doc); err != nil {
		return nil, fmt.Errorf("%w schema: %w", ErrInvalid, err)
	}
	defaults, err := engine.Encode(parsed.Defaults())
	if err != nil {
		return nil, fmt.Errorf("%w schema: defaults: %w", ErrInvalid, err)
	}
	hash := fnv.New64a()
	hash.Write(compact.Bytes())
	return &Schema{compact.Bytes(), hash.Sum64(), defaults, parsed}, nil
}

// JSON returns the document: a JSON Schema, draft 2020-12.
func (s *Schema) JSON() json.RawMessage { return slices.Clone(s.doc) }

// Fingerprint returns a hash of the document. It is the same in every process.
func (s *Schema) Fingerprint() uint64 { return s.fingerprint }

// Defaults returns an object with all fields that have a default, also in nested objects.
// Required fields without a default are missing from it.
func (s *Schema) Defaults() json.RawMessage { return slices.Clone(s.defaults) }

// Complete returns args in the form in which they are stored and can be decoded: fields that are
// missing have their defaults, durations are integers of nanoseconds, integers are written
// without fraction and exponent, and there is no white space. A nested object that is missing is
// made of its defaults if it is required, or if it may not be null and its defaults are enough.
//
// The error is a [*ValidationError] if args cannot be read as an object. Fields are not checked.
func (s *Schema) Complete(args json.RawMessage) (json.RawMessage, error) {
	v, kept, err := s.read(args)
	if err != nil {
		return nil, err
	}
	return encodeUnless(kept, v)
}

// Validate checks args as they will be once they are completed. The error is a [*ValidationError]
// with an entry for each wrong field.
func (s *Schema) Validate(args json.RawMessage) error {
	if s.engine.Plain(args) {
		return nil
	}
	v, _, err := s.read(args)
	if err != nil {
		return err
	}
	return validationError(s.engine.Check(v))
}

// Accept is Complete and Validate in one pass: it returns args as they are stored, or says what is
// wrong with them. What it returns does not share memory with args.
func (s *Schema) Accept(args json.RawMessage) (json.RawMessage, error) {
	if s.engine.Plain(args) {
		return slices.Clone(args), nil
	}
	v, kept, err := s.read(args)
	if err != nil {
		return nil, err
	}
	if err := validationError(s.engine.Check(v)); err != nil {
		return nil, err
	}
	return encodeUnless(kept, v)
}

// read parses and completes args. If nothing had to be changed, kept is a compact copy of args.
func (s *Schema) read(args json.RawMessage) (v any, kept json.RawMessage, err error) {
	v, spaced, err := parseArgs(args)
	if err != nil {
		return nil, nil, err
	}
	v, changed := s.engine.Root.Complete(v)
	switch {
	case changed || len(args) == 0:
		return v, nil, nil
	case !spaced:
		return v, slices.Clone(args), nil
	}
	var compact bytes.Buffer
	compact.Grow(len(args))
	err = json.Compact(&compact, args)
	return v, compact.Bytes(), err
}

// parseArgs reads a JSON object and tells whether it has white space.
func parseArgs(args json.RawMessage) (v any, spaced bool, err error) {
	if len(args) == 0 {
		return map[string]any{}, false, nil
	}
	v, spaced, problem := engine.Parse(args)
	if problem != nil {
		return nil, false, validationError([]engine.Problem{*problem})
	}
	if _, ok := v.(map[string]any); !ok {
		return nil, false, validationError([]engine.Problem{{Message: "must be an object, not " + engine.Describe(v)}})
	}
	return v, spaced, nil
}

func encodeUnless(kept json.RawMessage, v any) (json.RawMessage, error) {
	if kept != nil {
		return kept, nil
	}
	return engine.Encode(v)
}

// Redacted stands for a secret in arguments that are shown.
const Redacted = engine.Redacted

// Redact returns args with each secret replaced by [Redacted], however deep it is. A field is
// secret if any part of the schema that may apply to it says so, even in an alternative that does
// not. If args cannot be read they become the string Redacted as a whole. Without secrets in the
// schema args are returned as they are.
func (s *Schema) Redact(args json.RawMessage) json.RawMessage {
	if !s.engine.Secrets || len(args) == 0 {
		return args
	}
	if v, _, problem := engine.Parse(args); problem == nil {
		if out, err := engine.Encode(s.engine.Root.Mask(v)); err == nil {
			return out
		}
	}
	return json.RawMessage(`"` + Redacted + `"`)
}

// RestoreSecrets returns edited with each secret that is still [Redacted] replaced by its value
// in stored, so that who may not see the secrets can edit the rest. In a list, an item gets the
// secrets of the stored item that is equal apart from secrets; failing that, and if no item was
// added or removed, of the one in the same place. A secret that is not found there is an entry of
// the [*ValidationError] that is returned. What is returned is not validated.
func (s *Schema) RestoreSecrets(edited, stored json.RawMessage) (json.RawMessage, error) {
	v, _, err := parseArgs(edited)
	if err != nil {
		return nil, err
	}
	old, _, _ := engine.Parse(stored) // nil if it cannot be read: then there is nothing to restore
	v, problems := s.engine.Restore(v, old, false)
	if err := validationError(problems); err != nil {
		return nil, err
	}
	return engine.Encode(v)
}

// ErrInvalid is wrapped by all errors of this package. It is the ErrInvalid of package jobs.
var ErrInvalid = errors.New("jobs: invalid")

// HasSecrets reports whether any field is secret.
func (s *Schema) HasSecrets() bool { return s.engine.Secrets }

// A ValidationError says what is wrong with arguments. It wraps [ErrInvalid].
type ValidationError struct {
	// Fields has one entry per field, in the order of the schema, and at most 20 entries.
	Fields []FieldError
}

// A FieldError says what is wrong with one field.
type FieldError struct {
	// Path is where the field is, or should be, as a JSON pointer such as /files/2. It is empty
	// if the arguments as a whole are wrong.
	Path string
	// Message is for people and follows the name of the field: "must be a string, not 7". It
	// never tells a secret.
	Message string
	// Value is the value that was refused, as JSON, shortened to 60 characters. It is empty if
	// the value is missing, secret, a list, an object, or that of an unknown field.
	Value string
}

func (e *ValidationError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = strings.TrimPrefix(f.Path+": "+f.Message, ": ")
	}
	return "jobs: invalid arguments: " + strings.Join(texts, "; ")
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *ValidationError) Unwrap() error { return ErrInvalid }

// validationError returns nil if there are no problems.
func validationError(problems []engine.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	fields := make([]FieldError, len(problems))
	for i, p := range problems {
		fields[i] = FieldError(p)
	}
	return &ValidationError{Fields: fields}
}
