package aws

import (
	"errors"
	"mime"
	"net/http"
	"regexp"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

// call is what one request asks of a service.
type call struct {
	service, region string
	known           *service
	method          string
	target          *sigv4.Target
	header          http.Header
	holds           func(int64) bool // takes room for what the body becomes; nil: nothing bounds it
	body            []byte           // of services other than S3, and of requests to S3 of which it is looked at

	action string // "service:Action"
	path   string
	query  string
	also   []string
	// further is what else it does: copying reads, and deleting many deletes each.
	further []part
	names   map[string]bool // what it is about
}

// part is one thing of several that a call does.
type part struct{ method, action, path string }

// maxParts bounds what one call may be about.
const maxParts = 1000

var (
	errMany    = errors.New("the request is about more than 1000 things: send several")
	errPath    = errors.New("the path has empty segments, dots or encoded slashes, which servers read differently")
	errSeveral = errors.New("the request says what it asks for in several ways")
)

// read finds out what is asked for.
func (c *call) read(empty bool) error {
	if c.known == nil {
		c.known = &service{}
	}
	if c.known.form != formS3 {
		if err := plainPath(c.target.Path); err != nil {
			return err
		}
	}
	c.action = c.service + ":unknown"
	c.path = "/"
	if err := c.plainHeader(); err != nil {
		return err
	}
	switch c.known.form {
	case formS3:
		return c.readS3(empty)
	case formREST:
		return c.readREST()
	case formJSON:
		return c.readJSON()
	case formQuery:
		return c.readQuery()
	}
	c.path = c.target.Encoded()
	c.query = summary(sigv4.EncodedQuery(c.target.Query), c.body)
	return nil
}

// plainHeader refuses headers that servers read differently. A server that serves several services may go by another part of a request than
// its signature.
func (c *call) plainHeader() error {
	if len(c.header["Content-Type"]) > 1 || len(c.header["Content-Encoding"]) > 1 {
		return errSeveral
	}
	for name := range c.header { // some servers read "_" as "-"
		lower := strings.ToLower(name)
		if strings.Contains(lower, "_") && strings.HasPrefix(strings.ReplaceAll(lower, "_", "-"), "x-amz-") && !strings.HasPrefix(lower, "x-amz-meta-") {
			return errSeveral
		}
	}
	target := c.header.Get("X-Amz-Target")
	if target == "" {
		return nil
	}
	if c.known.form != formJSON && c.known.form != formUnknown {
		return errSeveral
	}
	prefix, _, _ := strings.Cut(target, ".")
	for name, s := range services {
		if name != c.service && s.target != "" && strings.EqualFold(prefix, s.target) {
			return errSeveral
		}
	}
	return nil
}

// plainPath refuses paths that servers bring to another form, also when they decode slashes before that. A last segment may be empty.
func plainPath(path []string) error {
	for i, s := range path {
		if s == "" && i == len(path)-1 {
			continue
		}
		for part := range strings.SplitSeq(s, "/") {
			if part == "" || part == "." || part == ".." || strings.Contains(part, `\`) {
				return errPath
			}
		}
	}
	return nil
}

// operation is the call as interceptors see it.
func (c *call) operation() *proxy.Request {
	return c.request(part{c.method, c.action, c.path}, c.query, c.also)
}

func (c *call) request(p part, query string, also []string) *proxy.Request {
	return &proxy.Request{
		Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: p.method, Host: c.service + "." + c.region, Path: p.path, Query: query,
		Action: p.action, Also: also, Access: accessOf(p.action),
	}
}

// media is the type of the request's body, without its parameters; empty where its characters are others than those of UTF-8.
func (c *call) media() string {
	m, params, err := mime.ParseMediaType(c.header.Get("Content-Type"))
	if charset := strings.ToLower(params["charset"]); err != nil || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return ""
	}
	return m
}

// once returns the query by name; an error where a name is there twice.
func once(list []sigv4.Param) (map[string]string, error) {
	out := make(map[string]string, len(list))
	for _, p := range list {
		if _, twice := out[p.Name]; twice {
			return nil, errSeveral
		}
		out[p.Name] = p.Value
	}
	return out, nil
}

// readREST finds the action by the path.
func (c *call) readREST() error {
	query := make(map[string]string, len(c.target.Query))
	for _, p := range c.target.Query { // filters may be there several times, and what tells actions apart may not
		if _, twice := query[p.Name]; twice && theTable().chooses(c.service, p.Name) {
			return errSeveral
		}
		query[p.Name] = p.Value
	}
	path := c.target.Path
	if len(path) > 1 && path[len(path)-1] == "" {
		path = path[:len(path)-1]
	}
	best := -1
	var more []sigv4.Param // what the path names besides
	for _, r := range theTable().routes[c.service] {
		names, ok := r.match(path)
		if !ok || r.method != c.method || !r.asks(query) || len(r.query) <= best {
			continue
		}
		best = len(r.query)
		c.action, c.path, more = c.service+":"+r.action, "/"+r.action, r.named(names)
		if len(names) > 0 {
			name := resourceName(names[0])
			if c.service == "lambda" {
				name = functionName(names[0], name)
			}
			c.path += "/" + name
			more = more[1:]
		}
	}
	if best < 0 {
		c.path = c.target.Encoded()
	}
	c.query = summary(sigv4.EncodedQuery(append(more, c.target.Query...)), c.body)
	return nil
}

// lambdaName is how a function is named: by its ARN, or by less of it, with a version or without.
var lambdaName = regexp.MustCompile(`^(?:arn:aws[a-z-]*:lambda:)?(?:[a-z]{2,4}(?:-[a-z]+)+-[0-9]+:)?(?:[0-9]{12}:)?(?:function:)?([A-Za-z0-9_-]+)(?::([A-Za-z0-9_$.-]+))?$`)

// functionName is NAME, or NAME/VERSION, of a function; other where the text names none.
func functionName(text, other string) string {
	m := lambdaName.FindStringSubmatch(text)
	switch {
	case m == nil:
		return strings.ReplaceAll(other, ":", "/")
	case m[2] == "":
		return m[1]
	}
	return m[1] + "/" + m[2]
}

// resourceName is what an ARN is about, without the kind of thing; every other text stays.
func resourceName(s string) string {
	if !strings.HasPrefix(s, "arn:") {
		return s
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) < 6 {
		return s
	}
	name := parts[5]
	for _, kind := range []string{"table/", "global-table/", "secret:", "parameter", "function:", "cluster/", "key/", "db:", "cluster:", "stack/", "role/", "user/", "group/"} {
		if rest, ok := strings.CutPrefix(name, kind); ok {
			return rest
		}
	}
	return name
}

// about makes the call's path of names, and further parts of those after the first.
func (c *call) about(action string, names []string) error {
	c.path = "/" + action
	seen := make(map[string]bool, len(names))
	c.names = seen
	for _, name := range names {
		if seen[name] {
			continue
		}
		seen[name] = true
		switch {
		case len(seen) > maxParts:
			return errMany
		case len(seen) == 1:
			c.path += "/" + name
			continue
		}
		c.further = append(c.further, part{c.method, c.action, "/" + action + "/" + name})
	}
	return nil
}
