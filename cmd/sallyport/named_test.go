package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoUserIsNamed runs commands for a user where neither --user nor $USER names one.
func TestNoUserIsNamed(t *testing.T) {
	t.Setenv("USER", "")
	for _, line := range []string{"connect shop", "ssh-config", "ssh-cert key.pub", "detokenise tok", "approve 4jzq7nbkw2", "deny --reason no 4jzq7nbkw2"} {
		t.Run(strings.Fields(line)[0], func(t *testing.T) {
			code, out, errs := sallyport(t, "", strings.Fields(line)...)
			require.Equal(t, exitUsage, code)
			require.Empty(t, out)
			require.Contains(t, errs, "no user is named: give --user USER")
		})
	}
}
