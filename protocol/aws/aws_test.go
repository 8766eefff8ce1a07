package aws

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// TestSignedAnew: what a client has signed with the gateway's keys reaches the account signed with the account's, for the same
// service and region, and nothing of the client's keys is in it.
func TestSignedAnew(t *testing.T) {
	r, sent := start(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	k := r.keys("alice")
	require.True(t, strings.HasPrefix(k.ID, "SPGK"), k.ID)
	res := r.send(k, ask{method: "PUT", uri: "/bucket/a%20key/%C3%A9+x", body: "data", headers: []string{"X-Amz-Meta-Color", "red"}})
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	require.Equal(t, "hello", res.text)
	res = r.dynamo(k, "GetItem", `{"TableName":"orders","Key":{"id":{"S":"7"}}}`)
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	res = r.send(k, ask{service: "sts", method: "POST", uri: "/", body: "Action=GetCallerIdentity&Version=2011-06-15", headers: []string{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}})
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	res = r.send(k, ask{service: "lambda", method: "GET", uri: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Apay%3A3"})
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	list := sent()
	require.Len(t, list, 4)
	require.Equal(t, "/bucket/a%20key/%C3%A9%2Bx", list[0].RequestURI)
	require.Equal(t, "red", list[0].Header.Get("X-Amz-Meta-Color"))
	require.Equal(t, "data", list[0].body)
	for _, q := range list {
		text := ""
		for name, values := range q.Header {
			text += name + ": " + strings.Join(values, ",") + "\n"
		}
		require.NotContains(t, text, k.ID)
		require.NotContains(t, text, k.Token)
		require.NotContains(t, text, "X-Amz-Security-Token")
		require.Contains(t, q.Header.Get("Authorization"), "Credential="+ownID+"/"+time.Now().UTC().Format("20060102")+"/"+country+"/")
	}
	require.Equal(t, []string{"s3:PutObject /bucket/a key/é+x", "dynamodb:GetItem /GetItem/orders", "sts:GetCallerIdentity /GetCallerIdentity", "lambda:GetFunction /GetFunction/pay/3"}, r.rules.asked())
	require.NotContains(t, r.log.String(), k.Secret)
}

// TestTemporaryKeys: an account's keys may be the JSON of temporary ones.
func TestTemporaryKeys(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) {
		r.gateway.Credentials = proxytest.Credential{Password: proxy.NewSecret(`{"AccessKeyId":"` + ownID + `","SecretAccessKey":"` + ownKey + `","SessionToken":"temporary"}`)}
	})
	require.Equal(t, http.StatusOK, r.send(r.keys("alice"), ask{method: "GET", uri: "/bucket"}).StatusCode)
	require.Equal(t, "temporary", sent()[0].Header.Get("X-Amz-Security-Token"))
}

// TestIssue: keys are given to those who prove themselves, by a token or a certificate, and say who they are for.
func TestIssue(t *testing.T) {
	r, _ := start(t, ok)
	get := func(method, path string, c *http.Client, headers ...string) *reply {
		req := must(http.NewRequest(method, "https://"+domain+path, nil))
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := c.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		return &reply{Response: res}
	}
	cert := must(pair(r.ca.ClientPEM("alice")))
	require.Equal(t, 200, get("POST", IssuePath+"prod", r.client(cert)).StatusCode)
	require.Equal(t, "no-store", get("POST", IssuePath+"prod", r.client(cert)).Header.Get("Cache-Control"))
	require.Equal(t, 200, get("GET", IssuePath+"prod", r.client(), "Authorization", "Bearer sp_alice").StatusCode, "as SDKs ask a container's service")
	require.Equal(t, 405, get("GET", IssuePath+"prod", r.client(cert)).StatusCode, "a link in a browser")
	require.Equal(t, 403, get("POST", IssuePath+"prod", r.client(cert), "Origin", "https://evil.example.com").StatusCode)
	require.Equal(t, 404, get("POST", IssuePath+"none", r.client(cert)).StatusCode)
	require.Equal(t, 401, get("POST", IssuePath+"prod", r.client()).StatusCode)
	require.Equal(t, 401, get("POST", IssuePath+"prod", r.client(), "Authorization", "Bearer xx_alice").StatusCode)
	r.people.logout("alice")
	require.Equal(t, 401, get("POST", IssuePath+"prod", r.client(cert)).StatusCode)
}

// TestStreams: bodies in chunks are checked, decoded, and sent on with their trailer.
func TestStreams(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	res := r.send(k, ask{
		method: "PUT", uri: "/bucket/key", word: sigv4.StreamUnsignedTrailer, body: "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n",
		headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "5"},
	})
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	got := sent()[0]
	require.Equal(t, "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", got.body)
	require.Equal(t, sigv4.StreamUnsignedTrailer, got.Header.Get("X-Amz-Content-Sha256"))
	require.EqualValues(t, len(got.body), got.ContentLength)

	at := time.Now()
	req := r.signedChunks(k, at, "hello", nil)
	res = r.do(req)
	require.Equal(t, http.StatusOK, res.StatusCode, res.text)
	got = sent()[1]
	require.Equal(t, "hello", got.body)
	require.Equal(t, sigv4.Unsigned, got.Header.Get("X-Amz-Content-Sha256"))
	require.Empty(t, got.Header.Get("Content-Encoding"))

	res = r.do(r.signedChunks(k, at.Add(-time.Second), "hello", func(s string) string { return strings.Replace(s, "hello", "hallo", 1) }))
	require.Equal(t, http.StatusForbidden, res.StatusCode, res.text)
	require.Contains(t, res.text, "SignatureDoesNotMatch")
	require.Len(t, sent(), 2)

	for _, word := range []string{sigv4.StreamUnsignedTrailer, sigv4.StreamSigned} { // an empty one
		a := ask{
			method: "PUT", uri: "/bucket/empty", word: word, body: "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
			headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Trailer", "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "0"},
		}
		req := r.request(k, a)
		if word == sigv4.StreamSigned {
			req = r.signedChunks(k, at.Add(-2*time.Second), "", func(s string) string { return s[strings.Index(s, "\r\n\r\n0;")+4:] })
		}
		res = r.do(req)
		if word == sigv4.StreamSigned { // its last chunk is signed after another one
			require.Equal(t, http.StatusForbidden, res.StatusCode, res.text)
			require.Equal(t, http.StatusOK, r.do(r.signedChunks(k, at.Add(-3*time.Second), "", func(s string) string { return s[:strings.Index(s, "\r\n")] + "\r\n\r\n" })).StatusCode)
			continue
		}
		require.Equal(t, http.StatusOK, res.StatusCode, res.text)
		require.Empty(t, sent()[2].body)
		require.Equal(t, "AAAAAA==", sent()[2].Header.Get("X-Amz-Checksum-Crc32"))
	}
}

