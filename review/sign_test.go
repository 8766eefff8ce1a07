package review_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// signingDesk is one whose requests are signed.
func signingDesk(t *testing.T, st store.Store, h *review.Hand) *desk {
	t.Helper()
	d := &desk{}
	d.Desk = &review.Desk{Store: st, Note: d.Record, Signer: h, Revision: func() string { return "rules 7" }, Log: slog.New(slog.DiscardHandler)}
	require.NoError(t, d.Load(t.Context()))
	return d
}

var accessTerms = review.Terms{
	Rule: "prod", Actions: []string{"connect", "exec"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 2}}, For: time.Hour, Max: time.Hour, Decide: time.Hour,
}

func (d *desk) asks(t *testing.T) *review.Request {
	t.Helper()
	r, err := d.Ask(t.Context(), person("alice"), review.Ask{Resource: "vm1", Terms: accessTerms, Reason: "INC-1", Actions: []string{"exec"}})
	require.NoError(t, err)
	return r
}

func (d *desk) votes(t *testing.T, r *review.Request, by string) *review.Request {
	t.Helper()
	r, err := d.Approve(t.Context(), r.ID, review.Vote{By: person(by, "ops"), Hash: r.Hash, Channel: "test"}, review.Narrow{})
	require.NoError(t, err)
	return r
}

// held is an operation that is held and whose client is gone.
func (d *desk) held(t *testing.T, op proxy.Op) review.Request {
	t.Helper()
	s := d.session(t, ops)
	r, verdict := d.asking(t, s, op)
	s.Kill(proxy.ErrShutdown)
	<-verdict
	return r
}

// What is signed of an approval says who may do what by it, until when, and who has approved it.
func TestGrantSays(t *testing.T) {
	h := review.Hands("a")[0]
	d := signingDesk(t, store.NewMemory(), h)
	op := del("DELETE FROM t WHERE a = $1", proxy.Arg{Value: []byte("7"), Type: 23})
	op.Measurer = &measured{Impact: threeRows("aa")}
	held := d.held(t, op)
	pending, err := h.OpenGrant(t.Context(), held.Signed)
	require.NoError(t, err)
	require.Equal(t, "pending", pending.State)
	require.Empty(t, pending.Votes)
	r := d.votes(t, &held, "bob")
	g, err := h.OpenGrant(t.Context(), r.Signed)
	require.NoError(t, err)
	require.Equal(t, proxy.GrantApproved, g.State)
	require.Equal(t, []any{r.ID, r.Requester, r.Resource, r.Kind, r.Hash, "rules 7", 1}, []any{g.Request, g.Requester, g.Resource, g.Kind, g.Hash, g.Revision, g.Uses})
	require.Equal(t, []proxy.GrantVote{{By: "bob", At: r.DecidedAt.UTC(), Channel: "test"}}, g.Votes)
	require.True(t, g.NotAfter.Equal(r.UseBy))
	require.EqualValues(t, 3, g.Bounds.Rows)
	require.Len(t, g.Bounds.Digest, 64)
	require.Nil(t, d.Approval(r.ID), "it has not run")
	s := d.session(t, ops)
	require.False(t, s.Ask(s.Context(), op).Refuses())
	require.Equal(t, []string{r.ID}, op.Info().Grants())
	a := d.Approval(r.ID)
	require.Equal(t, r.Signed, a.Signed)
	text, arguments, ok := proxy.Digests(op, a.Salt)
	require.True(t, ok)
	require.Equal(t, []string{g.Text, g.Arguments}, []string{text, arguments})

	asked := d.asks(t)
	first := d.votes(t, asked, "bob")
	voted, err := h.OpenGrant(t.Context(), first.Signed)
	require.NoError(t, err)
	require.Equal(t, "pending", voted.State, "one of two approvals lets nobody in")
	require.Len(t, voted.Votes, 1)
	r = d.votes(t, first, "olga")
	g, err = h.OpenGrant(t.Context(), r.Signed)
	require.NoError(t, err)
	require.Equal(t, []any{proxy.GrantApproved, "alice", "vm1", review.KindAccess, 0}, []any{g.State, g.Requester, g.Resource, g.Kind, g.Uses})
	require.Equal(t, []string{"connect", "exec"}, g.Actions)
	require.Equal(t, []string{"bob", "olga"}, []string{g.Votes[0].By, g.Votes[1].By})
	require.True(t, g.From.Equal(r.Access.Grant.From) && g.NotAfter.Equal(r.Access.Grant.Until))
	require.Equal(t, r.Signed, d.Approval(r.ID).Signed)
	_, err = d.Revoke(t.Context(), r.ID, review.Vote{By: person("bob", "ops"), Reason: "x"}, false)
	require.NoError(t, err)
}

