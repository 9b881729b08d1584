package jobs

import (
	"net/url"
	"slices"
	"strings"
)

// Openers open stores by URL, by the scheme of the URL, for programs whose configuration names the
// store:
//
//	stores := jobs.Openers{"bolt": bolt.OpenURL, "memory": memory.OpenURL}
//	store, err := stores.Open("bolt:/var/lib/app/jobs.db")
type Openers map[string]func(u *url.URL) (Store, error)

// Open opens the store of a URL such as "memory:" or "bolt:path".
func (o Openers) Open(rawURL string) (Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, invalidf("store URL", "%w", err)
	}
	open := o[u.Scheme]
	if open == nil {
		known := sortedKeys(o)
		slices.Sort(known)
		return nil, invalidf("store URL", "%q has no scheme of %s", u.Redacted(), strings.Join(known, ", "))
	}
	return open(u)
}
