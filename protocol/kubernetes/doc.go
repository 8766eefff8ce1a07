// Package kubernetes serves the APIs of Kubernetes clusters to kubectl and client libraries:
// every request is an operation that the gateway's interceptors decide about, by API group,
// resource, subresource and verb.
//
// A [Handler] takes clients by an access token or a client certificate, and asks the cluster
// as the resource's account, or as the person by impersonation. What a client says of who it is
// never reaches the cluster. Commands that are run in containers are judged and recorded as those of SSH
// are. The values of Secrets are masked.
package kubernetes
