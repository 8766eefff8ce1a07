package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// office approves what a test wants, as a gateway whose requests are signed does.
type office struct {
	*Log
	by     *Log // who signs; nil is the log itself
	given  map[string]*proxy.Approval
	grants map[string]string // what a verdict says, by the operation's text
}

func openOffice(t *testing.T, dir string) *office {
	t.Helper()
	o := &office{given: make(map[string]*proxy.Approval), grants: make(map[string]string)}
	o.Log = openLog(t, dir, Config{Approvals: func(request string) *proxy.Approval { return o.given[request] }})
	return o
}

func (*office) Name() string { return "office" }

func (o *office) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		v := proxy.Allow("all")
		switch op := op.(type) {
		case *proxy.Connect:
			v.Grant = o.grants["connect"]
		case *proxy.Statement:
			v.Grant = o.grants[string(op.Text)]
		case *proxy.Exec:
			v.Grant = o.grants[op.Command]
		}
		return v
	}}, nil
}

// session opens a session of alice's.
func (o *office) session(t *testing.T) *proxy.Session {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{o, o.Log}}
	s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}, Protocol: "test",
		Target: proxy.Target{
			Resource: &proxy.Resource{Name: "orders", Type: "test", Accounts: []proxy.Account{{Name: "app"}}}, Account: proxy.Account{Name: "app"}, Database: "main",
		},
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	return s
}

// approve signs a grant that is changed, and has it used.
func (o *office) approve(t *testing.T, id string, op proxy.Op, change func(g *proxy.Grant, a *proxy.Approval)) *proxy.Grant {
	t.Helper()
	now := time.Now().UTC()
	g := &proxy.Grant{
		Version: proxy.GrantVersion, State: proxy.GrantApproved, Request: id, Requester: "alice", Resource: "orders", Account: "app", Database: "main",
		Kind: op.Info().Kind.String(), Rules: []string{"big"}, NotAfter: now.Add(time.Hour), Uses: 1, Hash: "hash", Document: "d", Votes: []proxy.GrantVote{{By: "bob", At: now}}, Signed: now,
	}
	a := &proxy.Approval{Request: id, At: now, Salt: []byte("salt of " + id)}
	g.Text, g.Arguments, _ = proxy.Digests(op, a.Salt)
	if change != nil {
		change(g, a)
	}
	by := o.by
	if by == nil {
		by = o.Log
	}
	var err error
	if a.Signed == "" {
		a.Signed, err = by.SignGrant(g)
		require.NoError(t, err)
	}
	o.given[id] = a
	return g
}

// note records what became of a request.
func (o *office) note(t *testing.T, n proxy.RequestNote) {
	t.Helper()
	n.Requester, n.Hash = "alice", "hash"
	require.NoError(t, o.Record(t.Context(), &proxy.Note{Kind: proxy.NoteReview, Request: &n}))
}

// runs has an operation run by a request, once that is on record.
func (o *office) runs(t *testing.T, s *proxy.Session, id string, op proxy.Op) {
	t.Helper()
	asked, _ := s.Operations()
	o.note(t, proxy.RequestNote{ID: id, State: "used", Session: s.ID, Operation: asked + 1, Mark: fmt.Sprint(id, s.ID, asked)})
	o.does(t, s, id, op)
}

// does has an operation run by a request.
func (o *office) does(t *testing.T, s *proxy.Session, id string, op proxy.Op) {
	t.Helper()
	switch op := op.(type) {
	case *proxy.Statement:
		o.grants[string(op.Text)] = id + " by bob"
	case *proxy.Exec:
		o.grants[op.Command] = id + " by bob"
	}
	v := s.Ask(s.Context(), op)
	require.False(t, v.Refuses(), v.Message())
	s.Done(op, &proxy.Outcome{Rows: 3})
}

