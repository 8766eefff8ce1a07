package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// What a protocol never has is not waited for, and everything else is recorded as
// the file says.
func TestRecordings(t *testing.T) {
	for _, c := range []struct {
		name, section, resource string
		want                    audit.Recording
	}{
		{"a machine", "", "vm1", audit.DefaultRecording()},
		{"a database", "", "orders", audit.Recording{}},
		{"a machine's section", "audit: {recordings: [{terminal: digest, rows: full}]}", "vm1", audit.Recording{Terminal: audit.Digest, Exec: audit.Full, Rows: audit.Full}},
		{"a database's section", "audit: {recordings: [{terminal: digest, rows: full}]}", "orders", audit.Recording{Rows: audit.Full}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := packed(t, c.section)
			require.NoError(t, err)
			require.Equal(t, c.want, f.Recordings()(proxy.Target{Resource: resourceOf(t, f, c.resource)}))
		})
	}
	// A protocol that does not say what it asks about, or one that is not known, has
	// everything.
	f, err := packed(t, "")
	require.NoError(t, err)
	require.Equal(t, audit.DefaultRecording(), f.Recordings()(proxy.Target{Resource: &proxy.Resource{Type: "other"}}))
}
