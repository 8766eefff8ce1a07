package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/review"
)

// openForFiles is a gateway in front of a machine: alice may read and write files, bob may read them, eve has commands alone.
func openForFiles(t *testing.T) (h *house, dir string) {
	t.Helper()
	home := t.TempDir()
	machine := startMachine(t, home, []string{"alice"})
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return open(t, home, fmt.Sprintf(`
listen: {ssh: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
data_dir: data
identity: {users: [{name: root, groups: [admin], password: %[1]s}, {name: alice, groups: [dev], password: %[1]s}, {name: bob, groups: [readers], password: %[1]s}, {name: eve, groups: [other], password: %[1]s}]}
resources:
  - {name: vm1, type: ssh, address: %[2]q, username: %[3]s, key: "file:upstream", ssh: {host_keys: [%[4]q]}}
access:
  - {name: devs, groups: [dev], allow: [all]}
  - {name: readers, groups: [readers], allow: [connect, file-read]}
  - {name: others, groups: [other], allow: [connect, exec]}
guardrails:
  - {use: off}
  - {name: no-secrets, deny: {paths: ["%[5]s/secret*"]}, message: secrets stay there}
  - {name: ask-config, hold: {paths: ["%[5]s/config*"]}, approvers: [admin], for: 5m}
masking: [{use: off}]
control: [{groups: [admin], allow: [list, kill, watch, review, users]}]
`, verifier(t), machine.address, machine.user, machine.hostKey, dir)), dir
}

// mover is the files of a machine in the browser.
type mover struct {
	*tab
	file     int
	received int64
	sent     int64
}

func (h *house) files(t *testing.T, token string) *mover {
	t.Helper()
	b, status := h.browse(t, token, "/v1/resources/vm1/files")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	b.send(frame{"type": "open"})
	b.until("opened")
	return &mover{tab: b}
}

// until reads until a frame is of a type, and returns what came of files.
func (m *mover) until(types ...string) (data []byte, list []frame) {
	m.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(m.t.Context(), 60*time.Second)
		typ, b, err := m.Read(ctx)
		cancel()
		require.NoError(m.t, err, "waiting for %v after %v", types, list)
		if typ == websocket.MessageBinary {
			data = append(data, b...)
			m.received += int64(len(b))
			m.send(frame{"type": "ack", "received": m.received})
			continue
		}
		var f frame
		require.NoError(m.t, json.Unmarshal(b, &f))
		list = append(list, f)
		for _, want := range types {
			if f["type"] == want {
				return data, list
			}
		}
	}
}

func (m *mover) get(path string) ([]byte, []frame) {
	m.file++
	m.send(frame{"type": "get", "file": m.file, "path": path})
	return m.until("done", "failed", "ended")
}

func (m *mover) put(path string, content []byte) []frame {
	m.t.Helper()
	m.file++
	m.send(frame{"type": "put", "file": m.file, "path": path, "size": len(content)})
	_, list := m.until("file", "failed", "held", "ended")
	if last(list)["type"] != "file" {
		return list
	}
	for part := content; len(part) > 0; {
		n := min(len(part), 48<<10)
		ctx, cancel := context.WithTimeout(m.t.Context(), 60*time.Second)
		require.NoError(m.t, m.Write(ctx, websocket.MessageBinary, part[:n]))
		cancel()
		m.sent += int64(n)
		part = part[n:]
		for at := int64(0); m.sent-at > 512<<10; {
			_, more := m.until("ack", "failed")
			if last(more)["type"] == "failed" {
				return more
			}
			at = int64(last(more)["received"].(float64))
		}
	}
	_, list = m.until("done", "failed", "ended")
	return list
}