// Who writes into the store approves nothing: whatever is changed of a request there, nothing comes of it.
func TestForged(t *testing.T) {
	list := review.Hands("a")
	setup := map[string]func(t *testing.T, d *desk) (id string, hash string){
		"held": func(t *testing.T, d *desk) (string, string) {
			r := d.held(t, del("DELETE FROM t"))
			return r.ID, r.Hash
		},
		"approved": func(t *testing.T, d *desk) (string, string) {
			r := d.held(t, del("DELETE FROM t"))
			d.votes(t, &r, "bob")
			return r.ID, r.Hash
		},
		"concealed": func(t *testing.T, d *desk) (string, string) {
			s, err := proxytest.Open(&proxy.Gateway{Reviewer: d}, d, veil{}, holder{ops})
			require.NoError(t, err)
			r, verdict := d.asking(t, s, del("DELETE FROM t WHERE a = 'nougat'"))
			s.Kill(proxy.ErrShutdown)
			<-verdict
			return r.ID, r.Hash
		},
		"asked": func(t *testing.T, d *desk) (string, string) { r := d.asks(t); return r.ID, r.Hash },
		"voted": func(t *testing.T, d *desk) (string, string) { r := d.votes(t, d.asks(t), "bob"); return r.ID, r.Hash },
		"granted": func(t *testing.T, d *desk) (string, string) {
			r := d.votes(t, d.votes(t, d.asks(t), "bob"), "olga")
			return r.ID, r.Hash
		},
	}
	setup["broken"] = func(t *testing.T, d *desk) (string, string) {
		terms := accessTerms
		terms.BreakGlass = time.Hour
		r, err := d.Break(t.Context(), person("alice"), review.Ask{Resource: "vm1", Terms: terms, Reason: "fire"}, "oidc")
		require.NoError(t, err)
		return r.ID, r.Hash
	}
	for name, makes := range setup {
		t.Run(name, func(t *testing.T) {
			st := store.NewMemory()
			d := signingDesk(t, st, list[0])
			id, hash := makes(t, d)
			other, err := d.Ask(t.Context(), person("carol"), review.Ask{Resource: "vm2", Terms: accessTerms, Reason: "INC-2"})
			require.NoError(t, err)
			doc, err := st.Get(t.Context(), review.KindRequest, id)
			require.NoError(t, err)
			otherDoc, err := st.Get(t.Context(), review.KindRequest, other.ID)
			require.NoError(t, err)
			whole := doc.Body
			count := 0
			forge := func(what string, body []byte) {
				count++
				d := doc
				d.Body = body
				now, err := st.Get(t.Context(), review.KindRequest, id)
				require.NoError(t, err)
				d.Version = now.Version
				_, err = st.Write(t.Context(), store.Replace(d))
				require.NoError(t, err)
				fresh := signingDesk(t, st, list[0])
				for _, r := range fresh.List() {
					require.NotEqual(t, id, r.ID, what)
				}
				_, err = fresh.Approve(t.Context(), id, review.Vote{By: person("zoe", "ops"), Hash: hash}, review.Narrow{})
				require.Error(t, err, what)
				require.Empty(t, fresh.told(), what)
				_, _, _, ok := fresh.Granted(person("alice"), proxy.Target{Resource: &proxy.Resource{Name: "vm1"}}, "prod")
				require.False(t, ok, what)
				_, _, _, ok = fresh.Glass(person("alice"), proxy.Target{Resource: &proxy.Resource{Name: "vm1"}}, "prod")
				require.False(t, ok, what)
			}
			var fields map[string]any
			require.NoError(t, json.Unmarshal(whole, &fields))
			for _, path := range leaves(fields, nil) {
				var changed map[string]any
				require.NoError(t, json.Unmarshal(whole, &changed))
				if alter(changed, path) {
					b, err := json.Marshal(changed)
					require.NoError(t, err)
					forge(fmt.Sprint(path), b)
				}
			}
			var of map[string]any
			require.NoError(t, json.Unmarshal(otherDoc.Body, &of))
			for what, signed := range map[string]any{"no signature": nil, "another's signature": of["signed"], "hers": strings.Replace(fields["signed"].(string), "a\n", "b\n", 1)} {
				changed := maps.Clone(fields)
				changed["signed"] = signed
				b, err := json.Marshal(changed)
				require.NoError(t, err)
				forge(what, b)
			}
			require.Greater(t, count, 15)
			// As it was signed it counts.
			now, err := st.Get(t.Context(), review.KindRequest, id)
			require.NoError(t, err)
			now.Body = whole
			_, err = st.Write(t.Context(), store.Replace(now))
			require.NoError(t, err)
			fresh := signingDesk(t, st, list[0])
			require.True(t, slices.ContainsFunc(fresh.List(), func(r review.Request) bool { return r.ID == id }))
		})
	}
}

