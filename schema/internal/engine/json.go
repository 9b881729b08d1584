package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of the JSON that is read. They keep the work that hostile arguments cause in proportion
// to their size: errors carry their path, and numbers are compared as exact fractions.
const (
	maxDepth  = 250
	maxNumber = 400 // of digits, and of the exponent
)

// Parse reads one JSON value as encoding/json does with UseNumber, but refuses what different
// readers understand differently: fields that are given twice, text that is not UTF-8, numbers
// out of all bounds. Spaced tells whether data has white space.
func Parse(data []byte) (v any, spaced bool, prob *Problem) { return parse(data, false) }

// parse is Parse, with objects as *object instead of map[string]any if ordered.
func parse(data []byte, ordered bool) (v any, spaced bool, prob *Problem) {
	if !json.Valid(data) {
		return nil, false, &Problem{Message: malformed(data)}
	}
	if !utf8.Valid(data) {
		return nil, false, &Problem{Message: "is not valid UTF-8"}
	}
	p := parser{data: data, ordered: ordered}
	p.space()
	v, prob = p.value()
	p.space()
	return v, p.spaced, prob
}

func malformed(data []byte) string {
	var v any
	err := json.Unmarshal(data, &v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("is not valid JSON: %v (at byte %d)", err, syntax.Offset)
	}
	return "is not valid JSON"
}

// An object is a JSON object that remembers the order of its fields.
type object struct {
	keys   []string
	values map[string]any
}

// plain returns v with each *object replaced by a map.
func plain(v any) any {
	switch v := v.(type) {
	case *object:
		m := make(map[string]any, len(v.keys))
		for k, e := range v.values {
			m[k] = plain(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = plain(e)
		}
		return list
	}
	return v
}

// Encode writes v without white space and without escapes for HTML.
func Encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// A parser walks JSON that is known to be valid, so it need not look for syntax errors.
type parser struct {
	data    []byte
	pos     int
	depth   int
	ordered bool
	spaced  bool
}

func (p *parser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.spaced = true
			p.pos++
		default:
			return
		}
	}
}

func (p *parser) value() (any, *Problem) {
	switch p.data[p.pos] {
	case '{':
		return p.object()
	case '[':
		return p.list()
	case '"':
		return p.text(), nil
	case 't':
		p.pos += len("true")
		return true, nil
	case 'f':
		p.pos += len("false")
		return false, nil
	case 'n':
		p.pos += len("null")
		return nil, nil
	}
	return p.number()
}

// more reports whether another element follows in the list or object that was opened, and skips
// the comma before it, or the bracket that ends it.
func (p *parser) more() bool {
	p.space()
	c := p.data[p.pos]
	if c == ',' {
		p.pos++
		p.space()
	}
	if c == ']' || c == '}' {
		p.pos++
		p.depth--
		return false
	}
	return true
}

func (p *parser) open() *Problem {
	p.pos++
	if p.depth++; p.depth > maxDepth {
		return &Problem{Message: fmt.Sprintf("is nested more than %d deep", maxDepth)}
	}
	return nil
}

func (p *parser) object() (any, *Problem) {
	if prob := p.open(); prob != nil {
		return nil, prob
	}
	m := map[string]any{}
	var keys []string
	for p.more() {
		key := p.text()
		p.space()
		p.pos++ // colon
		p.space()
		v, prob := p.value()
		if prob != nil {
			prob.Path = "/" + Escape(key) + prob.Path
			return nil, prob
		}
		if _, ok := m[key]; ok {
			return nil, &Problem{Path: "/" + Escape(key), Message: "is given twice"}
		}
		m[key] = v
		if p.ordered {
			keys = append(keys, key)
		}
	}
	if p.ordered {
		return &object{keys, m}, nil
	}
	return m, nil
}

func (p *parser) list() (any, *Problem) {
	if prob := p.open(); prob != nil {
		return nil, prob
	}
	list := []any{}
	for p.more() {
		v, prob := p.value()
		if prob != nil {
			prob.Path = "/" + strconv.Itoa(len(list)) + prob.Path
			return nil, prob
		}
		list = append(list, v)
	}
	return list, nil
}

func (p *parser) text() string {
	start := p.pos
	escaped := false
	for p.pos++; p.data[p.pos] != '"'; p.pos++ {
		if p.data[p.pos] == '\\' {
			escaped = true
			p.pos++
		}
	}
	p.pos++
	if !escaped {
		return string(p.data[start+1 : p.pos-1])
	}
	var s string
	_ = json.Unmarshal(p.data[start:p.pos], &s) // valid, so it cannot fail
	return s
}

func (p *parser) number() (any, *Problem) {
	start := p.pos
	exponent := -1
	for ; p.pos < len(p.data); p.pos++ {
		c := p.data[p.pos]
		if c == 'e' || c == 'E' {
			exponent = p.pos + 1
		} else if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' {
			break
		}
	}
	n := json.Number(p.data[start:p.pos])
	if exponent < 0 && len(n) < 300 {
		return n, nil
	}
	_, err := n.Float64()
	if exponent >= 0 && err == nil {
		var e int
		e, err = strconv.Atoi(string(p.data[exponent:p.pos]))
		if e > maxNumber || e < -maxNumber {
			err = strconv.ErrRange
		}
	}
	if err != nil || len(n) > maxNumber {
		return nil, &Problem{Message: "is a number out of range"}
	}
	return n, nil
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Escape returns key as a part of a JSON pointer.
func Escape(key string) string {
	if !strings.ContainsAny(key, "~/") {
		return key
	}
	return pointerEscapes.Replace(key)
}

// Split returns the keys of a JSON pointer.
func Split(pointer string) []string {
	if pointer == "" {
		return nil
	}
	keys := strings.Split(pointer, "/")[1:]
	for i, k := range keys {
		keys[i] = strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
	}
	return keys
}
