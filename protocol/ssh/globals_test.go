package ssh_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoMoreSessions: a client that gives up its right to open sessions keeps
// the one that it had asked for before, as OpenSSH's does in one breath.
func TestNoMoreSessions(t *testing.T) {
	r := newRig(t, nil)
	for range 5 {
		c := r.mustClient()
		s, err := c.NewSession()
		require.NoError(t, err)
		_, _, err = c.SendRequest("no-more-sessions@openssh.com", false, nil)
		require.NoError(t, err)
		out, err := s.Output("echo one")
		require.NoError(t, err)
		require.Equal(t, "one\n", string(out))
		_, err = c.NewSession()
		require.ErrorContains(t, err, "no more sessions")
		c.Close()
	}
}
