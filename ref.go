package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/embedjobs/jobs/internal/jsontree"
)

// A Ref stands in arguments for a value that is known only when the job runs: a part of the result
// of a job that comes before it, see [ResultOf], an item of a list, see [ItemAt], or a secret, see
// [Secret]. In JSON it is an object with one member:
//
//	{"$result": "crawl#/pages"}    the part /pages of the result of crawl
//	{"$item": "/url"}              the part /url of the item
//	{"$secret": "token"}           the secret token
//
// What stands for a value is not checked against the schema of the task until it is known; what is
// beside it is. A value that cannot be found, or does not fit, fails the job and says where.
//
// A Ref itself is the short form: crawl#/pages, $item/url, $secret:token. "" stands for nothing.
type Ref string

// ResultOf stands for a part of the result of the job that Request.After calls name. The part is a
// JSON pointer such as /pages/0; "" is all of it. The result of a job with Request.Each is the list
// of the results of its children that have succeeded. That of a job which only needed to end, see
// [NeedEnd], and has not succeeded is null.
func ResultOf(name, pointer string) Ref {
	if pointer == "" {
		return Ref(name)
	}
	return Ref(name + "#" + pointer)
}

// ItemAt stands for a part of the item, in a job with Request.Each.
func ItemAt(pointer string) Ref { return Ref(itemPrefix + pointer) }

// Secret stands for what Options.Secret returns for name when the job runs. It is not stored, and
// replaced by [Redacted] where it is in the error or in the log of the job.
func Secret(name string) Ref { return Ref(secretPrefix + name) }

const (
	itemPrefix   = "$item"
	secretPrefix = "$secret:"
)

type refKind string // and the member of the JSON object

const (
	refResult refKind = "$result"
	refItem   refKind = "$item"
	refSecret refKind = "$secret"
)

// parts takes a reference apart.
func (r Ref) parts() (kind refKind, name, pointer string) {
	if name, ok := strings.CutPrefix(string(r), secretPrefix); ok {
		return refSecret, name, ""
	}
	if pointer, ok := strings.CutPrefix(string(r), itemPrefix); ok {
		return refItem, "", pointer
	}
	name, pointer, _ = strings.Cut(string(r), "#")
	return refResult, name, pointer
}

func (r Ref) check() error {
	if r == "" {
		return nil
	}
	kind, name, pointer := r.parts()
	if kind != refItem {
		if err := checkRefName("reference", name); err != nil {
			return err
		}
	}
	if _, err := jsontree.Split(pointer); err != nil {
		return invalidf("reference", "%w", err)
	}
	return nil
}

// checkRefName refuses what cannot be told apart in a reference.
func checkRefName(field, name string) error {
	if err := checkName(field, name, 100); err != nil {
		return err
	}
	if strings.Contains(name, "#") || name[0] == '$' {
		return invalidf(field, "%q contains # or begins with $, which have a meaning in references", name)
	}
	return nil
}

// MarshalJSON implements json.Marshaler.
func (r Ref) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	kind, name, pointer := r.parts()
	text := string(r)
	switch kind {
	case refItem:
		text = pointer
	case refSecret:
		text = name
	case refResult:
	}
	return jsontree.Encode(map[refKind]string{kind: text})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Ref) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*r = ""
		return nil
	}
	v, err := jsontree.Parse(data)
	if err != nil {
		return err
	}
	object, _ := v.(map[string]any)
	ref, ok := refOf(object)
	if !ok {
		return invalidf("reference", `%s is not of the form {"$result": "name#/pointer"}`, shorten(string(data), 60))
	}
	*r = ref
	return ref.check()
}

// refOf returns the reference that an object is, if it is one.
func refOf(object map[string]any) (Ref, bool) {
	if len(object) != 1 {
		return "", false
	}
	for key, v := range object {
		text, ok := v.(string)
		switch kind := refKind(key); {
		case !ok:
		case kind == refResult:
			return Ref(text), true
		case kind == refItem:
			return ItemAt(text), true
		case kind == refSecret:
			return Secret(text), true
		}
	}
	return "", false
}

func isRef(object map[string]any) bool {
	_, ok := refOf(object)
	return ok
}

// hasRefs reports whether there may be references in arguments. It costs little where there are none.
func hasRefs(args json.RawMessage) bool {
	// Large arguments without any are passed by four times as fast when one byte is looked for.
	return bytes.IndexByte(args, '$') >= 0 && bytes.Contains(args, []byte(`"$`)) ||
		bytes.IndexByte(args, '\\') >= 0 && bytes.Contains(args, []byte(`"\u0024`))
}

// replaceRefs returns arguments with each reference replaced by what fn returns for it. The error is
// that of fn, and names the place.
func replaceRefs(args json.RawMessage, fn func(Ref) (any, error)) (json.RawMessage, error) {
	v, err := jsontree.Parse(args)
	if err != nil {
		return nil, err
	}
	v, err = jsontree.Replace(v, func(pointer string, object map[string]any) (any, bool, error) {
		ref, ok := refOf(object)
		if !ok {
			return nil, false, nil
		}
		value, err := fn(ref)
		if err != nil && pointer != "" {
			err = fmt.Errorf("%s: %w", pointer, err)
		}
		return value, true, err
	})
	if err != nil {
		return nil, err
	}
	return jsontree.Encode(v)
}

