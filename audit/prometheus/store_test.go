package prometheus

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A store that hangs, whatever its context says, keeps no numbers back, and is asked once however often they are asked for.
func TestStoreHangs(t *testing.T) {
	var asked atomic.Int64
	answer := make(chan struct{})
	m := &Metrics{Version: "v1", Store: func(context.Context) error {
		asked.Add(1)
		<-answer
		return nil
	}}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			text := show(t, m)
			if !strings.Contains(text, "sallyport_store_up 0\n") || !strings.Contains(text, "sallyport_build_info{") {
				t.Errorf("got %s, want the store down and the other numbers", text)
			}
		})
	}
	shown := make(chan struct{})
	go func() { wg.Wait(); close(shown) }()
	select {
	case <-shown:
	case <-time.After(time.Minute):
		close(answer)
		t.Fatal("the numbers wait for the store")
	}
	require.EqualValues(t, 1, asked.Load())
	close(answer)
	require.Eventually(t, func() bool { return strings.Contains(show(t, m), "sallyport_store_up 1\n") }, time.Minute, time.Millisecond)
}
