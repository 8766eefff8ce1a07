package web

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestRefusalsArePlain: programs print what they are told, so that a refusal has no characters by which a terminal does something: neither those of a
// rule, nor of what was asked for.
func TestRefusalsArePlain(t *testing.T) {
	const steers = `[\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]`
	r := start(t, http.HandlerFunc(echo), func(r *rig) {
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok {
				return proxy.Deny(proxy.CausePolicy, "x\x1b[1m", "no "+q.Path+" \x1b]0;title\a\r\n\u009b2J\u202e", "Ask \x1b[2Jothers.")
			}
			return proxy.Pass()
		}
	})
	for _, path := range []string{"/a", "/%1b%5d0;owned%07", "/a%c2%9b2J", "/a?x=%1b", "/%e2%80%ae"} {
		res := r.get(path, "Accept", "application/json")
		require.GreaterOrEqual(t, res.StatusCode, 400)
		var said map[string]string
		require.NoError(t, json.Unmarshal([]byte(res.text), &said), res.text)
		require.NotEmpty(t, said["message"])
		for key, text := range said {
			require.NotRegexp(t, steers, text, "%s: %s", path, key)
		}
		html := r.get(path, "Accept", "text/html")
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f-\x{9f}]`, html.text)
	}
	res := r.do("POST", "/pkg.Service/Method", "", "Content-Type", "application/grpc")
	require.NotEmpty(t, res.Header.Get("Grpc-Message"))
	require.NotRegexp(t, `%1[bB]|%07|%C2%9B`, res.Header.Get("Grpc-Message"))
}
