package gateway

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

const evidenceRules = `
access: [{name: all, groups: [dev], resources: {env: test}, allow: [all]}]
guardrails:
  - use: off
  - {name: soon, deny: {relations: [legacy]}, observe: true}
  - {name: asked, hold: {effects: [delete]}, approvers: [ops], for: 1m}
masking:
  - use: off
  - {name: hidden, columns: [people.ssn], with: redact}
  - {name: excepted, columns: [people.city], with: redact, except: {groups: [dev]}}
`

// openEvidence runs a gateway whose interceptors leave notes of every kind.
func openEvidence(t *testing.T) *swapping {
	t.Helper()
	s := openSwapping(t, nil, t.TempDir())
	open := s.configs["open"]
	s.configs["evidence"] = open[:strings.Index(open, "access:")] + evidenceRules
	s.use(t, "evidence")
	return s
}

// noting is an interceptor of an assembly's own that leaves notes.
type noting struct{}

func (noting) Name() string            { return "noting" }
func (noting) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteObserved} }
func (noting) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{}, nil
}

// serves is a handler that is never reached.
type serves struct{}

func (serves) Protocol() string                             { return "none" }
func (serves) ServeConn(context.Context, *proxy.Conn) error { return errors.New("it serves") }

// TestEvidenceIsWired: whatever leaves notes is not started without somebody who
// records them, and a running gateway does not take such a revision.
func TestEvidenceIsWired(t *testing.T) {
	s := openEvidence(t)
	p := s.parts()
	for _, c := range []struct {
		name     string
		chain    []proxy.Interceptor
		reviewer proxy.Reviewer
		says     string
	}{
		{"masking", []proxy.Interceptor{p.rules, p.masker}, nil, "interceptor masking leaves notes (masked, exempted)"},
		{"a guardrail that observes", []proxy.Interceptor{p.rules, p.guardrail}, nil, "interceptor guardrail leaves notes (observed)"},
		{"a reviewer", []proxy.Interceptor{p.rules}, &review.Desk{}, "the reviewer leaves notes (review)"},
		{"an interceptor of one's own", []proxy.Interceptor{p.rules, noting{}}, nil, "interceptor noting leaves notes (observed)"},
		{"all of the gateway's but the log", p.chain([]proxy.Interceptor{s.Records().Originals(), p.masker}, []proxy.Interceptor{s.Metrics()}), nil, "guardrail leaves notes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := &proxy.Gateway{Directory: p.resources, Interceptors: c.chain, Reviewer: c.reviewer}
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer ln.Close()
			err = g.Serve(t.Context(), ln, serves{})
			require.ErrorIs(t, err, proxy.ErrUnrecorded)
			require.ErrorContains(t, err, c.says)
			_, _, err = g.Open(t.Context(), proxy.OpenRequest{Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Target: proxy.Target{Resource: p.resources[0]}})
			require.ErrorIs(t, err, proxy.ErrUnrecorded, "and no session is opened")

			before := s.Proxy().Revision()
			require.ErrorIs(t, s.Proxy().Use(&proxy.Revision{Directory: p.resources, Interceptors: c.chain}), proxy.ErrUnrecorded, "the gateway has a reviewer, too")
			require.Same(t, before, s.Proxy().Revision())

			recorded := &proxy.Gateway{Directory: p.resources, Interceptors: append(c.chain, s.Records()), Reviewer: c.reviewer}
			require.NoError(t, recorded.Use(recorded.Revision()), "with the log it would start")
		})
	}
	k := connect(t, s.plain("alice", "shop"))
	require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"), "the gateway goes on")
}

// TestEvidenceIsOnRecord: each kind of note is in the records of the assembled
// gateway.
func TestEvidenceIsOnRecord(t *testing.T) {
	s := openEvidence(t)
	k := connect(t, s.plain("alice", "shop"))
	session := s.session(t, "alice", "shop")
	for _, row := range k.query("SELECT ssn FROM people") {
		require.NotContains(t, row[0], "secret")
	}
	k.query("SELECT id FROM legacy")
	w := &wire{k.Frontend, k.conn}
	code, open := w.query(t, "DELETE FROM people WHERE id = 1", func() { require.True(t, session.CancelHolds()) })
	require.Equal(t, "42501", code)
	require.True(t, open)
	s.use(t, "open")
	k.query("SELECT 1")
	require.NoError(t, client.Socket(Socket(s.parts().config)).Detokenised(t.Context(), control.DetokenisedRequest{User: "alice", Type: "PERSON"}))
	require.NoError(t, s.stop())

	records := s.records(t)
	has := func(id string, f func(e *audit.Event) bool) bool {
		for _, e := range records[id] {
			if f(e) {
				return true
			}
		}
		return false
	}
	kinds := map[proxy.NoteKind]bool{
		proxy.NoteMasked: has(session.ID, func(e *audit.Event) bool {
			return e.Type == audit.OperationEnd && len(e.Masked) == 1 && e.Masked["US_SSN"] == 6
		}),
		proxy.NoteExempted: has(session.ID, func(e *audit.Event) bool { return e.Type == audit.SessionUnmasked && e.Rule == "excepted" }),
		proxy.NoteObserved: has(session.ID, func(e *audit.Event) bool { return e.Type == audit.OperationObserved && e.Rule == "soon" }),
		proxy.NoteRevised:  has(session.ID, func(e *audit.Event) bool { return e.Type == audit.SessionRevised && e.Policy != "" }),
		proxy.NoteReview: has("", func(e *audit.Event) bool {
			return e.Type == audit.ReviewPrefix+"pending" && e.Session == session.ID && e.Rule == "asked"
		}),
		proxy.NoteDetokenised: has("", func(e *audit.Event) bool { return e.Type == audit.AdminDetokenise }),
		proxy.NoteAnswered:    true, // is left in dry sessions only, which have no record
		proxy.NoteColumn:      true, // the same
	}
	for kind := proxy.NoteKind(1); kind.String() != ""; kind++ {
		require.True(t, kinds[kind], "no note of kind %q is on record", kind)
	}
}

