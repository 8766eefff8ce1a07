package aws

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// counting counts how often a credential is leased.
type counting struct {
	proxytest.Credential
	n *atomic.Int32
}

func (c counting) Lease(ctx context.Context, q proxy.LeaseRequest) (*proxy.Lease, error) {
	c.n.Add(1)
	return c.Credential.Lease(ctx, q)
}

// TestAttackCodes: an error is about the gateway's keys by its code alone. A name that a client has chosen is not one: it neither hides an
// answer nor makes the gateway read its keys anew.
func TestAttackCodes(t *testing.T) {
	var n atomic.Int32
	r, _ := start(t, func(w http.ResponseWriter, q *http.Request) {
		text := map[string]string{
			"named":  "<Error><Code>NoSuchKey</Code><Message>no ExpiredToken</Message><Key>InvalidToken/SignatureDoesNotMatch</Key></Error>",
			"inner":  "<Error><Code>NoSuchKey</Code><Detail><Code>ExpiredToken</Code></Detail></Error>",
			"text":   "ExpiredToken",
			"s3":     "<?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code></Error>",
			"query":  "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code> InvalidClientTokenId </Code></Error></ErrorResponse>",
			"ec2":    "<Response><Errors><Error><Code>AuthFailure</Code></Error></Errors></Response>",
			"coral":  `{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"x"}`,
			"rest":   `{"code":"ExpiredTokenException"}`,
			"header": `{}`,
			"json":   `{"__type":"ResourceNotFoundException","message":"ExpiredToken"}`,
		}
		name := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
		if name == "header" {
			w.Header().Set("X-Amzn-Errortype", "InvalidSignatureException:http://internal.amazon.com/coral/")
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, text[name])
	}, func(r *rig) {
		r.gateway.Credentials = counting{r.gateway.Credentials.(proxytest.Credential), &n}
	})
	k := r.keys("alice")
	for _, name := range []string{"named", "inner", "text", "json"} {
		res := r.send(k, ask{method: "GET", uri: "/bucket/" + name})
		require.Equal(t, http.StatusBadRequest, res.StatusCode, "%s: %s", name, res.text)
		require.NotContains(t, res.text, "withheld", name)
	}
	require.EqualValues(t, 1, n.Load(), "the keys were not read anew")
	for _, name := range []string{"s3", "query", "ec2", "coral", "rest", "header"} {
		res := r.send(k, ask{method: "GET", uri: "/bucket/" + name})
		require.Equal(t, http.StatusForbidden, res.StatusCode, name)
		require.Contains(t, res.text, "withheld", name)
	}
	require.EqualValues(t, 2, n.Load(), "once in a while they are")
}
