package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/control/client"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/internal/firstseen"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/store"
)

// lookout is a gateway of which a test has what it knows of hosts, and its record.
type lookout struct {
	*hosts
	dir string
}

// crew is a store, and the gateways on it.
type crew struct {
	t     *testing.T
	store *away
	keys  *store.Sealer
}

func newCrew(t *testing.T, s store.Store) *crew {
	keys, err := store.OpenSealer(t.Context(), s, store.NewKey())
	require.NoError(t, err)
	return &crew{t, &away{Store: s}, keys}
}

// join opens a gateway whose own file has these lines.
func (m *crew) join(lines string) *lookout {
	m.t.Helper()
	w := &lookout{dir: m.t.TempDir()}
	records, err := audit.Open(filepath.Join(w.dir, "audit"), audit.Config{})
	require.NoError(m.t, err)
	m.t.Cleanup(func() { require.NoError(m.t, records.Close()) })
	g := &Gateway{
		records: records, log: slog.New(slog.DiscardHandler),
		state: &state{store: m.store, documents: stored.Documents(m.store), sealer: stored.Sealer(m.keys)},
	}
	if lines != "" {
		require.NoError(m.t, os.WriteFile(filepath.Join(w.dir, "seen"), []byte(lines), 0o600))
	}
	w.hosts = &hosts{g, "ssh", firstseen.At(filepath.Join(w.dir, "seen"))}
	g.hosts.all = []*hosts{w.hosts}
	return w
}

// sees has a gateway reach vm1, which shows a key, as an SSH connection does. It returns by which key the host is known.
func (w *lookout) sees(t *testing.T, key string) string {
	t.Helper()
	known, err := w.Known(t.Context(), "vm1")
	require.NoError(t, err)
	if known == nil {
		known, err = w.Remember(t.Context(), "vm1", []byte(key))
		require.NoError(t, err)
	}
	return string(known)
}

func (w *lookout) refuses(t *testing.T, why string) {
	t.Helper()
	_, err := w.Known(t.Context(), "vm1")
	require.ErrorContains(t, err, why)
	_, err = w.Remember(t.Context(), "vm1", []byte("attacker"))
	require.ErrorContains(t, err, why)
}

func (w *lookout) forgets(t *testing.T, keys ...string) {
	t.Helper()
	var prints []string
	_, err := w.Gateway.hosts.Forget(t.Context(), "vm1", "ada", "set up anew", func(list []string) error { prints = list; return nil })
	require.NoError(t, err)
	var want []string
	for _, k := range keys {
		want = append(want, fingerprint([]byte(k)))
	}
	require.Equal(t, want, prints)
}

// told are the events about hosts that the gateway has recorded.
func (w *lookout) told(t *testing.T) (list []string) {
	t.Helper()
	a, err := audit.OpenArchive(filepath.Join(w.dir, "audit"))
	require.NoError(t, err)
	ids, err := a.Sessions()
	require.NoError(t, err)
	for _, id := range ids {
		for e, err := range a.Events(id) {
			require.NoError(t, err)
			if strings.HasPrefix(e.Type, "host.") {
				list = append(list, strings.TrimSpace(strings.Join([]string{e.Type, e.Resource, e.Hash, e.User, e.Reason}, " ")))
			}
		}
	}
	return list
}

// document reads the store's document of a resource, put sets it back to one that was read, or deletes it.
func (m *crew) document(resource string) store.Document {
	m.t.Helper()
	d, err := m.store.Get(m.t.Context(), kindHostKey, "ssh/"+resource)
	require.NoError(m.t, err)
	return d
}

func (m *crew) put(body []byte) {
	m.t.Helper()
	err := store.Update(m.t.Context(), m.store, kindHostKey, "ssh/vm1", func(d store.Document) ([]store.Write, error) {
		d.Body = body
		switch {
		case body == nil:
			return []store.Write{store.Delete(d)}, nil
		case d.Version == 0:
			return []store.Write{store.Create(d)}, nil
		}
		return []store.Write{store.Replace(d)}, nil
	})
	require.NoError(m.t, err)
}

