package proxytest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// readOnly refuses every statement that changes something.
type readOnly struct{}

func (readOnly) Name() string { return "read-only" }

func (readOnly) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		if s, ok := op.(*proxy.Statement); ok && s.Facts.Effects != proxy.EffectRead {
			return proxy.Deny(proxy.CausePolicy, "read-only", "this session only reads", "")
		}
		return proxy.Pass()
	}}, nil
}

// An interceptor is tried in a session without servers and clients.
func ExampleOpen() {
	s, err := proxytest.Open(&proxy.Gateway{}, readOnly{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	for _, effects := range []proxy.Effects{proxy.EffectRead, proxy.EffectDelete} {
		op := proxytest.Statement("…", effects)
		v := s.Ask(context.Background(), op)
		fmt.Printf("%s %q\n", v.Action, v.Reason)
		s.Done(op, &proxy.Outcome{})
	}
	// Output:
	// pass ""
	// deny "this session only reads"
}

// The suite of all interceptors is run on one's own.
func ExampleTestInterceptor() {
	_ = func(t *testing.T) { // func TestReadOnly
		proxytest.TestInterceptor(t, func(*testing.T) proxy.Interceptor { return readOnly{} })
	}
}
