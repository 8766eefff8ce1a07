package impact

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// Measuring leaves most of the time of a decision to the people who make it, and takes few seconds anyway.
func TestTimeout(t *testing.T) {
	for decision, want := range map[time.Duration]time.Duration{
		0: 9 * time.Second, time.Hour: 9 * time.Second, 27 * time.Second: 9 * time.Second, 12 * time.Second: 4 * time.Second, 300 * time.Millisecond: 100 * time.Millisecond,
	} {
		s, err := proxytest.Open(&proxy.Gateway{AskTimeout: decision})
		require.NoError(t, err)
		require.Equal(t, want, Timeout(s), decision)
		s.Close(nil)
	}
}
