package aws

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/proxy"
)

// TestAttackAltered: a request that is not, in every part that counts, what its sender has signed is refused.
func TestAttackAltered(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	put := ask{method: "PUT", uri: "/bucket/key?versionId=1", body: "data", headers: []string{"X-Amz-Meta-Color", "red", "Content-Type", "text/plain"}}
	for name, change := range map[string]func(*http.Request){
		"body":           func(q *http.Request) { q.Body, q.ContentLength = io.NopCloser(strings.NewReader("tada")), 4 },
		"longer body":    func(q *http.Request) { q.Body, q.ContentLength = io.NopCloser(strings.NewReader("data!")), 5 },
		"no body":        func(q *http.Request) { q.Body, q.ContentLength = http.NoBody, 0 },
		"method":         func(q *http.Request) { q.Method = "DELETE" },
		"path":           func(q *http.Request) { q.URL.Opaque = "/bucket/other" },
		"query":          func(q *http.Request) { q.URL.RawQuery = "versionId=2" },
		"more query":     func(q *http.Request) { q.URL.RawQuery = "versionId=1&acl=" },
		"host":           func(q *http.Request) { q.Host = "other." + domain },
		"header":         func(q *http.Request) { q.Header.Set("X-Amz-Meta-Color", "blue") },
		"content type":   func(q *http.Request) { q.Header.Set("Content-Type", "text/html") },
		"header twice":   func(q *http.Request) { q.Header.Add("X-Amz-Meta-Color", "blue") },
		"header gone":    func(q *http.Request) { q.Header.Del("X-Amz-Meta-Color") },
		"unsigned acl":   func(q *http.Request) { q.Header.Set("X-Amz-Acl", "public-read") },
		"unsigned copy":  func(q *http.Request) { q.Header.Set("X-Amz-Copy-Source", "/bucket/secret") },
		"another target": func(q *http.Request) { q.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable") },
		"digest":         func(q *http.Request) { q.Header.Set("X-Amz-Content-Sha256", sigv4.Unsigned) },
		"token":          func(q *http.Request) { q.Header.Set("X-Amz-Security-Token", k.Token+"A") },
		"no token":       func(q *http.Request) { q.Header.Del("X-Amz-Security-Token") },
		"date": func(q *http.Request) {
			q.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format(sigv4.TimeForm))
		},
		"region":  inAuth("/eu-west-1/", "/us-east-1/"),
		"service": inAuth("/s3/", "/sts/"),
		"signature": func(q *http.Request) {
			a := q.Header.Get("Authorization")
			q.Header.Set("Authorization", a[:len(a)-1]+flip(a[len(a)-1]))
		},
		"two signatures": func(q *http.Request) { q.Header.Add("Authorization", q.Header.Get("Authorization")) },
		"two ways":       func(q *http.Request) { q.URL.RawQuery += "&X-Amz-Signature=" + strings.Repeat("0", 64) },
	} {
		a := put
		a.change = change
		res := r.send(k, a)
		require.Contains(t, []int{400, 403}, res.StatusCode, name)
		require.Empty(t, sent(), name)
	}
	require.Equal(t, 200, r.send(k, put).StatusCode)
	require.Len(t, sent(), 1)
}

func inAuth(from, to string) func(*http.Request) {
	return func(q *http.Request) {
		q.Header.Set("Authorization", strings.Replace(q.Header.Get("Authorization"), from, to, 1))
	}
}

