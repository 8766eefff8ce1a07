package aws

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAttackAgain: a request that may change something is sent once, also where the connection that was used before it breaks while it runs, and
// whatever its method or its headers promise.
func TestAttackAgain(t *testing.T) {
	for name, a := range map[string]ask{
		"an action by GET":          {service: "ec2", method: "GET", uri: "/?Action=TerminateInstances&InstanceId.1=i-1&Version=2016-11-15"},
		"with a promise":            {service: "polly", method: "DELETE", uri: "/v1/lexicons/a", headers: []string{"Idempotency-Key", "a"}},
		"with another promise":      {service: "polly", method: "POST", uri: "/v1/lexicons/a", headers: []string{"X-Idempotency-Key", "a"}},
		"an unknown service by GET": {service: "polly", method: "GET", uri: "/v1/start"},
		"an object":                 {method: "DELETE", uri: "/bucket/key"},
		"an object with a promise":  {method: "PUT", uri: "/bucket/key", headers: []string{"Idempotency-Key", "a"}},
		"a session by GET":          {method: "GET", uri: "/bucket?session"},
	} {
		t.Run(name, func(t *testing.T) {
			address, got := raw(t, func(w wire) string {
				if strings.Contains(w.line, "/first") {
					return fine(w)
				}
				return "" // it is taken, and nothing is said
			})
			r := startAt(t, address, ownID, ownKey)
			k := r.keys("alice")
			require.Equal(t, http.StatusOK, r.send(k, ask{method: "GET", uri: "/bucket/first"}).StatusCode)
			require.Len(t, got(), 1)
			res := r.send(k, a)
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, res.text)
			list := got()
			require.Len(t, list, 1, "it is sent once")
			require.NotContains(t, list[0].line, "cut: ")
			require.Empty(t, list[0].body)
			require.NotContains(t, list[0].header, "Transfer-Encoding")
		})
	}
}