// TestHostsShared: what one gateway has seen first, all know, also one whose folder is new; what is trusted is on record.
func TestHostsShared(t *testing.T) {
	teststore.Each(t, func(t *testing.T, s store.Store) {
		m := newCrew(t, s)
		one, two := m.join(""), m.join("")
		require.Equal(t, "a", one.sees(t, "a"))
		require.Equal(t, "a", two.sees(t, "attacker"))
		require.Equal(t, "a", m.join("").sees(t, "attacker"), "a new folder")
		require.Equal(t, []string{"host.trusted vm1 " + fingerprint([]byte("a")) + "  it was reached for the first time"}, one.told(t))
		require.Empty(t, two.told(t))
		require.NotContains(t, string(m.document("vm1").Body), base64.StdEncoding.EncodeToString([]byte(`{"key":`))[:9], "it is sealed")

		one.forgets(t, "a")
		require.Equal(t, "b", two.sees(t, "b"))
		require.Equal(t, "b", one.sees(t, "a"))
		require.Equal(t, []string{"host.forgotten vm1 " + fingerprint([]byte("a")) + " ada set up anew", "host.trusted vm1 " + fingerprint([]byte("b")) + "  it was reached for the first time"}, two.told(t))
		one.forgets(t, "b")
		require.Equal(t, "a", one.sees(t, "a"), "it was forgotten once, and is trusted again")
		require.Equal(t, "a", two.sees(t, "b"))
	})
}

// TestHostsAtOnce: gateways that see a host first at once know one key.
func TestHostsAtOnce(t *testing.T) {
	teststore.Each(t, func(t *testing.T, s store.Store) {
		m := newCrew(t, s)
		known := make([]string, 4)
		var wg sync.WaitGroup
		for i := range known {
			w := m.join("")
			wg.Go(func() {
				key, err := w.Remember(t.Context(), "vm1", fmt.Append(nil, "key ", i))
				assert.NoError(t, err)
				known[i] = string(key)
			})
		}
		wg.Wait()
		for _, k := range known {
			require.Equal(t, known[0], k)
		}
		require.Equal(t, known[0], m.join("").sees(t, "attacker"))
	})
}

// TestHostsImport: the file of an earlier version counts, for all gateways; gateways that have trusted different keys say so.
func TestHostsImport(t *testing.T) {
	m := newCrew(t, store.NewMemory())
	one, two, other := m.join("vm1 YQ==\nvm2 YQ==\n"), m.join("vm1 YQ==\n"), m.join("vm1 Yg==\n")
	require.NoError(t, one.Gateway.hosts.load(t.Context()), "before it is connected to")
	require.Len(t, one.told(t), 2)
	require.Equal(t, "a", m.join("").sees(t, "attacker"))
	require.Equal(t, "a", two.sees(t, "attacker"))
	require.Empty(t, two.told(t))
	require.NoError(t, other.Gateway.hosts.load(t.Context()))
	other.refuses(t, fingerprint([]byte("b"))+", and the store the key "+fingerprint([]byte("a")))
	require.Equal(t, "host.refused vm1 "+fingerprint([]byte("b")), other.told(t)[0])
	other.forgets(t, "a", "b")
	require.Equal(t, "c", one.sees(t, "c"))
	require.Equal(t, "c", other.sees(t, "attacker"))
}

