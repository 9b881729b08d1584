package schema

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/embedjobs/jobs/schema/internal/engine"
)

// FromForm makes arguments of the values of a form, whose names are the paths of [Schema.Fields]:
//
//   - A field that is not sent or empty is left out, so that its default applies. A plain string
//     stays empty if it is required or has a default. A boolean that is not sent is false, because
//     that is what browsers do with a box that is not ticked; of several values the last counts.
//   - A time may lack its zone, or be a date alone, and then is in UTC. A duration is text such
//     as 1h30m.
//   - A list of plain values is sent as several values of one name, or as one value of several
//     lines; empty ones are left out. Any list may have numbers in the place of the asterisk, as
//     in /steps/0/name; there may be gaps between them.
//   - A map has the name of an entry in the place of the asterisk. One of plain values may also be
//     sent as one value with a line name=value for each entry.
//   - Lists, maps and objects may also be sent as one value of JSON text; a KindJSON always is.
//
// Names that do not begin with a slash are ignored. The arguments are completed and validated;
// the error is a [*ValidationError] whose paths are those of the arguments.
func (s *Schema) FromForm(values url.Values) (json.RawMessage, error) {
	return s.UpdateFromForm(nil, values)
}

// UpdateFromForm is FromForm for editing the arguments stored. A secret that is left empty or is
// [Redacted] keeps its value there, by the rules of [Schema.RestoreSecrets].
func (s *Schema) UpdateFromForm(stored json.RawMessage, values url.Values) (json.RawMessage, error) {
	f := formReader{root: &formInput{}}
	f.sort(values)
	v, _ := f.object(s.engine.Root, f.root, "")
	f.leftovers(f.root, "")
	if f.problems == nil {
		old, _, _ := engine.Parse(stored) // nil if there is none
		v, f.problems = s.engine.Restore(v, old, true)
	}
	if f.problems == nil {
		v, _ = s.engine.Root.Complete(v)
		f.problems = s.engine.Check(v)
	}
	if err := validationError(f.problems); err != nil {
		return nil, err
	}
	return engine.Encode(v)
}

// A formInput is the values of one name of a form, and the names below it.
type formInput struct {
	values []string
	below  map[string]*formInput
	used   bool
}

type formReader struct {
	root     *formInput
	depth    int // of objects
	problems []engine.Problem
}

// maxFormDepth bounds the names of a form; arguments could not be deeper anyway.
const maxFormDepth = 250

func (f *formReader) sort(values url.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.HasPrefix(name, "/") {
			continue
		}
		if strings.Count(name, "/") > maxFormDepth {
			f.problem("", "has a field that is nested too deep")
			continue
		}
		at := f.root
		for _, key := range engine.Split(name) {
			next := at.below[key]
			if next == nil {
				next = &formInput{}
				if at.below == nil {
					at.below = map[string]*formInput{}
				}
				at.below[key] = next
			}
			at = next
		}
		at.values = values[name]
	}
}

func (f *formReader) problem(path, message string) {
	f.problems = append(f.problems, engine.Problem{Path: path, Message: message})
}

// leftovers reports inputs that stand for no field.
func (f *formReader) leftovers(in *formInput, path string) {
	if !in.used && len(in.values) > 0 && len(f.problems) < 20 {
		f.problem(path, "is not a known field")
	}
	for _, key := range slices.Sorted(maps.Keys(in.below)) {
		f.leftovers(in.below[key], path+"/"+engine.Escape(key))
	}
}

// value returns the value of a field, and false if it is left out.
func (f *formReader) value(n *engine.Node, in *formInput, path string) (any, bool) {
	in.used = true
	kind := fieldKind(n)
	text := ""
	if len(in.values) > 0 {
		text = in.values[len(in.values)-1]
	}
	if kind == KindList && isPlain(n.Items) && (len(in.values) > 1 || !strings.HasPrefix(text, "[")) {
		return f.plainList(n, in, path)
	}
	if !isPlain(n) && strings.TrimSpace(text) != "" {
		if kind == KindMap && isPlain(n.Additional) && !strings.HasPrefix(strings.TrimSpace(text), "{") {
			return f.lines(n, text, path)
		}
		v, _, problem := engine.Parse([]byte(text))
		if problem != nil {
			f.problem(path+problem.Path, problem.Message)
		}
		return v, problem == nil
	}
	switch kind {
	case KindObject:
		return f.object(n, in, path)
	case KindList:
		return f.list(n, in, path)
	case KindMap:
		return f.entries(n, in, path)
	case KindJSON:
		return nil, false
	default:
		return readInput(n, kind, text)
	}
}

// isPlain reports whether n has a single input in a form.
func isPlain(n *engine.Node) bool {
	switch fieldKind(n) {
	case KindObject, KindList, KindMap, KindJSON:
		return false
	default:
		return true
	}
}

// readInput reads one input. What cannot be read stays a string, which validation then refuses with
// better words than we could find here.
func readInput(n *engine.Node, kind FieldKind, text string) (any, bool) {
	trimmed := strings.TrimSpace(text)
	switch kind {
	case KindString, KindText:
		return strings.ReplaceAll(text, "\r\n", "\n"), text != ""
	case KindInteger, KindNumber:
		if v, _, problem := engine.Parse([]byte(strings.TrimPrefix(trimmed, "+"))); problem == nil {
			if number, ok := v.(json.Number); ok {
				return number, true
			}
		}
	case KindBoolean:
		switch strings.ToLower(trimmed) {
		case "true", "on", "yes", "1":
			return true, true
		case "false", "off", "no", "0":
			return false, true
		}
	case KindTime:
		for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
			if t, err := time.Parse(layout, trimmed); err == nil {
				return t.Format(time.RFC3339Nano), true
			}
		}
	case KindChoice:
		for _, c := range choicesOf(n) {
			if v, _, _ := engine.Parse(c.Value); text == inputText(v) {
				return v, true
			}
		}
	default:
	}
	return trimmed, trimmed != ""
}

