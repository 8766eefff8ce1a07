// Package aws serves accounts of Amazon Web Services: their command line and SDKs work unchanged, with the gateway as their
// endpoint, and every call is an operation that the gateway's interceptors decide about.
//
// A [Handler] gives each person keys of the gateway's own, which are bound to a login and a resource and end within an hour. It
// checks the signature of every request with them, finds out which action of which service is asked for, and signs what may run
// anew, with the resource's own keys. Neither the keys that it gives out nor the client's signature reach AWS, and the resource's
// keys do not reach the client.
//
// A resource's address is "amazonaws.com", below which each service and region has a host of its own, or an endpoint that serves
// all of them. Answers are masked while they pass. Values of Secrets Manager and SecureString parameters are withheld
// unless the settings reveal them.
package aws
