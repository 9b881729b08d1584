package bolt

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/embedjobs/jobs"
)

// OpenURL opens the file of a URL such as "bolt:jobs.db" or "bolt:///var/lib/app/jobs.db", for
// [jobs.Openers]. The query may set bucket and timeout, as in "bolt:app.db?bucket=work&timeout=5s".
func OpenURL(u *url.URL) (jobs.Store, error) {
	path := u.Path
	if u.Opaque != "" {
		var err error
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return nil, fmt.Errorf("bolt: %s: %w", u, err)
		}
	}
	if path == "" || u.Host != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("bolt: %s: want bolt:path or bolt:///path", u.Redacted())
	}
	var opts Options
	query, err := url.ParseQuery(u.RawQuery)
	for key, values := range query {
		switch key {
		case "bucket":
			opts.Bucket = values[len(values)-1]
		case "timeout":
			var bad error
			opts.Timeout, bad = time.ParseDuration(values[len(values)-1])
			err = errors.Join(err, bad)
		default:
			err = errors.Join(err, fmt.Errorf("unknown setting %q; there are bucket and timeout", key))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("bolt: %s: %w", u, err)
	}
	store, err := Open(path, &opts)
	if err != nil {
		return nil, err // not store, which would be an interface that is not nil
	}
	return store, nil
}