// changes runs a statement that was approved to change three rows.
func (o *office) changes(t *testing.T, out *proxy.Outcome) {
	t.Helper()
	o.approve(t, "abc", deletes(), func(g *proxy.Grant, _ *proxy.Approval) { g.Bounds = &proxy.GrantBounds{Rows: 3, Digest: "d"} })
	s := o.session(t)
	o.note(t, proxy.RequestNote{ID: "abc", State: "used", Session: s.ID, Operation: 2, Mark: "1"})
	op := deletes()
	o.grants[string(op.Text)] = "abc by bob"
	require.False(t, s.Ask(s.Context(), op).Refuses())
	s.Done(op, out)
	s.Close(nil)
}

func deletes(args ...string) *proxy.Statement {
	st := proxytest.Statement("DELETE FROM t WHERE a = $1", proxy.EffectDelete)
	for _, a := range args {
		st.Args = append(st.Args, proxy.Arg{Value: []byte(a), Type: 25})
	}
	return st
}

// What ran by an approval is what was approved, or verifying says what is not.
func TestApprovalsAreVerified(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(t *testing.T, o *office)
		want string // in the one problem; empty: it is proven
	}{
		"as approved": {run: func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes("7"), nil)
			s := o.session(t)
			o.runs(t, s, "abc", deletes("7"))
			s.Close(nil)
		}},
		"a command": {run: func(t *testing.T, o *office) {
			op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "reboot"}
			o.approve(t, "abc", op, nil)
			s := o.session(t)
			o.runs(t, s, "abc", op)
			s.Close(nil)
		}},
		"access": {run: func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(g *proxy.Grant, a *proxy.Approval) {
				g.Kind, g.Uses, g.Actions, g.From, g.Account, g.Database, g.Text, g.Arguments = "access", 0, []string{"connect"}, g.Signed, "", "", "", ""
				a.Salt = nil
			})
			o.grants["connect"] = "abc"
			o.session(t).Close(nil)
			o.session(t).Close(nil)
		}},
		"access by which a statement runs": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(g *proxy.Grant, _ *proxy.Approval) { g.Kind, g.Uses, g.Actions = "access", 0, []string{"connect"} })
			s := o.session(t)
			o.does(t, s, "abc", deletes())
			s.Close(nil)
		}, "access was approved, and what ran is of the kind statement"},
		"by nothing": {func(t *testing.T, o *office) {
			s := o.session(t)
			o.does(t, s, "abc", deletes())
			s.Close(nil)
		}, "ran by request abc: no such approval is signed"},
		"twice in a session": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), nil)
			s := o.session(t)
			o.runs(t, s, "abc", deletes())
			o.runs(t, s, "abc", deletes())
			s.Close(nil)
		}, "request abc was approved to run 1 time, and ran 2 times"},
		"twice in two": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), nil)
			for range 2 {
				s := o.session(t)
				o.runs(t, s, "abc", deletes())
				s.Close(nil)
			}
		}, "request abc was approved to run 1 time, and ran 2 times"},
		"not on record before": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), nil)
			s := o.session(t)
			o.does(t, s, "abc", deletes())
			s.Close(nil)
		}, "whose use the gateway's own record does not have"},
		"on record, and taken back": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), nil)
			s := o.session(t)
			o.runs(t, s, "abc", deletes())
			o.note(t, proxy.RequestNote{ID: "abc", State: "undone", Session: s.ID, Operation: 2, Mark: fmt.Sprint("abc", s.ID, 1)})
			s.Close(nil)
		}, "whose use the gateway's own record does not have"},
		"on record as used twice": {func(t *testing.T, o *office) {
			o.note(t, proxy.RequestNote{ID: "abc", State: "used", Session: "x", Operation: 2, Mark: "1"})
			o.note(t, proxy.RequestNote{ID: "abc", State: "used", Session: "x", Operation: 3, Mark: "2"})
			o.note(t, proxy.RequestNote{ID: "abc", State: "used", Session: "x", Operation: 4, Mark: "3"})
			o.note(t, proxy.RequestNote{ID: "abc", State: "undone", Session: "x", Operation: 4, Mark: "3"})
		}, "has request abc as used 2 times: by operation 2 of session x and operation 3 of session x"},
		"access that was over": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(g *proxy.Grant, _ *proxy.Approval) {
				g.Kind, g.Uses, g.Actions, g.NotAfter = "access", 0, []string{"connect"}, time.Now().Add(-time.Minute)
			})
			o.grants["connect"] = "abc"
			o.session(t).Close(nil)
		}, "and was approved until"},
		"rows that were approved":               {run: func(t *testing.T, o *office) { o.changes(t, &proxy.Outcome{Tag: "DELETE 3"}) }},
		"rows that were approved, and an error": {run: func(t *testing.T, o *office) { o.changes(t, &proxy.Outcome{Tag: "DELETE 4", Code: "40001"}) }},
		"other rows":                            {func(t *testing.T, o *office) { o.changes(t, &proxy.Outcome{Tag: "DELETE 4"}) }, "operation 2 changed 4 rows, and 3 were approved"},
		"another text": {func(t *testing.T, o *office) {
			o.approve(t, "abc", proxytest.Statement("DELETE FROM u", proxy.EffectDelete), nil)
			s := o.session(t)
			o.runs(t, s, "abc", deletes())
			s.Close(nil)
		}, "another text was approved"},
		"other arguments": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes("7"), nil)
			s := o.session(t)
			o.runs(t, s, "abc", deletes("8"))
			s.Close(nil)
		}, "other arguments were approved"},
		"another salt": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes("7"), func(_ *proxy.Grant, a *proxy.Approval) { a.Salt = []byte("x") })
			s := o.session(t)
			o.runs(t, s, "abc", deletes("7"))
			s.Close(nil)
		}, "another text was approved"},
		"another kind": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(g *proxy.Grant, _ *proxy.Approval) { g.Kind = "exec" })
			s := o.session(t)
			o.runs(t, s, "abc", deletes())
			s.Close(nil)
		}, "what was approved is of the kind exec, and it is of the kind statement"},
		"another approval of the log": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(g *proxy.Grant, _ *proxy.Approval) { g.Request = "xyz" })
			s := o.session(t)
			o.runs(t, s, "xyz", deletes())
			o.grants[string(deletes().Text)] = ""
			s.Close(nil)
		}, "no such approval is signed"},
		"grant":     changed(func(g *proxy.Grant) { g.Request = "xyz" }, "what is signed is the approval of request xyz"),
		"user":      changed(func(g *proxy.Grant) { g.Requester = "eve" }, "it was approved for eve, and ran for alice"),
		"agent":     changed(func(g *proxy.Grant) { g.Requester, g.For = "bot", "alice" }, "it was approved for bot for alice, and ran for alice"),
		"resource":  changed(func(g *proxy.Grant) { g.Resource = "vault" }, `it was approved at vault, account "app", database "main", and ran at orders`),
		"account":   changed(func(g *proxy.Grant) { g.Account = "" }, `it was approved at orders, account "", database "main"`),
		"database":  changed(func(g *proxy.Grant) { g.Database = "test" }, `database "test"`),
		"state":     changed(func(g *proxy.Grant) { g.State = "pending" }, "it was not approved: what is signed is that it was pending"),
		"expired":   changed(func(g *proxy.Grant) { g.NotAfter = time.Now().Add(-time.Second) }, "and was approved until"),
		"too early": changed(func(g *proxy.Grant) { g.From = time.Now().Add(time.Hour) }, "on"),
		"a forged signature": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), nil)
			a := o.given["abc"]
			a.Signed = strings.Replace(a.Signed, `"requester":"alice"`, `"requester":"alicf"`, 1)
			s := o.session(t)
			o.does(t, s, "abc", deletes())
			s.Close(nil)
		}, "its signature is not one of"},
		"no grant": {func(t *testing.T, o *office) {
			o.approve(t, "abc", deletes(), func(_ *proxy.Grant, a *proxy.Approval) { a.Signed = "sallyport" })
			s := o.session(t)
			o.does(t, s, "abc", deletes())
			s.Close(nil)
		}, "it is not a signed grant"},
		"an approval on record that is another's": {func(t *testing.T, o *office) {
			g := o.approve(t, "abc", deletes(), nil)
			o.note(t, proxy.RequestNote{ID: g.Request, State: proxy.GrantApproved, Signed: o.given["abc"].Signed})
			o.note(t, proxy.RequestNote{ID: "xyz", State: proxy.GrantApproved, Signed: o.given["abc"].Signed})
		}, "the approval of request xyz, event"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, how := range []string{"sealed", "running"} {
				dir := t.TempDir()
				o := openOffice(t, dir)
				c.run(t, o)
				if how == "sealed" {
					require.NoError(t, o.Close())
				} else {
					require.Eventually(t, func() bool {
						ids, err := o.archive.Sessions()
						require.NoError(t, err)
						return o.Head().N == int64(len(ids)-1)
					}, 10*time.Second, time.Millisecond)
				}
				r := verify(t, dir, o.PublicKey())
				if how == "running" {
					require.NoError(t, o.Close())
					if strings.HasPrefix(c.want, "the approval of request") {
						continue
					}
				}
				if c.want == "" {
					require.Empty(t, r.Problems)
					require.Positive(t, r.Approvals.Proven)
					continue
				}
				problems := r.Problems
				if strings.HasPrefix(name, "twice") { // which the gateway's own record says, too
					require.Contains(t, problems[0], "has request abc as used 2 times")
					problems = problems[1:]
				}
				require.Len(t, problems, 1, "%q", problems)
				require.Contains(t, problems[0], c.want)
			}
		})
	}
}

