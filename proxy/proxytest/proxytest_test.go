package proxytest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// lines is a handler of a protocol of lines: the first names the user, each
// further one is an operation, and so are the answers. wrong breaks it.
type lines struct{ wrong string }

func (lines) Protocol() string { return "test" }

func (h lines) ServeConn(ctx context.Context, c *proxy.Conn) error {
	in := bufio.NewScanner(c)
	if !in.Scan() {
		return in.Err()
	}
	id, err := c.Authenticate(ctx, proxy.Proof{Method: proxy.MethodPassword, User: in.Text()})
	if err != nil {
		return err
	}
	r, err := c.Lookup(ctx, "shop")
	if err != nil {
		return err
	}
	s, connect, err := c.Open(ctx, id, proxy.Target{Resource: r}, nil)
	if err != nil {
		switch h.wrong {
		case "talks of errors":
			fmt.Fprintln(c, "refused", errors.Unwrap(err))
		case "lets everybody in":
			fmt.Fprintln(c, "hello")
		}
		fmt.Fprintln(c, "refused", err)
		return err
	}
	up, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	defer up.Close()
	s.Done(connect, &proxy.Outcome{})
	if err := c.Established(); err != nil {
		return err
	}
	stop := context.AfterFunc(s.Context(), func() { c.SetDeadline(time.Unix(1, 0)); up.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	drain := context.AfterFunc(s.Draining(), func() { s.Kill(proxy.ErrShutdown) })
	defer drain()
	fmt.Fprintln(c, "hello")
	answers := bufio.NewScanner(up)
	for in.Scan() {
		op := proxytest.Statement(in.Text(), proxy.EffectRead)
		if h.wrong == "sends before it asks" {
			fmt.Fprintln(up, in.Text())
			answers.Scan()
		}
		if v := s.Ask(s.Context(), op); v.Refuses() && h.wrong != "asks for nothing" {
			switch h.wrong {
			case "hangs up on refusals":
				return nil
			case "names no rule":
				fmt.Fprintln(c, "refused")
			default:
				fmt.Fprintln(c, "refused", v.Message())
			}
			continue
		}
		fmt.Fprintln(up, in.Text())
		if !answers.Scan() {
			return answers.Err()
		}
		s.Done(op, &proxy.Outcome{})
		fmt.Fprintln(c, answers.Text())
	}
	return in.Err()
}

type everybody struct{}

func (everybody) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	return &proxy.Identity{Subject: p.User}, nil
}

// answer reads one line; a refusal is an error.
func answer(c net.Conn) error {
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return fmt.Errorf("%w: %w", io.EOF, err)
		}
		if b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	if text, refused := strings.CutPrefix(string(line), "refused"); refused {
		return errors.New(text)
	}
	return nil
}

func wire(h lines) proxytest.Wire {
	r := proxytest.Resource
	return proxytest.Wire{
		Handler: func(*testing.T) proxy.Handler { return h }, Resource: &r, Authenticator: everybody{},
		Upstream: func(c net.Conn) {
			in := bufio.NewScanner(c)
			for in.Scan() {
				fmt.Fprintln(c, "ran")
			}
		},
		Login: func(c net.Conn) error {
			fmt.Fprintln(c, "alice")
			return answer(c)
		},
		Operate: func(c net.Conn, marker string) error {
			if _, err := fmt.Fprintln(c, marker); err != nil {
				return fmt.Errorf("%w: %w", io.EOF, err)
			}
			return answer(c)
		},
	}
}

func TestHandlerSuite(t *testing.T) { proxytest.TestHandler(t, wire(lines{})) }

// careless is an interceptor that does one thing wrong.
type careless string

func (c careless) Name() string {
	if c == "has no name" {
		return ""
	}
	return "careless"
}

func (c careless) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			if st, ok := op.(*proxy.Statement); ok && c == "reads facts that are not there" && st.Facts.Relations[0].Name == "t" {
				return proxy.Verdict{}
			}
			if c == "knows statements only" && len(op.(*proxy.Statement).Text) > 0 {
				return proxy.Verdict{}
			}
			return proxy.Pass()
		},
		Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
			if c == "" {
				return proxy.Filter{}, nil
			}
			return proxy.Filter{Row: func(r *proxy.Row) error {
				if c == "takes every value to have a byte" && r.Value(0)[0] == 'x' {
					r.Set(0, nil)
				}
				return nil
			}}, nil
		},
		Done: func(_ context.Context, _ proxy.Op, out *proxy.Outcome) {
			if c == "takes every outcome to have an error" {
				_ = out.Err.Error()
			}
		},
	}, nil
}

func TestInterceptorSuite(t *testing.T) {
	proxytest.TestInterceptor(t, func(*testing.T) proxy.Interceptor { return careless("") })
}

// The suites find what they are there to find. Each mistake is made in a process
// of its own, which must fail.
func TestSuitesFindMistakes(t *testing.T) {
	const variable = "PROXYTEST_MISTAKE"
	handlers := []string{"sends before it asks", "asks for nothing", "hangs up on refusals", "names no rule", "talks of errors", "lets everybody in"}
	interceptors := []string{"has no name", "reads facts that are not there", "knows statements only", "takes every value to have a byte", "takes every outcome to have an error"}
	if mistake := os.Getenv(variable); mistake != "" {
		for _, m := range handlers {
			if m == mistake {
				proxytest.TestHandler(t, wire(lines{wrong: m}))
			}
		}
		for _, m := range interceptors {
			if m == mistake {
				proxytest.TestInterceptor(t, func(*testing.T) proxy.Interceptor { return careless(m) })
			}
		}
		return
	}
	for _, m := range append(handlers, interceptors...) {
		t.Run(m, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestSuitesFindMistakes$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), variable+"="+m)
			out, err := cmd.CombinedOutput()
			var failed *exec.ExitError
			require.ErrorAs(t, err, &failed, "it passed: %s", out)
			require.NotContains(t, string(out), "test timed out")
		})
	}
}
