package audit

import "time"

// SecretUse is something that happened to a secret, a credential of the gateway's. It holds
// nothing of the secret.
type SecretUse struct {
	Type    string // SecretResolve, SecretRenew, SecretRevoke or SecretLost
	Ref     string // the reference, as it is configured
	User    string // who needs it; empty is the gateway itself
	Session string // empty when it was for none
	Version string
	Lease   string
	Expires time.Time // zero: it is not known to
	Cached  bool      // it came from memory
	Took    time.Duration
	Err     error // nil: it went well
}

// Secret records what happened to a secret, in the gateway's own record.
func (l *Log) Secret(u SecretUse) {
	// What is not there cannot be told; a failure was logged.
	_ = l.own.event(time.Now(), u.Type, soon, func(b []byte) []byte {
		b = str(b, "session", u.Session)
		b = str(b, "user", u.User)
		b = str(b, "ref", u.Ref)
		b = str(b, "version", u.Version)
		b = str(b, "lease", u.Lease)
		if !u.Expires.IsZero() {
			b = str(b, "deadline", u.Expires.UTC().Format(time.RFC3339))
		}
		if u.Cached {
			b = append(name(b, "cached"), "true"...)
		}
		if u.Err != nil {
			b = str(b, "error", u.Err.Error())
		}
		return num(b, "us", uint64(max(0, u.Took.Microseconds())))
	})
}
