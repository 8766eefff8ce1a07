package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
)

// permit allows everything.
type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("all") }}, nil
}

// archived is a log of a stopped gateway with some sessions, and a config file that names it.
type archived struct {
	config, log string
	ids         []string
}

func archive(t *testing.T, sessions int) *archived {
	t.Helper()
	dir := t.TempDir()
	a := &archived{config: filepath.Join(dir, "sallyport.yaml"), log: filepath.Join(dir, "data", "audit")}
	verifier, err := identity.NewVerifier("wonder")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(a.config, []byte(`
data_dir: data
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: "`+verifier+`"}]}
resources: [{name: shop, type: postgres, address: "127.0.0.1:1", username: app}]
access: [{groups: [dev], allow: [connect]}]
`), 0o600))
	l, err := audit.Open(a.log, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: slog.New(slog.DiscardHandler)}
	for range sessions {
		s, connect, err := g.Open(t.Context(), proxy.OpenRequest{
			Identity: &proxy.Identity{Subject: "alice", Method: proxy.MethodSCRAM}, Protocol: "postgres",
			Target: proxy.Target{Resource: &proxy.Resource{Name: "shop", Type: "postgres"}, Database: "shop"},
			Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711},
		})
		require.NoError(t, err)
		s.Done(connect, &proxy.Outcome{})
		op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 'pink elephant'"), Facts: &proxy.Facts{Effects: proxy.EffectRead}}
		v := s.Ask(t.Context(), op)
		require.False(t, v.Refuses(), "%+v", v)
		s.Done(op, &proxy.Outcome{})
		a.ids = append(a.ids, s.ID)
		s.Close(nil)
	}
	require.NoError(t, l.Close())
	return a
}

// file is the path of a session's file.
func (a *archived) file(t *testing.T, id, suffix string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(a.log, "sessions", "*", id+suffix))
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0]
}

// A log of which something was taken away is served only after somebody's word, which is
// on record.
func TestAdopt(t *testing.T) {
	a := archive(t, 2)
	require.Contains(t, must(t, "sessions", "adopt", "-c", a.config, "--reason", "why"), "nothing to adopt")
	require.NoError(t, os.Remove(filepath.Join(a.log, "log", "checkpoint")))
	code, out, _ := sallyport(t, "", "verify", a.log)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "signed head")
	code, _, errs := sallyport(t, "", "serve", "-c", a.config)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "is missing")
	require.Contains(t, errs, "sallyport sessions adopt --reason WHY")
	code, _, errs = sallyport(t, "", "sessions", "hold", "-c", a.config, "--reason", "why", a.ids[0])
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "sallyport sessions adopt")
	code, _, _ = sallyport(t, "", "sessions", "adopt", "-c", a.config)
	require.Equal(t, exitUsage, code)
	require.Contains(t, must(t, "sessions", "adopt", "-c", a.config, "--reason", "restored by hand"), "on record")
	require.Contains(t, must(t, "verify", a.log), "proven")
	csv := must(t, "report", "-c", a.config)
	require.Contains(t, csv, "admin.adopt")
	require.Contains(t, csv, "restored by hand")
	require.Equal(t, 1, strings.Count(csv, "admin.adopt"))
}

