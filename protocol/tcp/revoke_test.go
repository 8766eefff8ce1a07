package tcp

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestRightRevoked: a revision that takes the right to the connection away ends it, although the session may still connect, and nothing else is asked in
// it. What was approved stays so.
func TestRightRevoked(t *testing.T) {
	use := func(r *rig, ask func(*proxy.Forward) proxy.Verdict) {
		rev := *r.gateway.Revision()
		rev.Interceptors = []proxy.Interceptor{&rules{ask: ask}}
		require.NoError(t, r.gateway.Use(&rev))
	}
	hold := func(*proxy.Forward) proxy.Verdict { return proxytest.Hold("four-eyes") }
	r := start(t, echo)
	c := r.dial()
	answers(t, c, "x")
	use(r, nil)
	answers(t, c, "it goes on")
	at := time.Now()
	use(r, func(*proxy.Forward) proxy.Verdict {
		return proxy.Deny(proxy.CausePolicy, "no-more", "not any more", "")
	})
	closed(t, c, at)
	require.ErrorContains(t, r.session().Err(), "not any more")

	r, decide, _, waits := holding(t, echo)
	go func() {
		<-waits
		decide <- proxy.Allow("lead")
	}()
	conn, _, err := r.client("alice").Dial(context.Background())
	require.NoError(t, err)
	defer conn.Close()
	answers(t, conn, "x")
	rev := *r.gateway.Revision()
	rev.Interceptors = []proxy.Interceptor{&rules{ask: hold}}
	require.NoError(t, r.gateway.Use(&rev))
	answers(t, conn, "what was approved stays so")

	r = start(t, echo)
	c = r.dial()
	answers(t, c, "x")
	at = time.Now()
	use(r, hold)
	closed(t, c, at)
	require.ErrorContains(t, r.session().Err(), "needs an approval")
}
