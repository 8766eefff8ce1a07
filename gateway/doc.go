// Package gateway is the reference gateway as a library: everything that a config
// file asks for, built, served and closed by one value.
//
// A company that wants the reference gateway and something of its own loads the
// same file and adds its interceptors at named places:
//
//	cfg, err := gateway.Load("sallyport.yaml", config.Options{})
//	…
//	g, err := gateway.New(cfg, gateway.Options{
//		Interceptors: gateway.Interceptors{AfterPolicy: []proxy.Interceptor{officeHours{}}},
//	})
//	…
//	err = g.Run(ctx)
//
// [Run] is all of it in one call. What else an assembly can bring, an identity
// provider, a source of credentials, audit sinks, is in [Options]; schemes of secrets
// and protocols are in [config.Options]. The folder examples has a program for each.
//
// # The chain
//
// Every operation is asked in this order, and every answer is in before anything
// waits:
//
//	authentication │ First ► policy ► AfterPolicy ► guardrails ► AfterGuardrails ► masking ► AfterMasking ► metrics ► record
//
// AfterPolicy is the review gate: the place of what needs an approval although the
// access rules allow it. Data flows through the filters in the same order, so that
// an interceptor before masking sees data as the resource sent it, and one after it
// what clients and records get.
package gateway
