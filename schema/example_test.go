package schema_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/embedjobs/jobs/schema"
)

type ResizeArgs struct {
	Files   []string      `json:"files" jsonschema:"description=Pictures to resize,minItems=1"`
	Width   uint16        `json:"width,omitempty" jsonschema:"default=1024,minimum=16"`
	Format  string        `json:"format,omitempty" jsonschema:"enum=jpeg,enum=webp,default=jpeg"`
	Timeout time.Duration `json:"timeout,omitempty" jsonschema:"default=30s"`
	APIKey  string        `json:"api_key,omitempty" jsonschema:"title=API key,secret"`
}

func ExampleFor() {
	s, err := schema.For[ResizeArgs]()
	if err != nil {
		fmt.Println(err)
		return
	}
	args, err := s.Complete(json.RawMessage(`{"files": ["a.png"], "timeout": "1m", "api_key": "s3cret"}`))
	fmt.Println(string(args), err)
	fmt.Println(string(s.Redact(args)))
	// Output:
	// {"api_key":"s3cret","files":["a.png"],"format":"jpeg","timeout":60000000000,"width":1024} <nil>
	// {"api_key":"•••","files":["a.png"],"format":"jpeg","timeout":60000000000,"width":1024}
}

func ExampleParse() {
	s, err := schema.Parse([]byte(`{
		"type": "object",
		"properties": {"url": {"type": "string", "format": "uri"}, "depth": {"type": "integer", "default": 2}},
		"required": ["url"]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(s.Defaults()))
	fmt.Println(s.Validate(json.RawMessage(`{"depth": 3}`)))
	// Output:
	// {"depth":2}
	// jobs: invalid arguments: /url: is required
}

func ExampleSchema_Validate() {
	s, _ := schema.For[ResizeArgs]()
	err := s.Validate(json.RawMessage(`{"files": ["a.png", 7], "widht": 70000, "format": "gif"}`))
	if invalid, ok := errors.AsType[*schema.ValidationError](err); ok {
		for _, field := range invalid.Fields {
			fmt.Println(field.Path, field.Message)
		}
	}
	// Output:
	// /files/1 must be a string, not 7
	// /format must be one of "jpeg", "webp", not "gif"
	// /widht is not a known field; did you mean width?
}

func ExampleSchema_Fields() {
	s, _ := schema.For[ResizeArgs]()
	for _, field := range s.Fields() {
		fmt.Println(field.Path, field.Kind, field.Title, string(field.Default), field.Required, field.Secret)
	}
	// Output:
	// /files list Files  true false
	// /width integer Width 1024 false false
	// /format choice Format "jpeg" false false
	// /timeout duration Timeout 30000000000 false false
	// /api_key string API key  false true
}

func ExampleSchema_FromForm() {
	s, _ := schema.For[ResizeArgs]()
	args, err := s.FromForm(url.Values{
		"/files":   {"a.png\nb.png"},
		"/width":   {""},
		"/timeout": {"1m30s"},
	})
	fmt.Println(string(args), err)

	_, err = s.FromForm(url.Values{"/files": {"a.png"}, "/width": {"wide"}})
	fmt.Println(err)
	// Output:
	// {"files":["a.png","b.png"],"format":"jpeg","timeout":90000000000,"width":1024} <nil>
	// jobs: invalid arguments: /width: must be a whole number, not "wide"
}
