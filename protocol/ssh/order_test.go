package ssh

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"
)

// TestOrder: data that was read waits for the requests that had arrived by then,
// also for those that nobody has taken off the connection yet.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := &channel{session: &session{}}
		ch.ctx, ch.cancel = t.Context(), func() {}
		requests, queue := make(chan *gossh.Request, 16), make(chan *gossh.Request, queued)
		go ch.collect(requests, queue)
		for range 3 {
			requests <- &gossh.Request{Type: "signal"}
		}
		passed := false
		go func() { ch.order.await(ch.ctx); passed = true }()
		for range 3 {
			synctest.Wait()
			require.False(t, passed)
			<-queue
			ch.order.act()
		}
		synctest.Wait()
		require.True(t, passed)
		close(requests)
		synctest.Wait()
	})
}
