package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A Problem says what is wrong with one field of the arguments.
type Problem struct {
	Path    string // a JSON pointer
	Message string
	Value   string // what was refused, "" if it is not told
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// maxProblems bounds what Check returns.
const maxProblems = 20

const isRequired = "is required"

// Check validates v, which must be complete, and returns what is wrong with it: one problem per
// field, in the order of the schema.
func (s *Schema) Check(v any) []Problem {
	if s.Secrets { // a secret that is still hidden has been forgotten
		if _, problems := s.Restore(v, nil, false); problems != nil {
			return problems[:min(len(problems), maxProblems)]
		}
	}
	if s.Root.fits(v) {
		return nil
	}
	err := s.validator.Validate(v)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Problem{{Message: "cannot be checked: " + err.Error()}}
	}
	r := report{root: s.Root, value: v}
	r.walk(invalid)
	return r.problems()
}

// A report turns the validator's tree of errors into one error per field.
type report struct {
	root  *Node
	value any
	found []finding
}

type finding struct {
	Problem
	order []int // the place of each part of the path among its siblings
}

func (r *report) problems() []Problem {
	slices.SortFunc(r.found, func(a, b finding) int {
		return cmp.Or(slices.Compare(a.order, b.order), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
	})
	r.found = slices.CompactFunc(r.found, func(a, b finding) bool { return a.Path == b.Path })
	all := make([]Problem, min(len(r.found), maxProblems))
	for i := range all {
		all[i] = r.found[i].Problem
	}
	return all
}

// notValue ends messages that tell the value, unless it is missing or secret.
const notValue = ", not \x00"

// add reports the value at a path.
func (r *report) add(keys []string, message string) {
	f := finding{Problem: Problem{Message: strings.TrimSuffix(message, notValue)}, order: make([]int, len(keys))}
	at, value, exists := []*Node{r.root}, r.value, true
	secret := isSecret(at)
	for i, key := range keys {
		f.Path += "/" + Escape(key)
		f.order[i] = position(at, key)
		at = step(at, key)
		secret = secret || isSecret(at)
		if exists {
			value, exists = memberOf(value, key)
		}
	}
	if exists && !secret {
		f.Message = strings.Replace(message, notValue, ", not "+Describe(value), 1)
		f.Value = scalarText(value)
	}
	r.found = append(r.found, f)
}

// addUnknown reports a field that does not exist. Its value may be a secret whose name was
// misspelled, so it is not told.
func (r *report) addUnknown(keys []string) {
	message := "is not allowed"
	if last := len(keys) - 1; last >= 0 {
		parent := r.nodes(keys[:last])
		if slices.ContainsFunc(parent, func(n *Node) bool { return n.Closed }) {
			message = "is not a known field"
		}
		if near := nearest(parent, keys[last]); near != "" {
			message += "; did you mean " + near + "?"
		}
	}
	r.add(keys, message)
	r.found[len(r.found)-1].Value = ""
}

func (r *report) walk(e *jsonschema.ValidationError) {
	at := e.InstanceLocation
	below := func(key string) []string { return append(slices.Clone(at), key) }
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, cause := range e.Causes {
			r.walk(cause)
		}
	case *kind.AnyOf:
		r.union(e)
	case *kind.OneOf:
		if len(k.Subschemas) > 0 {
			r.add(at, "fits more than one of the forms it may have")
			return
		}
		r.union(e)
	case *kind.Required:
		for _, name := range k.Missing {
			r.add(below(name), isRequired)
		}
	case *kind.Dependency:
		r.dependent(at, k.Prop, k.Missing)
	case *kind.DependentRequired:
		r.dependent(at, k.Prop, k.Missing)
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			r.addUnknown(below(name))
		}
	case *kind.PropertyNames:
		r.name(e, k.Property)
	case *kind.UniqueItems:
		r.add(below(strconv.Itoa(k.Duplicates[1])), fmt.Sprintf("is the same as item %d", k.Duplicates[0]))
	case *kind.FalseSchema:
		r.addUnknown(at)
	default:
		r.add(at, r.message(e))
	}
}

func (r *report) dependent(at []string, with string, missing []string) {
	for _, name := range missing {
		r.add(append(slices.Clone(at), name), "is required together with "+with)
	}
}

// name reports a field whose name is not allowed. The validator reuses the memory of the path that
// it gives, so only its length is right.
func (r *report) name(e *jsonschema.ValidationError, name string) {
	message := "is not allowed as a name"
	if len(e.Causes) == 1 {
		message = "its name " + strings.TrimSuffix(r.message(e.Causes[0]), notValue)
	}
	r.names(expand([]*Node{r.root}), r.value, nil, len(e.InstanceLocation), func(path []string) {
		if path[len(path)-1] == name {
			r.add(path, message)
		}
	})
}

// names calls found with the path of each field, in objects of that depth, whose name has rules.
func (r *report) names(nodes []*Node, v any, path []string, depth int, found func([]string)) {
	ruled := slices.ContainsFunc(nodes, func(n *Node) bool { return n.named })
	visit := func(key string, e any) {
		below := append(slices.Clone(path), key)
		if len(path) == depth && ruled {
			found(below)
		} else if len(path) < depth {
			r.names(step(nodes, key), e, below, depth, found)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			visit(key, e)
		}
	case []any:
		for i, e := range v {
			visit(strconv.Itoa(i), e)
		}
	}
}

// nodes returns the nodes of a path.
func (r *report) nodes(keys []string) []*Node {
	at := []*Node{r.root}
	for _, key := range keys {
		at = step(at, key)
	}
	return at
}

// union reports a value that fits none of several forms: as an error of the form that was meant,
// if that is clear. Null is never what was meant.
func (r *report) union(e *jsonschema.ValidationError) {
	var meant, near []*jsonschema.ValidationError
	var types []string
	var values []any
	depth := len(e.InstanceLocation)
	for _, cause := range e.Causes {
		switch k := ownError(cause, depth).(type) {
		case *kind.Type:
			if !slices.Equal(k.Want, []string{"null"}) {
				types = append(types, k.Want...)
				near = append(near, cause)
			}
		case *kind.Const:
			values = append(values, k.Want)
		case *kind.Enum:
			values = append(values, k.Want...)
		default:
			meant = append(meant, cause)
		}
	}
	meant = slices.DeleteFunc(meant, func(cause *jsonschema.ValidationError) bool {
		return len(meant) > 1 && hasWrongConstant(cause)
	})
	switch {
	case len(meant) == 1:
		r.walk(meant[0])
	case len(meant) > 1:
		r.add(e.InstanceLocation, "fits none of the forms it may have")
	case len(values) > 0:
		r.add(e.InstanceLocation, oneOfValues(values))
	case len(near) == 1:
		r.walk(near[0])
	default:
		r.add(e.InstanceLocation, "must be "+typeNames(types)+notValue)
	}
}

// ownError returns what is wrong with a value at that depth itself, nil if it is something in it.
func ownError(e *jsonschema.ValidationError, depth int) jsonschema.ErrorKind {
	for {
		if _, ok := e.ErrorKind.(*kind.Reference); !ok || len(e.Causes) != 1 {
			break
		}
		e = e.Causes[0]
	}
	if len(e.InstanceLocation) > depth {
		return nil
	}
	return e.ErrorKind
}

// hasWrongConstant reports whether a form is told from others by a constant that does not match.
func hasWrongConstant(e *jsonschema.ValidationError) bool {
	if _, ok := e.ErrorKind.(*kind.Const); ok {
		return true
	}
	return slices.ContainsFunc(e.Causes, hasWrongConstant)
}
