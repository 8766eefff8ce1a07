package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestShutdown(t *testing.T) {
	const base = "listen: {postgres: \"127.0.0.1:0\"}\nresources: []\n"
	for text, want := range map[string]struct{ delay, drain time.Duration }{
		"":                                     {0, 10 * time.Second},
		"shutdown: {delay: 5s}\n":              {5 * time.Second, 10 * time.Second},
		"shutdown: {drain: 10m}\n":             {0, 10 * time.Minute},
		"shutdown: {delay: 10m, drain: 24h}\n": {10 * time.Minute, 24 * time.Hour},
	} {
		f, err := Parse("sallyport.yaml", []byte(base+text), options())
		require.NoError(t, err, text)
		require.Equal(t, want.delay, f.Shutdown.Delay, text)
		require.Equal(t, want.drain, f.Shutdown.DrainTime(), text)
	}
	for text, says := range map[string]string{
		"shutdown: {delay: 11m}\n": "shutdown.delay is 11m0s",
		"shutdown: {delay: -1s}\n": "shutdown.delay",
		"shutdown: {drain: 25h}\n": "shutdown.drain is 25h0m0s",
		"shutdown: {drain: 0s}\n":  "shutdown.drain is 0s",
		"shutdown: {after: 1s}\n":  "after",
	} {
		_, err := Parse("sallyport.yaml", []byte(base+text), options())
		require.ErrorContains(t, err, says, text)
	}
}
