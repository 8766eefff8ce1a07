package proxy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestMessage shows what users read of a verdict.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		name, reason, rule, want string
	}{
		{"nothing", "", "", "this operation is not allowed"},
		{"a reason", "files are closed", "", "files are closed"},
		{"a rule", "files are closed", "no-files", "files are closed (rule no-files)"},
		{"a rule that is called one", "files are closed", "masking rule 1", "files are closed (masking rule 1)"},
		{"a rule alone", "", "no-files", "this operation is not allowed (rule no-files)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := proxy.Deny(proxy.CausePolicy, c.rule, c.reason, "")
			require.Equal(t, c.want, v.Message())
		})
	}
}
