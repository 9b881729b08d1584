package jobs

import "encoding/json"

// Accept is what Enqueue does with arguments.
func (s *Schema) Accept(args json.RawMessage) (json.RawMessage, error) { return s.accept(args) }