func fatal(m pgproto3.BackendMessage) bool {
	e, ok := m.(*pgproto3.ErrorResponse)
	return ok && e.Severity == "FATAL"
}

// TestSwapTakesAccessAway: a session that the new rules do not let connect ends at
// once, with what it runs, and its client and its record are told why.
func TestSwapTakesAccessAway(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	for _, address := range []string{s.database("alice", "shop"), s.plain("alice", "shop")} {
		s.use(t, "open")
		k := connect(t, address)
		require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"))
		id := s.session(t, "alice", "shop").ID
		client := s.ssh(t, "alice", "vm1")
		machine := s.session(t, "alice", "vm1")

		c, err := client.NewSession()
		require.NoError(t, err)
		text := &lockedText{}
		c.Stdout, c.Stderr = text, text
		require.NoError(t, c.Start("sleep 1000"))
		began := time.Now()
		s.use(t, "closed")
		said := ""
		for _, row := range k.rows(fatal) { // it asks nothing
			require.Contains(t, row[0], "error")
			said += row[0] + "\n"
		}
		require.Contains(t, said, "you may not connect")
		require.Error(t, c.Wait())
		t.Logf("both sessions ended %v after the revision", time.Since(began).Round(time.Millisecond))
		require.Contains(t, text.String(), "you may not connect", "the client is told")
		require.ErrorContains(t, machine.Err(), "you may not connect")
		require.Eventually(t, func() bool { return len(s.Proxy().Sessions()) == 0 }, 20*time.Second, time.Millisecond)
		ended := false
		for _, e := range s.records(t)[id] {
			ended = ended || e.Type == audit.SessionEnd && strings.Contains(e.Error, "you may not connect")
		}
		require.True(t, ended, "the record says why")
	}
}

// TestSwapChangesUsersAndSettings: a session ends whose user is gone or has left the
// groups that may connect, or whose resource has other settings. One whose user has
// come into a group goes on.
func TestSwapChangesUsersAndSettings(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	for _, c := range []struct{ name, from, to, says string }{
		{"one more group", "{name: alice, groups: [dev]", "{name: alice, groups: [dev, ops]", ""},
		{"other groups", "{name: alice, groups: [dev]", "{name: alice, groups: [ops]", "you may not connect"},
		{"no such user", "{name: alice, groups: [dev]", "{name: eve, groups: [dev]", "user alice is not known to the gateway any more"},
		{"other settings", "ssh: {host_keys", "ssh: {exec_only: true, host_keys", "has changed: connect again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.use(t, "open")
			require.Equal(t, 1, strings.Count(s.configs["open"], c.from))
			changed := strings.Replace(s.configs["open"], c.from, c.to, 1)
			s.configs["changed"] = strings.Replace(changed, "{name: bob, groups: [ops]", "{name: bob, groups: [ops, dev]", 1) // the group keeps a member
			client := s.ssh(t, "alice", "vm1")
			session, err := client.NewSession()
			require.NoError(t, err)
			out, err := session.Output("echo in")
			require.NoError(t, err)
			require.Equal(t, "in\n", string(out))
			session, err = client.NewSession()
			require.NoError(t, err)
			in, err := session.StdinPipe()
			require.NoError(t, err)
			text := &lockedText{}
			session.Stdout, session.Stderr = text, text
			require.NoError(t, session.Start("cat"))
			s.use(t, "changed")
			if c.says == "" {
				id := s.session(t, "alice", "vm1").ID
				require.Eventually(t, func() bool { return len(s.Proxy().Session(id).Identity.Groups) == 2 }, 20*time.Second, time.Millisecond)
				io.WriteString(in, "goes on\n")
				require.NoError(t, in.Close())
			}
			err = session.Wait() // which ends although nothing is asked
			require.Equal(t, c.says == "", err == nil, "%s: %v", text, err)
			require.Contains(t, text.String(), cmp.Or(c.says, "goes on"))
		})
	}
}