// TestAttackHostsStore: who can write into the store has no gateway trust a key by which it does not know a host, nor forget one.
func TestAttackHostsStore(t *testing.T) {
	m := newCrew(t, store.NewMemory())
	one, two := m.join(""), m.join("")
	require.Equal(t, "a", one.sees(t, "a"))
	first := m.document("vm1").Body
	require.Equal(t, "a", two.sees(t, "a"))

	m.put(nil)
	require.Equal(t, "a", one.sees(t, "attacker"), "deleted")
	require.Equal(t, "a", m.join("").sees(t, "attacker"), "and told again")

	_, err := one.Remember(t.Context(), "vm2", []byte("attacker"))
	require.NoError(t, err)
	for name, body := range map[string][]byte{
		"another's": m.document("vm2").Body, "plain": []byte(`{"key":"YXR0YWNrZXI="}`), "text": []byte(`"YXR0YWNrZXI="`), "nothing": []byte("null"),
	} {
		m.put(body)
		one.refuses(t, "was not written there by a gateway")
		m.join("").refuses(t, "was not written there by a gateway")
		list, err := one.Gateway.hosts.List(t.Context())
		require.NoError(t, err)
		require.Contains(t, list[0].Error, "was not written there by a gateway", name)
		require.Equal(t, fingerprint([]byte("a")), list[0].Here)
	}
	m.put(first)
	one.forgets(t, "a")
	empty := m.document("vm1").Body
	require.Equal(t, "b", one.sees(t, "b"))
	require.NoError(t, two.Gateway.hosts.follow(t.Context(), "ssh/vm1"))
	now := m.document("vm1").Body

	m.put(first) // to a key that was forgotten
	one.refuses(t, "and the store the key "+fingerprint([]byte("a")))
	two.refuses(t, "and the store the key "+fingerprint([]byte("a")))
	m.put(empty) // to when the next was trusted
	require.Equal(t, "b", two.sees(t, "attacker"))
	require.Equal(t, "b", one.sees(t, "attacker"))
	m.put(now)
	one.forgets(t, "b")
	m.put(now) // to a key that was forgotten meanwhile
	one.refuses(t, "the store was set back")
	one.forgets(t, "b")
	require.Equal(t, "a", one.sees(t, "a"), "a key that was trusted before")
	require.Equal(t, "a", two.sees(t, "a"))
	m.put(now) // where that key is forgotten
	one.refuses(t, "and the store the key "+fingerprint([]byte("b")))
	m.put(empty)
	require.Equal(t, "a", one.sees(t, "attacker"))
	require.Equal(t, "a", two.sees(t, "attacker"))
}

// TestHostsStoreDown: while the store does not answer a gateway knows what it has seen, and trusts nothing new.
func TestHostsStoreDown(t *testing.T) {
	m := newCrew(t, store.NewMemory())
	one, two := m.join(""), m.join("")
	require.Equal(t, "a", one.sees(t, "a"))
	m.store.set(true)
	require.Equal(t, "a", one.sees(t, "attacker"))
	two.refuses(t, "connection refused")
	_, err := one.Gateway.hosts.Forget(t.Context(), "vm1", "ada", "x", func([]string) error { return nil })
	var refused *control.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	m.store.set(false)
	require.Equal(t, "a", two.sees(t, "attacker"))
}

// TestHostsUnrecorded: what cannot be recorded is neither trusted nor forgotten.
func TestHostsUnrecorded(t *testing.T) {
	m := newCrew(t, store.NewMemory())
	one, two := m.join(""), m.join("")
	require.NoError(t, one.records.Close())
	_, err := one.Remember(t.Context(), "vm1", []byte("a"))
	require.Error(t, err)
	require.Equal(t, "b", two.sees(t, "b"))
	unrecorded := errors.New("the disk is full")
	_, err = two.Gateway.hosts.Forget(t.Context(), "vm1", "ada", "x", func([]string) error { return unrecorded })
	require.ErrorIs(t, err, unrecorded)
	require.Equal(t, "b", two.sees(t, "attacker"))
	_, err = two.Gateway.hosts.Forget(t.Context(), "vm9", "ada", "x", func([]string) error { return nil })
	var refused *control.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusNotFound, refused.Status)
}

