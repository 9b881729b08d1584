package memory

import (
	"fmt"
	"net/url"

	"github.com/embedjobs/jobs"
)

// OpenURL returns a new store for the URL "memory:", for [jobs.Openers].
func OpenURL(u *url.URL) (jobs.Store, error) {
	if u.String() != u.Scheme+":" {
		return nil, fmt.Errorf("memory: %s: want memory: with nothing behind it", u.Redacted())
	}
	return New(), nil
}
