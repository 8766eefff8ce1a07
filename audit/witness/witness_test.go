package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/proxy"
)

// notary is a witness of one log, as C2SP tlog-witness has it.
type notary struct {
	name string
	key  ed25519.PrivateKey
	log  string // the log's key

	mu       sync.Mutex
	size     int64
	hash     tlog.Hash
	requests int
	answer   func(w http.ResponseWriter) bool // instead, when it returns true
}

func newNotary() *notary {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &notary{name: "notary.example.com/w1", key: key}
}

func (n *notary) public() []byte { return append([]byte{4}, n.key.Public().(ed25519.PublicKey)...) }

func (n *notary) hashOf() []byte {
	sum := sha256.Sum256(append([]byte(n.name+"\n"), n.public()...))
	return sum[:4]
}

func (n *notary) vkey() string {
	return fmt.Sprintf("%s+%x+%s", n.name, n.hashOf(), base64.StdEncoding.EncodeToString(n.public()))
}

func (n *notary) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests++
	if r.URL.Path != "/prefix/add-checkpoint" || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	if n.answer != nil && n.answer(w) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	head, checkpoint, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	v, err2 := note.NewVerifier(n.log)
	if !ok || err != nil || err2 != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	opened, err := note.Open([]byte(checkpoint), note.VerifierList(v))
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + opened.Text[strings.Index(opened.Text, "\n")+1:]))
	if err != nil || old > tree.N {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if old != n.size {
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		fmt.Fprintf(w, "%d\n", n.size)
		return
	}
	if old == tree.N && n.hash != tree.Hash {
		w.WriteHeader(http.StatusConflict)
		return
	}
	if old > 0 && old < tree.N {
		var proof tlog.TreeProof
		for _, line := range lines[1:] {
			h, err := tlog.ParseHash(line)
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			proof = append(proof, h)
		}
		if tlog.CheckTree(proof, tree.N, tree.Hash, old, n.hash) != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
	} else if len(lines) != 1 {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	n.size, n.hash = tree.N, tree.Hash
	at := time.Now().Unix()
	sig := binary.BigEndian.AppendUint64(n.hashOf(), uint64(at))
	sig = append(sig, ed25519.Sign(n.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, opened.Text))...)
	fmt.Fprintf(w, "— %s %s\n", "other.example.com", base64.StdEncoding.EncodeToString(make([]byte, 76)))
	fmt.Fprintf(w, "— %s %s\n", n.name, base64.StdEncoding.EncodeToString(sig))
}

type permit struct{}

func (permit) Name() string { return "permit" }

func (permit) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return proxy.Allow("all") }}, nil
}

func openLog(t *testing.T, dir string) *audit.Log {
	t.Helper()
	l, err := audit.Open(dir, audit.Config{Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return l
}

func session(t *testing.T, l *audit.Log) {
	t.Helper()
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{permit{}, l}, Log: slog.New(slog.DiscardHandler)}
	s, connect, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice", Method: proxy.MethodSCRAM}, Target: proxy.Target{Resource: &proxy.Resource{Name: "shop"}},
		Protocol: "postgres", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711},
	})
	require.NoError(t, err)
	s.Done(connect, &proxy.Outcome{})
	s.Close(nil)
}

// tell tells a witness, records so many sessions and closes the log.
func tell(t *testing.T, dir string, w audit.Witness, sessions int) (public string, f *audit.Follower) {
	t.Helper()
	l := openLog(t, dir)
	f, err := l.Witness(w, audit.FollowConfig{Every: time.Millisecond, Drain: 10 * time.Second})
	require.NoError(t, err)
	for range sessions {
		before := l.Head().N
		session(t, l)
		require.Eventually(t, func() bool { return f.Stats().Sessions > before }, 30*time.Second, time.Millisecond)
	}
	require.NoError(t, l.Close())
	return l.PublicKey(), f
}

// conflicts has a witness that does not take a log's head told, until there is a conflict.
func conflicts(t *testing.T, dir string, w audit.Witness, sessions int) {
	t.Helper()
	l := openLog(t, dir)
	for range sessions {
		session(t, l)
	}
	require.Eventually(t, func() bool { return l.Head().N > int64(sessions) }, 30*time.Second, time.Millisecond)
	f, err := l.Witness(w, audit.FollowConfig{Drain: time.Millisecond})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return f.Stats().Conflict }, 30*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
}

