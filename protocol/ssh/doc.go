// Package ssh speaks SSH on both sides of a gateway: [Handler] is a
// proxy.Handler whose clients are ssh, scp, sftp, rsync, git and libraries, and
// whose resources are SSH servers. The connection is terminated twice: the
// client's ends at the gateway, and the gateway opens one of its own with a
// credential that the client never sees.
//
// # How a session flows
//
// A client proves who it is, and the session opens: the chain is asked for
// Connect, then the resource is dialled and its host key checked. Each channel
// that the client opens is then paired with one at the resource. A session
// channel is served by five goroutines: one takes the client's requests off the
// connection, so that it never stalls; one acts on them in order; and three move
// stdin, stdout and stderr. Flow control is end to end: a pump reads only when
// what it read before was taken, and SSH's windows do the rest.
//
// # What passes
//
// Every type of channel, channel request and global request is either in this
// package's tables, and then has a meaning, a setting and an operation that is
// asked, or it is refused and the refusal is recorded. Nothing is forwarded
// unread.
//
// # What is a boundary, and what is a tripwire
//
// Exec, subsystem, file and forwarding operations are decided before they reach
// the resource: they are boundaries. What is typed in an interactive shell is
// not: a shell offers endless ways to say the same, and rules on what is typed
// or shown are a tripwire. Where commands must be limited, make the resource
// exec-only.
package ssh
