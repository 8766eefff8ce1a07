// Package review has operations decided by somebody else than who asked for
// them. A [Queue] holds them in memory: a held operation lives as long as its
// connection, and so does its request.
//
// A request is bound to exactly what will run: who, where, text and arguments go
// into its hash, and a decision names the hash of what its author saw. It is
// decided once, by somebody who is eligible when deciding; the requester never is.
// Every transition is told before it takes effect, for the record.
package review
