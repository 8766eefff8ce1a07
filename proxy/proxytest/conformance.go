package proxytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// operations are one of every kind, with nothing in them but what is promised.
func operations() []proxy.Op {
	unknown := proxy.UnknownFacts("a test")
	meta := func(k proxy.Kind) proxy.Meta { return proxy.Meta{Kind: k} }
	list := []proxy.Op{
		&proxy.Statement{Meta: meta(proxy.KindStatement), Facts: unknown},
		&proxy.Statement{Meta: meta(proxy.KindPrepare), Facts: unknown},
		Statement("SELECT 1", proxy.EffectRead),
		Statement("DROP TABLE t", proxy.EffectDrop),
		&proxy.File{Meta: meta(proxy.KindFile)},
		&proxy.File{Meta: meta(proxy.KindFile), Action: proxy.FileRename, Path: "/a", Target: "/b"},
	}
	for _, k := range []proxy.Kind{proxy.KindFunction, proxy.KindReplication, proxy.KindCommand, proxy.KindEnv, proxy.KindTool} {
		list = append(list, &proxy.Call{Meta: meta(k)})
	}
	for _, k := range []proxy.Kind{proxy.KindExec, proxy.KindShell, proxy.KindSubsystem, proxy.KindInput} {
		list = append(list, &proxy.Exec{Meta: meta(k)})
	}
	for _, k := range []proxy.Kind{proxy.KindForward, proxy.KindAgent, proxy.KindX11} {
		list = append(list, &proxy.Forward{Meta: meta(k)})
	}
	for _, k := range []proxy.Kind{proxy.KindRequest, proxy.KindUpgrade} {
		list = append(list, &proxy.Request{Meta: meta(k)})
	}
	return list
}

