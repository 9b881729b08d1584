package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Duration marks a Go duration. JSON Schema's own format "duration" is that of ISO 8601,
// which has months and cannot say nanoseconds.
const Duration = "go-duration"

// A Format returns an error if v is not of a format. The error completes "must be …".
type Format func(v any) error

// known are formats of JSON Schema and OpenAPI whose values must fit a Go type.
var known = map[string]Format{
	Duration:    isDuration,
	"date-time": isTime,
	"int8":      isInteger(8, true),
	"int16":     isInteger(16, true),
	"int32":     isInteger(32, true),
	"int64":     isInteger(64, true),
	"uint8":     isInteger(8, false),
	"uint16":    isInteger(16, false),
	"uint32":    isInteger(32, false),
	"uint64":    isInteger(64, false),
	"float":     isFloat(32),
	"double":    isFloat(64),
}

func isDuration(v any) error {
	switch v := v.(type) {
	case string:
		if _, err := time.ParseDuration(v); err != nil {
			return errors.New(aDuration)
		}
	case json.Number:
		if _, err := strconv.ParseInt(string(canonicalInteger(v)), 10, 64); err != nil {
			return errors.New("a duration of less than 292 years")
		}
	}
	return nil
}

const aDuration = `a duration such as "1h30m", or whole nanoseconds`

// isTime is as strict as time.Time is: no leap seconds, no lower case.
func isTime(v any) error {
	s, ok := v.(string)
	if !ok {
		return nil
	}
	var t time.Time
	if t.UnmarshalText([]byte(s)) != nil {
		return errors.New(`a time such as "2006-01-02T15:04:05Z"`)
	}
	return nil
}

// isInteger accepts numbers, and strings that are numbers in their usual form: those of a
// field with the json option "string", or the key of a map.
func isInteger(bits int, signed bool) Format {
	low, high := "0", strconv.FormatUint(1<<bits-1, 10)
	if signed {
		low, high = strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
	}
	return func(v any) error {
		var s, got string
		switch v := v.(type) {
		case string:
			s = v
		case json.Number:
			s = string(canonicalInteger(v))
		default:
			return nil
		}
		if signed {
			if n, err := strconv.ParseInt(s, 10, bits); err == nil {
				got = strconv.FormatInt(n, 10)
			}
		} else if n, err := strconv.ParseUint(s, 10, bits); err == nil {
			got = strconv.FormatUint(n, 10)
		}
		if s == "" || got != s {
			return fmt.Errorf("a whole number from %s to %s", low, high)
		}
		return nil
	}
}

func isFloat(bits int) Format {
	return func(v any) error {
		var s string
		switch v := v.(type) {
		case string:
			s = v
			if !json.Valid([]byte(s)) { // Go would also read 0x10, Inf and 1_000
				return errors.New("a number")
			}
		case json.Number:
			s = string(v)
		default:
			return nil
		}
		if _, err := strconv.ParseFloat(s, bits); err != nil {
			return fmt.Errorf("a number that fits %d bits", bits)
		}
		return nil
	}
}
