package postgres

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/scram"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// oneUser is an authenticator whose verifier is made once.
type oneUser struct {
	users
	verifier string
}

func newOneUser(t testing.TB) oneUser {
	v, err := scram.Derive("wonder", []byte("0123456789abcdef"), scram.MinIterations)
	require.NoError(t, err)
	return oneUser{users{"alice": "wonder"}, v.String()}
}

func (u oneUser) Verifier(context.Context, string) (string, bool, error) {
	return u.verifier, true, nil
}

// judged is an interceptor that remembers what it allowed, and takes part in
// everything.
type judged struct {
	mu      sync.Mutex
	allowed map[string]bool
}

func (j *judged) Name() string { return "judged" }

func (j *judged) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if st, ok := op.(*proxy.Statement); ok {
				if bytes.Contains(st.Text, []byte("no")) {
					return proxy.Deny(proxy.CausePolicy, "no", "no", "")
				}
				j.mu.Lock()
				j.allowed[string(st.Text)] = true
				j.mu.Unlock()
			}
			return proxy.Allow("yes")
		},
		Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			return proxy.Filter{Row: func(r *proxy.Row) error {
				for i := range r.Len() {
					r.Set(i, []byte(veil))
				}
				return nil
			}}, nil
		},
		Tell: func(_ context.Context, _ proxy.Op, m *proxy.Message) error {
			for i := range m.Fields {
				m.Set(i, bytes.ReplaceAll(m.Fields[i].Value, []byte("secret"), []byte(veil)))
			}
			return nil
		},
	}, nil
}

// served logs a client in, has it send these bytes and leave, and returns what
// came to it and what the server heard. It fails when something panics or
// hangs.
func served(t *testing.T, j *judged, serve func(c net.Conn), send []byte) (got, heard []byte) {
	// A second connection cancels what the first still does, for a client that left
	// in the middle of a message. That is waited for, so it comes at once.
	var first atomic.Pointer[net.Conn]
	u := &proxytest.Upstream{Serve: func(c net.Conn) {
		if !first.CompareAndSwap(nil, &c) {
			(*first.Load()).Close()
			return
		}
		b := newUnblocked(c)
		serve(b)
		b.finish()
	}}
	var panicked error
	g := &proxy.Gateway{
		Log: slog.New(slog.DiscardHandler), Authenticator: newOneUser(t), Credentials: proxytest.Credential{Username: "app"}, Dialer: u, Interceptors: []proxy.Interceptor{j},
		Directory:    proxy.Resources{&proxy.Resource{Name: "orders", Type: "postgres", Database: "shop", Address: "memory:1", TLS: proxy.TLS{Mode: proxy.TLSDisable}}},
		DrainTimeout: time.Millisecond,
		OnEvent: func(e proxy.Event) {
			if e.Kind == proxy.EventPanic {
				panicked = e.Err
			}
		},
	}
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s")) // memory alone has no half-close
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	finished := make(chan error, 1)
	go func() {
		finished <- g.Serve(ctx, ln, &Handler{Resource: "orders", Analyzer: sqlpostgres.New(sqlpostgres.Config{})})
	}()
	nc, err := net.Dial("unix", ln.Addr().String())
	require.NoError(t, err)
	c := &rawClient{t, nc}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	c.login([]wire.Parameter{{Name: "user", Value: "alice"}})
	_, failed := c.until(wire.ReadyForQuery)
	require.Empty(t, failed)
	before := len(u.Heard())
	go func() {
		c.Write(send)
		nc.(*net.UnixConn).CloseWrite()
	}()
	got, err = io.ReadAll(c)
	require.False(t, isTimeout(err), "it hangs")
	c.Close()
	stop()
	require.NoError(t, <-finished)
	require.NoError(t, panicked)
	return got, u.Heard()[before:]
}

// unblocked is a server's end of a connection in memory. Its writes do not wait for
// the gateway, as those to a socket do not: a gateway that says good-bye meanwhile
// would wait for the server, and the server for the gateway.
type unblocked struct {
	net.Conn
	mu     sync.Mutex
	more   *sync.Cond
	queue  []byte
	closed bool
	done   chan struct{}
}

