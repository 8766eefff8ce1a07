// Package postgres speaks PostgreSQL's protocol on both sides of a gateway:
// [Handler] is a proxy.Handler whose clients are psql, drivers and tools, and
// whose resources are PostgreSQL servers.
//
// # How a session flows
//
// Two goroutines serve a session. up reads the client and writes the server;
// down reads the server and writes the client. Between them is a queue of
// the answers that are owed, in the protocol's order: up appends an entry for
// every message that the server will answer, down takes it off when the answer
// is complete. So each answer is known to belong to its operation, also when
// the client pipelines.
//
// Frames are found without being decoded, and runs of them are forwarded as
// they came. Only what somebody asked for is looked at: statements for the
// chain's Ask, rows for its Flow, errors and notices for its Tell.
//
// # How a refusal keeps both sides equal
//
// A refused message is replaced by one of the same kind that the server is
// certain to refuse: a text that is not SQL, a portal that does not exist. The
// server then does all that an error entails, by itself: it aborts the
// transaction, skips the rest of the batch and reports its state. The gateway
// puts its own ErrorResponse in the place of the server's. Client and server
// cannot come to differ, because nothing is pretended.
//
// A refused text that the gateway's grammar does not read goes before that message, to
// be parsed and not run: where the server does not read it either, its own syntax error
// is what the client is told.
package postgres
