package engine

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// maxFill bounds the defaults of a document, which can grow exponentially through references.
const maxFill = 10_000

// buildTree makes nodes of a document that was parsed with its order kept.
func buildTree(doc any, formats map[string]Format) (root *Node, secrets bool, err error) {
	obj, ok := doc.(*object)
	if !ok {
		return nil, false, fmt.Errorf("must be an object")
	}
	b := treeBuilder{root: obj, formats: formats, nodes: map[*object]*Node{}}
	root = b.node(obj)
	b.prepare(root)
	if b.err != nil {
		return nil, false, b.err
	}
	if root.Kind != "object" || root.Nullable {
		return nil, false, fmt.Errorf(`must describe an object ("type": "object")`)
	}
	for _, n := range b.nodes {
		secrets = secrets || n.secret
	}
	return root, secrets, nil
}

type treeBuilder struct {
	root    *object
	formats map[string]Format
	nodes   map[*object]*Node
	err     error // the first one
}

// node returns the node of a subschema: an object, or true or false.
func (b *treeBuilder) node(v any) *Node {
	obj, ok := v.(*object)
	if !ok {
		return &Node{complex: v == false}
	}
	if n := b.nodes[obj]; n != nil {
		return n
	}
	n := &Node{index: map[string]int{}, Required: map[string]bool{}, Bounds: map[string]json.Number{}}
	b.nodes[obj] = n
	b.read(n, obj, map[*object]bool{})
	return n
}

// read adds the keywords of obj to n. What n has already stays, so a reference yields to the
// keywords beside it.
func (b *treeBuilder) read(n *Node, obj *object, seen map[*object]bool) {
	if seen[obj] {
		return
	}
	seen[obj] = true
	b.value(n, obj)
	b.structure(n, obj)
	asserts := 0
	for _, key := range obj.keys {
		v := obj.values[key]
		switch key {
		case "type", "enum", "format", "minimum", "maximum", "minLength", "properties", "required",
			"additionalProperties", "items", "minItems", "maxItems":
			asserts = 1
		case "$defs", "$comment", "title", "description", "default", "examples", "deprecated",
			"readOnly", "writeOnly":
		case "$schema":
			if s, _ := v.(string); strings.TrimSuffix(s, "#") != draft {
				b.fail("only draft 2020-12 is understood, not %v", v)
			}
		case "$id":
			if obj != b.root {
				b.fail("an $id inside the document is not supported")
			}
		case "$ref":
			if target := b.resolve(v); target != nil {
				b.read(n, target, seen)
			} else {
				n.complex = true
			}
		case "anyOf":
			b.union(n, asList(v), seen)
		default:
			n.complex = true
			b.combine(n, key, v, seen)
		}
	}
	n.asserts += asserts
}

// combine reads keywords that make n too complex for Fits.
func (b *treeBuilder) combine(n *Node, key string, v any, seen map[*object]bool) {
	switch key {
	case "$dynamicRef", "$recursiveRef":
		b.fail("%s is not supported", key)
	case "allOf":
		for _, sub := range asList(v) {
			if sub, ok := sub.(*object); ok {
				b.read(n, sub, seen)
			}
		}
	case "oneOf":
		b.union(n, asList(v), seen)
	case "propertyNames":
		n.named = true
	case "if", "then", "else":
		n.alts = append(n.alts, b.node(v))
	case "contains", "unevaluatedItems":
		n.alts = append(n.alts, &Node{Items: b.node(v)})
	case "unevaluatedProperties":
		n.Closed = n.Closed || v == false
		n.alts = append(n.alts, &Node{Additional: b.node(v)})
	case "dependentSchemas":
		if deps, ok := v.(*object); ok {
			for _, name := range deps.keys {
				n.alts = append(n.alts, b.node(deps.values[name]))
			}
		}
	}
}

const draft = "https://json-schema.org/draft/2020-12/schema"

func (b *treeBuilder) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *treeBuilder) resolve(ref any) *object {
	s, _ := ref.(string)
	pointer, local := strings.CutPrefix(s, "#")
	if !local || pointer != "" && pointer[0] != '/' {
		b.fail("the reference %q does not point into the document, as #/$defs/name does", s)
		return nil
	}
	var at any = b.root
	if unescaped, err := url.PathUnescape(pointer); err == nil {
		pointer = unescaped
	}
	for _, key := range Split(pointer) {
		switch v := at.(type) {
		case *object:
			at = v.values[key]
		case []any:
			at = nil
			if i, err := strconv.Atoi(key); err == nil && 0 <= i && i < len(v) {
				at = v[i]
			}
		default:
			at = nil
		}
	}
	if at == nil {
		b.fail("the reference %q points to nothing", s)
	}
	target, _ := at.(*object)
	return target
}

