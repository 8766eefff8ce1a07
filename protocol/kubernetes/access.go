package kubernetes

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// access is the right that a call needs. What it does counts, never its method of HTTP.
func (c *call) access(path string) proxy.Access {
	switch {
	case c.resource == "":
		return c.plainAccess(path)
	case c.runs():
		return proxy.AccessExec
	case c.administers():
		return proxy.AccessAdmin
	case c.reads():
		return proxy.AccessRead
	}
	return proxy.AccessWrite
}

// known are what is read at paths without a resource: what there is in the cluster, and whether it is well.
var known = []string{"api", "apis", "version", "healthz", "livez", "readyz", "metrics", "openapi", "openid", ".well-known"}

// plainAccess is that of paths without a resource. What is at the others is not known: an API server shows files of its machine
// there, and one in front of several clusters has each of them under a path of its own.
func (c *call) plainAccess(path string) proxy.Access {
	first, _, _ := strings.Cut(strings.Trim(path, "/"), "/")
	switch c.verb {
	case "get", "head", "options":
		if first == "" || slices.Contains(known, first) {
			return proxy.AccessRead
		}
	}
	return proxy.AccessAdmin
}

// leads reports whether a path without a resource has an API below it, as where one server is in front of several clusters. What is there is
// decided about as a path alone, so that nothing of it is known, such as whether it is a Secret.
func (c *call) leads(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if c.resource != "" || slices.Contains(known, parts[0]) {
		return false
	}
	i := slices.IndexFunc(parts, func(s string) bool { return s == "api" || s == "apis" })
	return i > 0 && len(parts) > i+2
}

// runs reports whether the call reaches into a container or a kubelet, by whatever verb.
func (c *call) runs() bool {
	switch c.resource {
	case "pods":
		return slices.Contains([]string{"exec", "attach", "portforward", "proxy", "ephemeralcontainers"}, c.subresource)
	case "services":
		return c.subresource == "proxy"
	case "nodes":
		return c.subresource != "" && c.subresource != "status" // proxy, log, metrics, exec: the kubelet's
	case "proxy":
		return true
	}
	return c.subresource == "proxy" || c.subresource == "exec" || c.subresource == "attach" || c.subresource == "portforward" // of other APIs, as of virtual machines
}

// rights are the groups of resources by which rights in the cluster are changed.
var rights = []string{
	"rbac.authorization.k8s.io", "admissionregistration.k8s.io", "authorization.openshift.io", "oauth.openshift.io", "security.openshift.io", "user.openshift.io",
}

// reviews are the groups of questions that the cluster answers: nothing is kept of them.
var reviews = []string{"authorization.k8s.io", "authentication.k8s.io"}

// administers reports whether the call changes rights, or what is in no namespace: that is the cluster itself.
func (c *call) administers() bool {
	if c.resource == "serviceaccounts" && c.group == "" && c.subresource == "token" {
		return true // it makes a credential
	}
	if c.reads() {
		return false
	}
	if slices.Contains(rights, c.group) || c.resource == "namespaces" {
		return true
	}
	return c.namespace == "" && !slices.Contains(reviews, c.group)
}

// questions are resources that are created to be answered: nothing is kept of them.
var questions = []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}

func (c *call) reads() bool {
	switch c.verb {
	case "get", "list", "watch":
		return true
	case "create":
		return slices.Contains(reviews, c.group) && slices.Contains(questions, c.resource)
	}
	return false
}