// A record that was cut off is an error of every command that reads it; other sessions are
// shown as before.
func TestCutRecord(t *testing.T) {
	a := archive(t, 3)
	name := a.file(t, a.ids[1], ".rec")
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for label, change := range map[string]func(){
		"cut": func() { require.NoError(t, os.Truncate(name, int64(len(whole)-1))) },
		"altered": func() {
			b := bytes.Clone(whole)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(name, b, 0o600))
		},
		"gone": func() { require.NoError(t, os.Remove(name)) },
	} {
		t.Run(label, func(t *testing.T) {
			must(t, "sessions", "ls", "-c", a.config)
			change()
			defer func() { require.NoError(t, os.WriteFile(name, whole, 0o600)) }()
			for _, args := range [][]string{
				{"sessions", "show", "-c", a.config, a.ids[1]},
				{"sessions", "show", "-c", a.config, "-o", "json", a.ids[1]},
				{"sessions", "play", "-c", a.config, a.ids[1]},
				{"sessions", "export", "-c", a.config, a.ids[1]},
				{"sessions", "export", "-c", a.config, "--format", "csv", a.ids[1]},
				{"verify", a.log},
			} {
				code, out, errs := sallyport(t, "", args...)
				require.Equal(t, exitError, code, "%v\n%s", args, errs)
				require.Contains(t, out+errs, a.ids[1], args)
			}
			code, out, errs := sallyport(t, "", "sessions", "search", "-c", a.config, "pink elephant")
			require.Equal(t, exitError, code)
			require.Contains(t, errs, a.ids[1])
			require.Contains(t, out, a.ids[0])
			require.Contains(t, out, a.ids[2])
			code, out, errs = sallyport(t, "", "report", "-c", a.config)
			require.Equal(t, exitError, code)
			require.Contains(t, errs, "1 record is missing or cannot be read whole")
			require.Contains(t, out, "unreadable")
			for _, id := range []string{a.ids[0], a.ids[2]} {
				require.Contains(t, out, id)
				must(t, "sessions", "show", "-c", a.config, id)
			}
		})
	}
	must(t, "sessions", "search", "-c", a.config, "pink elephant")
	must(t, "report", "-c", a.config)
}

// A key that is missing or does not open is found by verifying and is never called erased
// unless that is on record.
func TestVerifyKeys(t *testing.T) {
	a := archive(t, 2)
	must(t, "sessions", "erase", "-c", a.config, "--reason", "article 17", a.ids[1])
	require.Contains(t, must(t, "verify", a.log), "erased: the content of 1 sealed record, as")
	code, _, errs := sallyport(t, "", "sessions", "show", "-c", a.config, a.ids[1])
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "article 17")

	name := a.file(t, a.ids[0], ".key")
	key, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, os.Remove(name))
	code, out, errs := sallyport(t, "", "verify", a.log)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "session "+a.ids[0]+": its key is missing, and no record says that it was erased")
	require.Contains(t, errs, "sallyport: 1 problem\n")
	code, _, errs = sallyport(t, "", "sessions", "show", "-c", a.config, a.ids[0])
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "no record says that it was erased")
	code, out, _ = sallyport(t, "", "sessions", "ls", "-c", a.config)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "unreadable")
	require.NoError(t, os.WriteFile(name, key, 0o600))
	must(t, "verify", a.log)

	moved := filepath.Join(a.log, "sessions", "2001-01-01")
	require.NoError(t, os.MkdirAll(moved, 0o700))
	record := a.file(t, a.ids[0], ".rec")
	require.NoError(t, os.Rename(record, filepath.Join(moved, filepath.Base(record))))
	for _, args := range [][]string{{"verify", a.log}, {"sessions", "show", "-c", a.config, a.ids[0]}} {
		code, out, errs = sallyport(t, "", args...)
		require.Equal(t, exitError, code)
		require.Contains(t, out+errs, "its record was moved: it lies in "+moved)
	}
	require.NoError(t, os.Rename(filepath.Join(moved, filepath.Base(record)), record))

	require.NoError(t, os.Remove(filepath.Join(a.log, "master.key")))
	code, out, _ = sallyport(t, "", "verify", a.log)
	require.Equal(t, exitError, code)
	require.Contains(t, out, "master.key")
	code, _, errs = sallyport(t, "", "serve", "-c", a.config)
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "master.key")
	require.NoFileExists(t, filepath.Join(a.log, "master.key"))
}

// A head that was set back leaves records that are listed after it, which verifying says.
func TestVerifyUnsigned(t *testing.T) {
	a := archive(t, 1)
	head := filepath.Join(a.log, "log", "checkpoint")
	early, err := os.ReadFile(head)
	require.NoError(t, err)
	must(t, "sessions", "hold", "-c", a.config, "--reason", "case 17", a.ids[0])
	require.NoError(t, os.WriteFile(head, early, 0o600))
	out := must(t, "verify", a.log)
	require.Contains(t, out, "not proven: 1 record that is listed as sealed after the signed head")
	require.Contains(t, out, "or the head was set back")
	require.NotContains(t, out, "not sealed: the sessions are open")
}