// value reads the keywords that concern the value itself.
func (b *treeBuilder) value(n *Node, obj *object) {
	text := func(key string, field *string) {
		if s, ok := obj.values[key].(string); ok && *field == "" {
			*field = s
		}
	}
	text("title", &n.Title)
	text("description", &n.Description)
	text("format", &n.Format)
	text("pattern", &n.Pattern)
	if n.Format == "password" || obj.values["writeOnly"] == true {
		n.secret = true
	}
	if n.check == nil && n.Format != "" {
		if n.check = b.formats[n.Format]; n.check == nil {
			n.check = known[n.Format]
		}
	}
	n.Unique = n.Unique || obj.values["uniqueItems"] == true
	if v, ok := obj.values["default"]; ok && !n.hasDef {
		n.def, n.hasDef = plain(v), true
	}
	if n.Enum == nil {
		n.Enum = asList(plain(obj.values["enum"]))
	}
	if v, ok := obj.values["const"]; ok && n.Enum == nil {
		n.Enum = []any{plain(v)}
	}
	for _, key := range boundKeywords {
		if v, ok := obj.values[key].(json.Number); ok && n.Bounds[key] == "" {
			n.Bounds[key] = v
		}
	}
	types := asList(obj.values["type"])
	if t, ok := obj.values["type"].(string); ok {
		types = []any{t}
	}
	if n.Kind != "" || len(types) == 0 {
		return
	}
	for _, t := range types {
		switch t, _ := t.(string); {
		case t == "null":
			n.Nullable = true
		case n.Kind == "":
			n.Kind = t
		case n.Format == Duration && (t == "string" || t == "integer"):
			n.Kind = "integer"
		default:
			n.Kind = mixed
		}
	}
	n.complex = n.complex || n.Kind == "" || n.Kind == mixed // Fits takes "" for any type
}

// mixed is the kind of a value that may have several types.
const mixed = "mixed"

var boundKeywords = []string{
	"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
	"minLength", "maxLength", "minItems", "maxItems",
}

// structure reads the keywords that lead to other places. Where two subschemas describe the same
// place, the first one counts and the other becomes an alternative.
func (b *treeBuilder) structure(n *Node, obj *object) {
	twice := false
	if props, ok := obj.values["properties"].(*object); ok {
		for _, name := range props.keys {
			if _, ok := n.index[name]; ok {
				twice = true
				continue
			}
			n.index[name] = len(n.Props)
			n.Props = append(n.Props, Property{name, b.node(props.values[name])})
		}
	}
	for _, name := range asList(obj.values["required"]) {
		if name, ok := name.(string); ok {
			n.Required[name] = true
		}
	}
	if pats, ok := obj.values["patternProperties"].(*object); ok {
		for _, pattern := range pats.keys {
			re, err := regexp.Compile(pattern)
			if err != nil {
				b.fail("%w", err)
				continue
			}
			n.Patterns = append(n.Patterns, patternProperty{re, b.node(pats.values[pattern])})
		}
	}
	if v, ok := obj.values["additionalProperties"]; ok {
		n.Closed = n.Closed || v == false
		if twice = twice || n.Additional != nil; n.Additional == nil && v != false {
			n.Additional = b.node(v)
		}
	}
	if v, ok := obj.values["items"]; ok {
		if twice = twice || n.Items != nil; n.Items == nil {
			n.Items = b.node(v)
		}
	}
	if v := asList(obj.values["prefixItems"]); len(v) > 0 {
		if twice = twice || n.Prefix != nil; n.Prefix == nil {
			for _, sub := range v {
				n.Prefix = append(n.Prefix, b.node(sub))
			}
		}
	}
	if twice {
		n.alts = append(n.alts, b.node(obj))
	}
}

// union reads anyOf and oneOf. If only one alternative is other than null, it is what n is.
func (b *treeBuilder) union(n *Node, subs []any, seen map[*object]bool) {
	var rest []*object
	var choices []Choice
	for _, sub := range subs {
		obj, ok := sub.(*object)
		switch {
		case !ok:
			n.complex = true
		case obj.values["type"] == "null":
			n.Nullable = true
		default:
			rest = append(rest, obj)
			if v, ok := obj.values["const"]; ok {
				title, _ := obj.values["title"].(string)
				choices = append(choices, Choice{plain(v), title})
			}
		}
	}
	n.complex = n.complex || len(rest) != 1
	switch {
	case len(rest) == 1:
		before := n.asserts
		b.read(n, rest[0], seen)
		n.asserts = max(n.asserts, before+1) // null being allowed counts
	case len(rest) > 0 && len(choices) == len(rest):
		n.Choices = choices
	default:
		for _, obj := range rest {
			n.alts = append(n.alts, b.node(obj))
		}
	}
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// prepare works out what missing values become. A value that contains itself has no default.
func (b *treeBuilder) prepare(n *Node) {
	if n == nil || n.visited {
		return
	}
	n.visited = true
	n.strays = n.hasStrays()
	for _, p := range n.Props {
		b.prepare(p.Node)
	}
	for _, p := range n.Patterns {
		b.prepare(p.Node)
	}
	for _, item := range n.Prefix {
		b.prepare(item)
	}
	b.prepare(n.Additional)
	b.prepare(n.Items)

	if n.hasDef {
		n.Fill, _ = n.Complete(n.def)
		n.Filled, n.whole, n.size = true, true, 1
		return
	}
	if n.Kind != "object" || n.Nullable {
		return
	}
	m := map[string]any{}
	for _, p := range n.Props {
		if n.Fills(p) {
			m[p.Name] = p.Fill
			n.size += p.size
		}
	}
	if n.size > maxFill {
		b.fail("has defaults of more than %d values", maxFill)
		return
	}
	n.Fill, n.Filled, n.whole = m, len(m) > 0, true
	for name := range n.Required {
		_, ok := m[name]
		n.whole = n.whole && ok
	}
}
