package bolt_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/embedjobs/jobs"
	"github.com/embedjobs/jobs/bolt"
	"github.com/embedjobs/jobs/memory"
)

func TestOpenURL(t *testing.T) {
	dir := t.TempDir()
	stores := jobs.Openers{"bolt": bolt.OpenURL, "memory": memory.OpenURL}
	for _, c := range []struct{ url, want string }{
		{"bolt:" + filepath.Join(dir, "a.db"), ""},
		{"bolt://" + filepath.Join(dir, "b.db") + "?bucket=work&timeout=2s", ""},
		{"bolt:" + filepath.ToSlash(dir) + "/with%20space.db", ""},
		{"memory:", ""},
		{"memory:x", "memory:x"},
		{"bolt:", "want bolt:path"},
		{"bolt://host/x.db", "want bolt:path"},
		{"bolt:" + filepath.Join(dir, "c.db") + "?sync=no", "unknown setting"},
		{"bolt:" + filepath.Join(dir, "c.db") + "?timeout=soon", "invalid duration"},
		{"bolt:" + filepath.Join(dir, "none", "c.db"), "none"},
		{"postgres://localhost/x", "bolt, memory"},
		{"jobs.db", "bolt, memory"},
		{"%", "store URL"},
	} {
		store, err := stores.Open(c.url)
		if c.want == "" {
			if err != nil {
				t.Errorf("Open(%q): %v", c.url, err)
				continue
			}
			if err := store.Close(); err != nil {
				t.Errorf("Close of %q: %v", c.url, err)
			}
			continue
		}
		if err == nil || store != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q) = %v, %v, want an error with %q", c.url, store, err, c.want)
		}
	}
	if matches, _ := filepath.Glob(filepath.Join(dir, "with space.db")); len(matches) != 1 {
		t.Error("an escaped path was not unescaped")
	}
}

func FuzzOpenURL(f *testing.F) {
	for _, seed := range []string{"bolt:x.db", "bolt://h/x?timeout=1s", "memory:", "bolt:%zz", "::", "bolt:\x00"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil || u.Opaque != "" || u.Path != "" { // a file would be made
			return
		}
		u.Path = filepath.Join(dir, "none", "x", u.Path)
		if store, err := bolt.OpenURL(u); err == nil || store != nil {
			t.Errorf("OpenURL(%q) opened a file in a directory that does not exist", u)
		}
	})
}