// TestHosts: a bucket is a host below the account's, or the first part of the path.
func TestHosts(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	require.Equal(t, 200, r.send(k, ask{method: "GET", uri: "/key", host: "bucket." + domain}).StatusCode)
	require.Equal(t, 200, r.send(k, ask{method: "GET", uri: "/bucket/key"}).StatusCode)
	require.Equal(t, []string{"s3:GetObject /bucket/key", "s3:GetObject /bucket/key"}, r.rules.asked())
	require.Equal(t, "/bucket/key", sent()[0].RequestURI)

	// A host below another one is itself no bucket, and a bucket is the host below the longest.
	r, _ = start(t, ok, with(Settings{Hosts: []string{domain, "eu." + domain + ":8445"}}))
	for _, host := range []string{"eu." + domain, "Bucket.eu." + domain} {
		uri := "/key"
		if host == "eu."+domain {
			uri = "/bucket/key"
		}
		c := &exchange{h: r.handler, r: &http.Request{Host: host}, resource: r.resource, settings: settingsOf(r.resource), call: &call{target: must(sigv4.ParseTarget(uri))}}
		c.bucket()
		require.Equal(t, []string{"bucket", "key"}, c.call.target.Path, host)
	}
}

// TestEndpoints: a region and a service have a host below AWS's domain, and an endpoint of one's own serves all.
func TestEndpoints(t *testing.T) {
	aws := &proxy.Resource{Address: "amazonaws.com:443"}
	for name, want := range map[string]string{"s3": "s3.eu-west-1.amazonaws.com", "iam": "iam.amazonaws.com", "dynamodb": "dynamodb.eu-west-1.amazonaws.com"} {
		to, host := endpoint(aws, services[name], name, country)
		require.Equal(t, want, host)
		require.Equal(t, want+":443", to.Address)
	}
	for want, at := range map[string][3]string{
		"dynamodb.us-gov-west-1.amazonaws.com": {"amazonaws.com", "dynamodb", "us-gov-west-1"},
		"iam.us-gov.amazonaws.com":             {"amazonaws.com", "iam", "us-gov-west-1"},
		"iam.cn-north-1.amazonaws.com.cn":      {"amazonaws.com.cn", "iam", "cn-north-1"},
		"s3.cn-northwest-1.amazonaws.com.cn":   {"amazonaws.com.cn", "s3", "cn-northwest-1"},
		"sts.eusc-de-east-1.amazonaws.eu":      {"amazonaws.eu", "sts", "eusc-de-east-1"},
		"iam.us-iso-east-1.c2s.ic.gov":         {"c2s.ic.gov", "iam", "us-iso-east-1"},
		"s3.us-isob-east-1.sc2s.sgov.gov":      {"sc2s.sgov.gov", "s3", "us-isob-east-1"},
		"s3.eu-isoe-west-1.cloud.adc-e.uk":     {"cloud.adc-e.uk", "s3", "eu-isoe-west-1"},
		"iam.us-isof-south-1.csp.hci.ic.gov":   {"csp.hci.ic.gov", "iam", "us-isof-south-1"},
	} {
		require.True(t, isRegion(at[2]), at[2])
		to, host := endpoint(&proxy.Resource{Address: at[0] + ":443"}, services[at[1]], at[1], at[2])
		require.Equal(t, want, host)
		require.Equal(t, want+":443", to.Address)
	}
	to, host := endpoint(&proxy.Resource{Address: "minio.internal:443"}, services["s3"], "s3", country)
	require.Equal(t, "minio.internal", host)
	require.Equal(t, "minio.internal:443", to.Address)
	to, host = endpoint(&proxy.Resource{Address: "evil-amazonaws.com:443"}, services["s3"], "s3", country)
	require.Equal(t, "evil-amazonaws.com", host)
	require.Equal(t, "evil-amazonaws.com:443", to.Address)
}