// changed is a case whose grant is changed before it is signed.
func changed(change func(g *proxy.Grant), want string) struct {
	run  func(t *testing.T, o *office)
	want string
} {
	return struct {
		run  func(t *testing.T, o *office)
		want string
	}{func(t *testing.T, o *office) {
		o.approve(t, "abc", deletes("7"), func(g *proxy.Grant, _ *proxy.Approval) { change(g) })
		s := o.session(t)
		o.does(t, s, "abc", deletes("7"))
		o.note(t, proxy.RequestNote{ID: "xyz", State: "used", Session: s.ID, Operation: 2, Mark: "x"})
		o.note(t, proxy.RequestNote{ID: "abc", State: "used", Session: s.ID, Operation: 2, Mark: "a"})
		s.Close(nil)
	}, want}
}

// What another gateway has signed is proven with its log's public key. Without it, and of what nobody has signed, verifying says how much
// there is.
func TestApprovalsOfOthers(t *testing.T) {
	other := openLog(t, t.TempDir(), Config{})
	defer other.Close()
	dir := t.TempDir()
	o := openOffice(t, dir)
	o.by = other
	o.approve(t, "abc", deletes(), nil)
	o.given["board"] = &proxy.Approval{Request: "board"}
	s := o.session(t)
	o.runs(t, s, "abc", deletes())
	o.does(t, s, "board", proxytest.Statement("DELETE FROM u", proxy.EffectDelete))
	s.Close(nil)
	require.NoError(t, o.Close())
	r := verify(t, dir, o.PublicKey())
	require.Empty(t, r.Problems)
	require.Equal(t, Approvals{Unsigned: 1, Others: map[string]int{other.Origin(): 1}}, r.Approvals)
	r, err := Verification{Public: o.PublicKey(), Signers: []string{other.PublicKey()}}.Log(dir)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, Approvals{Proven: 1, Unsigned: 1, Others: map[string]int{}}, r.Approvals)

	// So it is where a version has run that signed none.
	dir = t.TempDir()
	o = openOffice(t, dir)
	o.approvals = nil
	s = o.session(t)
	o.does(t, s, "abc", deletes())
	s.Close(nil)
	require.NoError(t, o.Close())
	r = verify(t, dir, o.PublicKey())
	require.Empty(t, r.Problems)
	require.Equal(t, 1, r.Approvals.Unsigned)
}

