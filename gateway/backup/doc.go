// Package backup writes what a gateway needs to come back into one encrypted file, while the gateway
// runs, and puts it back into an empty data directory.
//
// A backup is a tar archive in a file of age (age-encryption.org), so that "age -d" and "tar" open it, too:
//
//	backup.json      its format, the version that made it, and what is in it
//	data/…           the data directory: the store, keys, authorities, the audit log
//	config/…         the config file, and the files of its folder that it names
//	outside/…        files elsewhere that the config file names, by their absolute paths
//	manifest.json    every file with its size, mode and SHA-256
//	manifest.sig     the manifest's SHA-256, signed by the key of the audit log
//
// The store is copied before the audit log: what the store has is on record in the log. What the log has
// and the store does not have is told by the gateway when it starts, as after a crash.
package backup
