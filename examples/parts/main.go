// Command parts is a gateway put together by hand, without a config file: every part
// of it is a value that could be another one. It serves PostgreSQL and SSH, with TLS
// by an authority of its own, what is known of the database from its catalog, access
// rules, the default guardrails and masking, an interceptor written here, and an
// audit log.
//
//	export ALICE_VERIFIER='SCRAM-SHA-256$4096:…' ALICE_KEY="$(cat alice.pub)" DB_PASSWORD=…
//	go run ./examples/parts -database db.internal:5432 -host vm1.internal:22 -host-key "ssh-ed25519 AAAA…" -key vm1.pem
//	psql "host=localhost port=6432 user=alice+shop sslmode=verify-full sslrootcert=data/ca.pem"
//	ssh -p 6022 -o UserKnownHostsFile=data/ssh/gateway_known_hosts alice+vm1@127.0.0.1
package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/ca"
	"github.com/sallyport/sallyport/identity/stored"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/postgres"
	pgkit "github.com/sallyport/sallyport/protocol/postgres/kit"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/protocol/ssh"
	sshkit "github.com/sallyport/sallyport/protocol/ssh/kit"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
	"github.com/sallyport/sallyport/store"
	"github.com/sallyport/sallyport/store/sqlstore"
)

// officeHours refuses changes at night: an interceptor is a name and the hooks
// that it wants.
type officeHours struct{}

func (officeHours) Name() string { return "office-hours" }

func (officeHours) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		if hour := s.Now().Hour(); ok && st.Facts.Effects.Has(proxy.EffectsWrite) && (hour < 8 || hour >= 18) {
			return proxy.Deny(proxy.CauseGuardrail, "office-hours", "changes are made between 8 and 18", "Come back in the morning.")
		}
		return proxy.Pass()
	}}, nil
}

// place is what differs from one place to another.
type place struct {
	data          string // the folder of the gateway's own files
	database      string // address
	host, hostKey string // address and public key
	key           string // the file of the key that the gateway logs in to the host with
}