func newUnblocked(c net.Conn) *unblocked {
	u := &unblocked{Conn: c, done: make(chan struct{})}
	u.more = sync.NewCond(&u.mu)
	go func() {
		defer close(u.done)
		for {
			u.mu.Lock()
			for len(u.queue) == 0 && !u.closed {
				u.more.Wait()
			}
			b := u.queue
			u.queue = nil
			u.mu.Unlock()
			if len(b) == 0 {
				return
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	return u
}

func (u *unblocked) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.queue = append(u.queue, b...)
	u.more.Signal()
	return len(b), nil
}

// finish waits until everything is written or the gateway has left.
func (u *unblocked) finish() {
	u.mu.Lock()
	u.closed = true
	u.more.Signal()
	u.mu.Unlock()
	go io.Copy(io.Discard, u.Conn)
	<-u.done
}

// obedient plays a server that answers everything, refuses what is not a SELECT,
// and skips after errors as PostgreSQL does.
func obedient(c net.Conn) {
	if !welcome(c) {
		return
	}
	r := wire.NewReader(c)
	failing := wire.AppendError(nil, wire.Notice{Severity: "ERROR", Code: "42601", Message: "syntax error"})
	ready := msg(wire.ReadyForQuery, 'I')
	skipping := false
	for {
		typ, body, err := r.ReadMessage(1 << 20)
		if err != nil || typ == wire.Terminate {
			return
		}
		if skipping && typ != wire.Sync {
			continue
		}
		fails := !containsFold(body, []byte("select"))
		var answer []byte
		switch typ {
		case wire.Query:
			if answer = msg(wire.CommandComplete, []byte("SELECT 0\x00")...); fails {
				answer = failing
			}
			answer = append(answer[:len(answer):len(answer)], ready...)
		case wire.FunctionCall:
			answer = append(failing[:len(failing):len(failing)], ready...)
		case wire.Parse:
			if answer = msg(wire.ParseComplete); fails {
				answer, skipping = failing, true
			}
		case wire.Bind:
			answer = msg(wire.BindComplete)
		case wire.Describe:
			if answer = msg(wire.NoData); len(body) > 0 && body[0] == 'S' {
				answer = append(msg(wire.ParameterDescription, 0, 0), answer...)
			}
		case wire.Execute:
			answer = msg(wire.CommandComplete, []byte("SELECT 0\x00")...)
		case wire.Close:
			answer = msg(wire.CloseComplete)
		case wire.Sync:
			answer, skipping = ready, false
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// Whatever bytes a client sends, every statement that the server hears was
// judged and allowed.
func FuzzClientStream(f *testing.F) {
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	f.Add(join(query("SELECT 1"), query("no"), query("SELECT 2")))
	f.Add(join(parse("a", "SELECT 1"), describe('S', "a"), bind("p", "a"), describe('P', "p"), execute("p", 1), closing('P', "p"), sync1))
	f.Add(join(parse("", "no"), bind("", ""), execute("", 0), sync1, query("SELECT 1")))
	f.Add(join(query("COPY t FROM STDIN"), msg(wire.CopyData, []byte("1\n")...), msg(wire.CopyDone), sync1))
	f.Add(join(msg(wire.FunctionCall, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), msg(wire.Flush), msg(wire.CopyFail, 0)))
	f.Add(join(query("PREPARE x AS SELECT 1"), bind("", "x"), execute("", 0), sync1, query("DEALLOCATE ALL")))
	f.Add([]byte{'Q', 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		j := &judged{allowed: map[string]bool{}}
		_, heard := served(t, j, obedient, b)
		for len(heard) >= wire.HeaderLen {
			typ, total, err := wire.Header(heard)
			require.NoError(t, err)
			if total > len(heard) {
				return // the client's last message, cut
			}
			body := heard[wire.HeaderLen:total]
			switch typ {
			case wire.Query:
				text, err := wire.ParseQuery(body)
				require.NoError(t, err)
				require.True(t, j.allowed[string(text)] || bytes.Equal(heard[:total], poisonQuery), "%q", text)
			case wire.Parse:
				m, err := wire.ParseParse(body)
				require.NoError(t, err)
				tried := bytes.Equal(m.Name, trialName) // which nothing runs, and the server does not read
				require.True(t, tried || j.allowed[string(m.Text)] || bytes.Equal(heard[:total], poisonParse) || bytes.Equal(heard[:total], poisonNamed), "%q", m.Text)
			case wire.FunctionCall:
				require.Equal(t, poisonFunction, heard[:total])
			}
			heard = heard[total:]
		}
	})
}

// texts returns what interceptors see of a message of a server, and the whole
// body when it cannot be taken apart. A letter before a text, as the key of an
// error's field, is not part of it.
func texts(typ byte, body []byte) [][]byte {
	switch typ {
	case wire.ErrorResponse, wire.NoticeResponse:
		fields, end := bytes.CutSuffix(body, []byte{0, 0})
		if !end {
			return [][]byte{body}
		}
		values := bytes.Split(fields, []byte{0})
		for i, v := range values {
			values[i] = v[min(1, len(v)):]
		}
		return values
	case wire.NotificationResponse:
		return [][]byte{body[min(4, len(body)):]} // after the number of a process
	case wire.DataRow, wire.CopyData, wire.ParameterStatus:
		return [][]byte{body}
	}
	return nil
}

// TestFuzzTexts: what is found in a message's texts, and not across them.
func TestFuzzTexts(t *testing.T) {
	holds := func(typ byte, body string) bool {
		return slices.ContainsFunc(texts(typ, []byte(body)), func(b []byte) bool { return bytes.Contains(b, []byte("secret")) })
	}
	for name, c := range map[string]struct {
		typ  byte
		body string
		want bool
	}{
		"message":                {wire.ErrorResponse, "SERROR\x00Ma secret\x00\x00", true},
		"last field":             {wire.NoticeResponse, "SNOTICE\x00ssecret\x00\x00", true},
		"unknown field":          {wire.NoticeResponse, "\xffsecret\x00\x00", true},
		"key and value":          {wire.NoticeResponse, "SNLECT 1\x00secret\x00\x00", false},
		"no end":                 {wire.ErrorResponse, "Msecret", true},
		"payload":                {wire.NotificationResponse, "\x00\x00\x00\x01c\x00secret\x00", true},
		"process and channel":    {wire.NotificationResponse, "secret\x00\x00", false},
		"shorter than a process": {wire.NotificationResponse, "se", false},
		"row":                    {wire.DataRow, "\x00\x01\x00\x00\x00\x06secret", true},
		"no text":                {wire.CommandComplete, "secret\x00", false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, holds(c.typ, c.body)) })
	}
}

// Whatever bytes a server sends, nothing panics or hangs, and no value of a row
// or a text comes to the client unfiltered.
func FuzzServerStream(f *testing.F) {
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	column := append([]byte("a\x00"), make([]byte, 18)...)
	description := msg(wire.RowDescription, append([]byte{0, 1}, column...)...)
	row := wire.AppendRow(nil, [][]byte{[]byte("secret")})
	done := join(msg(wire.CommandComplete, []byte("SELECT 1\x00")...), msg(wire.ReadyForQuery, 'I'))
	f.Add(join(description, row, row, done), false)
	f.Add(join(msg(wire.ParseComplete), msg(wire.BindComplete), description, row, done), true)
	f.Add(join(msg(wire.ErrorResponse, []byte("SERROR\x00C22000\x00Msecret\x00\x00")...), msg(wire.ReadyForQuery, 'E')), false)
	f.Add(join(msg(wire.NoticeResponse, []byte("SNOTICE\x00Msecret\x00\x00")...), done), true)
	f.Add(join(msg(wire.NotificationResponse, []byte("\x00\x00\x00\x01c\x00secret\x00")...), done), false)
	f.Add(join(msg(wire.CopyOutResponse, 0, 0, 1, 0, 0), msg(wire.CopyData, []byte("secret\n")...), msg(wire.CopyDone), done), false)
	f.Add(join(msg(wire.CopyInResponse, 0, 0, 1, 0, 0), done), false)
	f.Add(join(wire.AppendStatus(nil, "client_encoding", "secret"), done), true)
	f.Fuzz(func(t *testing.T, b []byte, extended bool) {
		send := query("COPY t TO STDOUT")
		if extended {
			send = bytes.Join([][]byte{parse("", "SELECT a FROM t"), bind("", ""), execute("", 0), sync1}, nil)
		}
		got, _ := served(t, &judged{allowed: map[string]bool{}}, func(c net.Conn) {
			if welcome(c) {
				c.Read(make([]byte, 4096))
				c.Write(b)
			}
		}, send)
		for len(got) >= wire.HeaderLen {
			typ, total, err := wire.Header(got)
			if err != nil || total > len(got) {
				total = len(got)
			}
			for _, text := range texts(typ, got[wire.HeaderLen:total]) {
				require.NotContains(t, string(text), "secret")
			}
			got = got[total:]
		}
	})
}
