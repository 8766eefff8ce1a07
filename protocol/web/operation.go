package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

// Operation returns the request that a text asks for at a target: "METHOD PATH?QUERY", or a path
// alone, which is read.
func Operation(t proxy.Target, text string) (*proxy.Request, error) {
	if t.Resource == nil {
		return nil, errors.New("explaining a request: the target has no resource")
	}
	method, to, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		method, to = http.MethodGet, method
	}
	to = strings.TrimSpace(to)
	if !validMethod(method) || !strings.HasPrefix(to, "/") {
		return nil, fmt.Errorf("explaining a request: got %q, want one such as GET /path?query", text)
	}
	path, query, _ := strings.Cut(to, "?")
	u := &url.URL{Path: path}
	if decoded, err := url.PathUnescape(path); err == nil {
		u = &url.URL{Path: decoded, RawPath: path}
	}
	s := settingsOf(t.Resource)
	path, _, err := normal(u.EscapedPath(), s)
	if err != nil {
		return nil, err
	}
	host := t.Resource.Name
	if len(s.Hosts) > 0 {
		host = strings.ToLower(s.Hosts[0])
	}
	return &proxy.Request{
		Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: method, Host: host, Path: path, Query: query, Action: shapeOf(path), Lasting: true,
	}, nil
}

// Reach asks the application of a session for nothing but an answer.
func Reach(ctx context.Context, s *proxy.Session) error {
	var us relay.Upstreams
	defer us.Close()
	c, err := relay.Visiting(s).Credential(ctx)
	if err != nil {
		return err
	}
	set := settingsOf(s.Target.Resource)
	up, err := us.Of(s.Gateway(), s.Target.Resource, set.HTTP2, c)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, up.Scheme+"://"+up.Host+"/", http.NoBody)
	if err != nil {
		return err
	}
	if set.HostHeader != "" {
		r.Host = set.HostHeader
	}
	inject(r.Header, set, c)
	res, err := up.RoundTrip(r)
	if err != nil {
		return err
	}
	res.Body.Close()
	if res.StatusCode == http.StatusUnauthorized && secretOf(c) != "" {
		return errors.New("the application refuses the account's credential")
	}
	return nil
}
