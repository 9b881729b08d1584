package engine

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// message says in plain words what an error of the validator means.
func (r *report) message(e *jsonschema.ValidationError) string {
	switch k := e.ErrorKind.(type) {
	case *kind.Type:
		for _, n := range r.nodes(e.InstanceLocation) {
			if n.Format == Duration {
				return "must be " + aDuration + notValue
			}
		}
		return "must be " + typeNames(k.Want) + notValue
	case *kind.Enum:
		return oneOfValues(k.Want)
	case *kind.Const:
		return oneOfValues([]any{k.Want})
	case *kind.Format:
		return "must be " + formatName(k) + notValue
	case *kind.Minimum:
		return "must be at least " + rational(k.Want) + notValue
	case *kind.Maximum:
		return "must be at most " + rational(k.Want) + notValue
	case *kind.ExclusiveMinimum:
		return "must be more than " + rational(k.Want) + notValue
	case *kind.ExclusiveMaximum:
		return "must be less than " + rational(k.Want) + notValue
	case *kind.MultipleOf:
		return "must be a multiple of " + rational(k.Want) + notValue
	case *kind.MinLength:
		if k.Want == 1 {
			return "must not be empty"
		}
		return fmt.Sprintf("must have at least %d characters, not %d", k.Want, k.Got)
	case *kind.MaxLength:
		return fmt.Sprintf("must have at most %s, not %d", count(k.Want, "character"), k.Got)
	case *kind.Pattern:
		return "must match the pattern " + k.Want + notValue
	case *kind.ContentEncoding:
		return "must be encoded as " + k.Want
	case *kind.ContentMediaType, *kind.ContentSchema:
		return "has content of the wrong kind"
	}
	return sizeMessage(e.ErrorKind)
}

// sizeMessage is message for lists and objects.
func sizeMessage(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.MinItems:
		return fmt.Sprintf("must have at least %s, not %d", count(k.Want, "item"), k.Got)
	case *kind.MaxItems:
		return fmt.Sprintf("must have at most %s, not %d", count(k.Want, "item"), k.Got)
	case *kind.AdditionalItems:
		return fmt.Sprintf("has %s too many", count(k.Count, "item"))
	case *kind.MinProperties:
		return fmt.Sprintf("must have at least %s, not %d", count(k.Want, "field"), k.Got)
	case *kind.MaxProperties:
		return fmt.Sprintf("must have at most %s, not %d", count(k.Want, "field"), k.Got)
	case *kind.Contains:
		return "must have an item of the right kind"
	case *kind.MinContains:
		return fmt.Sprintf("must have at least %s of the right kind, not %d", count(k.Want, "item"), len(k.Got))
	case *kind.MaxContains:
		return fmt.Sprintf("must have at most %s of that kind, not %d", count(k.Want, "item"), len(k.Got))
	case *kind.RefCycle:
		return "cannot be checked, because the schema refers to itself"
	}
	return "is not allowed" // not, and whatever a later version of the validator adds
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func rational(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	f, _ := r.Float64()
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func formatName(k *kind.Format) string {
	if known[k.Want] != nil {
		return k.Err.Error()
	}
	switch k.Want {
	case "email":
		return "an email address"
	case "uri", "iri":
		return "an absolute URL"
	case "date":
		return `a date such as "2006-01-02"`
	case "time":
		return `a time of day such as "15:04:05Z"`
	case "duration":
		return `a duration of ISO 8601 such as "PT1H30M"`
	case "regex":
		return "a regular expression"
	}
	return "a valid " + k.Want
}

// typeNames says which JSON types are allowed. Null is left out: it stands for no value, which
// says nothing to who has given one.
func typeNames(types []string) string {
	var names []string
	for _, t := range types {
		name := ""
		switch t {
		case "null":
			continue
		case "boolean":
			name = "true or false"
		case "integer":
			name = "a whole number"
		case "array":
			name = "a list"
		case "object":
			name = "an object"
		default:
			name = "a " + t
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "null"
	}
	return strings.Join(names, " or ")
}

func oneOfValues(values []any) string {
	const most = 10
	var names []string
	for _, v := range values {
		if v != nil {
			names = append(names, Describe(v))
		}
	}
	switch {
	case len(names) == 0:
		return "must be null" + notValue
	case len(names) == 1:
		return "must be " + names[0] + notValue
	case len(names) > most:
		names = append(names[:most], "…")
	}
	return "must be one of " + strings.Join(names, ", ") + notValue
}

// Describe tells people what v is: its value if it is short, otherwise its kind.
func Describe(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	}
	return scalarText(v)
}

// scalarText returns v as JSON, shortened; "" if it is a list or an object.
func scalarText(v any) string {
	const most = 60
	short := func(s string) string {
		if utf8.RuneCountInString(s) > most {
			return string([]rune(s)[:most-1]) + "…"
		}
		return s
	}
	switch v := v.(type) {
	case map[string]any, []any:
		return ""
	case json.Number:
		return short(string(v))
	case string:
		text, _ := Encode(short(v)) // a string can be encoded
		return string(text)
	}
	return map[any]string{nil: "null", true: "true", false: "false"}[v]
}

// memberOf returns a field of an object or an item of a list.
func memberOf(v any, key string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		e, ok := v[key]
		return e, ok
	case []any:
		if i, err := strconv.Atoi(key); err == nil && 0 <= i && i < len(v) {
			return v[i], true
		}
	}
	return nil, false
}

// position returns where key comes among the fields or items of its parent.
func position(parent []*Node, key string) int {
	for _, n := range parent {
		if i, ok := n.index[key]; ok {
			return i
		}
	}
	if i, err := strconv.Atoi(key); err == nil {
		return i
	}
	return 1 << 30
}

// nearest returns the field that key may be a misspelling of, or "".
func nearest(parent []*Node, key string) string {
	best, distance := "", 3
	for _, n := range expand(parent) {
		for _, p := range n.Props {
			if p.Name == key { // not allowed for another reason
				return ""
			}
			if strings.EqualFold(p.Name, key) {
				return p.Name
			}
			if d := editDistance(p.Name, key); d < distance && 2*d < len(p.Name) {
				best, distance = p.Name, d
			}
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace to make b of a. Lengths that
// differ by more than matters are not looked at.
func editDistance(a, b string) int {
	if d := len(a) - len(b); d > 2 || d < -2 {
		return 3
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := left
			if a[i] != b[j] {
				d = 1 + min(left, row[j], row[j+1])
			}
			left, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
