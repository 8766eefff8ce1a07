package config

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// What a protocol never has is not waited for, and everything else is recorded as
// the file says.
func TestRecordings(t *testing.T) {
	for _, c := range []struct {
		name, section, resource string
		least                   policy.Recording
		want                    audit.Recording
	}{
		{"a machine", "", "vm1", policy.RecordingDefault, audit.DefaultRecording()},
		{"a database", "", "orders", policy.RecordingDefault, audit.Recording{}},
		{"a database of which a rule wants digests", "", "orders", policy.RecordingDigest, audit.Recording{Rows: audit.Digest, Copy: audit.Digest}},
		{"a database of which a rule wants samples", "", "orders", policy.RecordingSample, audit.Recording{Rows: audit.Sample, Copy: audit.Sample}},
		{"a database of which a rule wants all", "", "orders", policy.RecordingFull, audit.Recording{Rows: audit.Full, Copy: audit.Full}},
		{"a rule that wants less than the section", "audit: {recordings: [{rows: full, limit_mb: 1}]}", "orders", policy.RecordingDigest, audit.Recording{Rows: audit.Full, Copy: audit.Digest, Limit: 1 << 20}},
		{"a rule that wants more than the section", "audit: {recordings: [{terminal: off, exec: digest}]}", "vm1", policy.RecordingFull, audit.Recording{Terminal: audit.Full, Exec: audit.Full, Rows: audit.Full, Copy: audit.Full}},
		{"a machine's section", "audit: {recordings: [{terminal: digest, rows: full}]}", "vm1", policy.RecordingDefault, audit.Recording{Terminal: audit.Digest, Exec: audit.Full, Rows: audit.Full}},
		{"a database's section", "audit: {recordings: [{terminal: digest, rows: full}]}", "orders", policy.RecordingDefault, audit.Recording{Rows: audit.Full}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := packed(t, c.section)
			require.NoError(t, err)
			require.Equal(t, c.want, f.Recordings()(proxy.Target{Resource: resourceOf(t, f, c.resource)}, c.least))
		})
	}
	// A protocol that does not say what it asks about, or one that is not known, has
	// everything.
	f, err := packed(t, "")
	require.NoError(t, err)
	require.Equal(t, audit.DefaultRecording(), f.Recordings()(proxy.Target{Resource: &proxy.Resource{Type: "other"}}, policy.RecordingDefault))
}
