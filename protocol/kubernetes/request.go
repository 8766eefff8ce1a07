package kubernetes

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// call is what a request asks of the API, as the API server reads it.
type call struct {
	verb string // get, list, watch, create, update, patch, delete, deletecollection; the method in lower case where the request is not about a resource
	// Of a resource. Where resource is empty the request is about none, such as /version.
	group, resource, subresource string
	namespace, name              string
}

// resourceName is the resource as rules call it: RESOURCE[.GROUP][/SUBRESOURCE].
func (c *call) resourceName() string {
	s := c.resource
	if c.group != "" {
		s += "." + c.group
	}
	if c.subresource != "" {
		s += "/" + c.subresource
	}
	return s
}

// action is the name of the call; empty where it is not about a resource.
func (c *call) action() string {
	if c.resource == "" {
		return ""
	}
	return c.resourceName() + ":" + c.verb
}

const maxPath = 16 << 10

var (
	errPath = errors.New("the path has empty segments, dots, or characters that servers read differently")
	errName = errors.New("the path is not one of the API's")
	// What runs in a pod is on record by these names, which must not read as others.
	errPlace = errors.New("the namespace, the pod or the container has a name that Kubernetes does not give, or there are several containers: name one of each")
)

// checkPath reports a path that others could read differently: what is decided about is what the API server gets.
func checkPath(u *url.URL) error {
	escaped := u.EscapedPath()
	if !strings.HasPrefix(escaped, "/") || len(escaped) > maxPath {
		return errPath
	}
	lower := strings.ToLower(escaped)
	if strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") || strings.ContainsAny(u.Path, "\\;") {
		return errPath
	}
	if strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errPath
	}
	if u.Path == "/" {
		return nil
	}
	for seg := range strings.SplitSeq(strings.TrimSuffix(u.Path[1:], "/"), "/") {
		if seg == "" || seg == "." || seg == ".." {
			return errPath
		}
	}
	return nil
}

// methodVerbs are the verbs of methods.
var methodVerbs = map[string]string{
	http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
}

// namespaceSubresources are what may follow the name of a namespace itself.
var namespaceSubresources = []string{"status", "finalize"}

// parse reads a request as the API server does. query are its parameters.
func parse(method, path string, query url.Values) (*call, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	c := &call{verb: strings.ToLower(method)}
	switch {
	case parts[0] == "api" && len(parts) >= 3:
		parts = parts[2:]
	case parts[0] == "apis" && len(parts) >= 4:
		c.group, parts = parts[1], parts[3:]
	default:
		return c, nil
	}
	verb, ok := methodVerbs[method]
	if !ok {
		return nil, errName
	}
	c.verb = verb
	switch parts[0] { // forms of old servers
	case "watch":
		if parts = parts[1:]; len(parts) == 0 {
			return nil, errName
		}
		if verb != "get" {
			return nil, errName
		}
		c.verb = "watch"
	case "proxy":
		c.resource, c.subresource = "proxy", "proxy"
		return c, nil
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		c.namespace = parts[1]
		if len(parts) > 2 && !slices.Contains(namespaceSubresources, parts[2]) {
			parts = parts[2:]
		}
	}
	c.resource = parts[0]
	if len(parts) > 1 {
		c.name = parts[1]
	}
	if len(parts) > 2 {
		c.subresource = parts[2]
	}
	if c.streams() && !c.namesPlace(query["container"]) {
		return nil, errPlace
	}
	switch {
	case c.name != "":
	case c.verb == "get" && truth(query, "watch"):
		c.verb = "watch"
	case c.verb == "get":
		c.verb = "list"
	case c.verb == "delete":
		c.verb = "deletecollection"
	}
	return c, nil
}

// streams reports whether the call connects a client to what runs in a pod.
func (c *call) streams() bool {
	return c.group == "" && c.resource == "pods" && slices.Contains([]string{"exec", "attach", "portforward"}, c.subresource)
}

// namesPlace reports whether the namespace, the pod and the container, which may be left out, have names such as Kubernetes gives.
func (c *call) namesPlace(container []string) bool {
	switch {
	case len(container) > 1 || len(container) == 1 && container[0] != "" && !isLabel(container[0]):
		return false
	case !isLabel(c.namespace) || len(c.name) > 253:
		return false
	}
	for part := range strings.SplitSeq(c.name, ".") {
		if !isLabel(part) {
			return false
		}
	}
	return true
}

// isLabel reports whether a name is a label of DNS (RFC 1123), in lower case.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

// truth reports whether a parameter is given as true, as the API server reads it.
func truth(query url.Values, name string) bool {
	list, ok := query[name]
	if !ok || len(list) == 0 {
		return false
	}
	return list[0] != "0" && !strings.EqualFold(list[0], "false")
}
