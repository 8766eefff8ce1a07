package kubernetes

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/proxy"
)

// access is the right that a call needs. What it does counts, never its method of HTTP.
func (c *call) access() proxy.Access {
	switch {
	case c.resource == "":
		return c.plainAccess()
	case c.runs():
		return proxy.AccessExec
	case c.administers():
		return proxy.AccessAdmin
	case c.reads():
		return proxy.AccessRead
	}
	return proxy.AccessWrite
}

// plainAccess is that of paths without a resource.
func (c *call) plainAccess() proxy.Access {
	switch c.verb {
	case "get", "head", "options":
		return proxy.AccessRead
	}
	return proxy.AccessAdmin
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

// clusters are resources by which rights, or the cluster itself, are changed.
var clusters = []string{
	"nodes", "namespaces", "persistentvolumes", "certificatesigningrequests.certificates.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
	"apiservices.apiregistration.k8s.io", "storageclasses.storage.k8s.io", "priorityclasses.scheduling.k8s.io", "runtimeclasses.node.k8s.io",
	"volumeattachments.storage.k8s.io", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io",
	"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "clustertrustbundles.certificates.k8s.io",
}

func (c *call) administers() bool {
	if c.resource == "serviceaccounts" && c.group == "" && c.subresource == "token" {
		return true // it makes a credential
	}
	if c.reads() {
		return false
	}
	if c.group == "rbac.authorization.k8s.io" || c.group == "admissionregistration.k8s.io" {
		return true
	}
	name, _, _ := strings.Cut(c.resourceName(), "/")
	return slices.Contains(clusters, name)
}

// questions are resources that are created to be answered: nothing is kept of them.
var questions = []string{"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}

func (c *call) reads() bool {
	switch c.verb {
	case "get", "list", "watch":
		return true
	case "create":
		return (c.group == "authorization.k8s.io" || c.group == "authentication.k8s.io") && slices.Contains(questions, c.resource)
	}
	return false
}
