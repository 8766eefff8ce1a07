package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A login that failed leaves a folder without a profile. It is not a login, and hides no other.
func TestStatusAfterAFailedLogin(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("SALLYPORT_PROFILE", "")
	at, err := home()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(at, "profiles", "failed"), 0o700))
	code, _, errs := sallyport(t, "", "status")
	require.Equal(t, exitNotLoggedIn, code)
	require.Contains(t, errs, "not logged in; log in: sallyport login URL")

	p, err := newProfile("works", "https://127.0.0.1:1")
	require.NoError(t, err)
	require.NoError(t, p.write(profileFile, []byte(`{"url": "https://127.0.0.1:1", "subject": "alice"}`)))
	names, err := profiles()
	require.NoError(t, err)
	require.Equal(t, []string{"works"}, names)
	_, out, errs := sallyport(t, "", "status")
	require.Contains(t, out, "alice", errs)
}