// A bundle has the grants of what ran in its session.
func TestApprovalsInABundle(t *testing.T) {
	for want, args := range map[string][]string{"": {"7"}, "other arguments were approved": {"8"}} {
		dir := t.TempDir()
		o := openOffice(t, dir)
		o.approve(t, "abc", deletes("7"), nil)
		s := o.session(t)
		o.runs(t, s, "abc", deletes(args...))
		s.Close(nil)
		require.NoError(t, o.Close())
		a, err := OpenArchive(dir)
		require.NoError(t, err)
		b, err := a.Export(s.ID)
		require.NoError(t, err)
		_, err = b.Verify(o.PublicKey())
		require.NoError(t, err)
		found, problems, err := b.Approvals(o.PublicKey())
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, problems)
			require.Equal(t, 1, found.Proven)
		} else {
			require.Len(t, problems, 1)
			require.Contains(t, problems[0], want)
		}
		b.Key = nil
		_, _, err = b.Approvals(o.PublicKey())
		require.ErrorIs(t, err, ErrErased)
	}
}

// The text that a record has is the one of its digests, and where something of it is withheld nobody can try what it was.
func TestRecordedText(t *testing.T) {
	dir := t.TempDir()
	o := openOffice(t, dir)
	secret := proxytest.Statement("ALTER ROLE bob PASSWORD 'marzipan'", proxy.EffectGrant)
	secret.Facts.Normalised = "ALTER ROLE bob PASSWORD ?"
	latin := proxytest.Statement("DELETE FROM t WHERE a = 'caf\xe9'", proxy.EffectDelete)
	argument := deletes("password=marzipan")
	argument.Text = []byte("DELETE FROM t WHERE b = $1")
	ops := map[string]proxy.Op{
		"plain": deletes(), "secret": secret, "latin": latin, "argument": argument, "command": &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "reboot"},
	}
	s := o.session(t)
	for id, op := range ops {
		o.approve(t, id, op, nil)
		o.runs(t, s, id, op)
	}
	s.Close(nil)
	require.NoError(t, o.Close())
	r := verify(t, dir, o.PublicKey())
	require.Empty(t, r.Problems)
	require.Equal(t, len(ops), r.Approvals.Proven)
	for _, e := range events(t, dir, s.ID) {
		if len(e.Approved) == 0 {
			continue
		}
		x := e.Approved[0]
		whole := x.Request == "plain" || x.Request == "command"
		require.Equal(t, whole, x.Salt != "", x.Request)
		require.NoError(t, says(e, &x))
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		require.False(t, bytes.Contains(raw, []byte("marzipan")), "%s", raw)
		if whole {
			e.Text += " "
			require.ErrorContains(t, says(e, &x), "the text on record is another")
		}
	}
}

