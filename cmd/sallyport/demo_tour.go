//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	gossh "golang.org/x/crypto/ssh"
)

// tourTime bounds what the demo does before it says that it is ready.
const tourTime = 20 * time.Second

// tour is what Alice and Bob have done before anybody looks: sessions that are on record, and requests that were
// decided and that wait.
func (s *stage) tour(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tourTime)
	defer cancel()
	pem, err := os.ReadFile(s.file("data/ca/ca.pem"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return errors.Join(s.tourShop(ctx, roots), s.tourStaff(ctx), s.tourMachine(ctx), s.tourRequests(ctx, roots))
}

// tourShop has both ask the database; what is refused is part of it.
func (s *stage) tourShop(ctx context.Context, roots *x509.CertPool) error {
	if s.database == nil {
		return nil
	}
	for _, one := range []struct {
		user, password string
		sql            []string
	}{
		{"alice", s.Alice.Password, []string{
			"SELECT id, name, email, card FROM customers ORDER BY id LIMIT 20", "SELECT count(*) FROM orders WHERE ordered > now() - interval '7 days'",
			"DELETE FROM customers WHERE id = 1",
		}},
		{"bob", s.Bob.Password, []string{"SELECT id, name, stock FROM products ORDER BY stock LIMIT 5", "UPDATE products SET stock = stock + 10 WHERE id = 2", "DELETE FROM orders"}},
	} {
		c, err := pgconn.ParseConfig(fmt.Sprintf("postgres://%s/shop", s.DatabaseListen))
		if err != nil {
			return err
		}
		host, _, err := net.SplitHostPort(s.DatabaseListen)
		if err != nil {
			return err
		}
		c.User, c.Password, c.Fallbacks, c.TLSConfig = one.user, one.password, nil, &tls.Config{RootCAs: roots, ServerName: host}
		conn, err := pgconn.ConnectConfig(ctx, c)
		if err != nil {
			return err
		}
		for _, sql := range one.sql {
			var refused *pgconn.PgError
			if _, err := conn.Exec(ctx, sql).ReadAll(); err != nil && !errors.As(err, &refused) {
				return errors.Join(err, conn.Close(ctx))
			}
		}
		if err := conn.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tourMachine has Bob run a command.
func (s *stage) tourMachine(ctx context.Context) error {
	key, err := os.ReadFile(s.file("bob.key"))
	if err != nil {
		return err
	}
	signer, err := gossh.ParsePrivateKey(key)
	if err != nil {
		return err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.MachineListen)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c, channels, requests, err := gossh.NewClientConn(conn, s.MachineListen, &gossh.ClientConfig{
		User: "bob", Auth: []gossh.AuthMethod{gossh.PublicKeys(signer)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(), // the gateway of this very process
	})
	if err != nil {
		return err
	}
	client := gossh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.Output("cat welcome.txt")
	return err
}

// tourRequests has Alice ask for access to the machine: Bob has denied it once, and another request waits.
func (s *stage) tourRequests(ctx context.Context, roots *x509.CertPool) error {
	a := &tourAPI{ctx: ctx, url: "https://" + s.ConsoleListen, client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}}
	defer a.client.CloseIdleConnections()
	alice, bob := a.login("alice", s.Alice.Password), a.login("bob", s.Bob.Password)
	ask := func(reason string, seconds int) (r struct{ ID, Hash string }) {
		a.ask(alice, "/v1/requests", map[string]any{"resource": "machine", "reason": reason, "seconds": seconds}, &r)
		return r
	}
	r := ask("try something", 8*3600)
	a.ask(bob, "/v1/requests/"+r.ID+"/deny", map[string]any{"hash": r.Hash, "reason": "ask for an hour, and say what for"}, nil)
	ask("TICKET-7: a customer waits for an export", 3600)
	return a.err
}

// tourAPI asks the gateway until something fails.
type tourAPI struct {
	ctx    context.Context
	url    string
	client *http.Client
	err    error
}

func (a *tourAPI) login(user, password string) string {
	var login struct{ Token string }
	a.ask("", "/v1/login", map[string]any{"user": user, "password": password}, &login)
	return login.Token
}

func (a *tourAPI) ask(token, path string, body, out any) {
	if a.err != nil {
		return
	}
	a.err = a.do(token, path, body, out)
}

func (a *tourAPI) do(token, path string, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(a.ctx, http.MethodPost, a.url+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := a.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s: got %s: %s", path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
