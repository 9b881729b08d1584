package jobs

import "encoding/json"

type Schema struct{}
type ValidationError struct{}

const Redacted = "•••"

func SchemaFor[T any]() (*Schema, error)                                       { return &Schema{}, nil }
func ParseSchema(b []byte) (*Schema, error)                                    { return &Schema{}, nil }
func (s *Schema) Fingerprint() uint64                                          { return 1 }
func (s *Schema) HasSecrets() bool                                             { return false }
func (s *Schema) Redact(a json.RawMessage) json.RawMessage                     { return a }
func (s *Schema) RestoreSecrets(a, b json.RawMessage) (json.RawMessage, error) { return a, nil }
func (s *Schema) accept(a json.RawMessage) (json.RawMessage, error)            { return a, nil }