// inputText returns what a plain value is in an input.
func inputText(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := engine.Encode(v) // it was decoded
	return string(text)
}

func (f *formReader) object(n *engine.Node, in *formInput, path string) (any, bool) {
	f.depth++
	defer func() { f.depth-- }()
	m := map[string]any{}
	for _, p := range n.Props {
		kind, at := fieldKind(p.Node), in.below[p.Name]
		sent := at != nil
		if !sent {
			if kind == KindObject && (p.Nullable || !n.Required[p.Name] || f.depth > maxFormDepth) {
				continue
			}
			at = &formInput{}
		}
		v, ok := f.value(p.Node, at, path+"/"+engine.Escape(p.Name))
		switch {
		case ok:
		case kind == KindBoolean && !p.Nullable:
			v, ok = false, true
		case kind == KindString || kind == KindText:
			free := p.Format == "" || kind == KindText
			v, ok = "", sent && free && p.Pattern == "" && !p.Secret() && (n.Required[p.Name] || p.Filled)
		case kind == KindObject:
			ok = n.Required[p.Name] // with the booleans that are false in it
		}
		if ok {
			m[p.Name] = v
		}
	}
	if n.Additional != nil && len(n.Props) > 0 {
		for key, at := range in.below {
			if _, known := m[key]; !known && !at.used {
				if v, ok := f.value(n.Additional, at, path+"/"+engine.Escape(key)); ok {
					m[key] = v
				}
			}
		}
	}
	return m, len(in.below) > 0
}

func (f *formReader) list(n *engine.Node, in *formInput, path string) (any, bool) {
	var places []int
	for key := range in.below {
		if i, err := strconv.Atoi(key); err == nil && strconv.Itoa(i) == key {
			places = append(places, i)
		}
	}
	slices.Sort(places)
	list := []any{}
	for _, i := range places {
		key := strconv.Itoa(i)
		if v, ok := f.value(n.Items, in.below[key], path+"/"+key); ok {
			list = append(list, v)
		}
	}
	return list, len(list) > 0
}

func (f *formReader) plainList(n *engine.Node, in *formInput, path string) (any, bool) {
	texts := in.values
	if len(texts) == 1 {
		texts = strings.Split(texts[0], "\n")
	}
	kind := fieldKind(n.Items)
	list := []any{}
	for _, text := range texts {
		if v, ok := readInput(n.Items, kind, strings.TrimSuffix(text, "\r")); ok {
			list = append(list, v)
		}
	}
	if len(list) == 0 {
		return f.list(n, in, path)
	}
	return list, true
}

func (f *formReader) entries(n *engine.Node, in *formInput, path string) (any, bool) {
	m := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(in.below)) {
		if v, ok := f.value(n.Additional, in.below[key], path+"/"+engine.Escape(key)); ok {
			m[key] = v
		}
	}
	return m, len(m) > 0
}

// lines reads a map from lines of the form name=value.
func (f *formReader) lines(n *engine.Node, text, path string) (any, bool) {
	m := map[string]any{}
	kind := fieldKind(n.Additional)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		key, rest, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		if !ok {
			f.problem(path, "must have lines of the form name=value")
			return nil, false
		}
		m[key], _ = readInput(n.Additional, kind, rest)
	}
	return m, true
}

// ToForm returns the values with which a form shows args; FromForm makes args of them again.
// Secrets are left out.
func (s *Schema) ToForm(args json.RawMessage) url.Values {
	values := url.Values{}
	if v, _, err := parseArgs(args); err == nil {
		fillForm(values, s.engine.Root, v, "")
	}
	return values
}

func fillForm(values url.Values, n *engine.Node, v any, path string) {
	if n.Secret() || v == nil {
		return
	}
	switch kind := fieldKind(n); kind {
	case KindObject, KindMap:
		m, ok := v.(map[string]any)
		if !ok || kind == KindMap && len(m) == 0 {
			break
		}
		for key, e := range m {
			if child := n.Member(key); child != nil {
				fillForm(values, child, e, path+"/"+engine.Escape(key))
			}
		}
		return
	case KindList:
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			break
		}
		if isPlain(n.Items) {
			if texts := inputTexts(n.Items, list); texts != nil {
				values[path] = texts
				return
			}
			break
		}
		for i, e := range list {
			fillForm(values, n.Items, e, path+"/"+strconv.Itoa(i))
		}
		return
	case KindDuration:
		values.Set(path, durationText(v))
		return
	case KindJSON:
	default:
		values.Set(path, inputText(v))
		return
	}
	if text, err := engine.Encode(n.Mask(v)); err == nil {
		values.Set(path, string(text))
	}
}

// inputTexts returns the inputs of a list, or nil if they would be read as another list.
func inputTexts(item *engine.Node, list []any) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = inputText(v)
		if fieldKind(item) == KindDuration {
			texts[i] = durationText(v)
		}
		if v == nil || texts[i] == "" || strings.ContainsAny(texts[i], "\r\n[") || item.Secret() {
			return nil
		}
	}
	return texts
}

func durationText(v any) string {
	if number, ok := v.(json.Number); ok {
		if ns, err := number.Int64(); err == nil {
			return time.Duration(ns).String()
		}
	}
	return inputText(v)
}
