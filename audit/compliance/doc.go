// Package compliance makes packs of evidence for auditors from a log: of a period, and ordered by the controls of a framework.
//
// A pack is a ZIP file with a page for people, index.html, and each kind of evidence as CSV and as JSON: sessions, decisions,
// requests, logins, what administrators did, masking, erasure, the state of each record with the proof that it is sealed, and
// what the gateway holds besides, such as users and their access. Its manifest has the SHA-256 of each file and the signed head of the log that the
// records are proven by; the log's key has signed the manifest. [Verify] checks all of it with the log's public key alone.
//
// A pack holds no text, no argument and no row of an operation, and no message of a server: it names relations, rules and
// fingerprints. What a control asks for that the gateway cannot prove is named with the control.
//
// Memory does not grow with what sessions hold: rows are spooled to files, compressed, as they are found.
package compliance
