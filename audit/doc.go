// Package audit records what happens in sessions so that it can be proven later.
//
// A [Log] keeps one file per session: a stream of events, each written before the
// thing it tells of happens where that can be, encrypted with a key of the
// session's own, and chained by SHA-256 over what is stored. When a session
// ends, its chain's last value becomes a leaf of a Merkle tree (RFC 6962, as in
// golang.org/x/mod/sumdb/tlog), whose head is signed (C2SP signed-note and
// tlog-checkpoint). [Verify] needs the public key alone.
//
// What is proven: that the sealed sessions are those that were recorded, whole,
// in order and unaltered since they were sealed. What is not: that the holder of the
// signing key left nothing out, and, without a checkpoint kept
// elsewhere, that the log was not rolled back to an earlier state of its own.
package audit
