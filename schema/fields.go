package schema

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/embedjobs/jobs/schema/internal/engine"
)

// A FieldKind says what kind of input a field needs.
type FieldKind string

// The kinds of fields.
const (
	KindString   FieldKind = "string"
	KindText     FieldKind = "text" // a string of several lines
	KindInteger  FieldKind = "integer"
	KindNumber   FieldKind = "number"
	KindBoolean  FieldKind = "boolean"
	KindTime     FieldKind = "time"     // a string in the form of RFC 3339
	KindDuration FieldKind = "duration" // integer nanoseconds; in forms text such as 1h30m0s
	KindChoice   FieldKind = "choice"   // one of Choices
	KindList     FieldKind = "list"     // of Item
	KindMap      FieldKind = "map"      // of Item, under names that the user chooses
	KindObject   FieldKind = "object"   // with Fields
	KindJSON     FieldKind = "json"     // anything, or what forms cannot show: any JSON text
)

// A Field describes one field of the arguments for who draws a form.
type Field struct {
	// Path is where the field is in the arguments, as a JSON pointer, and the name of its input
	// in a form. Below a list or a map an asterisk stands for the position or the name of an
	// item: /steps/*/name.
	Path string
	Name string // the last part of Path
	Kind FieldKind
	// Title is for people. If the schema has none it is made of the name.
	Title       string
	Description string
	// Default is what a missing field becomes, nil if nothing. In objects and lists it has the
	// defaults of what is inside. It is Redacted if the field is secret.
	Default json.RawMessage
	// Choices are the allowed values of a KindChoice.
	Choices []Choice
	// Format is that of the schema, such as email, date or textarea.
	Format string
	// Pattern is a regular expression (RE2) that a string must match somewhere.
	Pattern string
	// Bounds of the value, nil if there are none. Those of numbers are inclusive unless the
	// field beside says otherwise; those of a duration are nanoseconds.
	Minimum, Maximum     *float64
	ExclusiveMinimum     bool
	ExclusiveMaximum     bool
	MultipleOf           *float64
	MinLength, MaxLength *int // in characters
	MinItems, MaxItems   *int
	Unique               bool // no item may occur twice
	Required             bool
	Nullable             bool
	Secret               bool // show no value, and nothing of what is typed
	// Item describes the items of a list or a map.
	Item *Field
	// Fields are the fields of an object.
	Fields []Field
}

// A Choice is an allowed value of a field.
type Choice struct {
	Value json.RawMessage
	Title string // for people; "" means the value itself
}

// Bounds of what Fields returns. Documents can refer to themselves, or grow exponentially.
const (
	maxFieldDepth = 16
	maxFields     = 2000
)

// Fields returns the fields of the arguments in the order of the schema. A type that contains
// itself is shown with itself in it once; what is deeper is a KindJSON.
func (s *Schema) Fields() []Field {
	d := fieldDrawer{left: maxFields}
	return d.fields(s.engine.Root, "")
}

type fieldDrawer struct {
	above []*engine.Node // the objects, lists and maps that the field is in
	left  int            // how many more fields may be made
}

func (d *fieldDrawer) fields(n *engine.Node, path string) []Field {
	d.above = append(d.above, n)
	defer func() { d.above = d.above[:len(d.above)-1] }()
	fields := make([]Field, 0, len(n.Props))
	for _, p := range n.Props {
		f := d.field(p.Node, path, p.Name)
		f.Required = n.Required[p.Name]
		if n.Fills(p) {
			f.Default, _ = engine.Encode(p.Mask(p.Fill)) // it was decoded
		}
		fields = append(fields, f)
	}
	return fields
}

