package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/gateway/doctor"
)

// A deployment that works has no problem while it runs, and what is wrong is told with an exit code, and without a secret.
func TestDoctor(t *testing.T) {
	o := openOffice(t, "")
	code, out, errs := sallyport(t, "", "doctor", "-c", o.config, "-o", "json")
	require.Equal(t, exitOK, code, out+errs)
	found := decode[listed[doctor.Finding]](t, out).Items
	checks := map[string]bool{}
	for _, f := range found {
		require.NotEqual(t, doctor.Problem, f.Level, f)
		checks[f.Check] = true
	}
	for _, check := range []string{"config", "data_dir", "space", "descriptors", "clock", "certificates", "store", "resources"} {
		require.True(t, checks[check], check)
	}
	o.stop(t)

	taken, err := net.Listen("tcp", net.JoinHostPort(o.host, o.port))
	require.NoError(t, err)
	defer taken.Close()
	require.NoError(t, os.WriteFile(filepath.Join(o.dir, "db.password"), []byte("wrong-password-canary"), 0o600))
	code, out, errs = sallyport(t, "", "doctor", "-c", o.config, "--quiet")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "2 problems")
	require.Contains(t, out, "in use by another process")
	require.Contains(t, out, "shop")
	require.NotContains(t, out+errs, "wrong-password-canary")
}
