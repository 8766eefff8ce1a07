package aws

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// TestRefusalsArePlain: a refusal has no characters by which a terminal, where clients print it, does something, and what people have written as it is.
func TestRefusalsArePlain(t *testing.T) {
	r, _ := start(t, ok, func(r *rig) {
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if _, ok := op.(*proxy.Request); ok {
				return proxy.Deny(proxy.CausePolicy, "x", "that is für \x1b]0;title\a secret", "Ask \x1b[2Jothers.")
			}
			return proxy.Pass()
		}
	})
	k := r.keys("alice")
	var said struct{ Message string }
	require.NoError(t, xml.Unmarshal([]byte(r.send(k, ask{uri: "/bucket/key"}).text), &said))
	require.Contains(t, said.Message, "für ␛]0;title␇ secret")
	require.NotContains(t, said.Message, "\uFFFD", "it was made plain before")
	require.NoError(t, json.Unmarshal([]byte(r.dynamo(k, "GetItem", `{"TableName":"t","Key":{}}`).text), &said))
	require.Contains(t, said.Message, "für ␛]0;title␇ secret")
	require.NotRegexp(t, `[[:cntrl:]]`, said.Message)
}
