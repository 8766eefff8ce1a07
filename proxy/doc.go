// Package proxy is the core of Sallyport: what every access gateway built with
// it has in common, whatever protocol it speaks.
//
// One model serves every wire: an operation is asked; if it runs, its flow may
// be filtered; it is always told how it ended.
//
//	client ──► Handler ──► Session.Ask ──► policy ► review ► guardrail ► masking ► audit ──► resource
//	client ◄── Handler ◄── Flow filters, Tell hooks, Done                              ◄── resource
//
// A [Gateway] accepts connections and gives each to a [Handler], which speaks
// one protocol. The handler proves who the client is through the
// [Authenticator], opens a [Session] at a [Resource], and asks the session
// about every [Op]. The session's [Interceptor] values answer with a [Verdict].
//
// The package is closed by default: the zero Verdict refuses, Connect needs an
// explicit Allow, and an error, a panic, a timeout or an operation of unknown
// kind refuses. It uses the standard library only.
package proxy
