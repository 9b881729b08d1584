// Package stacks finds the stack of one goroutine among all, and tidies that of a panic.
package stacks

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// Self returns the number of the calling goroutine as its stack trace shows it. It takes about a
// microsecond, so it is asked once for each goroutine.
func Self() string {
	var buf [64]byte
	fields := strings.Fields(string(buf[:runtime.Stack(buf[:], false)]))
	if len(fields) < 2 {
		return ""
	}
	return fields[1]
}

// Of returns the stack of the goroutine of that number, "" if there is none. The program stands
// still meanwhile.
func Of(goroutine string) string {
	const largest = 256 << 20
	for size := 1 << 20; ; size *= 4 {
		buf := make([]byte, size)
		n := runtime.Stack(buf, true)
		if n == size && size < largest {
			continue
		}
		for section := range strings.SplitSeq(string(buf[:n]), "\n\n") {
			if strings.HasPrefix(section, "goroutine "+goroutine+" ") {
				return section
			}
		}
		return ""
	}
}

// Panic returns the stack of a panic, from the function that panicked. It is called by a deferred
// function.
func Panic() string {
	text := string(debug.Stack())
	if _, after, ok := strings.Cut(text, "\npanic("); ok {
		if lines := strings.SplitN(after, "\n", 3); len(lines) == 3 { // the rest of panic's own frame
			return lines[2]
		}
	}
	return text
}
