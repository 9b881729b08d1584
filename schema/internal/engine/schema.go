// Package engine knows JSON Schema for package jobs: it makes schemas of Go types, completes and
// checks arguments, and finds their secrets. What concerns users is documented there.
package engine

import (
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Schema is a document that is ready for use. It never changes.
type Schema struct {
	Root    *Node
	Secrets bool // whether any field is secret

	validator *jsonschema.Schema
}

// New reads a document, in which formats may have meanings beside the known ones.
func New(doc []byte, formats map[string]Format) (*Schema, error) {
	parsed, _, prob := parse(doc, true)
	if prob != nil {
		return nil, fmt.Errorf("%s", prob)
	}
	root, secrets, err := buildTree(parsed, formats)
	if err != nil {
		return nil, err
	}
	validator, err := compile(plain(parsed), formats)
	if err != nil {
		return nil, err
	}
	s := &Schema{Root: root, Secrets: secrets, validator: validator}
	for _, p := range s.Check(s.Defaults()) {
		if p.Message != isRequired {
			return nil, fmt.Errorf("default of %s", p)
		}
	}
	return s, nil
}

// Defaults returns an object with all fields that have a default. It must not be changed.
func (s *Schema) Defaults() any {
	if s.Root.Fill == nil {
		return map[string]any{}
	}
	return s.Root.Fill
}

// compile prepares the validator. Its loader refuses, because a document must not be able to read
// the disk or the network.
func compile(doc any, formats map[string]Format) (*jsonschema.Schema, error) {
	const location = "urn:jobs:arguments"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.AssertContent() // encoding/json will insist on base64, so must we
	c.UseLoader(noLoader{})
	for _, table := range []map[string]Format{known, formats} {
		for name, check := range table {
			c.RegisterFormat(&jsonschema.Format{Name: name, Validate: check})
		}
	}
	if err := c.AddResource(location, doc); err != nil {
		return nil, err
	}
	return c.Compile(location)
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; only its own definitions are allowed", url)
}
