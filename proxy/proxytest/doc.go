// Package proxytest is for those who write interceptors and handlers: sessions
// and gateways in memory, an interceptor that fails in every way there is, and
// the suites that an interceptor and a handler should pass.
package proxytest
