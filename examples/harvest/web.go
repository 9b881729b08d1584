package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	random "math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/embedjobs/jobs"
)

// The sites: how many pages they have, and the words on these.
var sites = []struct {
	name  string
	pages int
	words []string
}{
	{"garden", 13, strings.Fields("bean leek radish sorrel chard fennel marrow parsnip")},
	{"meadow", 16, strings.Fields("clover poppy yarrow daisy vetch sedge cowslip")},
	{"orchard", 12, strings.Fields("apple pear quince cherry medlar plum")},
	{"quarry", 9, strings.Fields("slate flint gravel marl chalk granite")},
}

// A web serves the sites to those who have its token. What it serves depends only on the edition.
type web struct {
	url, token string
	pace       time.Duration
	edition    atomic.Int64
	opens      int64 // the edition of which on the quarry is open

	server http.Server
	done   chan error
}

func serve(pace time.Duration, opens int64) (*web, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &web{url: "http://" + l.Addr().String(), pace: pace, opens: opens, done: make(chan error, 1)}
	w.token = cmp.Or(os.Getenv("HARVEST_TOKEN"), rand.Text())
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{site}/{page}", w.page)
	w.server = http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { w.done <- w.server.Serve(l) }()
	return w, nil
}

func (w *web) close() error {
	err := w.server.Close()
	if served := <-w.done; !errors.Is(served, http.ErrServerClosed) {
		return served
	}
	return err
}

func (w *web) page(to http.ResponseWriter, req *http.Request) {
	select {
	case <-time.After(w.pace):
	case <-req.Context().Done():
		return
	}
	name, edition, token := req.PathValue("site"), w.edition.Load(), req.Header.Get("Token")
	switch {
	case token != w.token:
		http.Error(to, "who are you?", http.StatusUnauthorized)
		return
	case name == "quarry" && edition < w.opens:
		http.Error(to, "closed, even to holders of "+token, http.StatusServiceUnavailable)
		return
	}
	n, err := strconv.Atoi(req.PathValue("page"))
	for _, s := range sites {
		if name == "garden" {
			s.pages += int(edition)
		}
		if s.name == name && err == nil && n < s.pages {
			_, _ = io.WriteString(to, write(name, n, s.pages, s.words))
			return
		}
	}
	http.NotFound(to, req)
}

// write makes up a page. It is always the same, but for its links.
func write(site string, n, pages int, words []string) string {
	var b strings.Builder
	if site != "orchard" || n != 5 { // which is the one that cannot be read
		fmt.Fprintf(&b, "<title>About %s</title>", words[n%len(words)])
	}
	seed := fnv.New64a()
	_, _ = fmt.Fprint(seed, site, n)
	r := random.New(random.NewPCG(seed.Sum64(), 0))
	for range 50 + r.IntN(100) {
		b.WriteString(words[r.IntN(1+r.IntN(len(words)))] + " ")
	}
	for _, other := range []int{2*n + 1, 2*n + 2, n / 2} {
		if other < pages {
			fmt.Fprintf(&b, `<a href="/%s/%d">and</a> `, site, other)
		}
	}
	return b.String()
}

// get fetches a page.
func (w *web) get(ctx context.Context, path, token string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Token", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK { // the next round will try again
		return "", jobs.Fail(fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(body))))
	}
	return string(body), nil
}
