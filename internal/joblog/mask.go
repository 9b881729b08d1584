package joblog

import (
	"fmt"
	"log/slog"
)

// masked returns a record whose texts have gone through mask.
func masked(rec slog.Record, mask func(string) string) slog.Record {
	out := slog.NewRecord(rec.Time, rec.Level, mask(rec.Message), rec.PC)
	rec.Attrs(func(attr slog.Attr) bool {
		out.AddAttrs(maskedAttr(attr, mask))
		return true
	})
	return out
}

func maskedAttrs(attrs []slog.Attr, mask func(string) string) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		out[i] = maskedAttr(attr, mask)
	}
	return out
}

func maskedAttr(attr slog.Attr, mask func(string) string) slog.Attr {
	v := attr.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		v = slog.GroupValue(maskedAttrs(v.Group(), mask)...)
	case slog.KindString:
		v = slog.StringValue(mask(v.String()))
	case slog.KindAny:
		// Whatever it is, its text is shown; it becomes that text only if there is something to hide.
		if text := fmt.Sprintf("%+v", v.Any()); mask(text) != text {
			v = slog.StringValue(mask(text))
		}
	default:
	}
	return slog.Attr{Key: attr.Key, Value: v}
}
