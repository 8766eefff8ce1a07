package policy_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// What no rule allows is denied.
func ExampleNew() {
	p, err := policy.New([]policy.Rule{
		{Name: "dev", Groups: []string{"dev"}, Labels: map[string]string{"env": "test"}, Allow: []string{"connect", "read"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := proxytest.Open(&proxy.Gateway{}, p)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	for _, effect := range []proxy.Effects{proxy.EffectRead, proxy.EffectDelete} {
		op := proxytest.Statement("…", effect)
		v := s.Ask(context.Background(), op)
		fmt.Printf("%s: %q\n", v.Action, v.Reason)
		s.Done(op, &proxy.Outcome{})
	}
	// Output:
	// pass: ""
	// deny: "you may not delete rows at shop/shop: this needs the right \"write\""
}
