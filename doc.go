// Package sallyport is the tour of a library for building access gateways:
// programs between people, or their agents, and databases and
// servers that authenticate, authorise, guard and record every operation
// while native clients work unchanged.
//
// # Where to begin
//
// The reference gateway with something of your own: import gateway. It reads the
// config file of the sallyport binary, and takes interceptors at named places,
// identity providers, secret sources and audit sinks. [examples/reference] is such a
// program in under 30 lines.
//
// A gateway of chosen parts: import proxy, the kit of a protocol, and what should
// decide. [examples/parts] has all of them put together by hand.
//
// An interceptor of your own: import proxy, and proxy/proxytest in its tests.
//
// # The examples
//
// Each is a program that a test runs against real servers with real clients.
//
//   - [examples/reference]: the reference gateway and one interceptor.
//   - [examples/parts]: all parts by hand, with TLS, catalog, masking and SSH.
//   - [examples/identity]: an identity provider of one's own, by signed tokens.
//   - [examples/secrets]: a secret source of one's own, of sealed files.
//   - [examples/sink]: an audit sink of one's own, at least once and in order.
//   - [examples/opa]: a policy in Rego, with tests of its own.
//   - [examples/maskfilter]: a masking filter of one's own, by base columns.
//   - [examples/store]: a store of one's own, in a folder that processes share.
//
// # The core
//
// A gateway is a proxy.Gateway: ports that say who may come
// (proxy.Authenticator), what there is (proxy.Directory) and how the gateway
// proves itself there (proxy.CredentialSource), and a chain of
// proxy.Interceptor values that decide. Handlers serve a protocol each and do not
// know who decides. What decides is one revision, which is replaced as a whole while
// sessions are open.
//
// What is decided about is a proxy.Op: a *proxy.Statement with its Text and the Facts
// that say what it would do, a *proxy.Exec with its Command, a *proxy.File and so on. It
// belongs to the handler until Done has returned.
//
//   - protocol/aws: AWS between its command line, SDKs and services.
//   - protocol/aws/kit: the same wired.
//   - protocol/kubernetes: the API of Kubernetes between kubectl and clusters.
//   - protocol/kubernetes/kit: the same wired, and kubeconfigs.
//   - protocol/web: HTTP between browsers, programs and web applications.
//   - protocol/web/kit: the same wired, with the key that signs who asks.
//   - proxy: operations, verdicts, hooks, sessions, the gateway and its ports. It
//     needs the standard library only.
//   - proxy/proxytest: sessions and gateways in memory, faults, and conformance
//     suites for interceptors, handlers and masking filters.
//   - proxy/tunnel: agents that dial out from private networks, and the dialer that
//     reaches resources by them.
//   - proxy/tunnel/websocket: their connections in WebSockets.
//
// # Protocols
//
//   - protocol: what a protocol is to an assembly: a value with settings and handlers.
//   - protocol/builtin: the list of this module's protocols.
//   - protocol/mysql: MySQL and MariaDB on both sides of a gateway.
//   - protocol/mysql/kit: MySQL wired, with its parser.
//   - protocol/mysql/wire: their bytes.
//   - protocol/postgres: PostgreSQL on both sides of a gateway.
//   - protocol/postgres/kit: PostgreSQL wired, with parser, catalogs and estimates.
//   - protocol/postgres/wire: PostgreSQL's bytes.
//   - protocol/ssh: SSH on both sides of a gateway.
//   - protocol/ssh/kit: SSH wired, with keys, known hosts and menu.
//   - protocol/ssh/commandline: the commands of resources that run single commands.
//   - protocol/ssh/sftp: each access to a file of an SFTP session.
//   - protocol/tcp: connections to resources of any protocol, into which nobody looks.
//   - protocol/tcp/kit: the same wired.
//   - protocol/sql: what analysers of SQL share: normalising, caches, catalogs.
//   - protocol/sql/postgres: what PostgreSQL's SQL does.
//   - protocol/sql/mysql: what the SQL of MySQL and MariaDB does.
//   - protocol/shell: which programs a command line runs.
//
// # What decides
//
// Each is an interceptor or a port, imports none of the others, and can be replaced
// by one of your own.
//
//   - identity: local users, by password, key or certificate.
//   - identity/oidc: logins at OpenID providers: browsers, devices, workloads.
//   - identity/stored: what the packages of identity keep, in a store.
//   - identity/scim: a SCIM 2.0 service for users and groups of a company's directory.
//   - identity/tokens: access tokens of programs, and sessions of those who have logged in.
//   - identity/totp: a second factor by codes of an app.
//   - identity/webauthn: a second factor by security keys and passkeys.
//   - identity/link: logins in the browser for native clients that wait at a link.
//   - identity/local: what local users set up themselves: passwords, second factors.
//   - identity/loopback: the command line's side of a login in the browser.
//   - identity/identitytest: conformance suites, and a real provider for tests.
//   - identity/ca: certificate authorities: the gateway's own, and for those who have logged in.
//   - secrets: where the gateway's credentials come from.
//   - secrets/age: files that are encrypted with age.
//   - secrets/aws: Secrets Manager, Parameter Store and logins of RDS.
//   - secrets/azure: secrets of Azure Key Vault.
//   - secrets/builtin: the list of this module's kinds of sources of secrets.
//   - secrets/google: Secret Manager and logins of Cloud SQL.
//   - secrets/kubernetes: Secrets of Kubernetes.
//   - secrets/onepassword: items of 1Password, by a Connect server.
//   - secrets/sops: files that SOPS has encrypted to keys of age.
//   - secrets/vault: secrets, database accounts and SSH certificates of Vault and OpenBao.
//   - secrets/secretstest: the suite that every provider of secrets passes.
//   - policy: who may do what.
//   - policy/ledger: what people have used of their budgets, for all gateways on a store.
//   - policy/opa: policies in Rego.
//   - review: operations that wait for somebody else's approval, and telling people of them.
//   - review/webhook: telling an endpoint of requests, by signed messages.
//   - review/slack: telling people of requests in Slack.
//   - review/smtp: telling people of requests by mail.
//   - review/teams: telling people of requests in Microsoft Teams, where they can decide.
//   - review/jira: telling people of requests by issues in Jira, where they can decide.
//   - review/pagerduty: alerts about requests in PagerDuty, and who is on call there.
//   - review/opsgenie: the same in Opsgenie.
//   - review/offline: grants for when the store and the identity provider are down.
//   - review/reviewtest: the tests that every review.Notifier passes.
//   - revision: changes of the configuration, with their authors and approvals.
//   - runbook: reviewed procedures with typed parameters, which are bound and never put into texts.
//   - runbook/git: runbooks of a Git repository or a folder.
//   - guardrail: what nobody should do, by what an operation would do.
//   - detect: finding sensitive values in text, and judging what columns hold.
//   - masking: hiding sensitive values in what flows.
//   - masking/external: asking an analyzer outside of the process about values.
//
// # The record
//
//   - alert: rules over events of the record, of which people are told.
//   - audit: encrypted, hash-chained records that can be proven, and sinks for events.
//   - audit/age: sealing what was not masked to a key of age.
//   - audit/s3: copies of sealed records in a bucket.
//   - audit/witness: telling witnesses of the log's heads.
//   - audit/jsonl: events as lines of JSON.
//   - audit/ocsf: events as the Open Cybersecurity Schema Framework has them.
//   - audit/otel: traces, metrics and logs over OTLP.
//   - audit/prometheus: numbers.
//   - audit/syslog: events to a syslog collector.
//   - audit/webhook: events to an HTTP endpoint, signed.
//   - audit/text: an event as a line of plain text.
//   - audit/timeline: a session's operations.
//   - audit/compliance: packs of evidence for auditors, by the controls of frameworks.
//   - audit/replay: showing recordings.
//   - audit/report: an auditor's report.
//
// # State
//
//   - store: documents with versions, a feed of their changes, leases, sealing.
//   - store/sqlstore: the store in SQLite or PostgreSQL.
//   - store/storetest: the tests that every store passes.
//
// # Assemblies
//
//   - gateway: the reference gateway as a library, and what it would answer.
//   - gateway/backup: a gateway in one encrypted file, and back.
//   - gateway/doctor: what is wrong with a deployment, and what to do.
//   - gateway/rego: policies in Rego for the reference gateway.
//   - gateway/config: the config file, and what it builds.
//   - control: the API: logging in, what one may reach, looking into a running gateway and
//     acting on it.
//   - control/client: asking a gateway by it.
//   - control/mcp: AI agents, by the Model Context Protocol.
//   - console: the web console, one http.Handler.
//   - cmd/sallyport: the reference gateway and its command line.
//
// [examples/reference]: https://github.com/sallyport/sallyport/tree/main/examples/reference
// [examples/parts]: https://github.com/sallyport/sallyport/tree/main/examples/parts
// [examples/identity]: https://github.com/sallyport/sallyport/tree/main/examples/identity
// [examples/secrets]: https://github.com/sallyport/sallyport/tree/main/examples/secrets
// [examples/sink]: https://github.com/sallyport/sallyport/tree/main/examples/sink
// [examples/opa]: https://github.com/sallyport/sallyport/tree/main/examples/opa
// [examples/maskfilter]: https://github.com/sallyport/sallyport/tree/main/examples/maskfilter
// [examples/store]: https://github.com/sallyport/sallyport/tree/main/examples/store
package sallyport
