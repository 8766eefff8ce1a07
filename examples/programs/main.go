// Command programs is the reference gateway with access tokens for programs: a service
// logs in with a token as its database password, which need not be sent, and which may
// do less than the service.
//
//	go run ./examples/programs sallyport.yaml report orders   # prints a login and a password
//	PGPASSWORD=sp_… psql "host=127.0.0.1 port=6432 user=report~…+orders sslmode=require"
//
// The service report is in the group programs, which access rules may name; the token
// may only read at the resource orders. Tokens are kept in memory here, so they end with
// the gateway. Users of the config file go on to work.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 3 {
		return errors.New("usage: programs CONFIG SERVICE RESOURCE")
	}
	programs := &tokens.Tokens{Documents: &identity.Memory{}}
	if err := issue(ctx, programs, args[1], args[2], out); err != nil {
		return err
	}
	return gateway.Run(ctx, args[0], names(args[1]), options(programs))
}

// group is that of all services.
const group = "programs"

// names has the config file name the service and its group.
func names(service string) config.Options {
	return config.Options{Users: func(n string) bool { return n == service }, Groups: func(n string) bool { return n == group }}
}

// issue makes a service, and a token that may read at a resource.
func issue(ctx context.Context, programs *tokens.Tokens, service, resource string, out io.Writer) error {
	if err := programs.PutPrincipal(ctx, tokens.Principal{Name: service, Kind: proxy.Service, Groups: []string{group}}); err != nil {
		return err
	}
	token, secret, err := programs.Create(ctx, tokens.Token{
		Label: "read " + resource, Subject: service, User: service, Expires: time.Now().Add(30 * 24 * time.Hour),
		Scopes: []tokens.Scope{{Resources: []string{resource}, Actions: []string{"read"}}},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s%s%s %s\n", service, tokens.Separator, token.ID, secret.Reveal())
	return err
}

// options are the whole of the wiring: who has proven what, and what tokens take away.
func options(programs *tokens.Tokens) gateway.Options {
	return gateway.Options{
		Authenticator: func(local proxy.Authenticator) proxy.Authenticator {
			return &identity.Sources{List: []identity.Source{
				{Authenticator: programs, Names: tokens.Names, Owns: func(id *proxy.Identity) bool { return id.Claims[identity.ClaimToken] != "" }},
				{Authenticator: local, Names: func(string) bool { return true }},
			}}
		},
		Interceptors: gateway.Interceptors{First: []proxy.Interceptor{&tokens.Limit{Tokens: programs, Compile: rules}}},
	}
}

// rules reads scopes as access rules.
func rules(scopes []tokens.Scope) (proxy.Interceptor, error) {
	var list []policy.Rule
	for _, s := range scopes {
		list = append(list, policy.Rule{Groups: []string{"*"}, Resources: s.Resources, Allow: append([]string{"connect"}, s.Actions...)})
	}
	return policy.New(list)
}
