package schedule

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// MarshalJSON writes Every as a string such as "1h30m".
func (s Schedule) MarshalJSON() ([]byte, error) {
	type plain Schedule // without methods
	out := struct {
		plain
		Every string `json:"every,omitempty"`
	}{plain: plain(s)}
	if s.Every != 0 {
		out.Every = short(s.Every)
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads Every as a string such as "1h30m", or as an integer of nanoseconds. Fields that
// are missing keep their values. It does not check more than that; see [Schedule.Check].
func (s *Schedule) UnmarshalJSON(data []byte) error {
	type plain Schedule // without methods
	in := struct {
		*plain
		Every json.RawMessage `json:"every"`
	}{plain: (*plain)(s)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	switch text := bytes.TrimSpace(in.Every); {
	case len(text) == 0 || string(text) == "null":
		return nil
	case text[0] == '"':
		var every string
		if err := json.Unmarshal(text, &every); err != nil {
			return err
		}
		d, err := time.ParseDuration(every)
		if err != nil {
			return invalidf("every", "%q is not a duration such as 90s, 15m or 1h30m", every)
		}
		s.Every = d
		return nil
	default:
		if err := json.Unmarshal(text, &s.Every); err != nil {
			return invalidf("every", "%s is neither a duration such as \"15m\" nor an integer of nanoseconds", text)
		}
		return nil
	}
}

// UnmarshalText reads also "latest", for the default.
func (m *Missed) UnmarshalText(text []byte) error {
	if *m = Missed(text); *m == "latest" {
		*m = MissedLatest
	}
	return nil
}

// UnmarshalText reads also "skip", for the default.
func (o *Overlap) UnmarshalText(text []byte) error {
	if *o = Overlap(text); *o == "skip" {
		*o = OverlapSkip
	}
	return nil
}

// short is d.String without the zeros at its end.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
