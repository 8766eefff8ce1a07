package secrets

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func lease(ref string) (*proxy.Lease, error) {
	b, err := NewBroker(Options{Source: Default()})
	if err != nil {
		return nil, err
	}
	return b.Lease(context.Background(), proxy.LeaseRequest{Target: proxy.Target{Account: proxy.Account{Username: "app", Secret: ref}}})
}

func TestLease(t *testing.T) {
	t.Setenv("SECRET_X", "hunter2")
	t.Setenv("SECRET_EMPTY", "")
	file := filepath.Join(t.TempDir(), "s")
	require.NoError(t, os.WriteFile(file, []byte("from file\n"), 0o600))
	l, err := lease("env:SECRET_X")
	require.NoError(t, err)
	require.Equal(t, "hunter2", l.Password.Reveal())
	require.Equal(t, "app", l.Username)
	l, err = lease("file:" + file)
	require.NoError(t, err)
	require.Equal(t, "from file", l.Password.Reveal())
	require.NoError(t, os.WriteFile(file, []byte("rotated"), 0o600))
	l, err = lease("file:" + file)
	require.NoError(t, err)
	require.Equal(t, "rotated", l.Password.Reveal())
	l, err = lease("")
	require.NoError(t, err)
	require.True(t, l.Password.Empty())
}

// A file that was not there is read as soon as it is.
func TestFileThatComes(t *testing.T) {
	b, err := NewBroker(Options{Source: Default()})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "s")
	_, _, err = b.Fetch(t.Context(), "file:"+file, false)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, os.WriteFile(file, []byte("now"), 0o600))
	s, _, err := b.Fetch(t.Context(), "file:"+file, false)
	require.NoError(t, err)
	require.Equal(t, "now", s.Reveal())
}

// TestAttack73 has secrets that cannot be had: there is no connection then.
func TestAttack73SecretsThatCannotBeHad(t *testing.T) {
	t.Setenv("SECRET_EMPTY", "")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, ref := range []string{"env:NO_SUCH_VARIABLE", "env:SECRET_EMPTY", "file:/no/such/file", "file:" + empty, "hunter2", "vault:x", "env:"} {
		l, err := lease(ref)
		require.Error(t, err, ref)
		require.Nil(t, l)
	}
	_, err := lease("hunter2")
	require.NotContains(t, err.Error(), "hunter2", "what stands in the place of a reference may be the secret itself")
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Setenv("SECRET_X", "hunter2")
	l, err := lease("env:SECRET_X")
	require.NoError(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, l.Credential), "hunter2", format)
	}
}
