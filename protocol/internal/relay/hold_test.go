package relay

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestHoldTwice: a request that needs another approval stays the one that its client was told of, which others read meanwhile.
func TestHoldTwice(t *testing.T) {
	pending := func(id string) *proxy.Pending {
		return &proxy.Pending{ID: id, Wait: func(context.Context) proxy.Verdict { return proxy.Allow("lead") }}
	}
	op := &proxy.Request{}
	k := &held{op: op, parked: make(chan struct{}), decided: make(chan struct{}), taken: make(chan struct{}), done: make(chan struct{})}
	hs := &holds{asking: map[proxy.Op]*held{op: k}}
	first, second := pending("REQ1"), pending("REQ2")
	hs.hold(op, first)
	<-k.parked
	close(k.taken)
	first.Wait(t.Context())
	hs.hold(op, second)
	v := second.Wait(t.Context())
	require.False(t, v.Refuses())
	require.Same(t, first, k.pending)
	require.Len(t, hs.list, 1)
}
