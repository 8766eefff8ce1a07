package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// safe is a gateway that is not served, with a grant of alice's.
type safe struct {
	*Gateway
	dir, ring string
	file      string // of the configuration
	grant     string // sealed
	store     store.Store
}

var operator = &proxy.Identity{Subject: "root", Method: proxy.MethodPeer}

// openSafe makes a gateway with a grant; a gateway is made anew by reopen.
func openSafe(t *testing.T) *safe {
	t.Helper()
	keys, ring := newKeyring(t, "alice", "olga", "otto")
	s := &safe{dir: t.TempDir(), ring: ring, store: store.NewMemory()}
	t.Setenv("STORE_KEY", store.NewKey().Text())
	told := newReceiver(t, ring, "a.pem")
	s.file = fmt.Sprintf(`
data_dir: %s/data
listen: {postgres: "127.0.0.1:0"}
store: {key: env:STORE_KEY}
audit: {best_effort: true, durability: os}
identity: {users: [{name: alice, groups: [oncall], password: %s}]}
resources: [{name: shop, type: postgres, address: orders.internal, username: x, tls: {mode: disable}}]
access: [{name: prod, groups: [oncall], allow: [connect, read], request: {approvers: ["local:ops"], break_glass: {groups: [oncall], offline: true}}}]
offline_grants: {keepers: [{name: olga, key: %q}, {name: otto, key: %q}]}
%s`, s.dir, verifier(t), keys["olga"], keys["otto"], loud(t, ring, told))
	s.reopen(t)
	g, err := s.offline.Make(t.Context(), operator, control.OfflineGrantRequest{Subject: "alice", Key: keys["alice"], Resource: "shop", Reason: "drill"})
	require.NoError(t, err)
	s.grant = g.Sealed
	return s
}

func (s *safe) reopen(t *testing.T) {
	t.Helper()
	if s.Gateway != nil {
		require.NoError(t, s.Close())
	}
	g, err := New(parse(t, Defaults(), s.file), Options{Log: slog.New(slog.DiscardHandler), Store: s.store})
	require.NoError(t, err)
	s.Gateway = g
	t.Cleanup(func() { g.Close() })
}

func (s *safe) begin(t *testing.T) string {
	t.Helper()
	st, err := s.offline.Begin(t.Context(), control.OfflineBegin{Sealed: s.grant, Reason: "all is down"})
	require.NoError(t, err)
	return st.Text
}

func (s *safe) signed(t *testing.T, text string) control.OfflineUse {
	return control.OfflineUse{Sealed: s.grant, Statement: text, Signatures: signs(t, s.ring, text, "alice", "olga", "otto")}
}

func (s *safe) use(t *testing.T, u control.OfflineUse) error {
	t.Helper()
	_, err := s.offline.Use(t.Context(), operator, u)
	return err
}

func (s *safe) book() string { return filepath.Join(s.dir, "data", "offline.json") }

// reviewed has everything that was taken reviewed.
func (s *safe) reviewed(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go s.desk.Run(ctx)
	require.Eventually(t, func() bool {
		for _, r := range s.desk.List() {
			switch r.State {
			case review.Approved:
				_, _ = s.desk.Revoke(ctx, r.ID, review.Vote{By: olga, Reason: "enough"}, false)
			case review.ReviewDue:
				_, _ = s.desk.Review(ctx, r.ID, review.Vote{By: olga, Hash: r.Hash, Reason: "a drill"}, false, false)
			}
		}
		return len(s.desk.List()) == 0
	}, 30*time.Second, 50*time.Millisecond)
}

