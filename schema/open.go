package schema

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/embedjobs/jobs/internal/jsontree"
	"github.com/embedjobs/jobs/schema/internal/engine"
)

// AcceptOpen is Accept for arguments in which some values are not known yet: the objects for which
// open returns true stand for them. They are kept as they are, and nothing is said about them or
// about what contains them.
func (s *Schema) AcceptOpen(args json.RawMessage, open func(object map[string]any) bool) (json.RawMessage, error) {
	v, _, err := parseArgs(args)
	if err != nil {
		return nil, err
	}
	places := make(map[string]any)
	v, err = jsontree.Replace(v, func(pointer string, object map[string]any) (any, bool, error) {
		if !open(object) {
			return nil, false, nil
		}
		places[pointer] = object
		return nil, true, nil
	})
	if err != nil {
		return nil, err
	}
	if whole, ok := places[""]; ok {
		return engine.Encode(whole)
	}
	v, _ = s.engine.Root.Complete(v)
	problems := slices.DeleteFunc(s.engine.Check(v), func(p engine.Problem) bool {
		for place := range places {
			if within(p.Path, place) || within(place, p.Path) {
				return true
			}
		}
		return false
	})
	if err := validationError(problems); err != nil {
		return nil, err
	}
	for place, object := range places {
		if v, err = jsontree.Set(v, place, object); err != nil {
			return nil, err
		}
	}
	return engine.Encode(v)
}

// within reports whether a JSON pointer is outer, or points to something in it.
func within(pointer, outer string) bool {
	rest, ok := strings.CutPrefix(pointer, outer)
	return ok && (rest == "" || rest[0] == '/')
}
