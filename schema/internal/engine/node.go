package engine

import (
	"encoding/json"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Node is what we know about one place in the arguments: the keywords of the subschema there,
// of what it refers to, and of what it combines with allOf. Defaults, forms, secrets and the order
// of problems come from it.
type Node struct {
	Kind     string // the one JSON type besides null, "" if any will do, "mixed" if several
	Nullable bool

	Title, Description, Format, Pattern string

	Enum    []any
	Choices []Choice // of a oneOf of constants
	Bounds  map[string]json.Number
	Unique  bool // uniqueItems

	Props      []Property
	Required   map[string]bool
	Patterns   []patternProperty
	Additional *Node // nil if there is none
	Closed     bool  // additionalProperties: false
	Prefix     []*Node
	Items      *Node

	// Fill is what a missing value becomes, if Filled. It is shared and must not be changed.
	Fill   any
	Filled bool

	whole   bool // Fill lacks nothing that is required; if it does, it is used only where it must be
	visited bool // by prepare
	size    int  // of Fill, in values
	def     any
	hasDef  bool
	secret  bool
	named   bool           // propertyNames
	strays  bool           // a field is required that is not in Props
	index   map[string]int // in Props

	// alts are subschemas of which we do not know whether they apply, such as those of a oneOf.
	// They count for secrets only.
	alts []*Node

	complex bool   // has keywords that fits does not know
	asserts int    // number of subschemas that its keywords are from
	check   Format // of Format
}

// A Property is a field of an object.
type Property struct {
	Name string
	*Node
}

// A Choice is an allowed value with a title for people.
type Choice struct {
	Value any
	Title string
}

type patternProperty struct {
	*regexp.Regexp
	*Node
}

// Fills reports whether p is filled in where it is missing.
func (n *Node) Fills(p Property) bool {
	return p.Filled && (p.whole || n.Required[p.Name])
}

// Complete fills in defaults and writes numbers and durations as encoding/json can read them. It
// changes v and returns it, or what stands for it, and whether it is any different.
func (n *Node) Complete(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case json.Number:
		if n.Kind == "integer" {
			c := canonicalInteger(v)
			return c, c != v
		}
	case string:
		if n.Format == Duration && n.Kind == "integer" {
			if d, err := time.ParseDuration(v); err == nil {
				return json.Number(strconv.FormatInt(int64(d), 10)), true
			}
		}
	case map[string]any:
		for _, p := range n.Props {
			if e, ok := v[p.Name]; ok {
				if c, differs := p.Complete(e); differs {
					v[p.Name], changed = c, true
				}
			} else if n.Fills(p) {
				v[p.Name], changed = p.Fill, true
			}
		}
		if n.Patterns == nil && n.Additional == nil {
			break
		}
		for key, e := range v {
			if child := n.Member(key); child != nil {
				if c, differs := child.Complete(e); differs {
					v[key], changed = c, true
				}
			}
		}
	case []any:
		for i, e := range v {
			if child := n.element(i); child != nil {
				if c, differs := child.Complete(e); differs {
					v[i], changed = c, true
				}
			}
		}
	}
	return v, changed
}

// Member returns the node of the field key, nil if nothing is known about it.
func (n *Node) Member(key string) *Node {
	if i, ok := n.index[key]; ok {
		return n.Props[i].Node
	}
	for _, p := range n.Patterns {
		if p.MatchString(key) {
			return p.Node
		}
	}
	return n.Additional
}

// element returns the node of item i, nil if nothing is known about it.
func (n *Node) element(i int) *Node {
	if i < len(n.Prefix) {
		return n.Prefix[i]
	}
	return n.Items
}

// canonicalInteger writes 1.0, 1e2 and -0 as 1, 100 and 0, which Go reads as integers. What is no
// integer stays.
func canonicalInteger(n json.Number) json.Number {
	if n == "-0" {
		return "0"
	}
	if strings.ContainsAny(string(n), ".eE") {
		if r, ok := new(big.Rat).SetString(string(n)); ok && r.IsInt() {
			return json.Number(r.Num().String())
		}
	}
	return n
}