// TestRevoked: what runs ends when the login does, and keys of it count no more.
func TestRevoked(t *testing.T) {
	begun := make(chan struct{})
	r, _ := start(t, func(w http.ResponseWriter, q *http.Request) {
		w.(http.Flusher).Flush()
		close(begun)
		<-q.Context().Done()
	})
	k := r.keys("alice")
	ended := make(chan time.Time, 1)
	go func() {
		res, err := r.client().Do(r.request(k, ask{method: "GET", uri: "/bucket/film"}))
		if err == nil {
			buf := make([]byte, 1)
			_, _ = res.Body.Read(buf)
			res.Body.Close()
		}
		ended <- time.Now()
	}()
	<-begun
	r.people.logout("alice")
	list := r.gateway.Sessions()
	require.Len(t, list, 1)
	from := time.Now()
	list[0].Kill(proxy.ErrUnauthenticated)
	require.Less(t, (<-ended).Sub(from), time.Second)
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 10*time.Second, time.Millisecond)
	res := r.send(k, ask{method: "GET", uri: "/bucket/key"})
	require.Equal(t, http.StatusForbidden, res.StatusCode)
	require.Contains(t, res.text, "ExpiredToken")
}

// desk decides about requests as the test says.
type desk struct{ decide chan proxy.Verdict }

