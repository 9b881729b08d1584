package engine

import (
	"bytes"
	"encoding/json"
	"slices"
	"unicode/utf8"
)

// Plain reports whether data is valid as it stands: JSON without white space that [Parse] reads, that
// Complete leaves as it is and in which Check finds no problem. It is told in one pass that makes no
// values, in a small part of the time that these three take, which is most of what it takes to enqueue a job.
// False may also mean that it takes them to know.
func (s *Schema) Plain(data []byte) bool {
	if s.Secrets || len(data) == 0 || data[0] != '{' {
		return false
	}
	p := scanner{data: data}
	return p.value(s.Root, 0) && p.pos == len(data)
}

// A scanner walks through JSON along the nodes of a schema. Its methods return false at the first
// thing that is not as plain as can be, and then it is of no more use.
type scanner struct {
	data []byte
	pos  int
}

func (p *scanner) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// skip goes past c, if that is next.
func (p *scanner) skip(c byte) bool {
	if p.peek() != c {
		return false
	}
	p.pos++
	return true
}

func (p *scanner) word(s string) bool {
	if len(p.data)-p.pos < len(s) || string(p.data[p.pos:p.pos+len(s)]) != s {
		return false
	}
	p.pos += len(s)
	return true
}

// value is fits, for what is next. The rules are those of fits, and of Complete.
func (p *scanner) value(n *Node, depth int) bool {
	if n.complex || n.asserts > 1 || depth > maxDepth-2 {
		return false
	}
	switch p.peek() {
	case '{':
		return n.is("object") && n.loose() && p.object(n, depth)
	case '[':
		return n.is("array") && n.loose() && p.list(n, depth)
	case '"':
		text, ok := p.text()
		return ok && n.is("string") && n.fitsText(text)
	case 't':
		return n.is("boolean") && n.loose() && p.word("true")
	case 'f':
		return n.is("boolean") && n.loose() && p.word("false")
	case 'n':
		return len(n.Enum) == 0 && n.Nullable && p.word("null")
	}
	number, ok := p.number()
	if !ok || len(n.Enum) > 0 {
		return false
	}
	if n.Kind == "integer" && (n.Format == "" || n.Format == "int64" || n.Format == Duration) {
		return n.inBounds(whole(number))
	}
	v := json.Number(number)
	return (n.Format == "" || n.check != nil && n.check(v) == nil) && n.fitsNumber(v)
}

// loose reports whether neither enum nor format says more about a value.
func (n *Node) loose() bool { return len(n.Enum) == 0 && n.Format == "" }

func (n *Node) fitsText(text []byte) bool {
	if n.loose() && len(n.Bounds) == 0 {
		return true
	}
	v := string(text)
	return (len(n.Enum) == 0 || n.listed(v)) && (n.Format == "" || n.check != nil && n.check(v) == nil) && n.longEnough(v)
}

// text reads a string without escapes.
func (p *scanner) text() ([]byte, bool) {
	if !p.skip('"') {
		return nil, false
	}
	start, ascii := p.pos, true
	for ; p.pos < len(p.data); p.pos++ {
		switch c := p.data[p.pos]; {
		case c == '"':
			text := p.data[start:p.pos]
			p.pos++
			return text, ascii || utf8.Valid(text)
		case c < ' ' || c == '\\':
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, false
}

// whole returns the value of what number has read.
func whole(number []byte) (v int64) {
	for _, c := range bytes.TrimPrefix(number, []byte("-")) {
		v = 10*v + int64(c-'0')
	}
	if number[0] == '-' {
		return -v
	}
	return v
}

// number reads an integer of at most 18 digits.
func (p *scanner) number() ([]byte, bool) {
	start := p.pos
	negative := p.skip('-')
	first := p.peek()
	digits := p.digits()
	if digits == 0 || digits > 1 && first == '0' || negative && first == '0' {
		return nil, false
	}
	// What has a fraction or an exponent may be an integer that Complete would write without it.
	if c := p.peek(); c == '.' || c == 'e' || c == 'E' || digits > 18 {
		return nil, false
	}
	return p.data[start:p.pos], true
}

func (p *scanner) digits() int {
	start := p.pos
	for p.pos < len(p.data) && p.data[p.pos] >= '0' && p.data[p.pos] <= '9' {
		p.pos++
	}
	return p.pos - start
}

func (p *scanner) list(n *Node, depth int) bool {
	p.pos++
	least, ok := n.limit("minItems", 0)
	most, ok2 := n.limit("maxItems", len(p.data))
	if !ok || !ok2 || n.Items == nil || n.Prefix != nil || n.Unique {
		return false
	}
	count := 0
	for !p.skip(']') {
		if count > 0 && !p.skip(',') || !p.value(n.Items, depth+1) {
			return false
		}
		count++
	}
	return count >= least && count <= most
}

// maxPlain is the greatest number of fields of an object for which the scanner knows which it has seen.
const maxPlain = 64

func (p *scanner) object(n *Node, depth int) bool {
	p.pos++
	if n.Patterns != nil || n.named || n.strays || len(n.Props) > maxPlain {
		return false
	}
	seen := uint64(0)
	next := 0 // encoding/json writes fields in the order of the type, which is that of the schema
	for first := true; !p.skip('}'); first = false {
		if !first && !p.skip(',') {
			return false
		}
		key, ok := p.text()
		if !ok || !p.skip(':') {
			return false
		}
		i := next
		for i < len(n.Props) && i < next+2 && n.Props[i].Name != string(key) {
			i++
		}
		if i == len(n.Props) || i == next+2 {
			if i, ok = n.index[string(key)]; !ok {
				return false
			}
		}
		if seen&(1<<i) != 0 || !p.value(n.Props[i].Node, depth+1) {
			return false
		}
		seen |= 1 << i
		next = i + 1
	}
	for i := range n.Props {
		if prop := n.Props[i]; seen&(1<<i) == 0 && (n.Required[prop.Name] || n.Fills(prop)) {
			return false
		}
	}
	return true
}

// hasStrays reports whether a field is required that no property describes.
func (n *Node) hasStrays() bool {
	for name := range n.Required {
		if !slices.ContainsFunc(n.Props, func(p Property) bool { return p.Name == name }) {
			return true
		}
	}
	return false
}
