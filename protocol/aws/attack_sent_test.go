package aws

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAttackHeaders: no header changes between what is decided about and what is sent on, and none says something that was not looked at.
func TestAttackHeaders(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	res := r.send(k, ask{
		method: "PUT", uri: "/bucket/a", headers: []string{"X-Amz-Copy-Source", "/bucket/b"},
		change: func(q *http.Request) { q.Header.Set("Connection", "X-Amz-Copy-Source") },
	})
	require.Equal(t, 200, res.StatusCode, res.text)
	require.Equal(t, "/bucket/b", sent()[0].Header.Get("X-Amz-Copy-Source"), "a header Connection takes nothing away")
	res = r.send(k, ask{method: "GET", uri: "/bucket/a", headers: []string{
		"X-Http-Method-Override", "DELETE", "X-Original-Url", "/bucket/secret", "X_original_url", "/bucket/secret", "X-Amz-Meta-A_b", "1", "Amz-Sdk-Request", "attempt=1",
	}})
	require.Equal(t, 200, res.StatusCode, res.text)
	for _, name := range []string{"X-Http-Method-Override", "X-Original-Url", "X_original_url"} {
		require.NotContains(t, sent()[1].Header, name)
	}
	require.Equal(t, "1", sent()[1].Header.Get("X-Amz-Meta-A_b"))
	require.Equal(t, "attempt=1", sent()[1].Header.Get("Amz-Sdk-Request"))
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	remove := `<Delete><Object><Key>a</Key></Object></Delete>`
	for name, a := range map[string]ask{
		"an underscore":       {method: "PUT", uri: "/bucket/a", headers: []string{"X-Amz-Copy_source", "/bucket/secret"}},
		"two underscores":     {method: "PUT", uri: "/bucket/a", headers: []string{"X_amz_copy_source", "/bucket/secret"}},
		"two types":           {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers", headers: form, change: func(q *http.Request) { q.Header["Content-Type"] = []string{form[1], "application/json"} }},
		"two encodings":       {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers", headers: form, change: func(q *http.Request) { q.Header["Content-Encoding"] = []string{"", "gzip"} }},
		"other characters":    {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers", headers: []string{"Content-Type", form[1] + "; charset=utf-16"}},
		"compressed keys":     {method: "POST", uri: "/bucket?delete", body: remove, headers: []string{"Content-Encoding", "gzip"}},
		"chunks that are not": {method: "POST", uri: "/bucket?delete", body: remove, headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", "9"}},
		"a target of another": {service: "kms", method: "POST", uri: "/", body: "{}", headers: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "secretsmanager.GetSecretValue"}},
		"of one not known":    {service: "logs", method: "POST", uri: "/", body: "{}", headers: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AmazonSSM.GetParameter"}},
		"in capitals":         {service: "logs", method: "POST", uri: "/", body: "{}", headers: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "SecretsManager.GetSecretValue"}},
		"too many values":     {service: "dynamodb", method: "POST", uri: "/", body: `{"a":[` + strings.Repeat("0,", maxValues) + "0]}", headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem"}},
	} {
		res := r.send(k, a)
		require.Equal(t, 400, res.StatusCode, "%s: %s", name, res.text)
	}
	require.Len(t, sent(), 2)
}

// TestAttackSecrets: values of secrets are concealed whatever a server takes the action for, and however its answer is encoded; errors of
// every status do not show the account's own keys.
func TestAttackSecrets(t *testing.T) {
	r, sent := start(t, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		text := `{"Parameter":{"Name":"/a","Type":"SecureString","Value":"hunter2"}}`
		status := http.StatusOK
		if strings.Contains(q.RequestURI, "key") {
			status = http.StatusNotFound
			text = "<Error><Code>NoSuchKey</Code><AWSAccessKeyId>" + ownID + "</AWSAccessKeyId></Error>"
		}
		if strings.Contains(q.Header.Get("Accept-Encoding"), "gzip") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
			w.Header().Set("Content-Encoding", "gzip")
			text = b.String()
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
	k := r.keys("alice")
	for _, target := range []string{"AmazonSSM.GetParameter", "AmazonSSM.NewThing", "amazonssm.GetParameter", "Other.GetParameter"} {
		res := r.send(k, ask{service: "ssm", method: "POST", uri: "/", body: `{"Name":"/a"}`, headers: []string{"Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", target, "Accept-Encoding", "gzip"}})
		require.Equal(t, 200, res.StatusCode, "%s: %s", target, res.text)
		require.Contains(t, res.text, Concealed, target)
		require.NotContains(t, res.text, "hunter2", target)
	}
	require.Equal(t, "identity", sent()[0].Header.Get("Accept-Encoding"))
	res := r.send(k, ask{method: "GET", uri: "/bucket/key"})
	require.Equal(t, 404, res.StatusCode)
	require.NotContains(t, res.text, ownID)
	require.Contains(t, res.text, "NoSuchKey")
	res = r.send(k, ask{method: "GET", uri: "/bucket/key/a", headers: []string{"Accept-Encoding", "gzip"}})
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, res.text, "withheld")
}
