package mysql

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Settings are what a resource allows beyond the default. They are the value of
// proxy.Resource.Settings. The zero value is the strictest.
type Settings struct {
	// ReadOnly has the server refuse writes: every transaction starts read only.
	ReadOnly bool `yaml:"read_only"`
	// LocalInfile lets the server ask clients for files (LOAD DATA LOCAL).
	LocalInfile bool `yaml:"local_infile"`
	// Replication allows the commands by which replicas read a server's log.
	Replication bool `yaml:"replication"`
	// NativePassword lets a server that has announced something stronger ask for
	// mysql_native_password.
	NativePassword bool `yaml:"native_password"`
	// Cleartext lets the server ask for the password as it is, over TLS or a Unix
	// socket only.
	Cleartext bool `yaml:"cleartext"`
	// Plaintext allows a secret to be proven over a connection without TLS to an
	// address that is neither loopback nor a Unix socket.
	Plaintext bool `yaml:"plaintext"`
	// Schema is the database that is current when the client names none.
	Schema string `yaml:"schema"`
	// ServerVersion is what clients are told of the server's version before the gateway
	// has seen it, such as "10.11.6-MariaDB".
	ServerVersion string `yaml:"server_version"`
	// MaxStatement is the longest text of a statement, in bytes; 0 is 64 MiB. Longer ones
	// are refused, and the session goes on.
	MaxStatement int `yaml:"max_statement"`
	// MaxData is the longest set of arguments, which is refused when it is longer, and the
	// longest row that filters look at, which ends the session; 0 is 256 MiB.
	MaxData int `yaml:"max_data"`
}

const (
	defaultMaxStatement = 64 << 20
	defaultMaxData      = 256 << 20
	maxMax              = 1<<30 - 1 // of what a server takes
)

func (s *Settings) maxStatement() int { return cmp.Or(s.MaxStatement, defaultMaxStatement) }

func (s *Settings) maxData() int { return cmp.Or(s.MaxData, defaultMaxData) }

// SetReadOnly sets ReadOnly.
func (s *Settings) SetReadOnly() { s.ReadOnly = true }

// Validate reports everything about s that cannot work.
func (s *Settings) Validate() error {
	var errs []error
	for _, l := range []struct {
		key string
		n   int
	}{{"max_statement", s.MaxStatement}, {"max_data", s.MaxData}} {
		if l.n < 0 || l.n > maxMax {
			errs = append(errs, fmt.Errorf("%s: got %d, want a number of bytes up to %d, or 0 for the default", l.key, l.n, maxMax))
		}
	}
	if v := s.ServerVersion; v != "" && (numberOf(v) == 0 || len(v) > 60 || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' })) {
		errs = append(errs, fmt.Errorf("server_version: got %q, want what SELECT VERSION() returns, such as 10.11.6-MariaDB", v))
	}
	return errors.Join(errs...)
}
