package engine

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// fits reports whether v is valid, as far as that is quickly told: false may also mean that it
// takes the validator to know. Most arguments are plain, and asking the validator would be most
// of the time that it takes to enqueue them.
func (n *Node) fits(v any) bool {
	// If keywords are from two subschemas, the node has only the first of those that are in both.
	if n.complex || n.asserts > 1 {
		return false
	}
	if v == nil {
		return len(n.Enum) == 0 && (n.Nullable || n.Kind == "" && n.Format == "")
	}
	if len(n.Enum) > 0 && !n.listed(v) || n.Format != "" && (n.check == nil || n.check(v) != nil) {
		return false
	}
	switch v := v.(type) {
	case bool:
		return n.is("boolean")
	case string:
		return n.is("string") && n.longEnough(v)
	case json.Number:
		return n.fitsNumber(v)
	case []any:
		return n.is("array") && n.fitsList(v)
	case map[string]any:
		return n.is("object") && n.fitsObject(v)
	}
	return false
}

func (n *Node) is(kind string) bool { return n.Kind == kind || n.Kind == "" }

func (n *Node) listed(v any) bool {
	s, ok := v.(string)
	if !ok {
		return false
	}
	for _, e := range n.Enum {
		if e == s {
			return true
		}
	}
	return false
}

func (n *Node) longEnough(s string) bool {
	least, ok := n.limit("minLength", 0)
	return ok && (least == 0 || utf8.RuneCountInString(s) >= least)
}

// limit returns a bound that is a whole number, or a default if there is none. It reports false if
// the bound is something else.
func (n *Node) limit(keyword string, none int) (int, bool) {
	bound, ok := n.Bounds[keyword]
	if !ok {
		return none, true
	}
	value, err := strconv.Atoi(string(bound))
	return value, err == nil
}

func (n *Node) fitsNumber(v json.Number) bool {
	if n.Kind != "integer" {
		_, hasLow := n.Bounds["minimum"]
		_, hasHigh := n.Bounds["maximum"]
		return n.is("number") && !hasLow && !hasHigh
	}
	i, err := v.Int64()
	return err == nil && n.inBounds(i)
}

// inBounds reports whether i is not below the minimum nor above the maximum, if these are integers.
func (n *Node) inBounds(i int64) bool {
	if low, ok := n.Bounds["minimum"]; ok {
		bound, err := low.Int64()
		if err != nil || i < bound {
			return false
		}
	}
	if high, ok := n.Bounds["maximum"]; ok {
		bound, err := high.Int64()
		if err != nil || i > bound {
			return false
		}
	}
	return true
}

func (n *Node) fitsList(list []any) bool {
	least, ok := n.limit("minItems", 0)
	most, ok2 := n.limit("maxItems", len(list))
	if !ok || !ok2 || len(list) < least || len(list) > most {
		return false
	}
	if n.Items == nil {
		return true
	}
	for _, e := range list {
		if !n.Items.fits(e) {
			return false
		}
	}
	return true
}

func (n *Node) fitsObject(m map[string]any) bool {
	for name := range n.Required {
		if _, ok := m[name]; !ok {
			return false
		}
	}
	for name, e := range m {
		if i, ok := n.index[name]; ok {
			if !n.Props[i].fits(e) {
				return false
			}
		} else if n.Additional != nil && !n.Additional.fits(e) || n.Closed {
			return false
		}
	}
	return true
}
