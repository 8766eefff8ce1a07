// Package secrets holds credential sources: where the gateway gets what it
// proves itself with to resources. A secret is named by a reference,
// "SCHEME:PATH#KEY?OPTIONS"; the scheme chooses the [Provider]. A [Source] has the providers; a
// [Broker] adds what needs a memory: a cache of seconds, one question at a time, a
// breaker, and leases that are renewed, and revoked also after a crash.
package secrets