func (d *desk) Request(_ context.Context, _ *proxy.Session, _ proxy.Op, h *proxy.Hold) (*proxy.Pending, error) {
	return &proxy.Pending{
		ID: "REQ1", Message: "this needs an approval", Link: "https://gw.test/requests/REQ1", Deadline: time.Now().Add(h.For),
		Wait: func(ctx context.Context) proxy.Verdict {
			select {
			case v := <-d.decide:
				return v
			case <-ctx.Done():
				return proxy.Deny(proxy.CauseDenied, "", "nobody decided", "")
			}
		},
	}, nil
}

// TestHold: a call that waits is told with a link, by an error that SDKs do not repeat; sent again after the approval it runs once, and no
// other one runs by it.
func TestHold(t *testing.T) {
	d := &desk{decide: make(chan proxy.Verdict)}
	r, sent := start(t, ok, func(r *rig) {
		r.gateway.Reviewer = d
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok && q.Action == "dynamodb:DeleteTable" {
				return proxy.Verdict{Action: proxy.ActionHold, Rule: "tables", Hold: &proxy.Hold{Rules: []string{"tables"}, Approvers: [][]string{{"lead"}}, Message: "tables", For: time.Minute}}
			}
			return proxy.Pass()
		}
	})
	k := r.keys("alice")
	for i := range 2 {
		res := r.send(k, ask{
			service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"orders"}`, at: time.Now().Add(-time.Duration(i+1) * 10 * time.Second),
			headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.DeleteTable"},
		})
		require.Equal(t, http.StatusForbidden, res.StatusCode, res.text)
		require.Contains(t, res.text, "https://gw.test/requests/REQ1")
		require.Equal(t, "AccessDenied", res.Header.Get("X-Amzn-Errortype"))
	}
	d.decide <- proxy.Allow("lead")
	require.Equal(t, http.StatusForbidden, r.dynamo(k, "DeleteTable", `{"TableName":"people"}`).StatusCode)
	require.Empty(t, sent())
	require.Eventually(t, func() bool {
		res := r.dynamo(k, "DeleteTable", `{"TableName":"orders"}`)
		return res.StatusCode == http.StatusOK || strings.Contains(res.text, "sent before")
	}, 10*time.Second, 1100*time.Millisecond)
	require.Len(t, sent(), 1)
	require.Equal(t, `{"TableName":"orders"}`, sent()[0].body)
}

// TestConcealed: values of secrets are withheld, and everything else of the answer stays.
func TestConcealed(t *testing.T) {
	answer := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		text := `{"Name":"db","SecretString":"hunter2","SecretBinary":"aHVudGVyMg==","VersionId":"1"}`
		if strings.HasSuffix(q.Header.Get("X-Amz-Target"), "GetParameters") {
			text = `{"Parameters":[{"Name":"/a","Type":"SecureString","Value":"hunter2"},{"Name":"/b","Type":"String","Value":"plain"}]}`
		}
		_, _ = w.Write([]byte(text))
	}
	r, _ := start(t, answer)
	k := r.keys("alice")
	res := r.json(k, "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"db"}`)
	require.JSONEq(t, `{"Name":"db","SecretString":"`+Concealed+`","SecretBinary":"","VersionId":"1"}`, res.text)
	res = r.json(k, "ssm", "AmazonSSM.GetParameters", `{"Names":["/a","/b"],"WithDecryption":true}`)
	require.JSONEq(t, `{"Parameters":[{"Name":"/a","Type":"SecureString","Value":"`+Concealed+`"},{"Name":"/b","Type":"String","Value":"plain"}]}`, res.text)
	require.Equal(t, []string{"secretsmanager:GetSecretValue /GetSecretValue/db", "ssm:GetParameters /GetParameters/b", "ssm:GetParameters /GetParameters/a"}, r.rules.asked())
	r, _ = start(t, answer, with(Settings{RevealSecrets: true}))
	res = r.json(r.keys("alice"), "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"db"}`)
	require.Contains(t, res.text, "hunter2")
}
