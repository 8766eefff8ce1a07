package postgres

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Settings are what a PostgreSQL resource allows beyond the default. They are
// the value of proxy.Resource.Settings. The zero value is the strictest.
type Settings struct {
	// Replication allows connections with the replication parameter.
	Replication bool `yaml:"replication"`
	// FunctionCall allows the FunctionCall message, with which large objects are
	// read and written (lo_open, loread …); no SQL is seen there.
	FunctionCall bool `yaml:"function_call"`
	// ReadOnly has the server refuse writes: every transaction starts read only.
	ReadOnly bool `yaml:"read_only"`
	// MD5 and Cleartext allow these ways of proving the gateway's password to the
	// server; Cleartext still asks for TLS unless Plaintext is set too.
	MD5       bool `yaml:"md5"`
	Cleartext bool `yaml:"cleartext"`
	// Plaintext allows a secret to be proven over a connection without TLS to an
	// address that is neither loopback nor a Unix socket. SCRAM never sends the
	// secret and is always allowed.
	Plaintext bool `yaml:"plaintext"`
	// StartupParameters are names that clients may set at start-up, in addition to
	// [DefaultStartupParameters]. "*" allows all.
	StartupParameters []string `yaml:"startup_parameters"`
	// MaxStatement is the longest text of a statement from the client, in bytes; 0
	// is 64 MiB. Longer ones are refused, and the session goes on.
	MaxStatement int `yaml:"max_statement"`
	// MaxData is the longest set of arguments from the client, which is refused when
	// it is longer, and the longest row that filters look at, which ends the session; 0 is
	// 256 MiB. Rows that nobody looks at have no limit, nor has the data of a COPY as a whole.
	MaxData int `yaml:"max_data"`
}

const (
	defaultMaxStatement = 64 << 20
	defaultMaxData      = 256 << 20
	maxMax              = 1<<30 - 1 // of a message to the server
)

func (s *Settings) maxStatement() int { return cmp.Or(s.MaxStatement, defaultMaxStatement) }

func (s *Settings) maxData() int { return cmp.Or(s.MaxData, defaultMaxData) }

// defaultStartupParameters are the settings that every client may choose: they
// change how values look or how long things may take, not what statements mean. A
// search_path does, and is asked for as SET is.
var defaultStartupParameters = map[string]bool{
	"application_name": true, "bytea_output": true, "client_encoding": true, "client_min_messages": true,
	"datestyle": true, "default_transaction_deferrable": true, "default_transaction_isolation": true,
	"default_transaction_read_only": true, "extra_float_digits": true, "geqo": true,
	"idle_in_transaction_session_timeout": true, "idle_session_timeout": true, "intervalstyle": true,
	"jit": true, "lock_timeout": true, searchPath: true, "statement_timeout": true, "timezone": true,
	"transaction_timeout": true,
}

// DefaultStartupParameters returns the names of the settings that every client
// may choose at start-up, in lower case.
func DefaultStartupParameters() []string {
	return slices.Sorted(maps.Keys(defaultStartupParameters))
}

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
	for _, name := range s.StartupParameters {
		if strings.TrimSpace(name) == "" {
			errs = append(errs, errors.New("startup_parameters: a name is empty"))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) allowsParameter(name string) bool {
	name = strings.ToLower(name)
	if defaultStartupParameters[name] {
		return !s.ReadOnly || name != "default_transaction_read_only"
	}
	for _, a := range s.StartupParameters {
		if a == "*" || strings.EqualFold(a, name) {
			return !s.ReadOnly || name != "default_transaction_read_only"
		}
	}
	return false
}
