// Package jsontree reads, walks and changes JSON values as trees of map[string]any, []any,
// json.Number and so on, with places in them named by JSON pointers (RFC 6901).
package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Parse reads one JSON value. Numbers stay as they are written.
func Parse(data []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one value")
	}
	return v, nil
}

// Encode writes v without white space and without escapes for HTML.
func Encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var escapes = strings.NewReplacer("~", "~0", "/", "~1")

// Split returns the keys of a JSON pointer, which is "" or begins with a slash.
func Split(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("%q is no JSON pointer; it must begin with a slash, as /files/2 does", pointer)
	}
	keys := strings.Split(pointer[1:], "/")
	for i, k := range keys {
		keys[i] = strings.ReplaceAll(strings.ReplaceAll(k, "~1", "/"), "~0", "~")
	}
	return keys, nil
}

// Get returns the value at a pointer.
func Get(v any, pointer string) (any, error) {
	keys, err := Split(pointer)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		below, ok := member(v, key)
		if !ok {
			return nil, fmt.Errorf("there is nothing at %s", join(keys[:i+1]))
		}
		v = below
	}
	return v, nil
}

// Set returns v with value at a pointer. It makes the last object member if it is missing, and
// changes v itself, unless the pointer is "".
func Set(v any, pointer string, value any) (any, error) {
	keys, err := Split(pointer)
	if err != nil || len(keys) == 0 {
		return value, err
	}
	last := len(keys) - 1
	at := v
	for i, key := range keys[:last] {
		below, ok := member(at, key)
		if !ok {
			return nil, fmt.Errorf("there is nothing at %s", join(keys[:i+1]))
		}
		at = below
	}
	switch at := at.(type) {
	case map[string]any:
		at[keys[last]] = value
		return v, nil
	case []any:
		if i, err := strconv.Atoi(keys[last]); err == nil && 0 <= i && i < len(at) {
			at[i] = value
			return v, nil
		}
	}
	return nil, fmt.Errorf("there is no place at %s", pointer)
}

func member(v any, key string) (any, bool) {
	switch v := v.(type) {
	case map[string]any:
		below, ok := v[key]
		return below, ok
	case []any:
		if i, err := strconv.Atoi(key); err == nil && 0 <= i && i < len(v) {
			return v[i], true
		}
	}
	return nil, false
}

func join(keys []string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("/" + escapes.Replace(k))
	}
	return b.String()
}

// Replace returns v with each object for which fn returns true replaced by the value that fn
// returns, from the root down; what is put in is not walked. It changes v. The first error ends it.
func Replace(v any, fn func(pointer string, object map[string]any) (any, bool, error)) (any, error) {
	return replace(v, "", fn)
}

func replace(v any, pointer string, fn func(string, map[string]any) (any, bool, error)) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		if value, ok, err := fn(pointer, v); ok || err != nil {
			return value, err
		}
		for key, below := range v {
			value, err := replace(below, pointer+"/"+escapes.Replace(key), fn)
			if err != nil {
				return nil, err
			}
			v[key] = value
		}
	case []any:
		for i, below := range v {
			value, err := replace(below, pointer+"/"+strconv.Itoa(i), fn)
			if err != nil {
				return nil, err
			}
			v[i] = value
		}
	}
	return v, nil
}

// Merge returns v with a JSON merge patch (RFC 7396) applied. It changes v.
func Merge(v, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := v.(map[string]any)
	if !ok {
		object = make(map[string]any)
	}
	for key, change := range changes {
		if change == nil {
			delete(object, key)
		} else {
			object[key] = Merge(object[key], change)
		}
	}
	return object
}
