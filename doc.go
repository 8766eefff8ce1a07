// Package sallyport is the tour of a library for building access gateways:
// programs between people, or their agents, and databases and
// servers that authenticate, authorise, guard and record every operation
// while native clients work unchanged.
//
// A gateway is a proxy.Gateway: ports that say who may come
// (proxy.Authenticator), what there is (proxy.Directory) and how the gateway
// proves itself there (proxy.CredentialSource), and a chain of
// proxy.Interceptor values that decide. Handlers speak a protocol each and know
// nothing about the interceptors.
//
//   - proxy is the core, and needs the standard library only.
//   - protocol says what a protocol is to an assembly. protocol/postgres speaks
//     PostgreSQL, protocol/ssh SSH; the kit of each is the protocol wired, and
//     protocol/builtin lists them.
//   - protocol/sql says what SQL does; protocol/sql/postgres is its parser.
//   - identity, policy, secrets and audit are interceptors and ports that a
//     gateway can be made of; each can be replaced by one of your own.
//   - gateway/config reads the config file and builds what it says.
//   - cmd/sallyport is a gateway assembled from them, and examples/embed a small
//     one with an interceptor of its own.
package sallyport