func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// TestAttackKeys: keys are good for one person, one resource, one gateway and their time.
func TestAttackKeys(t *testing.T) {
	r, sent := start(t, ok)
	alice, bob := r.keys("alice"), r.keys("bob")
	require.NotEqual(t, alice.Secret, bob.Secret)
	get := ask{method: "GET", uri: "/bucket/key"}
	for name, k := range map[string]sigv4.Keys{
		"another's token":  {ID: alice.ID, Secret: alice.Secret, Token: bob.Token},
		"another's secret": {ID: alice.ID, Secret: bob.Secret, Token: alice.Token},
		"another's name":   {ID: bob.ID, Secret: alice.Secret, Token: alice.Token},
		"the account's":    {ID: ownID, Secret: ownKey},
		"no token":         {ID: alice.ID, Secret: alice.Secret},
		"no secret":        {ID: alice.ID, Token: alice.Token},
		"an altered token": {ID: alice.ID, Secret: alice.Secret, Token: alice.Token[:20] + flip(alice.Token[20]) + alice.Token[21:]},
	} {
		require.Equal(t, 403, r.send(k, get).StatusCode, name)
	}
	other, _ := start(t, ok)
	require.Equal(t, 403, other.send(alice, get).StatusCode, "of another gateway")
	require.Empty(t, sent())
	require.Equal(t, 200, r.send(alice, get).StatusCode)
	require.Equal(t, "prod", r.gateway.Sessions()[0].Target.Resource.Name)

	// A host of one resource with keys of another: the keys count.
	require.Equal(t, 200, r.send(r.keysOf("alice", "other"), get).StatusCode)
	names := map[string]bool{}
	for _, s := range r.gateway.Sessions() {
		names[s.Target.Resource.Name] = true
	}
	require.Equal(t, map[string]bool{"prod": true, "other": true}, names)

	r.skew = 61 * time.Minute
	later := get
	later.at = time.Now().Add(r.skew)
	res := r.send(alice, later)
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, res.text, "ExpiredToken")
}

// TestAttackClock: a request counts within 15 minutes of its time.
func TestAttackClock(t *testing.T) {
	r, _ := start(t, ok)
	k := r.keys("alice")
	for d, want := range map[time.Duration]int{14 * time.Minute: 200, -14 * time.Minute: 200, 16 * time.Minute: 403, -16 * time.Minute: 403} {
		res := r.send(k, ask{method: "GET", uri: "/bucket/key", at: time.Now().Add(d)})
		require.Equal(t, want, res.StatusCode, "%v: %s", d, res.text)
	}
}

// TestAttackReplay: a request that changes something runs once. Presigned addresses are made for being used again, and reading twice
// changes nothing.
func TestAttackReplay(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	req := r.request(k, ask{method: "DELETE", uri: "/bucket/key"})
	require.Equal(t, 200, r.do(req).StatusCode)
	res := r.do(req)
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, res.text, "sent before")
	require.Len(t, sent(), 1)
	// One that the account could not answer may be sent again.
	fails, sent := start(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	req = fails.request(fails.keys("alice"), ask{method: "DELETE", uri: "/bucket/key"})
	require.Equal(t, 503, fails.do(req).StatusCode)
	require.Equal(t, 503, fails.do(req).StatusCode)
	require.Len(t, sent(), 2)
	read := r.request(k, ask{method: "GET", uri: "/bucket/key"})
	require.Equal(t, 200, r.do(read).StatusCode)
	require.Equal(t, 200, r.do(read).StatusCode)
}

// presign is a presigned address, with further parameters that are signed.
func presign(k sigv4.Keys, method, host, path, expires string, at time.Time, more ...sigv4.Param) string {
	s := sigv4.Scope{Region: country, Service: "s3", At: at}
	list := append([]sigv4.Param{
		{Name: "X-Amz-Algorithm", Value: sigv4.Algorithm},
		{Name: "X-Amz-Credential", Value: k.ID + "/" + s.String()},
		{Name: "X-Amz-Date", Value: at.UTC().Format(sigv4.TimeForm)},
		{Name: "X-Amz-Expires", Value: expires},
		{Name: "X-Amz-SignedHeaders", Value: "host"},
		{Name: "X-Amz-Security-Token", Value: k.Token},
	}, more...)
	query := sigv4.EncodedQuery(list)
	return "https://" + host + path + "?" + query + "&X-Amz-Signature=" +
		s.Signature(k.Secret, sigv4.Canonical(method, path, query, []sigv4.Param{{Name: "host", Value: host}}, sigv4.Unsigned))
}

