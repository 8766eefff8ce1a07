package audit

import (
	"errors"
	"fmt"
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
	note := func(typ string, n uint64) error {
		return s.Note(t.Context(), op, &proxy.Note{Kind: proxy.NoteMasked, Type: typ, Count: n})
	}
	require.NoError(t, errors.Join(note("EMAIL_ADDRESS", 2), note("EMAIL_ADDRESS", 1), note("CREDIT_CARD", 1), note("US_SSN", 0)))
	s.Done(op, &proxy.Outcome{})
	run(s, "SELECT 2")
	s.Close(nil)
	require.NoError(t, note("EMAIL_ADDRESS", 1), "too late does no harm")
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
	require.NoError(t, s.Note(t.Context(), op, &proxy.Note{Kind: proxy.NoteExempted, Rule: "pay"}))
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

// Notes of no session are kept in the gateway's own record, and what the log does
// not know is refused.
func TestNotesOfTheGateway(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{l}}
	alice := &proxy.Identity{Subject: "alice"}
	require.NoError(t, g.Note(t.Context(), &proxy.Note{Kind: proxy.NoteDetokenised, Identity: alice, Type: "US_SSN"}))
	require.NoError(t, g.Note(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &proxy.RequestNote{ID: "r1", State: "approved", Rules: []string{"big", "old"}, DecidedBy: "bob", Rows: 7}}))
	for _, k := range []proxy.NoteKind{0, proxy.NoteAnswered, proxy.NoteReview, 99} {
		require.Error(t, g.Note(t.Context(), &proxy.Note{Kind: k}))
	}
	own := l.own.id
	require.NoError(t, l.Close())
	var found []string
	for _, e := range events(t, dir, own) {
		switch e.Type {
		case AdminDetokenise:
			found = append(found, e.User+" "+e.Action)
		case "review.approved":
			found = append(found, fmt.Sprint(e.Request, " ", e.Rule, " ", e.DecidedBy, " ", e.Rows))
		}
	}
	require.Equal(t, []string{"alice US_SSN", "r1 big bob 7"}, found)
}

// A session's record says when other rules began to judge it.
func TestRevisedSessions(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, Config{})
	s := newSession(t, l)
	require.NoError(t, s.Gateway().Use(&proxy.Revision{Name: "rules-2", Interceptors: []proxy.Interceptor{permit{}, l}}))
	run(s, "SELECT 1")
	s.Close(nil)
	require.NoError(t, l.Close())
	var types []string
	for _, e := range events(t, dir, s.ID) {
		types = append(types, e.Type+e.Policy)
	}
	require.Equal(t, []string{SessionStart, OperationStart, OperationEnd, SessionRevised + "rules-2", OperationStart, OperationEnd, SessionEnd}, types)
}