// TestOfflineCounter: no older copy of what the gateway keeps lets a statement count twice.
func TestOfflineCounter(t *testing.T) {
	for name, restore := range map[string]func(t *testing.T, s *safe, before string){
		"nothing":        func(*testing.T, *safe, string) {},
		"without a file": func(t *testing.T, s *safe, _ string) { require.NoError(t, os.Remove(s.book())) },
		"an older file": func(t *testing.T, s *safe, _ string) {
			require.NoError(t, os.WriteFile(s.book(), []byte(`{"number": 0}`), 0o600))
		},
		"an older log": restoreLog,
		"both, but not the store": func(t *testing.T, s *safe, before string) {
			restoreLog(t, s, before)
			require.NoError(t, os.Remove(s.book()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSafe(t)
			require.NoError(t, s.Close())
			before := filepath.Join(t.TempDir(), "audit")
			require.NoError(t, os.CopyFS(before, os.DirFS(filepath.Join(s.dir, "data", "audit"))))
			s.Gateway = nil
			s.reopen(t)
			u := s.signed(t, s.begin(t))
			require.NoError(t, s.use(t, u))
			require.ErrorContains(t, s.use(t, u), "is that of use 1, and the next one is 2")
			if name != "both, but not the store" {
				s.reviewed(t)
			} else {
				ctx, stop := context.WithCancel(t.Context())
				go s.desk.Run(ctx)
				require.Eventually(t, func() bool { return len(s.desk.List()) == 1 && strings.Contains(content(t, s.book()), `"kept": true`) }, 30*time.Second, 20*time.Millisecond)
				stop()
			}
			require.NoError(t, s.Close())
			s.Gateway = nil
			restore(t, s, before)
			s.reopen(t)
			require.ErrorContains(t, s.use(t, u), "is that of use 1, and the next one is 2")
		})
	}
}

func content(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}

// restoreLog puts an older copy of the audit log in the place of the one that is there.
func restoreLog(t *testing.T, s *safe, before string) {
	t.Helper()
	log := filepath.Join(s.dir, "data", "audit")
	require.NoError(t, os.RemoveAll(log))
	require.NoError(t, os.CopyFS(log, os.DirFS(before)))
}

// TestOfflineRefused: what does not count is not used, and is refused for what it is.
func TestOfflineRefused(t *testing.T) {
	s := openSafe(t)
	u := s.signed(t, s.begin(t))
	for says, change := range map[string]func(text string) string{
		"no offline grants": func(f string) string {
			return strings.NewReplacer("offline_grants: {", "# ", ", offline: true", "").Replace(f)
		},
		"does not let anybody have access by": func(f string) string { return strings.Replace(f, ", offline: true", "", 1) },
		"no rule lets alice have access": func(f string) string {
			return strings.Replace(f, "break_glass: {groups: [oncall]", "break_glass: {groups: [\"local:x\"]", 1)
		},
		"alice is disabled": func(f string) string {
			return strings.Replace(f, "groups: [oncall], password", "groups: [oncall], disabled: true, password", 1)
		},
		"alice is not known":             func(f string) string { return strings.Replace(f, "{name: alice,", "{name: ada,", 1) },
		"belongs to none of the keepers": func(f string) string { return swapKey(t, f) },
		"was revoked": func(f string) string {
			return strings.Replace(f, "offline_grants: {", "offline_grants: {revoked: ["+grantID(s.grant)+"], ", 1)
		},
		"2 of the keepers have signed it, and 3": func(f string) string {
			return strings.Replace(f, "offline_grants: {keepers: [", fmt.Sprintf("offline_grants: {need: 3, keepers: [{name: nora, key: %q}, ", newKey(t)), 1)
		},
	} {
		good := s.file
		s.file = change(good)
		f := parse(t, Defaults(), s.file)
		require.NoError(t, s.Apply(f), says)
		require.ErrorContains(t, s.use(t, u), says)
		s.file = good
		require.NoError(t, s.Apply(parse(t, Defaults(), good)))
	}
	for says, bad := range map[string]control.OfflineUse{
		"not a grant of this gateway": {Sealed: strings.Replace(s.grant, "alice", "mallo", 1), Statement: u.Statement, Signatures: u.Signatures},
		"the statement":               {Sealed: s.grant, Signatures: u.Signatures},
		"alice has not signed it":     {Sealed: s.grant, Statement: u.Statement},
	} {
		require.ErrorContains(t, s.use(t, bad), says)
	}
	n, err := s.records.Counted(review.BreakGlass)
	require.NoError(t, err)
	require.Zero(t, n, "nothing was used")
	require.NoError(t, s.use(t, u))
}

func newKey(t *testing.T) string {
	t.Helper()
	keys, _ := newKeyring(t, "somebody")
	return keys["somebody"]
}

// swapKey is a file in which otto has another key.
func swapKey(t *testing.T, f string) string {
	at := strings.Index(f, "{name: otto, key: ") + len("{name: otto, key: ")
	end := at + strings.Index(f[at:], "}")
	return f[:at] + fmt.Sprintf("%q", newKey(t)) + f[end:]
}

func grantID(sealed string) string {
	_, rest, _ := strings.Cut(sealed, `"id": "`)
	id, _, _ := strings.Cut(rest, `"`)
	return id
}

// TestOfflineDamaged: a file that cannot be read keeps grants from being used, and the gateway from nothing else.
func TestOfflineDamaged(t *testing.T) {
	s := openSafe(t)
	u := s.signed(t, s.begin(t))
	for _, text := range []string{"{", `{"number": 1, "uses": [{}]}`} {
		require.NoError(t, os.WriteFile(s.book(), []byte(text), 0o600))
		s.reopen(t)
		require.Equal(t, control.CodeUnrecorded, codeOf(s.use(t, u)))
		require.Equal(t, text, content(t, s.book()), "it stays for who looks at it")
	}
	require.NoError(t, os.Remove(s.book()))
	s.reopen(t)
	require.NoError(t, s.use(t, u))

	// What was taken counts after a restart, by the same password.
	s.reopen(t)
	require.Len(t, s.desk.List(), 1)
	require.NotNil(t, s.offline.named(offlinePrefix+s.desk.List()[0].ID))
	require.NotContains(t, content(t, s.book()), "PRIVATE")
}
