// Package web serves web applications: people come with a browser and log in at the
// gateway, programs show an access token or a client certificate, and every request is
// an operation that the gateway's interceptors decide about.
//
// A [Handler] is a reverse proxy for HTTP/1.1 and HTTP/2, with gRPC, WebSockets,
// server-sent events and trailers. It never forwards what proves somebody to the gateway.
// It tells the application who asks by a signed assertion in a header, and gives it the
// resource's credential where there is one. Bodies that interceptors want to edit are
// decoded, edited while they pass, and sent on without the validators of the original.
//
// Paths below /.gateway/ of each application are the gateway's own: the login, the logout,
// and the keys by which an application checks assertions.
package web
