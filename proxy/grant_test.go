package proxy_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// A grant has one encoding, and nothing else is read as one.
func TestGrantEncoding(t *testing.T) {
	g := &proxy.Grant{
		Version: proxy.GrantVersion, State: proxy.GrantApproved, Request: "abc", Requester: "alice <x>", Resource: "orders", Kind: "statement",
		Rules: []string{"big"}, NotAfter: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Uses: 1, Hash: "h", Document: "d",
	}
	text, err := g.Encode()
	require.NoError(t, err)
	require.NotContains(t, string(text), "\n")
	got, err := proxy.DecodeGrant(text)
	require.NoError(t, err)
	require.Equal(t, g, got)
	for name, other := range map[string]string{
		"nothing": "", "another version": strings.Replace(string(text), `"v":1`, `"v":2`, 1), "a space": strings.Replace(string(text), ",", ", ", 1),
		"one field more": strings.Replace(string(text), "{", `{"x":1,`, 1), "a field twice": strings.Replace(string(text), `"uses":1`, `"uses":2,"uses":1`, 1),
		"written otherwise": strings.Replace(string(text), "<", `\u003c`, 1), "another case": strings.Replace(string(text), `"uses"`, `"Uses"`, 1),
		"more after it": string(text) + "{}", "a line": string(text) + "\n",
	} {
		_, err := proxy.DecodeGrant([]byte(other))
		require.Error(t, err, name)
	}
}

// No two operations have the same digests, and none has them under another salt.
func TestDigests(t *testing.T) {
	statement := func(text string, args ...proxy.Arg) proxy.Op {
		return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(text), Args: args}
	}
	file := func(a proxy.FileAction, path, target string) proxy.Op {
		return &proxy.File{Meta: proxy.Meta{Kind: proxy.KindFile}, Action: a, Path: path, Target: target}
	}
	request := func(method, host, path, query string) proxy.Op {
		return &proxy.Request{Meta: proxy.Meta{Kind: proxy.KindRequest}, Method: method, Host: host, Path: path, Query: query}
	}
	forward := func(host string, port uint16, listen bool) proxy.Op {
		return &proxy.Forward{Meta: proxy.Meta{Kind: proxy.KindForward}, Network: "tcp", Host: host, Port: port, Listen: listen}
	}
	seen := make(map[string]proxy.Op)
	for _, op := range []proxy.Op{
		statement("x"), statement("x "), statement("y"), statement(""),
		statement("x", proxy.Arg{}), statement("x", proxy.Arg{Value: []byte{}}), statement("x", proxy.Arg{Value: []byte{}, Binary: true}),
		statement("x", proxy.Arg{Value: []byte("a")}), statement("x", proxy.Arg{Value: []byte("a"), Type: 25}), statement("x", proxy.Arg{Value: []byte("a"), Binary: true}),
		statement("x", proxy.Arg{Value: []byte("a")}, proxy.Arg{Value: []byte("b")}), statement("x", proxy.Arg{Value: []byte("ab")}, proxy.Arg{Value: []byte("")}),
		statement("x", proxy.Arg{Value: []byte("b")}, proxy.Arg{Value: []byte("a")}),
		&proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: "x"}, &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindSubsystem}, Command: "x"},
		file(proxy.FileRename, "/a", "/b /c"), file(proxy.FileRename, "/a /b", "/c"), file(proxy.FileRemove, "/a", ""), file(proxy.FileOpenRead, "/a", ""),
		request("GET", "h", "/a?b", ""), request("GET", "h", "/a", "b"), request("GET", "h/a", "", "b"), request("PUT", "h", "/a", "b"),
		forward("db", 1, false), forward("db", 1, true), forward("db", 11, false), forward("db1", 1, false),
	} {
		for _, salt := range []string{"", "s"} {
			text, arguments, ok := proxy.Digests(op, []byte(salt))
			require.True(t, ok)
			require.Nil(t, seen[text+arguments], "%+v", op)
			require.NotEqual(t, text, arguments)
			seen[text+arguments] = op
		}
	}
	_, _, ok := proxy.Digests(&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindFunction}, Name: "1"}, nil)
	require.False(t, ok)
	one, _, _ := proxy.Digests(statement("x", proxy.Arg{Value: []byte("a")}), nil)
	two, _, _ := proxy.Digests(statement("x", proxy.Arg{Value: []byte("b")}), nil)
	require.Equal(t, one, two, "the text is the same")
}

// giver gives an approval of a name to each operation that is held.
type giver []string

func (r *giver) Request(context.Context, *proxy.Session, proxy.Op, *proxy.Hold) (*proxy.Pending, error) {
	id := (*r)[0]
	*r = (*r)[1:]
	return &proxy.Pending{ID: id, Wait: func(context.Context) proxy.Verdict {
		return proxy.Verdict{Action: proxy.ActionAllow, Rule: "x", Grant: id + " by bob, other by carol"}
	}}, nil
}

// askers ask for the approval of another rule each time, and then for none.
type askers []string

func (*askers) Name() string { return "holding" }

func (h *askers) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if op.Info().Kind == proxy.KindConnect || len(*h) == 0 {
			return proxy.Pass()
		}
		rule := (*h)[0]
		*h = (*h)[1:]
		return proxy.Verdict{Action: proxy.ActionHold, Hold: &proxy.Hold{Rules: []string{rule}, Approvers: [][]string{{"ops"}}, For: time.Minute}}
	}}, nil
}

// An operation knows the requests by which it runs, and forgets them when it is asked about again.
func TestGrantsOfAnOperation(t *testing.T) {
	i := askers{"one", "two"}
	s, err := proxytest.Open(&proxy.Gateway{Reviewer: &giver{"r1", "r2"}, Unrecorded: true}, &i)
	require.NoError(t, err)
	defer s.Close(nil)
	op := proxytest.Statement("DELETE FROM t", proxy.EffectDelete)
	v := s.Ask(s.Context(), op)
	require.False(t, v.Refuses(), v.Message())
	require.Equal(t, []string{"r1", "r2"}, op.Info().Grants(), "whatever the approvers' names hold")
	s.Done(op, &proxy.Outcome{})
	require.False(t, s.Ask(s.Context(), op).Refuses())
	require.Empty(t, op.Info().Grants())
	s.Done(op, &proxy.Outcome{})
}

// FuzzGrant reads nothing that is not written again as it was.
func FuzzGrant(f *testing.F) {
	f.Add([]byte(`{"v":1,"state":"approved","request":"a","requester":"b","resource":"c","kind":"d","rules":null,"not_after":"2026-01-02T03:04:05Z","hash":"","document":"","signed":"0001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := proxy.DecodeGrant(b)
		if err != nil {
			return
		}
		again, err := g.Encode()
		require.NoError(t, err)
		require.Equal(t, string(b), string(again))
		require.True(t, json.Valid(b))
	})
}
