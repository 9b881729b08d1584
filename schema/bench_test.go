package schema_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/embedjobs/jobs/schema"
)

type thumbnail struct {
	URL     string        `json:"url"`
	Size    int           `json:"size" jsonschema:"minimum=1"`
	Tags    []string      `json:"tags,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty" jsonschema:"default=30s"`
}

// 100 bytes.
const thumbnailArgs = `{"url":"https://example.org/pictures/1.jpeg","size":1024,"tags":["one","two"],"timeout":30000000000}`

func BenchmarkSchema_Validate(b *testing.B) {
	s := schemaFor[thumbnail](b)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(json.RawMessage(thumbnailArgs)); err != nil {
			b.Fatal(err)
		}
	}
}

// What Enqueue does with arguments.
func BenchmarkSchema_accept(b *testing.B) {
	s := schemaFor[thumbnail](b)
	for name, args := range map[string]string{
		"complete": thumbnailArgs,
		"defaults": `{"url":"https://example.org/pictures/1.jpeg","size":1024,"tags":["one","two"]}`,
		"wrong":    `{"url":"https://example.org/pictures/1.jpeg","size":0,"tags":["one","two"]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Accept(json.RawMessage(args)); (err != nil) != (name == "wrong") {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFor(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.For[thumbnail](); err != nil {
			b.Fatal(err)
		}
	}
}
