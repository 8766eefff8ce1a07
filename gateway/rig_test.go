package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/gateway/rego"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// password is everybody's; see verifier.
const password = "wonder"

// house is a gateway that runs in front of real servers, in a folder of its own.
type house struct {
	*Gateway
	dir  string
	log  *lockedText
	stop func() error // lets sessions end and closes the gateway; further calls do nothing

	mu     sync.Mutex
	latest map[string]*proxy.Session // by user and resource
}

// lockedText is text that is written and read at once.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// open runs the gateway of a config file that is in dir.
func open(t testing.TB, dir, text string, more ...func(*Options)) *house {
	t.Helper()
	h := &house{dir: dir, log: &lockedText{}, latest: make(map[string]*proxy.Session)}
	o := Options{
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
		OnEvent: func(e proxy.Event) {
			if e.Kind == proxy.EventSessionStart {
				h.mu.Lock()
				defer h.mu.Unlock()
				h.latest[e.Identity.Subject+"+"+e.Target.Resource.Name] = e.Session
			}
		},
	}
	for _, f := range more {
		f(&o)
	}
	g, err := New(h.file(t, text), o)
	require.NoError(t, err)
	h.Gateway = g
	require.NoError(t, g.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	h.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(60 * time.Second):
			return fmt.Errorf("the gateway does not end; its log:\n%s", h.log)
		}
	})
	t.Cleanup(func() { require.NoError(t, h.stop()) })
	return h
}

// file reads a config file in the house's folder.
func (h *house) file(t testing.TB, text string) *config.File {
	t.Helper()
	f, err := os.CreateTemp(h.dir, "*.yaml")
	require.NoError(t, err)
	_, err = f.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	c, err := Load(f.Name(), config.Options{Rego: rego.Engine{}})
	require.NoError(t, err)
	return c
}

// session returns the session that a user opened last at a resource, which may be
// about to open.
func (h *house) session(t *testing.T, user, resource string) *proxy.Session {
	t.Helper()
	var s *proxy.Session
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		s = h.latest[user+"+"+resource]
		return s != nil
	}, 30*time.Second, time.Millisecond, "%s has no session at %s", user, resource)
	return s
}

// database is a client's connection string.
func (h *house) database(user, resource string) string {
	host, port, _ := net.SplitHostPort(h.Addr("postgres", "").String())
	return fmt.Sprintf("host=%s port=%s user=%s+%s password=%s sslmode=verify-full sslrootcert=%s", host, port, user, resource, password, h.Authority())
}

// wire is a PostgreSQL session whose messages the test writes.
type wire struct {
	*pgproto3.Frontend
	conn net.Conn
}

func (h *house) wire(t *testing.T, user, resource string) *wire {
	t.Helper()
	c, err := pgconn.Connect(t.Context(), h.database(user, resource))
	require.NoError(t, err)
	raw, err := c.Hijack()
	require.NoError(t, err)
	require.NoError(t, raw.Conn.SetDeadline(time.Now().Add(2*time.Minute)))
	return &wire{raw.Frontend, raw.Conn}
}

// query runs text by the simple protocol, gives COPY nothing to read, and calls
// waits when the operation is held. It returns the code of the error, and false
// when the session has ended.
func (w *wire) query(t *testing.T, text string, waits func()) (code string, open bool) {
	t.Helper()
	w.Send(&pgproto3.Query{String: text})
	require.NoError(t, w.Flush())
	for {
		m, err := w.Receive()
		if err != nil {
			return code, false
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			return code, true
		case *pgproto3.ErrorResponse:
			code = m.Code
		case *pgproto3.CopyInResponse:
			w.Send(&pgproto3.CopyFail{Message: "nothing to copy"})
			require.NoError(t, w.Flush())
		case *pgproto3.NoticeResponse:
			if m.Severity == "NOTICE" && m.Code == "00000" && strings.Contains(m.Message, "approval") && waits != nil {
				waits()
			}
		}
	}
}

func (w *wire) close(t *testing.T) {
	t.Helper()
	w.Send(&pgproto3.Terminate{})
	_ = w.Flush() // the session may have ended
	w.conn.Close()
}

// machine is OpenSSH's server, and who may log in there.
type machine struct {
	address, user, hostKey string
	keys                   map[string]string // users' public keys at the gateway
}

// startMachine starts OpenSSH's server for a gateway in dir, with keys of the gateway
// at the server and of users at the gateway in files of their names.
func startMachine(t *testing.T, dir string, users []string, further ...string) *machine {
	t.Helper()
	me, err := user.Current()
	require.NoError(t, err)
	m := &machine{user: me.Username, keys: make(map[string]string), hostKey: testserver.KeyPair(t, filepath.Join(dir, "host"))}
	m.address = testserver.OpenSSH(t, dir, filepath.Join(dir, "host"), testserver.KeyPair(t, filepath.Join(dir, "upstream")), further...)
	for _, u := range users {
		m.keys[u] = testserver.KeyPair(t, filepath.Join(dir, u))
	}
	return m
}

// ssh connects a user by her key in the house's folder.
func (h *house) ssh(t *testing.T, user, resource string) *gossh.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(h.dir, user))
	require.NoError(t, err)
	key, err := gossh.ParsePrivateKey(pem)
	require.NoError(t, err)
	c, err := gossh.Dial("tcp", h.Addr("ssh", "").String(), &gossh.ClientConfig{
		User: user + "+" + resource, Auth: []gossh.AuthMethod{gossh.PublicKeys(key)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(), Timeout: time.Minute, // the gateway is this test's own
	})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// openOn is open with a store that others may share.
func openOn(t testing.TB, shared store.Store, dir, text string) *house {
	t.Helper()
	return open(t, dir, text, func(o *Options) { o.Store = shared })
}

// records reads the sessions' records, and the gateway's own under "".
func (h *house) records(t *testing.T) map[string][]*audit.Event {
	t.Helper()
	a, err := audit.OpenArchive(filepath.Join(h.parts().config.Data(), "audit"))
	require.NoError(t, err)
	ids, err := a.Sessions()
	require.NoError(t, err)
	all := make(map[string][]*audit.Event)
	for _, id := range ids {
		var list []*audit.Event
		for e, err := range a.Events(id) {
			require.NoError(t, err)
			list = append(list, e)
		}
		if len(list) > 0 && strings.HasPrefix(list[0].Type, audit.GatewayPrefix) {
			all[""] = append(all[""], list...)
			continue
		}
		all[id] = list
	}
	return all
}