// checkRefs refuses references in the arguments of a request to what it does not come after.
func (j *Job) checkRefs() error {
	known := func(ref Ref) error {
		if err := ref.check(); err != nil {
			return err
		}
		kind, name, _ := ref.parts()
		if kind == refItem && j.Each == "" {
			return errors.New("it refers to an item, and the job has no Each")
		}
		if kind == refResult && j.dependency(name) == nil {
			return fmt.Errorf("it refers to the result of %q, which is not in After", name)
		}
		return nil
	}
	if j.Each != "" {
		if kind, _, _ := j.Each.parts(); kind != refResult {
			return invalidf("Each", "%s is not the result of a job; use ResultOf", j.Each)
		}
		if err := known(j.Each); err != nil {
			return invalidf("Each", "%w", err)
		}
	}
	if !hasRefs(j.Args) {
		return nil
	}
	_, err := replaceRefs(j.Args, func(ref Ref) (any, error) { return nil, known(ref) })
	if err != nil {
		return invalidf("arguments", "%w", err)
	}
	return nil
}

// Set puts a value into the arguments, at a JSON pointer such as /files/0/name, or a [Ref] to a value
// that is not known yet. Mistakes are reported by Enqueue.
func (req *Request) Set(pointer string, value any) {
	args := req.Args
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	v, err := jsontree.Parse(args)
	if err == nil {
		v, err = jsontree.Set(v, pointer, value)
	}
	if err == nil {
		args, err = jsontree.Encode(v)
	}
	if err != nil {
		req.err = errors.Join(req.err, fmt.Errorf("setting %s: %w", pointer, err))
		return
	}
	req.Args = args
}

// A resolver finds what the references of a running job stand for.
type resolver struct {
	r       *Runner
	ctx     context.Context //nolint:containedctx // it lives for one call
	job     *Job
	item    any
	results map[string]any // by the names of dependencies
	secrets []string       // that were used
}

// args returns the arguments of a job with all references replaced but the secrets, or also them.
func (s *resolver) args(args json.RawMessage, secrets bool) (json.RawMessage, error) {
	return replaceRefs(args, func(ref Ref) (any, error) {
		switch kind, name, pointer := ref.parts(); kind {
		case refItem:
			if s.item == nil {
				return nil, errors.New("the job has no item")
			}
			return jsontree.Get(s.item, pointer)
		case refSecret:
			if secrets {
				return s.secret(name)
			}
			return ref, nil
		case refResult:
		}
		return s.result(ref)
	})
}

func (s *resolver) secret(name string) (any, error) {
	if s.r.opts.Secret == nil {
		return nil, fmt.Errorf("the secret %q cannot be found, because Options.Secret is not set", name)
	}
	value, err := s.r.opts.Secret(s.ctx, name)
	if err != nil {
		return nil, fmt.Errorf("the secret %q: %w", name, err)
	}
	s.secrets = append(s.secrets, value)
	return value, nil
}

// result returns the part of a dependency's result that a reference names.
func (s *resolver) result(ref Ref) (any, error) {
	_, name, pointer := ref.parts()
	whole, ok := s.results[name]
	if !ok {
		d := s.job.dependency(name)
		if d == nil {
			return nil, fmt.Errorf("the job comes after none that is called %q", name)
		}
		data, err := s.r.resultOf(s.ctx, d)
		if err != nil {
			return nil, fmt.Errorf("the result of %s: %w", name, err)
		}
		if whole, err = jsontree.Parse(data); err != nil {
			return nil, fmt.Errorf("the result of %s: %w", name, err)
		}
		if s.results == nil {
			s.results = make(map[string]any)
		}
		s.results[name] = whole
	}
	if whole == nil {
		return nil, nil // it has none, or the job did not need one
	}
	value, err := jsontree.Get(whole, pointer)
	if err != nil {
		return nil, fmt.Errorf("in the result of %s %w", name, err)
	}
	return value, nil
}

// resultOf returns the result of a dependency. That of one with Each is the list of its
// children's results.
func (r *Runner) resultOf(ctx context.Context, d *Dependency) (result json.RawMessage, err error) {
	err = r.store.View(ctx, func(tx Tx) error {
		job, err := tx.Job(d.Job)
		switch {
		case err != nil:
			return err
		case job.State != Succeeded && d.Need == NeedEnd:
			result = json.RawMessage("null")
			return nil
		case job.State != Succeeded:
			return fmt.Errorf("%v and has none", job)
		case job.Each != "":
			result, err = listOfResults(tx, job)
			return err
		}
		if result = job.Result; result == nil {
			result = json.RawMessage("null")
		}
		return nil
	})
	return result, err
}

func listOfResults(tx Tx, parent *Job) (json.RawMessage, error) {
	list := []byte{'['}
	for child, err := range childrenOf(tx, parent, Succeeded) {
		if err != nil {
			return nil, err
		}
		if len(list) > 1 {
			list = append(list, ',')
		}
		if child.Result == nil {
			list = append(list, "null"...)
		}
		list = append(list, child.Result...)
	}
	return append(list, ']'), nil
}

// mask replaces the secrets that were used in a text. Very short ones are left, because they would be
// found everywhere.
func mask(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= minMasked {
			text = strings.ReplaceAll(text, secret, Redacted)
		}
	}
	return text
}

const minMasked = 4 // bytes
