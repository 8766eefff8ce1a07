// Package control is how people and programs look into a running gateway and
// act on it: an http.Handler with a JSON API.
//
//	GET  /v1/sessions              the open sessions
//	GET  /v1/sessions/{id}         one of them
//	POST /v1/sessions/{id}/kill    end it: {"reason": "…"}
//	POST /v1/sessions/{id}/erase   destroy what is recorded of it; also hold and release
//	GET  /v1/sessions/{id}/watch   its record while it is written, one JSON object per line
//	GET  /v1/requests              the operations that wait for a decision
//	GET  /v1/requests/{id}         one of them, or one that was decided recently
//	POST /v1/requests/{id}/approve let it run: {"user": "…", "password": "…", "hash": "…"}
//	POST /v1/requests/{id}/deny    refuse it, with a "reason"
//	POST /v1/detokenised           record that a masked value was turned back
//
// Answers are JSON; a failure is {"error": {"code": "…", "message": "…"}} with
// a code of [Error]. The package is closed by default: without Authenticate and
// Permit every request is refused, and what cannot be recorded is not done.
//
// [Listen] and [PeerContext] serve it on a local socket whose callers the operating
// system names. [Client] asks it there.
package control