// TestHostsForgottenOften: a bounded number of keys stays known as forgotten, and they count.
func TestHostsForgottenOften(t *testing.T) {
	m := newCrew(t, store.NewMemory())
	one := m.join("")
	for i := range maxForgotten + 5 {
		key := fmt.Sprint("key ", i)
		require.Equal(t, key, one.sees(t, key))
		one.forgets(t, key)
	}
	k, _, err := one.load(t.Context(), "vm1")
	require.NoError(t, err)
	require.Len(t, k.Before, maxForgotten)
	require.Equal(t, "key 20", string(k.Before[maxForgotten-1].Key))
	require.Equal(t, maxForgotten+5, k.Forgotten)
}

// TestHostsOfGateways: two gateways on one store and real machines. The second trusts what the first has seen and no other key; an
// administrator has the key forgotten, and both trust the one that is shown next.
func TestHostsOfGateways(t *testing.T) {
	dir := t.TempDir()
	me, err := user.Current()
	require.NoError(t, err)
	accepted := testserver.KeyPair(t, filepath.Join(dir, "upstream"))
	machines := make([]*machine, 2)
	var prints []string
	for i := range machines {
		folder := filepath.Join(dir, fmt.Sprint(i))
		require.NoError(t, os.Mkdir(folder, 0o700))
		machines[i] = &machine{user: me.Username, hostKey: testserver.KeyPair(t, filepath.Join(folder, "host"))}
		machines[i].address = testserver.OpenSSH(t, folder, filepath.Join(folder, "host"), accepted)
		key, _, _, _, err := gossh.ParseAuthorizedKey([]byte(machines[i].hostKey))
		require.NoError(t, err)
		prints = append(prints, gossh.FingerprintSHA256(key))
	}
	alice := testserver.KeyPair(t, filepath.Join(dir, "alice"))
	t.Setenv("STORE_KEY", store.NewKey().Text())
	shared := store.NewMemory()
	text := func(data string, m *machine) string {
		return fmt.Sprintf(`
listen: {ssh: "127.0.0.1:0"}
data_dir: %s
store: {key: env:STORE_KEY}
identity: {users: [{name: alice, groups: [dev], ssh_keys: [%q]}]}
resources: [{name: vm1, type: ssh, address: %q, username: %s, key: file:upstream, ssh: {trust_on_first_use: true}}]
access: [{groups: [dev], resources: [vm1], allow: [all]}]
control: [{users: [%s], allow: [configure]}]
`, data, alice, m.address, m.user, m.user)
	}
	one, two := openOn(t, shared, dir, text("one", machines[0])), openOn(t, shared, dir, text("two", machines[1]))
	runs := func(h *house) string {
		t.Helper()
		c := h.ssh(t, "alice", "vm1")
		defer c.Close()
		s, err := c.NewSession()
		require.NoError(t, err)
		var told strings.Builder
		s.Stderr = &told
		if err := s.Run("true"); err != nil {
			require.NotEmpty(t, told.String(), "%v", err)
		}
		return told.String()
	}
	require.Empty(t, runs(one))
	require.Contains(t, runs(two), prints[1]+", expected "+prints[0], "another machine answers in its place")
	api := client.Socket(Socket(two.parts().config))
	list, err := api.Hosts(context.Background())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, prints[0], list[0].Key)
	_, err = api.ForgetHost(context.Background(), "vm1", "")
	require.ErrorContains(t, err, "reason")
	h, err := api.ForgetHost(context.Background(), "vm1", "set up anew")
	require.NoError(t, err)
	require.Empty(t, h.Key)
	require.Equal(t, prints[0], h.Forgotten[0].Key)
	require.Empty(t, runs(two))
	require.Contains(t, runs(one), prints[0]+", expected "+prints[1])
	require.Contains(t, two.log.String(), prints[1])
	require.NoError(t, two.stop())
	var forgot []string
	for _, e := range two.records(t)[""] {
		if e.Type == audit.AdminConfigure {
			forgot = append(forgot, e.Action+" "+e.Reason)
		}
	}
	require.Equal(t, []string{"forget host vm1 " + prints[0] + ": set up anew"}, forgot)
}
