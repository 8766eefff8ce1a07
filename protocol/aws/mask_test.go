package aws

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
)

// masked has the default masking in place.
func masked(t testing.TB) change {
	return func(r *rig) {
		m, err := masking.New(masking.Config{})
		require.NoError(t, err)
		r.gateway.Interceptors = append(r.gateway.Interceptors, m)
	}
}

// TestMasked: the default configuration masks what services answer, in their forms and as they name them, and what objects hold as text. The
// rest stays, and what holds no text passes as it is.
func TestMasked(t *testing.T) {
	const binary = "\x00\x01\x02\xff ann@example.com"
	answers := map[string][2]string{ // by the last part of the action or the path
		"Scan":         {"application/x-amz-json-1.0", `{"Items":[{"id":{"S":"7"},"email":{"S":"ann@example.com"},"card":{"S":"4111111111111111"},"ssn":{"S":"219-09-9999"}}],"Count":1}`},
		"GetLogEvents": {"application/x-amz-json-1.1", `{"events":[{"timestamp":1,"message":"login of ann@example.com"}],"nextForwardToken":"f/1"}`},
		"ListUsers":    {"text/xml", `<ListUsersResponse><User><UserName>bob</UserName><Path>/</Path><Tag>ann@example.com</Tag></User></ListUsersResponse>`},
		"invocations":  {"application/json", `{"to":"ann@example.com","id":7}`},
		"list.csv":     {"text/csv", "id,email\n7,ann@example.com\n"},
		"list.json":    {"binary/octet-stream", `{"id":7,"email":"ann@example.com"}`},
		"no-type":      {"", `a line about ann@example.com`},
		"film":         {"binary/octet-stream", binary},
	}
	r, _ := start(t, func(w http.ResponseWriter, q *http.Request) {
		name := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
		if target := q.Header.Get("X-Amz-Target"); target != "" {
			_, name, _ = strings.Cut(target, ".")
		} else if name == "" {
			name = "ListUsers"
		}
		a := answers[name]
		w.Header()["Content-Type"] = []string{a[0]}
		w.Header().Set("X-Amz-Crc32", "1")
		w.Header().Set("X-Amz-Meta-Owner", "ann@example.com")
		if q.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusPartialContent)
		}
		_, _ = w.Write([]byte(a[1]))
	}, masked(t))
	k := r.keys("alice")
	for name, a := range map[string]ask{
		"Scan":         {service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"people"}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.Scan"}},
		"GetLogEvents": {service: "logs", method: "POST", uri: "/", body: `{"logGroupName":"app"}`, headers: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "Logs_20140328.GetLogEvents"}},
		"ListUsers":    {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}},
		"invocations":  {service: "lambda", method: "POST", uri: "/2015-03-31/functions/f/invocations", body: "{}"},
		"list.csv":     {method: "GET", uri: "/bucket/list.csv"},
		"list.json":    {method: "GET", uri: "/bucket/list.json"},
		"no-type":      {method: "GET", uri: "/bucket/no-type"},
	} {
		res := r.send(k, a)
		require.Equal(t, http.StatusOK, res.StatusCode, "%s: %s", name, res.text)
		for _, value := range []string{"ann@example.com", "4111111111111111", "219-09-9999"} {
			require.NotContains(t, res.text, value, name)
		}
		require.NotContains(t, res.Header.Get("X-Amz-Meta-Owner"), "ann@example.com", name)
		require.Empty(t, res.Header.Get("X-Amz-Crc32"), name)
		if strings.HasPrefix(answers[name][1], "{") {
			require.True(t, json.Valid([]byte(res.text)), "%s: %s", name, res.text)
		}
	}
	require.Contains(t, r.send(k, ask{service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"orders"}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.Scan"}}).text, `"id":{"S":"7"}`)
	require.Equal(t, binary, r.send(k, ask{method: "GET", uri: "/bucket/film"}).text)
	res := r.send(k, ask{method: "GET", uri: "/bucket/list.csv", headers: []string{"Range", "bytes=0-20"}})
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, res.text, "withheld")
}