// Of a long record no more is read than may say something of approvals; and where the gateway stopped before the session ended, all.
func TestApprovalsInLongRecords(t *testing.T) {
	for _, ends := range []string{"closed", "recovered"} {
		for _, c := range []Config{{}, {Uncompressed: true}} {
			dir := t.TempDir()
			o := openOffice(t, dir)
			o.uncompressed, o.batchSize = c.Uncompressed, 4<<10
			s, quiet := o.session(t), o.session(t)
			many := func(s *proxy.Session) {
				for range 500 {
					run(s, "SELECT 1")
				}
			}
			many(s)
			many(quiet)
			o.approve(t, "abc", deletes("7"), nil)
			o.runs(t, s, "abc", deletes("8"))
			many(s)
			if ends == "closed" {
				s.Close(nil)
				quiet.Close(nil)
			}
			require.NoError(t, o.Close())
			if ends == "recovered" {
				require.NoError(t, openLog(t, dir, Config{Uncompressed: c.Uncompressed}).Close())
			}
			r := verify(t, dir, o.PublicKey())
			require.Len(t, r.Problems, 1, "%q", r.Problems)
			require.Contains(t, r.Problems[0], "other arguments were approved")
			list := events(t, dir, s.ID)
			require.Equal(t, ends == "closed", list[len(list)-1].Approvals == 1)
		}
	}
}

func BenchmarkSignGrant(b *testing.B) {
	l := openLog(b, b.TempDir(), Config{})
	defer l.Close()
	g := grantOf("abc")
	for b.Loop() {
		_, err := l.SignGrant(g)
		require.NoError(b, err)
	}
}

func BenchmarkOpenGrant(b *testing.B) {
	l := openLog(b, b.TempDir(), Config{})
	defer l.Close()
	signed, err := l.SignGrant(grantOf("abc"))
	require.NoError(b, err)
	for b.Loop() {
		_, err := OpenGrant(signed, l.PublicKey())
		require.NoError(b, err)
	}
}