func (d *fieldDrawer) field(n *engine.Node, parent, name string) Field {
	d.left--
	f := Field{
		Path:        parent + "/" + engine.Escape(name),
		Name:        name,
		Kind:        fieldKind(n),
		Title:       n.Title,
		Description: n.Description,
		Format:      n.Format,
		Pattern:     n.Pattern,
		MultipleOf:  keywordNumber(n, "multipleOf"),
		MinLength:   keywordCount(n, "minLength"),
		MaxLength:   keywordCount(n, "maxLength"),
		MinItems:    keywordCount(n, "minItems"),
		MaxItems:    keywordCount(n, "maxItems"),
		Unique:      n.Unique,
		Nullable:    n.Nullable,
		Secret:      n.Secret(),
	}
	if f.Title == "" && name != "*" {
		f.Title = titleOf(name)
	}
	f.Minimum, f.ExclusiveMinimum = strictBound(n, "minimum", "exclusiveMinimum", 1)
	f.Maximum, f.ExclusiveMaximum = strictBound(n, "maximum", "exclusiveMaximum", -1)
	if slices.Contains(d.above, n) || len(d.above) > maxFieldDepth || d.left < 0 {
		f.Kind = KindJSON
	}
	switch f.Kind {
	case KindChoice:
		f.Choices = choicesOf(n)
	case KindObject:
		f.Fields = d.fields(n, f.Path)
	case KindList, KindMap:
		d.above = append(d.above, n)
		item := d.field(itemOf(n), f.Path, "*")
		f.Item = &item
		d.above = d.above[:len(d.above)-1]
	default:
	}
	return f
}

// fieldKind returns how forms treat n.
func fieldKind(n *engine.Node) FieldKind {
	switch n.Kind {
	case "":
		if len(n.Enum) == 0 && len(n.Choices) == 0 {
			return KindJSON
		}
		return KindChoice
	case "array":
		if n.Items != nil && n.Prefix == nil {
			return KindList
		}
		return KindJSON
	case "object":
		switch {
		case len(n.Patterns) > 0:
			return KindJSON
		case len(n.Props) > 0 || n.Closed:
			return KindObject
		case n.Additional != nil:
			return KindMap
		}
		return KindJSON
	}
	switch {
	case len(n.Enum) > 0 || len(n.Choices) > 0:
		return KindChoice
	case n.Kind == "integer" && n.Format == engine.Duration:
		return KindDuration
	case n.Kind == "string" && n.Format == "date-time":
		return KindTime
	case n.Kind == "string" && n.Format == "textarea":
		return KindText
	case n.Kind == "string" || n.Kind == "integer" || n.Kind == "number" || n.Kind == "boolean":
		return FieldKind(n.Kind)
	}
	return KindJSON
}

// itemOf returns what the items of a list or a map are.
func itemOf(n *engine.Node) *engine.Node {
	if n.Kind == "object" {
		return n.Additional
	}
	return n.Items
}

func choicesOf(n *engine.Node) []Choice {
	var all []Choice
	add := func(v any, title string) {
		if value, err := engine.Encode(v); err == nil && v != nil {
			all = append(all, Choice{value, title})
		}
	}
	for _, c := range n.Choices {
		add(c.Value, c.Title)
	}
	if len(n.Choices) == 0 {
		for _, v := range n.Enum {
			add(v, "")
		}
	}
	return all
}

func keywordNumber(n *engine.Node, keyword string) *float64 {
	if f, err := n.Bounds[keyword].Float64(); err == nil {
		return &f
	}
	return nil
}

func keywordCount(n *engine.Node, keyword string) *int {
	if f := keywordNumber(n, keyword); f != nil && *f < 1<<31 {
		i := int(*f)
		return &i
	}
	return nil
}

// strictBound returns the stricter of two bounds, and whether that one is exclusive. The sign is 1 for
// lower bounds and -1 for upper ones.
func strictBound(n *engine.Node, inclusive, exclusive string, sign float64) (*float64, bool) {
	in, ex := keywordNumber(n, inclusive), keywordNumber(n, exclusive)
	if ex != nil && (in == nil || sign**ex >= sign**in) {
		return ex, true
	}
	return in, false
}

// titleOf makes "Max size" of max_size, max-size and maxSize.
func titleOf(name string) string {
	var b strings.Builder
	lower := false
	for i, r := range name {
		upper := 'A' <= r && r <= 'Z'
		switch {
		case r == '_' || r == '-' || r == ' ':
			r, upper = ' ', false
		case upper && lower:
			b.WriteByte(' ')
			r += 'a' - 'A'
		case i == 0 && 'a' <= r && r <= 'z':
			r -= 'a' - 'A'
		}
		b.WriteRune(r)
		lower = !upper && r != ' '
	}
	return b.String()
}