// TestPresigned: an address that was signed beforehand works until it expires, and is decided about like any other request. What is in it is
// not a secret, and signs nothing else.
func TestPresigned(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	get := func(method, at string, headers ...string) *reply {
		req := must(http.NewRequest(method, at, nil))
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return r.do(req)
	}
	good := presign(k, "GET", domain, "/bucket/key", "60", time.Now())
	require.Equal(t, 200, get("GET", good, "Range", "bytes=0-1").StatusCode)
	require.Equal(t, "bytes=0-1", sent()[0].Header.Get("Range"))
	require.NotContains(t, sent()[0].RequestURI, "X-Amz")
	require.Equal(t, []string{"s3:GetObject /bucket/key"}, r.rules.asked())
	require.Equal(t, 403, get("DELETE", good).StatusCode)
	require.Equal(t, 403, get("GET", good+"&versionId=2").StatusCode)
	require.Equal(t, 403, get("GET", strings.Replace(good, "Expires=60", "Expires=600", 1)).StatusCode)
	require.Equal(t, 400, get("PUT", good, "X-Amz-Acl", "public-read").StatusCode, "an unsigned header")
	require.Equal(t, 403, get("GET", presign(k, "GET", domain, "/bucket/key", "60", time.Now().Add(-2*time.Minute))).StatusCode, "expired")
	require.Equal(t, 403, get("GET", presign(sigv4.Keys{ID: k.ID, Token: k.Token}, "GET", domain, "/bucket/key", "60", time.Now())).StatusCode)
	require.NotContains(t, good, url.QueryEscape(k.Secret))

	// A header may be in the address: it is one, when it is decided about too.
	res := get("PUT", presign(k, "PUT", domain, "/bucket/key", "60", time.Now(), sigv4.Param{Name: "X-Amz-Copy-Source", Value: "/bucket/secret"}))
	require.Equal(t, 200, res.StatusCode, res.text)
	require.Equal(t, []string{"s3:GetObject /bucket/secret", "s3:CopyObject /bucket/key"}, r.rules.asked())
	require.Equal(t, "/bucket/secret", sent()[1].Header.Get("X-Amz-Copy-Source"))

	r.people.logout("alice")
	for _, s := range r.gateway.Sessions() {
		s.Kill(proxy.ErrUnauthenticated)
	}
	require.Eventually(t, func() bool { return len(r.gateway.Sessions()) == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 403, get("GET", good).StatusCode, "after the logout")
}

// TestAttackPaths: what servers read as another path is refused, and what runs is what was decided about.
func TestAttackPaths(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	for _, uri := range []string{
		"/bucket/public/../secret", "/bucket/public/%2e%2e/secret", "/bucket//secret", "/bucket/a//b", "/bucket%2Fsecret", "/bucket/a%2Fb", "/bucket/a%5Cb", "/bucket/./a",
		"/..", "/bucket/a?versionId=1&versionId=2", "/b", "/bucket/a?acl&acl",
	} {
		res := r.send(k, ask{method: "GET", uri: uri})
		require.Equal(t, 400, res.StatusCode, "%s: %s", uri, res.text)
	}
	for _, uri := range []string{"/2015-03-31//functions", "/2015-03-31/functions/../x", "/2015-03-31/functions/%2e%2e"} {
		require.Contains(t, []int{400, 403}, r.send(k, ask{service: "lambda", method: "GET", uri: uri}).StatusCode, uri)
	}
	require.Empty(t, sent())
	empty, sent := start(t, ok, with(Settings{EmptySegments: true}))
	require.Equal(t, 200, empty.send(empty.keys("alice"), ask{method: "GET", uri: "/bucket/a//b"}).StatusCode)
	require.Equal(t, "/bucket/a//b", sent()[0].RequestURI)
}

// TestAttackScope: only regions and services of the settings are asked, and no name that a client gives becomes another host.
func TestAttackScope(t *testing.T) {
	r, sent := start(t, ok, with(Settings{Regions: []string{country}, Services: []string{"s3", "sts"}}))
	k := r.keys("alice")
	for _, a := range []ask{
		{method: "GET", uri: "/", region: "us-east-1"},
		{method: "GET", uri: "/", region: "evil.example.com"},
		{method: "GET", uri: "/", region: "x"},
		{method: "POST", uri: "/", service: "iam"},
		{method: "POST", uri: "/", service: "s3.evil"},
	} {
		require.Contains(t, []int{400, 403}, r.send(k, a).StatusCode, a.region+" "+a.service)
	}
	require.Empty(t, sent())
	open, sent := start(t, ok)
	k = open.keys("alice")
	require.Equal(t, 403, open.send(k, ask{method: "GET", uri: "/", region: "local"}).StatusCode)
	require.Empty(t, sent())
}

// TestAttackConfusion: a request that a server of several services could take for another one than it is signed for is refused.
func TestAttackConfusion(t *testing.T) {
	r, sent := start(t, ok)
	k := r.keys("alice")
	form := []string{"Content-Type", "application/x-www-form-urlencoded"}
	json := []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem"}
	for name, a := range map[string]ask{
		"a target for S3":         {method: "GET", uri: "/bucket", headers: json},
		"a target in a form":      {service: "sts", method: "POST", uri: "/", body: "Action=GetCallerIdentity", headers: append(form[:2:2], json[2:]...)},
		"two actions":             {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers&Action=DeleteUser", headers: form},
		"an action in the query":  {service: "iam", method: "POST", uri: "/?Action=DeleteUser", body: "Action=ListUsers", headers: form},
		"a semicolon":             {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers;Action=DeleteUser", headers: form},
		"a form of another type":  {service: "iam", method: "POST", uri: "/", body: "Action=ListUsers", headers: []string{"Content-Type", "text/plain"}},
		"a table twice":           {service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"a","TableName":"b"}`, headers: json},
		"two values":              {service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"a"}{"TableName":"b"}`, headers: json},
		"no JSON":                 {service: "dynamodb", method: "POST", uri: "/", body: `<a/>`, headers: json},
		"deeply nested":           {service: "dynamodb", method: "POST", uri: "/", body: strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), headers: json},
		"a compressed body":       {service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"a"}`, headers: append(json[:4:4], "Content-Encoding", "gzip")},
		"no action":               {service: "dynamodb", method: "POST", uri: "/", body: `{}`, headers: json[:2]},
		"objects with an entity":  {method: "POST", uri: "/bucket?delete", body: `<!DOCTYPE a [<!ENTITY b "c">]><Delete><Object><Key>&b;</Key></Object></Delete>`},
		"an object with two keys": {method: "POST", uri: "/bucket?delete", body: `<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>`},
		"a source that is none":   {method: "PUT", uri: "/bucket/a", headers: []string{"X-Amz-Copy-Source", "/bucket/../other/b"}},
		"another word":            {method: "PUT", uri: "/bucket/a", word: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"},
		"unsigned for DynamoDB":   {service: "dynamodb", method: "POST", uri: "/", body: `{}`, word: sigv4.Unsigned, headers: append(json[:4:4], "X-Amz-Content-Sha256", sigv4.Unsigned)},
	} {
		res := r.send(k, a)
		require.Contains(t, []int{400, 403}, res.StatusCode, "%s: %s", name, res.text)
	}
	require.Empty(t, sent())
	require.Empty(t, r.rules.asked())
}

// TestAttackParts: what a call does besides is decided about like a call of its own.
func TestAttackParts(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) {
		r.rules.Hooks.Ask = func(_ context.Context, op proxy.Op) proxy.Verdict {
			if q, ok := op.(*proxy.Request); ok && (strings.HasPrefix(q.Path, "/bucket/secret/") || strings.HasSuffix(q.Path, "/people")) {
				return proxy.Deny(proxy.CausePolicy, "secret", "that is secret", "")
			}
			return proxy.Pass()
		}
	})
	k := r.keys("alice")
	for name, a := range map[string]ask{
		"copying":         {method: "PUT", uri: "/bucket/public/a", headers: []string{"X-Amz-Copy-Source", "bucket/secret%2Fb?versionId=1"}},
		"copying a part":  {method: "PUT", uri: "/bucket/public/a?partNumber=1&uploadId=u", headers: []string{"X-Amz-Copy-Source", "/bucket/secret/b"}},
		"deleting many":   {method: "POST", uri: "/bucket?delete", body: `<Delete><Object><Key>public/a</Key></Object><Object><Key>secret&#47;b</Key></Object></Delete>`},
		"several tables":  {service: "dynamodb", method: "POST", uri: "/", body: `{"RequestItems":{"orders":[],"people":[]}}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.BatchGetItem"}},
		"a transaction":   {service: "dynamodb", method: "POST", uri: "/", body: `{"TransactItems":[{"Put":{"TableName":"a","Item":{}}},{"Delete":{"TableName":"people","Key":{}}}]}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.TransactWriteItems"}},
		"an ARN":          {service: "dynamodb", method: "POST", uri: "/", body: `{"TableName":"arn:aws:dynamodb:eu-west-1:1:table/people"}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem"}},
		"an escaped name": {service: "dynamodb", method: "POST", uri: "/", body: `{"Table\u004eame":"p\u0065ople"}`, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.GetItem"}},
	} {
		res := r.send(k, a)
		require.Equal(t, 403, res.StatusCode, "%s: %s", name, res.text)
		require.Contains(t, res.text, "hat is secret", name)
	}
	require.Empty(t, sent())
}

// TestAttackAnswers: an error of the account about the gateway's own keys is not shown.
func TestAttackAnswers(t *testing.T) {
	r, _ := start(t, func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		if strings.Contains(q.RequestURI, "mine") {
			_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>"+ownID+"</AWSAccessKeyId></Error>")
			return
		}
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>"+ownID+" may not</Message></Error>")
	})
	k := r.keys("alice")
	for _, uri := range []string{"/bucket/mine", "/bucket/other"} {
		res := r.send(k, ask{method: "GET", uri: uri})
		require.Equal(t, 403, res.StatusCode)
		require.Contains(t, res.text, "AccessDenied")
		require.NotContains(t, res.text, ownID)
	}
}

// TestAttackOld: older signatures are refused with what to do.
func TestAttackOld(t *testing.T) {
	r, sent := start(t, ok)
	res := r.do(must(http.NewRequest("GET", "https://"+domain+"/bucket/key?AWSAccessKeyId=a&Signature=b&Expires=9999999999", nil)))
	require.Equal(t, 400, res.StatusCode)
	require.Contains(t, res.text, "s3v4")
	res = r.do(must(http.NewRequest("GET", "https://"+domain+"/bucket/key", nil)))
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, res.text, "MissingAuthenticationToken")
	require.Empty(t, sent())
}

// TestAttackTunnels: no tunnel is opened, and a whole address in the place of a path is refused.
func TestAttackTunnels(t *testing.T) {
	r, _ := start(t, ok)
	for _, first := range []string{"CONNECT evil:443 HTTP/1.1", "TRACE / HTTP/1.1", "GET http://evil/ HTTP/1.1"} {
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: domain, NextProtos: []string{"http/1.1"}})
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, first+"\r\nHost: "+domain+"\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.GreaterOrEqual(t, res.StatusCode, 400, first)
		c.Close()
	}
}
