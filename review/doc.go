// Package review has other people decide about what somebody asks for: an operation
// that is held, or access to a resource for a time. A [Desk] keeps requests in a store,
// so that neither a crash nor a restart loses one, and several gateways know the same.
//
// A request is bound to exactly what was asked: who, where, text and arguments go
// into its hash, and a decision names the hash of what its author saw. It is
// decided once, by somebody who is eligible when deciding; the requester never is.
// Every transition is noted for the record before it takes effect. An approved
// operation runs once, or never.
//
// A [Gate] is the interceptor for a program that decides itself what needs an approval; rules of package policy that have a Request
// hold by themselves.
//
// An [Outbox] tells people of requests by channels, such as those of the packages
// below this one.
package review
