package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/gateway"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
)

const file = `
listen: {postgres: "127.0.0.1:0"}
identity: {users: [{name: alice, groups: [dev], password: "SCRAM-SHA-256$4096:A4mJxRhyTu52s0AO7UrrZg==$idfRBWXKrr+iqYxx/IdIfowIwBw0O9LFusRJeKthw8c=:69iP9tjOBiQ2jwg+5Q8oPQn01Vw5HKhrVuPrHwKbpUU="}]}
resources: [{name: orders, type: postgres, address: "127.0.0.1:1", username: app, tls: {mode: disable}}]
access: [{groups: [dev], allow: [connect, read]}]
`

// load reads the config file in a folder of its own.
func load() (f *config.File, remove func(), err error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, nil, err
	}
	f, err = config.Parse(filepath.Join(dir, "sallyport.yaml"), []byte(file), gateway.Defaults())
	return f, func() { os.RemoveAll(dir) }, err
}

// freeze refuses every change.
type freeze struct{}

func (freeze) Name() string { return "freeze" }

func (freeze) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && s.Facts.Effects.Has(proxy.EffectsWrite|proxy.EffectsDDL) {
			return proxy.Deny(proxy.CauseGuardrail, "freeze", "nothing changes before the release", "")
		}
		return proxy.Pass()
	}}, nil
}

// The reference gateway with an interceptor of one's own, served until its context
// ends.
func ExampleNew() {
	f, remove, err := load()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	g, err := gateway.New(f, gateway.Options{
		Interceptors: gateway.Interceptors{First: []proxy.Interceptor{freeze{}}},
		Log:          slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // at once, here
	fmt.Println(g.Run(ctx))
	// Output: <nil>
}

// What a gateway would answer, by its own chain, without running one.
func ExampleNewExplainer() {
	f, remove, err := load()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer remove()
	x, err := gateway.NewExplainer(f, gateway.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer x.Close()
	alice, err := x.User("alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	target, err := x.Target("orders", "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"SELECT 1", "DELETE FROM orders WHERE id = 7"} {
		a, err := x.Explain(context.Background(), gateway.Question{Identity: alice, Target: target, Text: text})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %q\n", a.Outcome(), a.Reason)
	}
	// Output:
	// allow: ""
	// deny: "you may not delete rows at orders: this needs the right \"write\""
}