func main() {
	var p place
	flag.StringVar(&p.data, "data", "data", "folder of the gateway's own files")
	flag.StringVar(&p.database, "database", "127.0.0.1:5432", "address of the database")
	flag.StringVar(&p.host, "host", "127.0.0.1:22", "address of the SSH server")
	flag.StringVar(&p.hostKey, "host-key", "", "public key of the SSH server")
	flag.StringVar(&p.key, "key", "", "file of the key for the SSH server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, p); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, p place) error {
	forPostgres, err := net.Listen("tcp", "127.0.0.1:6432")
	if err != nil {
		return err
	}
	forSSH, err := net.Listen("tcp", "127.0.0.1:6022")
	if err != nil {
		return errors.Join(err, forPostgres.Close())
	}
	return serve(ctx, &proxy.Gateway{}, p, forPostgres, forSSH)
}

// serve is the whole assembly: it makes the parts, gives them to g and serves until
// ctx ends. It closes the listeners.
func serve(ctx context.Context, g *proxy.Gateway, p place, forPostgres, forSSH net.Listener) (err error) {
	closeLater := func(f func() error) { err = errors.Join(err, f()) }
	defer forPostgres.Close() // again, when it was not served
	defer forSSH.Close()

	// Who comes, what there is, and who may do what there.
	users, err := identity.NewUsers([]identity.User{
		{Name: "alice", Groups: []string{"dev"}, Password: os.Getenv("ALICE_VERIFIER"), SSHKeys: []string{os.Getenv("ALICE_KEY")}},
	})
	if err != nil {
		return err
	}
	resources := proxy.Resources{
		{
			Name: "shop", Type: "postgres", Address: p.database, Database: "shop", TLS: proxy.TLS{Mode: proxy.TLSDisable},
			Accounts: []proxy.Account{{Name: "app", Username: "app", Secret: "env:DB_PASSWORD"}},
			Settings: postgres.Settings{Plaintext: true},
		},
		{
			Name: "vm1", Type: "ssh", Address: p.host, TLS: proxy.TLS{Mode: proxy.TLSDisable},
			Accounts: []proxy.Account{{Name: "demo", Username: "demo", Secret: "file:" + p.key}},
			Settings: ssh.Settings{HostKeys: []string{p.hostKey}},
		},
	}
	access, err := policy.New([]policy.Rule{{Name: "dev", Groups: []string{"dev"}, Allow: strings.Fields("connect read write ddl exec shell")}})
	if err != nil {
		return err
	}

	// The record. What cannot be recorded does not happen.
	record, err := audit.Open(filepath.Join(p.data, "audit"), audit.Config{})
	if err != nil {
		return err
	}
	defer closeLater(record.Close)

	// The certificate that clients see.
	state, err := sqlstore.OpenSQLite(ctx, filepath.Join(p.data, "store.db"), sqlstore.Options{})
	if err != nil {
		return err
	}
	defer closeLater(state.Close)
	authority, err := openAuthority(ctx, state, p.data)
	if err != nil {
		return err
	}
	certificate, err := authority.Server("localhost", "127.0.0.1")
	if err != nil {
		return err
	}

	// The protocols.
	pg := pgkit.New(pgkit.Config{
		Gateway: g, RequireTLS: true, TLS: &tls.Config{GetCertificate: g.Certificate, MinVersion: tls.VersionTLS12},
	})
	defer closeLater(pg.Close)
	sh := sshkit.New(sshkit.Config{
		Dir: filepath.Join(p.data, "ssh"), Resources: func() proxy.Resources { return resources }, May: access.May, KnowsKey: users.KnowsKey,
		Listeners: func() []protocol.Listener {
			return []protocol.Listener{
				{Protocol: "postgres", Address: forPostgres.Addr().String()}, {Protocol: "ssh", Address: forSSH.Addr().String()},
			}
		},
	})
	shHandler, err := sh.Handler("")
	if err != nil {
		return err
	}

	// What nobody should do, and what nobody sees.
	guard, err := guardrail.New(guardrail.Config{
		Rules: guardrail.Defaults(), Commands: shell.Grammar{},
		Estimators: map[string]guardrail.Estimator{pgkit.Dialect: pg.Estimator},
		Limiters:   map[string]guardrail.Limiter{pgkit.Dialect: pg.Limiter},
	})
	if err != nil {
		return err
	}
	mask, err := masking.New(masking.Config{Sampler: pg.Sampler})
	if err != nil {
		return err
	}

	// The gateway's own credentials, from the environment and from files.
	broker, err := secrets.NewBroker(secrets.Options{Source: secrets.Default()})
	if err != nil {
		return err
	}

	// All of it decides as one revision. Another one, with other rules or another
	// certificate, can take its place at any time by the same call.
	if err := g.Use(&proxy.Revision{
		Name: "1", Authenticator: users, Directory: resources, Credentials: broker, Certificates: []tls.Certificate{certificate},
		Interceptors: []proxy.Interceptor{access, officeHours{}, guard, mask, record},
	}); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error)
	for _, l := range []struct {
		net.Listener
		proxy.Handler
	}{{forPostgres, pg.Handler("")}, {forSSH, shHandler}} {
		go func() {
			err := g.Serve(ctx, l.Listener, l.Handler)
			cancel() // one listener less is not what was asked for
			ended <- err
		}()
	}
	return errors.Join(<-ended, <-ended)
}

// openAuthority opens what certifies the gateway, and writes the file by which clients trust it.
func openAuthority(ctx context.Context, state store.Store, data string) (*ca.Authority, error) {
	key, err := store.ReadOrMakeKey(filepath.Join(data, "store.key"))
	if err != nil {
		return nil, err
	}
	sealer, err := store.OpenSealer(ctx, state, key)
	if err != nil {
		return nil, err
	}
	a, err := ca.OpenAuthority(ctx, ca.ForServers, ca.Options{Documents: stored.Documents(state), Sealer: stored.Sealer(sealer)})
	if err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificates()[0].Raw})
	return a, os.WriteFile(filepath.Join(data, "ca.pem"), text, 0o644)
}
