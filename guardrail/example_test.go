package guardrail_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/protocol/shell"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// The default rules, and one of one's own.
func ExampleNew() {
	g, err := guardrail.New(guardrail.Config{
		Commands: shell.Grammar{},
		Rules: append(guardrail.Defaults(), guardrail.Rule{
			Name: "no-deploys", Commands: []string{"kubectl apply *"}, Action: guardrail.Deny, Message: "nothing is deployed today",
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{}, g)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	for _, command := range []string{"uptime", "sh -c 'sleep 1; kubectl apply -f app.yaml'"} {
		op := &proxy.Exec{Meta: proxy.Meta{Kind: proxy.KindExec}, Command: command}
		v := s.Ask(context.Background(), op)
		fmt.Printf("%s %q\n", v.Action, v.Rule)
		s.Done(op, &proxy.Outcome{})
	}
	// Output:
	// pass ""
	// deny "no-deploys"
}