// TestInterceptor checks what every interceptor owes: it answers every kind of
// operation, in sessions at the same time, without panicking; its verdicts are
// verdicts; its filters take empty data; it is told of ends that it has not seen
// beginnings of. create makes a new one.
func TestInterceptor(t *testing.T, create func(t *testing.T) proxy.Interceptor) {
	t.Run("name", func(t *testing.T) {
		if create(t).Name() == "" {
			t.Error("an interceptor has a name")
		}
	})
	t.Run("every kind of operation, in sessions at once", func(t *testing.T) {
		i := create(t)
		var wg sync.WaitGroup
		for range 8 {
			var panicked error
			g := &proxy.Gateway{AskTimeout: 10 * time.Second, OnEvent: func(e proxy.Event) {
				if e.Kind == proxy.EventPanic {
					panicked = e.Err
				}
			}}
			s, err := Open(g, i)
			if panicked != nil {
				t.Fatal(panicked)
			}
			if err != nil {
				var refused *proxy.RefusedError
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				continue // it refuses this identity; that is its right
			}
			wg.Go(func() {
				defer s.Close(nil)
				for _, op := range operations() {
					if v := s.Ask(context.Background(), op); !v.Refuses() {
						flows(t, s, op)
						s.Done(op, &proxy.Outcome{})
					} else if v.Message() == "" {
						t.Errorf("%s: refused without a word", op.Info().Kind)
					}
				}
				s.Refuse(&proxy.Call{Meta: proxy.Meta{Kind: proxy.KindCommand}}, proxy.Deny(proxy.CausePolicy, "", "the handler's own", ""))
				if panicked != nil {
					t.Error(panicked)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a session that ends at once", func(t *testing.T) {
		s, err := Open(&proxy.Gateway{}, create(t), Fault{At: "Ask", How: FailError, Only: proxy.KindConnect})
		if err == nil {
			s.Close(nil)
			t.Error("Connect was refused, and the session is open")
		}
	})
}

// flows passes empty and NULL data through op's filters.
func flows(t *testing.T, s *proxy.Session, op proxy.Op) {
	for _, shape := range []*proxy.Shape{
		{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "a"}, {Name: "b", Binary: true}}},
		{Kind: proxy.ShapeStream, Media: "stdout"},
	} {
		f, err := s.Flow(op, shape)
		if err != nil {
			continue
		}
		if f.HasRow() {
			for _, values := range [][][]byte{{nil, nil}, {{}, {}}, {[]byte("x"), []byte{0xff}}} {
				if err := f.Row(proxy.NewRow(values)); err == nil && len(values) != 2 {
					t.Error("a filter changed the number of columns")
				}
			}
		}
		if f.HasBytes() {
			out, err := f.Bytes(nil, nil)
			if err == nil {
				_, err = f.Bytes(out[:0], []byte("text"))
			}
			if err == nil {
				f.End(nil)
			}
		}
	}
}

// Wire tells TestHandler how to speak the handler's protocol.
type Wire struct {
	// Handler and Resource are what is tested; the resource's address is dialled
	// through Upstream.
	Handler  func(t *testing.T) proxy.Handler
	Resource *proxy.Resource
	// Authenticator lets Login in.
	Authenticator proxy.Authenticator
	Credentials   proxy.CredentialSource
	// Upstream plays the resource: it takes the login and answers every operation.
	Upstream func(c net.Conn)
	// Login logs a client in, and returns an error when it is refused.
	Login func(c net.Conn) error
	// Operate makes the resource run one operation whose text contains the marker,
	// and returns the refusal, or an error that wraps io.EOF when the connection
	// ended.
	Operate func(c net.Conn, marker string) error
}

// TestHandler checks what every handler owes: what is allowed reaches the
// resource; what is refused does not, and the session goes on; whatever an
// interceptor does wrong, nothing that was not judged reaches the resource, no
// secret reaches the client, and serving ends cleanly.
func TestHandler(t *testing.T, w Wire) {
	start := func(t *testing.T, chain ...proxy.Interceptor) (*Upstream, net.Conn, error) {
		u := &Upstream{Serve: w.Upstream}
		g := &proxy.Gateway{
			Authenticator: w.Authenticator, Directory: proxy.Resources{w.Resource}, Credentials: w.Credentials, Dialer: u,
			Interceptors: chain, Unrecorded: true, DrainTimeout: time.Second, HandshakeTimeout: 3 * time.Second, AskTimeout: 500 * time.Millisecond,
		}
		ln := Serve(t, g, w.Handler(t))
		c, err := ln.Dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(20 * time.Second))
		return u, c, w.Login(c)
	}
	t.Run("what is allowed runs", func(t *testing.T) {
		u, c, err := start(t, Allow{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Operate(c, "marker-allowed"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(u.Heard()), "marker-allowed") {
			t.Error("the operation did not reach the resource")
		}
	})
	t.Run("without an Allow there is no session", func(t *testing.T) {
		if _, _, err := start(t); err == nil {
			t.Error("nobody allowed it, and the client is in")
		}
	})
	t.Run("what is refused does not run, and the session goes on", func(t *testing.T) {
		u, c, err := start(t, Allow{}, refuse("marker-refused"))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			err := w.Operate(c, "marker-refused")
			if err == nil || errors.Is(err, io.EOF) {
				t.Fatalf("a refusal is an ordinary answer: %v", err)
			}
			if !strings.Contains(err.Error(), "the-rule") {
				t.Errorf("the refusal does not name its rule: %v", err)
			}
			if err := w.Operate(c, "marker-allowed"); err != nil {
				t.Fatalf("the session does not go on: %v", err)
			}
		}
		if strings.Contains(string(u.Heard()), "marker-refused") {
			t.Error("what was refused reached the resource")
		}
	})
	for _, at := range []string{"Intercept", "Ask", "Start"} {
		for _, how := range []Failure{FailError, FailPanic, FailZero, FailHang} {
			t.Run(fmt.Sprintf("%s fails, way %d", at, how), func(t *testing.T) {
				u, c, err := start(t, Fault{At: at, How: how})
				if err == nil {
					err = w.Operate(c, "marker-fault")
				}
				if err == nil {
					t.Error("it ran")
				} else if strings.Contains(err.Error(), Secret) {
					t.Errorf("the client is told %v", err)
				}
				if strings.Contains(string(u.Heard()), "marker-fault") {
					t.Error("it reached the resource")
				}
			})
		}
	}
	for _, at := range []string{"Flow", "Tell", "Done", "Close"} {
		t.Run(at+" panics", func(t *testing.T) {
			_, c, err := start(t, Fault{At: at, How: FailPanic})
			if err == nil {
				err = w.Operate(c, "marker-panic")
			}
			if err != nil && strings.Contains(err.Error(), Secret) {
				t.Errorf("the client is told %v", err)
			}
		})
	}
}

// refuse refuses operations whose text contains a marker.
type refuse string

func (refuse) Name() string { return "refuse" }

func (r refuse) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		text := ""
		switch o := op.(type) {
		case *proxy.Statement:
			text = string(o.Text)
		case *proxy.Exec:
			text = o.Command
		case *proxy.Request:
			text = o.Path
		case *proxy.Call:
			text = o.Name
		}
		if strings.Contains(text, string(r)) {
			return proxy.Deny(proxy.CauseGuardrail, "the-rule", "this is refused", "do something else")
		}
		return proxy.Pass()
	}}, nil
}
