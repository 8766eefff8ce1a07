package kubernetes

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestCalls: what a request does is found out by its resource and subresource, as the API server does it.
func TestCalls(t *testing.T) {
	const (
		read, write, admin, run = proxy.AccessRead, proxy.AccessWrite, proxy.AccessAdmin, proxy.AccessExec
	)
	for _, c := range []struct {
		method, path, action string
		access               proxy.Access
	}{
		{"GET", "/version", "", read},
		{"GET", "/api", "", read},
		{"GET", "/apis/apps/v1", "", read},
		{"POST", "/metrics", "", admin},
		{"GET", "/", "", read},
		{"GET", "/readyz/ping", "", read},
		{"GET", "/openapi/v3/apis/apps/v1", "", read},
		{"GET", "/openid/v1/jwks", "", read},
		// What is there is not known: files of a control plane's machine, and whole other clusters.
		{"GET", "/logs/kube-apiserver.log", "", admin},
		{"GET", "/debug/pprof/heap", "", admin},
		{"GET", "/k8s/clusters/local/api/v1/secrets", "", admin},
		{"HEAD", "/clusters/root/api/v1/secrets", "", admin},
		{"GET", "/apisecrets", "", admin},
		{"GET", "/versions", "", admin},
		// What is in no namespace is the cluster's.
		{"POST", "/apis/cert-manager.io/v1/clusterissuers", "clusterissuers.cert-manager.io:create", admin},
		{"DELETE", "/apis/networking.k8s.io/v1/ingressclasses/a", "ingressclasses.networking.k8s.io:delete", admin},
		{"PATCH", "/apis/resource.k8s.io/v1/deviceclasses/a", "deviceclasses.resource.k8s.io:patch", admin},
		{"PUT", "/apis/cert-manager.io/v1/namespaces/a/issuers/b", "issuers.cert-manager.io:update", write},
		{"POST", "/apis/authentication.k8s.io/v1/tokenreviews", "tokenreviews.authentication.k8s.io:create", write},
		{"POST", "/apis/authorization.openshift.io/v1/namespaces/a/rolebindings", "rolebindings.authorization.openshift.io:create", admin},
		{"GET", "/api/v1/pods", "pods:list", read},
		{"GET", "/api/v1/pods?watch=true", "pods:watch", read},
		{"GET", "/api/v1/pods?watch", "pods:watch", read},
		{"GET", "/api/v1/pods?watch=0", "pods:list", read},
		{"GET", "/api/v1/watch/namespaces/a/secrets", "secrets:watch", read},
		{"HEAD", "/api/v1/namespaces/a/pods/b", "pods:get", read},
		{"GET", "/api/v1/namespaces/a/pods/b/log", "pods/log:get", read},
		{"GET", "/api/v1/namespaces/a/pods/b/exec?command=id", "pods/exec:get", run},
		{"POST", "/api/v1/namespaces/a/pods/b/exec", "pods/exec:create", run},
		{"GET", "/api/v1/namespaces/a/pods/b/attach", "pods/attach:get", run},
		{"GET", "/api/v1/namespaces/a/pods/b/portforward", "pods/portforward:get", run},
		{"GET", "/api/v1/namespaces/a/pods/b/proxy/admin", "pods/proxy:get", run},
		{"GET", "/api/v1/namespaces/a/services/b:80/proxy/", "services/proxy:get", run},
		{"GET", "/api/v1/nodes/n/proxy/run/a/b/c?cmd=id", "nodes/proxy:get", run},
		{"GET", "/api/v1/nodes/n/exec", "nodes/exec:get", run},
		{"GET", "/api/v1/proxy/namespaces/a/pods/b", "proxy/proxy:get", run},
		{"PATCH", "/api/v1/namespaces/a/pods/b/ephemeralcontainers", "pods/ephemeralcontainers:patch", run},
		{"GET", "/apis/subresources.kubevirt.io/v1/namespaces/a/virtualmachineinstances/b/portforward/22", "virtualmachineinstances.subresources.kubevirt.io/portforward:get", run},
		{"DELETE", "/api/v1/namespaces/a", "namespaces:delete", admin},
		{"PUT", "/api/v1/namespaces/a/finalize", "namespaces/finalize:update", admin},
		{"DELETE", "/api/v1/namespaces/a/pods", "pods:deletecollection", write},
		{"DELETE", "/api/v1/namespaces/a/pods/", "pods:deletecollection", write},
		{"DELETE", "/api/v1/namespaces/a/pods/b", "pods:delete", write},
		{"POST", "/api/v1/namespaces/a/pods/b/eviction", "pods/eviction:create", write},
		{"PATCH", "/api/v1/nodes/n", "nodes:patch", admin},
		{"POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", "clusterrolebindings.rbac.authorization.k8s.io:create", admin},
		{"GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles", "clusterroles.rbac.authorization.k8s.io:list", read},
		{"POST", "/api/v1/namespaces/a/serviceaccounts/b/token", "serviceaccounts/token:create", admin},
		{"POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "selfsubjectaccessreviews.authorization.k8s.io:create", read},
		{"POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", "subjectaccessreviews.authorization.k8s.io:create", write},
		{"PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale", "deployments.apps/scale:patch", write},
	} {
		u, err := url.Parse(c.path)
		require.NoError(t, err)
		require.NoError(t, checkPath(u), c.path)
		got, err := parse(c.method, u.Path, u.Query())
		require.NoError(t, err, c.path)
		require.Equal(t, c.action, got.action(), c.path)
		require.Equal(t, c.access, got.access(u.Path), "%s %s", c.method, c.path)
	}
	for _, method := range []string{"OPTIONS", "FOO", "get"} {
		_, err := parse(method, "/api/v1/pods", nil)
		require.Error(t, err, method)
	}
}

// TestAttackPathsOfCalls: what servers read differently is refused.
func TestAttackPathsOfCalls(t *testing.T) {
	for _, p := range []string{
		"/api/v1/namespaces/a/pods/b%2fexec", "/api/v1//pods", "/api/v1/./pods", "/api/v1/../v1/pods", "/api/v1/namespaces/a/pods/b/log;/exec",
		"/api/v1/%2e%2e/pods", "/api/v1/pods/%5cexec", "/api/v1/pods%0a", "/api/v1/pods//",
	} {
		u, err := url.Parse(p)
		require.NoError(t, err)
		require.Error(t, checkPath(u), p)
	}
}

// TestAttackPlaces: a pod and a container are on record by names that cannot read as others.
func TestAttackPlaces(t *testing.T) {
	for _, subresource := range []string{"exec", "attach", "portforward"} {
		for path, ok := range map[string]bool{
			"/api/v1/namespaces/shop/pods/web-0.x/" + subresource:                                       true,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=app-1":                      true,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=":                           true,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=app%0aroot":                 false,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=a/../b":                     false,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=%E2%80%AEppa":               false,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=a&container=b":              false,
			"/api/v1/namespaces/shop/pods/web/" + subresource + "?container=" + strings.Repeat("a", 64): false,
			"/api/v1/namespaces/shop/pods/web%20x/" + subresource:                                       false,
			"/api/v1/namespaces/shop/pods/web../" + subresource:                                         false,
			"/api/v1/namespaces/Shop/pods/web/" + subresource:                                           false,
			"/api/v1/pods/web/" + subresource:                                                           false,
		} {
			u, err := url.Parse(path)
			require.NoError(t, err)
			require.NoError(t, checkPath(u))
			_, err = parse("GET", u.Path, u.Query())
			require.Equal(t, ok, err == nil, path)
		}
	}
}

// TestBodies: what an object says of replicas and nodes is found in every form; what can be read in two ways counts against it.
func TestBodies(t *testing.T) {
	scale := &call{verb: "patch", group: "apps", resource: "deployments", subresource: "scale", name: "x"}
	node := &call{verb: "patch", resource: "nodes", name: "x"}
	secret := &call{verb: "patch", resource: "secrets", name: "x"}
	put := &call{verb: "update", group: "apps", resource: "deployments", subresource: "scale", name: "x"}
	deployment := &call{verb: "patch", group: "apps", resource: "deployments", name: "x"}
	const merge, jsonPatch, yaml, strategic = "application/merge-patch+json", "application/json-patch+json", "application/apply-patch+yaml", "application/strategic-merge-patch+json"
	for _, c := range []struct {
		call        *call
		media, body string
		want        facts
	}{
		{scale, merge, `{"spec":{"replicas":0}}`, facts{scaleToZero: true}},
		{scale, merge, `{"spec":{"replicas":3}}`, facts{}},
		{scale, merge, `{"spec":{"replicas":-0}}`, facts{scaleToZero: true}},
		{scale, merge, `{"spec":{"replicas":0e5}}`, facts{scaleToZero: true}},
		{scale, merge, `{"spec":{"r\u0065plicas":0}}`, facts{scaleToZero: true}},
		{scale, merge, `{"spec":{"replicas":"1"}}`, facts{scaleToZero: true}},
		{scale, merge, `{"metadata":{"replicas":0}}`, facts{}},
		{scale, yaml, "spec:\n  replicas: 0\n", facts{scaleToZero: true}},
		{scale, yaml, "spec: {replicas: 0x0}", facts{scaleToZero: true}},
		{scale, yaml, "a: &a {replicas: 0}\nspec: {<<: *a}", facts{scaleToZero: true}},
		{scale, yaml, "spec: {replicas: 2}", facts{}},
		{scale, jsonPatch, `[{"op":"replace","path":"/spec/replicas","value":0}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"add","path":"/spec","value":{"replicas":0}}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"add","path":"","value":{"spec":{"replicas":0}}}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"copy","from":"/spec/x","path":"/spec/replicas"}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"move","from":"/x","path":"/spec"}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"replace","path":"/spec/replicas","value":4}]`, facts{}},
		{scale, jsonPatch, `[{"op":"replace","OP":"test","path":"/spec/replicas","value":0}]`, facts{scaleToZero: true}},
		{node, merge, `{"spec":{"unschedulable":true}}`, facts{cordon: true}},
		{node, merge, `{"spec":{"unschedulable":null}}`, facts{}},
		{node, jsonPatch, `[{"op":"add","path":"/spec/unschedulable","value":true}]`, facts{cordon: true}},
		{node, strategic, `{"spec":{"taints":[{"effect":"NoSchedule","key":"a"}]}}`, facts{taint: true}},
		{node, merge, `{"spec":{"taints":[{"effect":"PreferNoSchedule","key":"a"},{"effect":"NoExecute","key":"b"}]}}`, facts{taint: true}},
		{node, merge, `{"spec":{"taints":[{"effect":"PreferNoSchedule","key":"a"}]}}`, facts{}},
		{node, merge, `{"spec":{"taints":null}}`, facts{}},
		{node, merge, `{"spec":{"taints":[]}}`, facts{}},
		{node, merge, `{"spec":{"taints":[{"key":"a"}]}}`, facts{taint: true}},
		{node, yaml, "spec: {taints: [{key: a, effect: NoExecute}], unschedulable: true}", facts{taint: true, cordon: true}},
		{node, jsonPatch, `[{"op":"add","path":"/spec/taints","value":[{"effect":"NoExecute","key":"a"}]}]`, facts{taint: true}},
		{node, jsonPatch, `[{"op":"add","path":"/spec/taints/-","value":{"effect":"NoExecute","key":"a"}}]`, facts{taint: true}},
		{node, jsonPatch, `[{"op":"add","path":"/spec/taints/-","value":{"effect":"PreferNoSchedule","key":"a"}}]`, facts{}},
		{node, jsonPatch, `[{"op":"replace","path":"/spec/taints/0/effect","value":"NoExecute"}]`, facts{taint: true}},
		{node, jsonPatch, `[{"op":"copy","from":"/metadata/annotations/x","path":"/spec/taints"}]`, facts{taint: true}},
		{node, jsonPatch, `[{"op":"copy","from":"/metadata/annotations/x","path":"/spec"}]`, facts{taint: true, cordon: true}},
		{node, jsonPatch, `[{"op":"remove","path":"/spec/taints/0"}]`, facts{}},
		{deployment, merge, `{"spec":{"taints":[{"key":"a"}]}}`, facts{}},
		// A Scale has no default: what leaves the number out means none.
		{put, "application/json", `{"metadata":{"name":"x"}}`, facts{scaleToZero: true}},
		{put, "application/json", `{"spec":{}}`, facts{scaleToZero: true}},
		{put, "application/json", `{"spec":{"replicas":2}}`, facts{}},
		{put, "application/yaml", "spec: {}", facts{scaleToZero: true}},
		{scale, yaml, "metadata: {name: x}", facts{scaleToZero: true}},
		{scale, merge, `{"spec":{"replicas":null}}`, facts{scaleToZero: true}},
		{scale, merge, `{"spec":null}`, facts{scaleToZero: true}},
		{scale, strategic, `{"spec":{"$patch":"delete"}}`, facts{scaleToZero: true}},
		{scale, strategic, `{"spec":{"$retainKeys":[]}}`, facts{scaleToZero: true}},
		{scale, strategic, `{"$patch":"replace","metadata":{}}`, facts{scaleToZero: true}},
		{scale, strategic, `{"metadata":{"labels":{"a":"b"}}}`, facts{}},
		{scale, jsonPatch, `[{"op":"remove","path":"/spec/replicas"}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"remove","path":"/spec"}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"replace","path":"/spec/replicas","value":null}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"replace","path":"/spec","value":{}}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"move","from":"/spec/replicas","path":"/status/replicas"}]`, facts{scaleToZero: true}},
		{scale, jsonPatch, `[{"op":"test","path":"/spec/replicas","value":0}]`, facts{}},
		{scale, jsonPatch, `[{"op":"remove","path":"/metadata/labels"}]`, facts{}},
		// The others have one.
		{deployment, merge, `{"spec":{"replicas":null}}`, facts{}},
		{deployment, merge, `{"spec":{"replicas":0}}`, facts{scaleToZero: true}},
		{deployment, jsonPatch, `[{"op":"remove","path":"/spec/replicas"}]`, facts{}},
		{secret, merge, `{"data":{"password":"` + MaskedValue + `"}}`, facts{masked: true}},
		{secret, merge, `{"stringData":{"password":"********"}}`, facts{masked: true}},
		{secret, jsonPatch, `[{"op":"add","path":"/data/a","value":"` + MaskedValue + `"}]`, facts{masked: true}},
		{secret, merge, `{"data":{"password":"aHVudGVyMg=="}}`, facts{}},
		{secret, jsonPatch, `[{"op":"copy","from":"/data/password","path":"/metadata/annotations/x"}]`, facts{reveals: true}},
		{secret, jsonPatch, `[{"op":"move","from":"/data","path":"/metadata/labels"}]`, facts{reveals: true}},
		{secret, jsonPatch, `[{"op":"copy","from":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","path":"/metadata/annotations/x"}]`, facts{reveals: true}},
		{secret, jsonPatch, `[{"op":"test","path":"/data/password","value":"aHVudGVyMg=="}]`, facts{reveals: true}},
		{secret, jsonPatch, `[{"op":"test","path":"","value":{}}]`, facts{reveals: true}},
		{secret, jsonPatch, `[{"op":"test","path":"/metadata/resourceVersion","value":"7"},{"op":"add","path":"/data/a","value":"eA=="},{"op":"remove","path":"/data/b"}]`, facts{}},
	} {
		got, err := c.call.read(c.media, []byte(c.body))
		require.NoError(t, err, c.body)
		require.Equal(t, c.want, got, c.body)
	}
	for media, bodies := range map[string][]string{
		merge: {`{"spec":{"replicas":0},"spec":{}}`, `{"spec":{"replicas":0,"replicas":1}}`, `{`, `{} {}`, ``},
		yaml:  {"a: &a {replicas: 0}\nspec: {replicas: 3, <<: *a}", "a: &a {replicas: 0}\nspec: {<<: *a, \"replicas\": 3}", "a: &a {replicas: 0}\nb: &b {replicas: 3}\nspec: {<<: *b, <<: *a}", "spec: {replicas: 0}\nspec: {}", "1: a\nspec: {replicas: 0}", "spec: {}\n---\nspec: {replicas: 0}", "{"},
		jsonPatch: {
			`{}`, `[1]`,
			// API servers leave out what comes before the first slash of a path.
			`[{"op":"replace","path":"x/spec/replicas","value":0}]`, `[{"op":"move","from":"x/spec/replicas","path":"/status/replicas"}]`,
			`[{"op":"replace","path":["/spec/replicas"],"value":0}]`, `[{"op":"replace","value":0}]`,
		},
		"application/vnd.kubernetes.protobuf": {"k8s\x00"},
		"application/cbor":                    {"x"},
	} {
		for _, b := range bodies {
			_, err := scale.read(media, []byte(b))
			require.Error(t, err, "%s %s", media, b)
		}
	}
}

// TestOperations: a command in a container is one of the kind exec or shell, and a port a forward.
func TestOperations(t *testing.T) {
	target := proxy.Target{Resource: &proxy.Resource{Name: "prod", Type: "kubernetes"}}
	for path, want := range map[string]string{
		"/api/v1/namespaces/a/pods/b/exec?command=rm&command=-rf&command=a%20b&container=c": "exec a/b/c: rm -rf 'a b'",
		"/api/v1/namespaces/a/pods/b/exec?command=sh&tty=true&stdin=true":                   "shell a/b: sh",
		"/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command=id&tty=1&stdin=1":   "exec a/b: sh -c id",
		"/api/v1/namespaces/a/pods/b/exec?command=sh&stdin=1":                               "shell a/b: sh",
		"/api/v1/namespaces/a/pods/b/exec?command=sh":                                       "exec a/b: sh",
		"/api/v1/namespaces/a/pods/b/exec?command=env&command=bash&command=-s&stdin=1":      "shell a/b: env bash -s",
		"/api/v1/namespaces/a/pods/b/exec?command=busybox&command=sh&stdin=1":               "shell a/b: busybox sh",
		"/api/v1/namespaces/a/pods/b/exec?command=fish&stdin=1&tty=1":                       "shell a/b: fish",
		"/api/v1/namespaces/a/pods/b/exec?command=$SHELL&stdin=1":                           "exec a/b: '$SHELL'",
		"/api/v1/namespaces/a/pods/b/attach?container=c&stdin=true":                         "shell a/b/c: ",
		"/api/v1/namespaces/a/pods/b/portforward":                                           "forward a/b",
		"/api/v1/namespaces/a/pods/b":                                                       "GET pods:get []",
	} {
		op, err := Operation(target, path)
		require.NoError(t, err, path)
		require.Equal(t, want, text(op), path)
	}
	for path, want := range map[string]bool{
		"/api/v1/pods": false, "/api/v1/pods?watch=1": true, "/api/v1/watch/pods": true, "/api/v1/namespaces/a/pods/b/log": false, "/api/v1/namespaces/a/pods/b/log?follow=true": true,
		// What these answer may have no end.
		"/api/v1/namespaces/a/services/b/proxy/events": true, "/api/v1/nodes/n/proxy/logs/": true, "/debug/pprof/profile?seconds=9999": true,
	} {
		op, err := Operation(target, path)
		require.NoError(t, err, path)
		require.Equal(t, want, op.(*proxy.Request).Lasting, path)
	}
	for _, bad := range []string{"", "pods", "GET pods", "GET //x/y", "FOO /api/v1/pods"} {
		_, err := Operation(target, bad)
		require.Error(t, err, bad)
	}
}
