package audit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func TestMaskedCounts(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	op := statementOf("SELECT 1")
	require.False(t, s.Ask(t.Context(), op).Refuses())
	l.Masked(s, op, "EMAIL_ADDRESS", 2)
	l.Masked(s, op, "EMAIL_ADDRESS", 1)
	l.Masked(s, op, "CREDIT_CARD", 1)
	l.Masked(s, op, "US_SSN", 0)
	s.Done(op, &proxy.Outcome{})
	run(s, "SELECT 2")
	s.Close(nil)
	l.Masked(s, op, "EMAIL_ADDRESS", 1) // too late is no harm
	require.NoError(t, l.Close())
	list := events(t, dir, s.ID)
	require.Equal(t, map[string]uint64{"EMAIL_ADDRESS": 3, "CREDIT_CARD": 1}, list[4].Masked)
	require.Empty(t, list[6].Masked)
}

// TestUnmaskedSessions: a session that sees more than others by a rule's exception
// has that on record.
func TestUnmaskedSessions(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	op := statementOf("SELECT 1")
	require.False(t, s.Ask(t.Context(), op).Refuses())
	l.Unmasked(s, op, "pay")
	s.Done(op, &proxy.Outcome{})
	s.Close(nil)
	require.NoError(t, l.Close())
	found := 0
	for _, e := range events(t, dir, s.ID) {
		if e.Type == SessionUnmasked {
			require.Equal(t, "pay", e.Rule)
			found++
		}
	}
	require.Equal(t, 1, found)
}