func duplicate(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// A witness verifies each head against the one before and cosigns it; its
// cosignatures are kept, and prove the log; a log that is set back or forked is refused.
func TestService(t *testing.T) {
	n := newNotary()
	server := httptest.NewServer(n)
	defer server.Close()
	open := func() *Service {
		s, err := NewService(Config{URL: server.URL + "/prefix/", Called: "notary", Keys: []string{n.vkey()}})
		require.NoError(t, err)
		return s
	}
	dir := t.TempDir()
	l := openLog(t, dir)
	n.log = l.PublicKey()
	require.NoError(t, l.Close())
	early := duplicate(t, dir)

	public, f := tell(t, dir, open(), 3)
	require.Equal(t, int64(5), f.Stats().Sessions)
	_, f = tell(t, dir, open(), 1) // which knows nothing of the witness any more
	require.Equal(t, int64(7), f.Stats().Sessions)
	require.Equal(t, int64(7), n.size)
	heads, err := audit.CosignedHeads(dir, public, n.vkey())
	require.NoError(t, err)
	require.Equal(t, int64(7), heads[0].N)
	require.WithinDuration(t, time.Now(), heads[0].At, time.Minute)
	require.NotContains(t, string(heads[0].Note), "other.example.com", "which is no key of ours")
	r, err := audit.Verify(dir, public, heads[0].Note)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	_, err = audit.CosignedHeads(dir, public, newNotary().vkey())
	require.ErrorContains(t, err, "no head of the log was cosigned by")

	for sessions, name := range []string{"set back", "forked and shorter", "forked and shorter", "forked and shorter", "forked and shorter", "forked", "forked and longer"} {
		t.Run(fmt.Sprint(name, sessions), func(t *testing.T) { conflicts(t, duplicate(t, early), open(), sessions) })
	}
	require.Equal(t, int64(7), n.size)
}

// What is not a cosignature of the witness is not taken for one.
func TestServiceAnswers(t *testing.T) {
	n := newNotary()
	server := httptest.NewServer(n)
	defer server.Close()
	dir := t.TempDir()
	l := openLog(t, dir)
	session(t, l)
	require.Eventually(t, func() bool { return l.Head().N == 1 }, 30*time.Second, time.Millisecond)
	defer l.Close()
	var status int
	var body string
	n.answer = func(w http.ResponseWriter) bool {
		w.WriteHeader(status)
		io.WriteString(w, body)
		return true
	}
	forged := fmt.Sprintf("— %s %s\n", n.name, base64.StdEncoding.EncodeToString(append(n.hashOf(), make([]byte, 72)...)))
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"forged", 200, forged, "cosignatures: invalid signature"},
		{"nothing", 200, "", "cosignatures"},
		{"another's", 200, "— other.example.com " + base64.StdEncoding.EncodeToString(make([]byte, 76)) + "\n", "by none of its keys"},
		{"garbage", 200, strings.Repeat("x", 1<<20), "cosignatures"},
		{"not the log's", 403, "", "does not trust this log's key"},
		{"unknown", 404, "", "does not know this log"},
		{"elsewhere", 302, "", "answers 302"},
		{"conflict without size", 409, "", "cosigned another head"},
		{"no proof", 422, "", "does not continue"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body = c.status, c.body
			s, err := NewService(Config{URL: server.URL + "/prefix", Called: "notary", Keys: []string{n.vkey()}})
			require.NoError(t, err)
			_, err = s.Add(context.Background(), l.Head())
			require.ErrorContains(t, err, c.want)
		})
	}
	for name, c := range map[string]Config{
		"no key":   {URL: "https://w.example.com"},
		"bad key":  {URL: "https://w.example.com", Keys: []string{l.PublicKey()}},
		"mistyped": {URL: "https://w.example.com", Keys: []string{strings.Replace(n.vkey(), "w1+", "w2+", 1)}},
		"in clear": {URL: "http://w.example.com", Keys: []string{n.vkey()}},
		"no url":   {URL: "nowhere", Keys: []string{n.vkey()}},
	} {
		_, err := NewService(c)
		require.Error(t, err, name)
	}
}

// A file remembers every head, also after a write that was cut off; a log that was
// set back or forked is found by it.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir)
	require.NoError(t, l.Close())
	early := duplicate(t, dir)
	w := &File{Path: filepath.Join(t.TempDir(), "heads"), Called: "file"}
	public, _ := tell(t, dir, w, 2)
	for _, torn := range []string{"", "sallyport", "\n\nsallyport-audit-x\n12\n", "\n\nsallyport-audit-x\n12\nAAAA\n\n", "\n\nsallyport-audit-x\n12\nAAAA\n\n— sally"} {
		f, err := os.OpenFile(w.Path, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(torn)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		tell(t, dir, w, 1)
	}
	b, err := os.ReadFile(w.Path)
	require.NoError(t, err)
	notes, err := audit.ReadCheckpoints(bytes.NewReader(b), 1<<20)
	require.NoError(t, err)
	r, err := audit.Verify(dir, public, notes...)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.GreaterOrEqual(t, len(notes), 13)
	sum := sha256.Sum256(b)

	conflicts(t, duplicate(t, early), w, 0)
	conflicts(t, duplicate(t, early), w, 3)
	b, err = os.ReadFile(w.Path)
	require.NoError(t, err)
	require.Equal(t, sum, sha256.Sum256(b), "nothing was added")
	require.NoError(t, os.WriteFile(w.Path, bytes.Repeat([]byte("something else\n"), 1000), 0o600))
	_, err = w.Add(context.Background(), audit.Head{})
	require.ErrorContains(t, err, "other data than heads")
}
