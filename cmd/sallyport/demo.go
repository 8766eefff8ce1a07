package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/pgembed"
)

//go:embed demo.sql
var shopSQL string

// shop is the demo's parts: a private PostgreSQL and the files of a gateway in
// front of it, all of them gone when it is closed.
type shop struct {
	dir      string
	server   *pgembed.Server
	address  string // where the gateway listens
	password map[string]string
}

// demoAddress is where the demo listens when nobody else does.
const demoAddress = "127.0.0.1:15432"

func demo(ctx context.Context, c *cli, args []string) error {
	f := c.flags("demo")
	listen := f.String("listen", "", "`address` of the gateway; empty is "+demoAddress+", or any port when that is taken")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	begun := time.Now()
	fmt.Fprintln(c.err, "starting a private PostgreSQL …")
	s, err := openShop(ctx, *listen)
	switch {
	case errors.Is(err, pgembed.ErrNotInstalled):
		return fail(exitError, "the demo starts a PostgreSQL of its own, and none is installed here.\nInstall one, without starting it, and run the demo again:\n  %s", pgembed.InstallHint)
	case ctx.Err() != nil:
		return nil // stopped while starting; nothing is left
	case err != nil:
		return err
	}
	err = s.run(ctx, c, begun)
	return errors.Join(err, s.close())
}

func openShop(ctx context.Context, listen string) (*shop, error) {
	s := &shop{password: map[string]string{}}
	if err := s.open(ctx, listen); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *shop) open(ctx context.Context, listen string) (err error) {
	if s.dir, err = os.MkdirTemp("", "sallyport-demo-"); err != nil {
		return err
	}
	if s.server, err = pgembed.Start(ctx, pgembed.Config{Dir: os.TempDir()}); err != nil {
		return err
	}
	owner := rand.Text()
	if _, err = s.server.Exec(ctx, "postgres", "CREATE ROLE shop LOGIN PASSWORD '"+owner+"'; CREATE DATABASE shop OWNER shop;"); err != nil {
		return err
	}
	if _, err = s.server.Exec(ctx, "shop", "SET ROLE shop;\n"+shopSQL); err != nil {
		return err
	}
	if err = os.WriteFile(filepath.Join(s.dir, "shop.password"), []byte(owner), 0o600); err != nil {
		return err
	}
	if s.address, err = address(listen, demoAddress); err != nil {
		return err
	}
	text, err := s.config()
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(), []byte(text), 0o600)
}

func (s *shop) file() string { return filepath.Join(s.dir, "sallyport.yaml") }

// address is want, or preferred, or any port when that is taken.
func address(want, preferred string) (string, error) {
	if want != "" {
		return want, nil
	}
	l, err := net.Listen("tcp", preferred)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// config is the demo's config file.
func (s *shop) config() (string, error) {
	verifier := map[string]string{}
	for _, user := range []string{"alice", "bob"} {
		s.password[user] = strings.ToLower(rand.Text()[:16])
		v, err := identity.NewVerifier(s.password[user])
		if err != nil {
			return "", err
		}
		verifier[user] = v
	}
	return fmt.Sprintf(`# The demo's config. Alice may read, Bob may write too.
data_dir: data
identity:
  users:
    - name: alice
      groups: [support]
      password: %q
    - name: bob
      groups: [support, engineers]
      password: %q
resources:
  - name: shop
    type: postgres
    listen: %q # a client here needs to name no resource
    address: %q
    database: shop
    username: shop
    password: file:shop.password
    labels: {env: demo}
    plaintext: true # loopback, a server of our own
    tls: {mode: disable}
access:
  - name: support-reads
    groups: [support]
    resources: [shop]
    allow: [connect, read]
  - name: engineers-write
    groups: [engineers]
    resources: [shop]
    allow: [connect, read, write, ddl]
guardrails:
  - use: default
masking:
  - use: default
`, verifier["alice"], verifier["bob"], s.address, s.server.Address()), nil
}

// run serves until ctx ends.
func (s *shop) run(ctx context.Context, c *cli, begun time.Time) error {
	cfg, err := config.Load(s.file())
	if err != nil {
		return err
	}
	g, err := build(cfg, slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	if err := g.listen(); err != nil {
		return err
	}
	s.print(c, g, time.Since(begun))
	if err := g.serve(ctx); err != nil {
		return err
	}
	fmt.Fprintln(c.err, "stopped; everything is removed")
	return nil
}

// print shows what to try.
func (s *shop) print(c *cli, g *gateway, took time.Duration) {
	host, port, _ := net.SplitHostPort(s.address)
	line := func(user, sql string) string {
		return fmt.Sprintf("PGPASSWORD=%s psql \"host=%s port=%s user=%s dbname=shop sslmode=verify-full sslrootcert=%s\" -c \"%s\"",
			s.password[user], host, port, user, g.authority.File(), sql)
	}
	fmt.Fprintf(c.out, `
The gateway is ready (%.1f s). Its config, for the other commands: %s

Alice of support reads:
  %s

She may not delete:
  %s

Nor may anybody delete everything:
  %s

Bob, an engineer, may change a row:
  %s

Ctrl-C stops it and removes everything.
`, took.Seconds(), s.file(),
		line("alice", "SELECT name, email, card FROM customers ORDER BY id LIMIT 3"),
		line("alice", "DELETE FROM customers WHERE id = 1"),
		line("bob", "DELETE FROM orders"),
		line("bob", "UPDATE products SET stock = stock - 1 WHERE id = 1 RETURNING name, stock"))
}

func (s *shop) close() error {
	var errs []error
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
