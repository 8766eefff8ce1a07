package opa

import (
	"bytes"
	"encoding/json"
	"flag"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

var update = flag.Bool("update", false, "write input.schema.json")

// TestSchemaIsOfTheTypes holds that what is published is what is asked:
// go test ./policy/opa -run Schema -update.
func TestSchemaIsOfTheTypes(t *testing.T) {
	s, err := jsonschema.For[Input](nil)
	require.NoError(t, err)
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", "What a policy is asked, version 1"
	notNull(s)
	s.Properties["version"] = &jsonschema.Schema{Type: "integer", Const: jsonschema.Ptr[any](Version)}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "\t")
	require.NoError(t, e.Encode(s))
	if *update {
		require.NoError(t, os.WriteFile("input.schema.json", b.Bytes(), 0o644))
	} else {
		require.JSONEq(t, b.String(), string(Schema()))
	}
}

// notNull takes back what Go's types allow and questions never have: lists and objects that
// are null.
func notNull(s *jsonschema.Schema) {
	if len(s.Types) == 2 && s.Types[0] == "null" && s.Types[1] != "string" {
		s.Type, s.Types = s.Types[1], nil
	}
	for _, p := range s.Properties {
		notNull(p)
	}
	if s.Items != nil {
		notNull(s.Items)
	}
}

// operations are one of every kind, with everything that it can have.
func operations() []proxy.Op {
	meta := func(k proxy.Kind) proxy.Meta { return proxy.Meta{Kind: k} }
	full := &proxy.Facts{
		Dialect: "postgres", Statements: 1, Effects: proxy.EffectRead | proxy.EffectSet, Unfiltered: proxy.EffectRead, Normalised: "select",
		Relations: []proxy.Relation{{Schema: "public", Name: "orders", Effects: proxy.EffectRead}},
		Functions: []proxy.Function{{Name: "lower", Class: proxy.FunctionHarmless}}, Settings: []proxy.Setting{{Name: "a", Value: "b"}},
	}
	list := []proxy.Op{
		&proxy.Connect{Meta: meta(proxy.KindConnect), Params: map[string]string{"application_name": "psql"}},
		&proxy.Statement{Meta: meta(proxy.KindStatement), Facts: full, Text: []byte("SELECT \xff"), Args: []proxy.Arg{{}, {Value: []byte("a")}, {Value: []byte{1}, Binary: true}, {Value: []byte{2}, Binary: true, Text: []byte("2")}}},
		&proxy.Statement{Meta: meta(proxy.KindPrepare), Facts: proxy.UnknownFacts("a test")},
		&proxy.Statement{Meta: meta(proxy.KindStatement), Facts: &proxy.Facts{}},
		&proxy.File{Meta: meta(proxy.KindFile), Action: proxy.FileRename, Path: "/a", Target: "/b"},
	}
	for _, k := range []proxy.Kind{proxy.KindFunction, proxy.KindReplication, proxy.KindCommand, proxy.KindEnv, proxy.KindTool} {
		list = append(list, &proxy.Call{Meta: meta(k), Name: "n", Args: [][]byte{nil, []byte("x")}})
	}
	for _, k := range []proxy.Kind{proxy.KindExec, proxy.KindShell, proxy.KindSubsystem, proxy.KindInput} {
		list = append(list, &proxy.Exec{Meta: meta(k), Command: "ls"})
	}
	for _, k := range []proxy.Kind{proxy.KindForward, proxy.KindAgent, proxy.KindX11} {
		list = append(list, &proxy.Forward{Meta: meta(k), Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}})
	}
	for _, k := range []proxy.Kind{proxy.KindRequest, proxy.KindUpgrade} {
		list = append(list, &proxy.Request{Meta: meta(k), Method: "GET", Path: "/"})
	}
	return list
}

var session = &proxy.Session{
	Identity: &proxy.Identity{Subject: "alice", Groups: []string{"dev"}, Kind: proxy.Agent, OnBehalfOf: "bob", Method: proxy.MethodOIDC, AuthTime: time.Unix(1, 0)},
	Target:   proxy.Target{Resource: &proxy.Resource{Name: "shop", Type: "postgres", Labels: map[string]string{"env": "prod"}}, Database: "shop"},
	Remote:   &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 5},
}

// TestInputsMeetTheSchema holds that every question has the published form.
func TestInputsMeetTheSchema(t *testing.T) {
	var s jsonschema.Schema
	require.NoError(t, json.Unmarshal(Schema(), &s))
	r, err := s.Resolve(nil)
	require.NoError(t, err)
	sessions := []*proxy.Session{session, {Identity: &proxy.Identity{Subject: "a"}, Target: proxy.Target{Resource: &proxy.Resource{}}}}
	for _, s := range sessions {
		for _, op := range operations() {
			b, err := json.Marshal(inputOf(s, s.Identity).ask(op, time.Now(), true))
			require.NoError(t, err)
			var v any
			require.NoError(t, json.Unmarshal(b, &v))
			require.NoError(t, r.Validate(v), "%s", b)
			require.Len(t, v.(map[string]any)["operation"], 2, "%s: the kind and what it is", b)
		}
	}
	require.Error(t, r.Validate(map[string]any{"version": 1}))
}

func TestInput(t *testing.T) {
	in := inputOf(session, session.Identity).ask(operations()[1], time.Unix(5, 999), true)
	require.Equal(t, int64(5e9), in.Time.NowNS)
	require.Equal(t, Identity{
		Subject: "alice", Name: "alice", Groups: []string{"dev"}, Claims: map[string]string{}, Kind: "agent", OnBehalfOf: "bob", Method: "oidc", LoginNS: 1e9,
	}, in.Identity)
	require.Equal(t, "fe80::1", in.Source.Address)
	b, err := json.Marshal(in.Operation.Statement.Args)
	require.NoError(t, err)
	require.Equal(t, `[null,"a","\\x01","2"]`, string(b))
	require.Equal(t, "SELECT \uFFFD", in.Operation.Statement.Text)
	require.Equal(t, []string{"unknown"}, inputOf(session, session.Identity).ask(operations()[3], time.Time{}, true).Operation.Statement.Effects)
}
