package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each bug can still be planted: the place that it changes is in the source.
func TestBugs(t *testing.T) {
	for _, b := range bugs {
		source, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(b.file)))
		if err != nil {
			t.Errorf("%s: %v", b.name, err)
		} else if n := strings.Count(string(source), b.old); n == 0 {
			t.Errorf("%s: %q is not in %s", b.name, b.old, b.file)
		}
	}
}
