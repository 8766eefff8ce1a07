// Package git has runbooks come from a Git repository, or from a plain folder.
//
// It runs the program git, and nothing of a repository: there is no work tree, no hook, no
// configuration of a user or of the machine, and the only protocol that is spoken is the one
// of the source's address. A fetch takes one commit, into a bare store under one name that
// the gateway chooses, so that no name of a server's becomes one of a file; what it may take
// in bytes and time is bounded by the system. Files are read from the store by the hash of
// the commit, which is resolved once for a run.
//
// The program was chosen over a library because it is what the keepers of Git harden first:
// a library of ours would be a second reader of what hostile servers send, with some hundred
// packages, and its advisories would be the gateway's. A gateway that has no such source
// does not need the program.
package git
