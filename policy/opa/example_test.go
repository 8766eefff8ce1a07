package opa_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/policy/opa"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// A policy in Rego denies some of what others allow.
func ExampleNew() {
	p, err := opa.New(opa.Config{Timeout: time.Second, Modules: map[string]string{"writes.rego": `package sallyport

default decision := {"allow": true}

decision := {"allow": false, "rule": "writes", "reason": "only dba deletes in test"} if {
	"delete" in input.operation.statement.effects
	input.resource.labels.env == "test"
	not "dba" in input.identity.groups
}
`}})
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
	// deny: "only dba deletes in test"
}
