// Package control is how people and programs look into a running gateway and
// act on it: an http.Handler with a JSON API.
//
// docs/openapi.json describes it, made from the table of routes by [OpenAPI]. Two kinds of
// callers come here: users of the machine on the local socket ([Listen], [PeerContext]), and,
// by TLS, people and programs who have logged in at the gateway's [Portal].
//
// Answers are JSON; a failure is {"error": {"code": "…", "message": "…"}} with
// a code of [Error]. The package is closed by default: without Authenticate and
// Permit what needs a caller is refused, and what cannot be recorded is not done.
//
// package client asks it on the local socket.
package control
