package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
)

// operation is what a call asks for: a command or a connection where it reaches into a pod, and a request otherwise.
func (c *call) operation(r *http.Request, host string, query url.Values) proxy.Op {
	where := c.place(query.Get("container"))
	switch {
	case c.group != "" || c.resource != "pods" || c.name == "":
	case c.subresource == "exec":
		words := query["command"]
		e := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Terminal: truth(query, "tty"), Target: where, Command: commandLine(words)}
		if truth(query, "stdin") && (shell.Grammar{}).IsShell(e.Command) {
			e.Kind = proxy.KindShell
		}
		return e
	case c.subresource == "attach":
		return &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindShell}, Terminal: truth(query, "tty"), Target: where}
	case c.subresource == "portforward":
		return &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: where}
	}
	return &proxy.Request{
		Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: r.Method, Host: host, Path: r.URL.Path, Query: r.URL.RawQuery, Action: c.action(), Access: c.access(r.URL.Path),
		Lasting: c.verb == "watch" || c.subresource == "log" && truth(query, "follow") || c.runs() || c.resource == "",
	}
}

// place is a pod, and a container of it, as people write them.
func (c *call) place(container string) string {
	s := c.namespace + "/" + c.name
	if container != "" {
		s += "/" + container
	}
	return s
}

// commandLine is an argument vector as a shell would be given it: no shell runs it, so every word is what it says.
func commandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}

func quote(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@+,%", r)
	}
	if w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

// Operation returns what a text asks for at a target: "METHOD PATH?QUERY", or a path alone, which is read.
func Operation(t proxy.Target, text string) (proxy.Op, error) {
	if t.Resource == nil {
		return nil, errors.New("explaining a request: the target has no resource")
	}
	method, to, ok := strings.Cut(strings.TrimSpace(text), " ")
	if !ok {
		method, to = http.MethodGet, method
	}
	u, err := url.Parse(strings.TrimSpace(to))
	if err != nil || !strings.HasPrefix(to, "/") || u.Host != "" {
		return nil, fmt.Errorf("explaining a request: got %q, want one such as GET /api/v1/namespaces/default/pods", text)
	}
	if err := checkPath(u); err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	c, err := parse(method, u.Path, query)
	if err != nil {
		return nil, err
	}
	host := t.Resource.Name
	if s := settingsOf(t.Resource); len(s.Hosts) > 0 {
		host = strings.ToLower(s.Hosts[0])
	}
	return c.operation(&http.Request{Method: method, URL: u}, host, query), nil
}

var errQuery = errors.New("the query cannot be read")

// Reach asks the cluster of a session for its version.
func Reach(ctx context.Context, s *proxy.Session) error {
	var us relay.Upstreams
	defer us.Close()
	credential, err := relay.Visiting(s).Credential(ctx)
	if err != nil {
		return err
	}
	up, err := us.Of(s.Gateway(), s.Target.Resource, false, credential)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, up.Scheme+"://"+up.Host+"/version", http.NoBody)
	if err != nil {
		return err
	}
	if err := authorise(r.Header, s, credential); err != nil {
		return err
	}
	res, err := up.RoundTrip(r)
	if err != nil {
		return err
	}
	res.Body.Close()
	switch res.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized:
		return errors.New("the API server refuses the account's credential")
	case http.StatusForbidden:
		return errors.New("the API server does not let the account ask for its version (403): bind the account to the cluster role system:public-info-viewer, and let it impersonate users if the resource does so")
	}
	return fmt.Errorf("the API server answers GET /version with status %d, not 200: look whether the address is that of an API server", res.StatusCode)
}
