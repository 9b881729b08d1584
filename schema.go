package jobs

import "github.com/embedjobs/jobs/schema"

// A Schema describes the arguments of a task: it completes, checks and redacts them, and gives the
// fields from which a program draws a form and the way back. [Register] makes it of the Go type;
// for [Registry.Handle] schema.Parse reads a given one. See package schema.
type Schema = schema.Schema

// A ValidationError says what is wrong with arguments, with one [FieldError] for each field.
type ValidationError = schema.ValidationError

// A FieldError says where a field is, as a JSON pointer, and what is wrong with it.
type FieldError = schema.FieldError

// Redacted stands for a secret in arguments that are shown.
const Redacted = schema.Redacted
