package kubernetes

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestRefusalsArePlain: kubectl prints what it is told as it is, so that a refusal has no characters by which a terminal does something: neither those of
// a rule, nor of an approval, nor of what was asked for.
func TestRefusalsArePlain(t *testing.T) {
	const hostile = "that is \x1b]0;title\a\r\n\u009b2J\u202e secret"
	refuse := func(v proxy.Verdict) func(r *rig) {
		return func(r *rig) {
			r.rules.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
				if q, ok := op.(*proxy.Request); ok && v.Action == proxy.ActionDeny {
					v.Reason = "no " + q.Path + " " + hostile
				}
				return v
			}
		}
	}
	r := start(t, refuse(proxy.Deny(proxy.CausePolicy, "x", "", "Ask \x1b[2Jothers.")))
	for _, path := range []string{
		"/api/v1/namespaces/default/pods/web", "/api/v1/namespaces/default/pods/we%1b%5d0;x%07b", "/api/v1/namespaces/default/pods/we%c2%9b2Jb",
		"/api/v1/namespaces/a%0d%0ab/pods", "/api/v1/namespaces/default/pods/web/%1b[2J",
	} {
		code, body := r.do("DELETE", path, "")
		require.GreaterOrEqual(t, code, http.StatusBadRequest)
		var said struct{ Message string }
		require.NoError(t, json.Unmarshal([]byte(body), &said), body)
		require.NotEmpty(t, said.Message)
		require.NotRegexp(t, `[\x00-\x1f\x7f-\x{9f}\x{2028}-\x{202e}\x{2066}-\x{2069}]`, said.Message, path)
	}
	require.Empty(t, r.cluster.requests())
}