// Files are moved in the browser as by sftp: the same rules, refusals, holds and record.
func TestBrowserFiles(t *testing.T) {
	h, dir := openForFiles(t)
	m := h.files(t, h.signIn(t, "alice"))
	source := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{0, 1, 32 << 10, 5<<20 + 17} {
		content := make([]byte, size)
		_, _ = source.Read(content)
		path := filepath.Join(dir, fmt.Sprint("file", size))
		require.Equal(t, float64(size), last(m.put(path, content))["bytes"])
		there, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, there), "%d bytes", size)
		got, list := m.get(path)
		require.Equal(t, "done", last(list)["type"], list)
		require.Equal(t, float64(size), of(list, "file")[0]["size"])
		require.True(t, bytes.Equal(content, got), "%d bytes", size)
	}
	// Names are texts.
	odd := filepath.Join(dir, "<img src=x onerror=alert(1)>\u202e\x1b[0m'\"")
	require.NoError(t, os.WriteFile(odd, []byte("odd"), 0o600))
	got, list := m.get(odd)
	require.Equal(t, "odd", string(got))
	require.Equal(t, "_img src=x onerror=alert(1)___[0m'_", of(list, "file")[0]["name"])

	// What is refused says why, and the session goes on.
	secret := filepath.Join(dir, "secret.key")
	require.NoError(t, os.WriteFile(secret, []byte("hush"), 0o600))
	got, list = m.get(secret)
	require.Empty(t, got)
	require.Equal(t, true, last(list)["refused"])
	require.Contains(t, last(list)["message"], "secrets stay there")
	list = m.put(secret, []byte("other"))
	require.Contains(t, last(list)["message"], "secrets stay there")
	_, list = m.get(filepath.Join(dir, "nothing"))
	require.Equal(t, "failed", last(list)["type"])
	require.Nil(t, last(list)["refused"])
	_, list = m.get(dir)
	require.Equal(t, "failed", last(list)["type"], "a folder is not a file")

	// What is held waits for somebody, and says so.
	root := h.signIn(t, "root")
	m.file++
	m.send(frame{"type": "get", "file": m.file, "path": filepath.Join(dir, "config.yaml")})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("a: b"), 0o600))
	_, list = m.until("held")
	var asked review.Request
	id := last(list)["request"].(string)
	require.Equal(t, http.StatusOK, h.ask(t, root, "GET", "/v1/requests/"+id, nil, &asked))
	require.Equal(t, http.StatusOK, h.ask(t, root, "POST", "/v1/requests/"+id+"/approve", control.Decision{Hash: asked.Hash}, nil))
	got, _ = m.until("done")
	require.Equal(t, "a: b", string(got))

	// The cap is on what is sent and on what comes.
	m.file++
	m.send(frame{"type": "put", "file": m.file, "path": filepath.Join(dir, "large"), "size": 256<<20 + 1})
	_, list = m.until("failed")
	require.Contains(t, last(list)["message"], "at most 256 MiB")
	large := filepath.Join(dir, "large")
	f, err := os.Create(large)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(256<<20+1))
	require.NoError(t, f.Close())
	got, list = m.get(large)
	require.Empty(t, got)
	require.Contains(t, last(list)["message"], "at most 256 MiB")

	// Without acknowledgements no more than the window comes, and what was cancelled ends.
	require.NoError(t, os.Truncate(large, 8<<20))
	m.file++
	m.send(frame{"type": "get", "file": m.file, "path": large})
	var n int64
	for n < 1<<20 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		typ, b, err := m.Read(ctx)
		cancel()
		require.NoError(t, err)
		if typ == websocket.MessageBinary {
			n += int64(len(b))
		}
	}
	m.send(frame{"type": "ping", "at": 1})
	_, list = m.until("pong")
	require.Len(t, list, 1, "it waits")
	m.received += n
	m.send(frame{"type": "cancel", "file": m.file})
	_, list = m.until("failed")
	require.Equal(t, "you have cancelled it", last(list)["message"])
	m.send(frame{"type": "ack", "received": m.received})
	got, list = m.get(filepath.Join(dir, "file1"))
	require.Equal(t, "done", last(list)["type"])
	require.Len(t, got, 1, "the session goes on")

	id = h.session(t, "alice", "vm1").ID
	require.Equal(t, http.StatusAccepted, h.ask(t, root, "POST", "/v1/sessions/"+id+"/kill", control.KillRequest{Reason: "lunch"}, nil))
	_, list = m.until("ended")
	require.Equal(t, "an administrator ended the session: lunch", last(list)["reason"])
	require.NoError(t, h.stop())
	digests := make(map[string]bool)
	for _, e := range h.records(t)[id] {
		digests[e.Tag] = true
		require.Equal(t, "alice", h.records(t)[id][0].User)
	}
	require.Equal(t, "console", h.records(t)[id][0].Via)
	there, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("file", 5<<20+17)))
	require.NoError(t, err)
	require.True(t, digests[fmt.Sprintf("sha256:%x", sha256.Sum256(there))], "the digest of what was moved is on record: %v", digests)
}

// Who may not move files is told so, and what is sent without being wanted ends the socket.
func TestBrowserFilesClosed(t *testing.T) {
	h, dir := openForFiles(t)
	file := filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(file, []byte("a"), 0o600))
	bob := h.files(t, h.signIn(t, "bob"))
	got, _ := bob.get(file)
	require.Equal(t, "a", string(got))
	list := bob.put(file, []byte("b"))
	require.Equal(t, "failed", last(list)["type"])
	require.Equal(t, true, last(list)["refused"])
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "a", string(kept))

	eve, status := h.browse(t, h.signIn(t, "eve"), "/v1/resources/vm1/files")
	require.Equal(t, http.StatusSwitchingProtocols, status)
	eve.send(frame{"type": "open"})
	require.Contains(t, last(eve.until("ended"))["reason"], "sallyport: ", "in the gateway's words")

	_, status = h.browse(t, "", "/v1/resources/vm1/files")
	require.Equal(t, http.StatusUnauthorized, status)
	alice := h.signIn(t, "alice")
	_, status = h.browse(t, alice, "/v1/resources/vm1/files", "Origin", "https://evil.example.com")
	require.Equal(t, http.StatusForbidden, status)
	for name, send := range map[string]func(m *mover){
		"no path":            func(m *mover) { m.send(frame{"type": "get", "file": 1}) },
		"a NUL":              func(m *mover) { m.send(frame{"type": "get", "file": 1, "path": "/etc/passwd\x00.txt"}) },
		"a negative size":    func(m *mover) { m.send(frame{"type": "put", "file": 1, "path": file, "size": -1}) },
		"no number":          func(m *mover) { m.send(frame{"type": "get", "path": file}) },
		"an acknowledgement": func(m *mover) { m.send(frame{"type": "ack", "received": 1}) },
		"another frame":      func(m *mover) { m.send(frame{"type": "remove", "path": file}) },
		"more than its size": func(m *mover) {
			m.send(frame{"type": "put", "file": 1, "path": filepath.Join(dir, "b"), "size": 1})
			m.until("file")
			require.NoError(t, m.Write(t.Context(), websocket.MessageBinary, []byte("bb")))
		},
		"two at once": func(m *mover) {
			m.send(frame{"type": "put", "file": 1, "path": filepath.Join(dir, "b"), "size": 1})
			m.until("file")
			m.send(frame{"type": "get", "file": 2, "path": file})
		},
	} {
		m := h.files(t, alice)
		send(m)
		require.Equal(t, websocket.StatusPolicyViolation, m.ends(), name)
	}
	require.Eventually(t, func() bool { return len(h.gateway.Sessions()) == 1 }, 30*time.Second, 10*time.Millisecond, "sessions end with their sockets")
}
