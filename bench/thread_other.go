//go:build !linux

package main

import "time"

// threadTime returns 0, because only Linux tells of one thread.
func threadTime() time.Duration { return 0 }
