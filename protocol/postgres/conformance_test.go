package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/sallyport/sallyport/protocol/postgres/wire"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// The handler keeps what every handler owes, whatever interceptors do.
func TestConformance(t *testing.T) {
	proxytest.TestHandler(t, proxytest.Wire{
		Handler:       func(*testing.T) proxy.Handler { return &Handler{Resource: "orders"} },
		Resource:      &proxy.Resource{Name: "orders", Type: "postgres", Database: "shop", Address: "memory:1", TLS: proxy.TLS{Mode: proxy.TLSDisable}},
		Authenticator: users{"alice": "wonder"},
		Credentials:   proxytest.Credential{Username: "app"},
		Upstream:      playServer,
		Login:         login,
		Operate:       operate,
	})
}

// playServer lets everybody in and answers every query, refusing what is not
// SELECT as a server would.
func playServer(c net.Conn) {
	if !welcome(c) {
		return
	}
	r := wire.NewReader(c)
	for {
		typ, body, err := r.ReadMessage(1 << 20)
		if err != nil {
			return
		}
		if typ != wire.Query {
			continue
		}
		answer := msg(wire.CommandComplete, []byte("SELECT 0\x00")...)
		if text, err := wire.ParseQuery(body); err != nil || !containsFold(text, []byte("select")) {
			answer = wire.AppendError(nil, wire.Notice{Severity: "ERROR", Code: "42601", Message: "syntax error"})
		}
		if _, err := c.Write(append(answer, msg(wire.ReadyForQuery, 'I')...)); err != nil {
			return
		}
	}
}

func login(c net.Conn) error {
	cfg, err := pgconn.ParseConfig("host=memory user=alice password=wonder dbname=shop sslmode=disable")
	if err != nil {
		return err
	}
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"memory"}, nil }
	cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return c, nil }
	_, err = loggedInBy(cfg)
	return err
}

func operate(c net.Conn, marker string) error {
	f := pgproto3.NewFrontend(c, c)
	f.Send(&pgproto3.Query{String: "SELECT '" + marker + "'"})
	if err := f.Flush(); err != nil {
		return fmt.Errorf("%w: %w", io.EOF, err)
	}
	return ready(f)
}

// ready reads until the gateway is ready, and returns the error that came
// before.
func ready(f *pgproto3.Frontend) error {
	var failed error
	for {
		m, err := f.Receive()
		if err != nil {
			return errors.Join(failed, fmt.Errorf("%w: %w", io.EOF, err))
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			failed = errors.New(m.Severity + " " + m.Code + " " + m.Message + " " + m.Hint)
			if m.Severity == "FATAL" {
				return failed
			}
		case *pgproto3.ReadyForQuery:
			return failed
		}
	}
}