// leaves are the paths of everything in a document that holds nothing else.
func leaves(v any, path []any) (list [][]any) {
	at := func(key any) []any { return append(slices.Clone(path), key) }
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			list = append(list, leaves(x, at(k))...)
		}
	case []any:
		for i, x := range v {
			list = append(list, leaves(x, at(i))...)
		}
	default:
		list = append(list, path)
	}
	return list
}

// alter changes what is at a path to something else of its kind. It reports false when nothing is there.
func alter(v any, path []any) bool {
	value := func() any {
		if m, ok := v.(map[string]any); ok {
			return m[path[0].(string)]
		}
		return v.([]any)[path[0].(int)]
	}
	for len(path) > 1 {
		v, path = value(), path[1:]
	}
	other := value()
	switch x := other.(type) {
	case nil:
		return false
	case string:
		other = "x" + x
		if at, err := time.Parse(time.RFC3339Nano, x); err == nil {
			other = at.Add(time.Hour).Format(time.RFC3339Nano)
		}
	case float64:
		other = x + 1
	}
	if m, ok := v.(map[string]any); ok {
		m[path[0].(string)] = other
	} else {
		v.([]any)[path[0].(int)] = other
	}
	return true
}

// What one gateway has signed counts at those that know it, and at no other.
func TestSignedByAnother(t *testing.T) {
	teststore.Each(t, func(t *testing.T, st store.Store) {
		list := review.Hands("a", "b")
		stranger := review.Hands("c")[0]
		a, b := signingDesk(t, st, list[0]), signingDesk(t, st, list[1])
		r := a.held(t, del("DELETE FROM t"))
		require.NoError(t, b.Follow(t.Context(), r.ID))
		b.votes(t, &r, "bob")
		require.NoError(t, a.Follow(t.Context(), r.ID))
		c := signingDesk(t, st, stranger)
		require.Empty(t, c.List())
		s := a.session(t, ops)
		v := s.Ask(s.Context(), del("DELETE FROM t"))
		require.Equal(t, r.ID+" by bob", v.Grant)
		require.True(t, strings.HasPrefix(a.Approval(r.ID).Signed, "b\n"), "who approved it has signed it")
	})
}

// While it cannot be asked who has signed something, it counts neither as signed nor as forged.
func TestSignerNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory()
		list := review.Hands("a", "b")
		a, b := signingDesk(t, st, list[0]), signingDesk(t, st, list[1])
		go b.Run(t.Context())
		list[1].Down.Store(true)
		r := a.votes(t, a.votes(t, a.asks(t), "bob"), "olga")
		require.ErrorIs(t, b.Follow(t.Context(), r.ID), proxy.ErrUnavailable)
		granted := func() bool {
			_, _, _, ok := b.Granted(person("alice"), proxy.Target{Resource: &proxy.Resource{Name: "vm1"}}, "prod")
			return ok
		}
		require.False(t, granted())
		list[1].Down.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.True(t, granted())
	})
}

// A request that is over stays over, although the store has it as it was before.
func TestReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := store.NewMemory()
		h := review.Hands("a")[0]
		d := signingDesk(t, st, h)
		go d.Run(t.Context())
		r := d.held(t, del("DELETE FROM t"))
		d.votes(t, &r, "bob")
		before, err := st.Get(t.Context(), review.KindRequest, r.ID)
		require.NoError(t, err)
		s := d.session(t, ops)
		require.False(t, s.Ask(s.Context(), del("DELETE FROM t")).Refuses())
		time.Sleep(50 * time.Second)
		now, err := st.Get(t.Context(), review.KindRequest, r.ID)
		require.NoError(t, err)
		now.Body = before.Body
		_, err = st.Write(t.Context(), store.Replace(now))
		require.NoError(t, err)
		require.NoError(t, d.Follow(t.Context(), r.ID))
		require.Empty(t, d.List())
		_, err = d.Get(t.Context(), r.ID)
		require.ErrorContains(t, err, "is over")
		again, verdict := d.asking(t, s, del("DELETE FROM t"))
		require.NotEqual(t, r.ID, again.ID)
		s.CancelHolds()
		require.True(t, (<-verdict).Refuses())
		s.Close(nil)
	})
}

// What a request is cannot be found out by what is kept, signed and recorded in clear.
func TestDigestsAreSalted(t *testing.T) {
	d := signingDesk(t, store.NewMemory(), review.Hands("a")[0])
	s := d.session(t, ops)
	seen := make(map[string]bool)
	for range 2 {
		r, verdict := d.asking(t, s, del("DELETE FROM t WHERE a = 'x'"))
		g, err := d.Signer.OpenGrant(t.Context(), r.Signed)
		require.NoError(t, err)
		for _, digest := range []string{r.Hash, g.Hash, g.Text, g.Arguments, g.Document} {
			require.Len(t, digest, 64)
			require.True(t, digest == g.Hash || !seen[digest])
			seen[digest] = true
		}
		s.CancelHolds()
		require.True(t, (<-verdict).Refuses())
	}
	require.Len(t, seen, 8)
}
