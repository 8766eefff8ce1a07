// Command embed is a gateway of one's own: the core, the PostgreSQL handler, an
// interceptor written here, and what the library has for the rest.
//
//	DB_PASSWORD=… go run ./examples/embed 127.0.0.1:6432 db.internal:5432
//	psql "host=127.0.0.1 port=6432 user=alice dbname=shop"
package main

import (
	"context"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/protocol/postgres"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/secrets"
)

// officeHours refuses changes at night: an interceptor is a name and the hooks
// that it wants.
type officeHours struct{ now func() time.Time }

func (officeHours) Name() string { return "office-hours" }

func (o officeHours) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		s, ok := op.(*proxy.Statement)
		if hour := o.now().Hour(); ok && s.Facts.Effects.Has(proxy.EffectsWrite) && (hour < 8 || hour >= 18) {
			return proxy.Deny(proxy.CauseGuardrail, "office-hours", "changes are made between 8 and 18", "Come back in the morning.")
		}
		return proxy.Pass()
	}}, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ln, err := net.Listen("tcp", os.Args[1])
	if err == nil {
		err = serve(ctx, ln, os.Args[2], "audit", time.Now)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve is the whole assembly.
func serve(ctx context.Context, ln net.Listener, database, records string, now func() time.Time) error {
	users, err := identity.NewUsers([]identity.User{{Name: "alice", Groups: []string{"dev"}, Password: os.Getenv("ALICE_VERIFIER")}})
	if err != nil {
		return err
	}
	rules, err := policy.New([]policy.Rule{{Name: "dev", Groups: []string{"dev"}, Allow: strings.Fields("connect read write ddl")}})
	if err != nil {
		return err
	}
	record, err := audit.Open(records, audit.Config{Recordings: func(proxy.Target) audit.Recording { return audit.Recording{} }}) // no copies of rows
	if err != nil {
		return err
	}
	defer record.Close()
	shop := &proxy.Resource{
		Name: "shop", Type: "postgres", Address: database, Database: "shop", TLS: proxy.TLS{Mode: proxy.TLSDisable},
		Accounts: []proxy.Account{{Name: "app", Username: "app", Secret: "env:DB_PASSWORD"}},
		Settings: postgres.Settings{Plaintext: true},
	}
	gateway := &proxy.Gateway{
		Authenticator: users, Directory: proxy.Resources{shop}, Credentials: secrets.Default(),
		Interceptors: []proxy.Interceptor{rules, officeHours{now}, record}, OnEvent: record.Event,
	}
	handler := &postgres.Handler{Resource: "shop", Analyzer: sqlpostgres.New(sqlpostgres.Config{})}
	return gateway.Serve(ctx, ln, handler)
}
