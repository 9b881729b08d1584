//go:build race

package schedule_test

import "flag"

// days is how long the oracle looks at clocks; nothing here is concurrent enough to take longer.
const days = 20

func init() { _ = flag.Set("rapid.checks", "10") }
