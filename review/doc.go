// Package review lets a person other than the requester decide about held
// operations. A [Queue] holds them in memory: a held operation lives as long as its
// connection, and so does its request.
//
// A request is bound to exactly what will run: who, where, text and arguments go
// into its hash, and a decision names the hash of what its author saw. It is
// decided once, by somebody who is eligible when deciding; the requester never is.
// Every transition is noted for the record before it takes effect.
package review
