package aws

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

const (
	domain  = "aws.test"
	ownID   = "AKIAOWNOWNOWNOWNOWN1"
	ownKey  = "own/secret+key"
	country = "eu-west-1"
)

// people are access tokens, and certificates.
type people struct {
	mu   sync.Mutex
	gone map[string]bool
}

func (p *people) Is(text string) bool { return strings.HasPrefix(text, "sp_") }

func (p *people) know(user string) (*proxy.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone[user] {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: user, Method: proxy.MethodPassword, AuthTime: time.Now()}, nil
}

func (p *people) Bearer(_ context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	return p.know(strings.TrimPrefix(secret.Reveal(), "sp_"))
}

func (p *people) Authenticate(_ context.Context, q proxy.Proof) (*proxy.Identity, error) {
	if q.Method != proxy.MethodCertificate || q.Certificates[0].Subject.CommonName != q.User {
		return nil, proxy.ErrUnauthenticated
	}
	return p.know(q.User)
}

func (p *people) logout(user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone[user] = true
}

// rules is an interceptor made of functions, which remembers what was asked.
type rules struct {
	proxy.Hooks
	mu    sync.Mutex
	ops   []string
	ended []string
}

func (*rules) Name() string { return "rules" }

func (r *rules) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	h := r.Hooks
	h.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict {
		switch op := op.(type) {
		case *proxy.Connect:
			return proxy.Allow("test")
		case *proxy.Request:
			r.mu.Lock()
			r.ops = append(r.ops, op.Action+" "+op.Path)
			r.mu.Unlock()
		}
		if r.Hooks.Ask != nil {
			return r.Hooks.Ask(ctx, op)
		}
		return proxy.Pass()
	}
	h.Done = func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
		if q, ok := op.(*proxy.Request); ok {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.ended = append(r.ended, fmt.Sprintf("%s %s %s %v", q.Action, q.Path, out.Code, out.Err))
		}
	}
	return h, nil
}

// asked returns what was asked about since the last call.
func (r *rules) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.ops
	r.ops = nil
	return list
}

func (r *rules) outcomes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ended...)
}

// rig is a gateway in front of an endpoint.
type rig struct {
	t        testing.TB
	ca       *testserver.Authority
	gateway  *proxy.Gateway
	handler  *Handler
	rules    *rules
	people   *people
	resource *proxy.Resource
	addr     string
	skew     time.Duration
	log      *bytes.Buffer
}

type change func(r *rig)

func with(s Settings) change { return func(r *rig) { r.resource.Settings = s } }

func startAt(t testing.TB, address, id, secret string, changes ...change) *rig {
	t.Helper()
	r := &rig{t: t, ca: testserver.NewAuthority(), rules: &rules{}, people: &people{gone: map[string]bool{}}, log: &bytes.Buffer{}}
	r.resource = &proxy.Resource{
		Name: "prod", Type: "aws", Address: address, TLS: proxy.TLS{Mode: proxy.TLSDisable}, Settings: Settings{Hosts: []string{domain}},
		Accounts: []proxy.Account{{Name: "default", Username: id, Secret: "test:keys"}},
	}
	r.handler = &Handler{
		TLS:    &tls.Config{Certificates: []tls.Certificate{must(tls.X509KeyPair(r.ca.ServerPEM(domain, "*."+domain, "localhost", "127.0.0.1")))}, ClientAuth: tls.RequestClientCert},
		Domain: "gw.test", Bearers: r.people, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Keys: &Keyring{KeyOf: protocol.KeyFiles(t.TempDir())},
		Now:  func() time.Time { return time.Now().Add(r.skew) },
	}
	r.gateway = &proxy.Gateway{
		Authenticator: r.people, Interceptors: []proxy.Interceptor{r.rules}, Unrecorded: true, Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Second,
		Credentials: proxytest.Credential{Username: id, Password: proxy.NewSecret(secret)},
	}
	for _, c := range changes {
		c(r)
	}
	other := *r.resource
	other.Name = "other"
	list := proxy.Resources{r.resource, &other}
	r.gateway.Directory = list
	r.handler.Resources = func() proxy.Resources { return list }
	r.addr = proxytest.ServeTCP(t, r.gateway, r.handler)
	return r
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// got is a request as the endpoint has it, once its signature was found right.
type got struct {
	*http.Request
	body string
}

// start begins a gateway in front of an endpoint that checks signatures, and answers by answer.
func start(t testing.TB, answer http.HandlerFunc, changes ...change) (*rig, func() []got) {
	t.Helper()
	var mu sync.Mutex
	var list []got
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		if err := verified(r, body); err != nil {
			http.Error(w, "wrongly signed: "+err.Error(), http.StatusTeapot)
			return
		}
		mu.Lock()
		list = append(list, got{r, string(body)})
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer(w, r)
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	s.Start()
	t.Cleanup(s.Close)
	return startAt(t, s.Listener.Addr().String(), ownID, ownKey, changes...), func() []got {
		mu.Lock()
		defer mu.Unlock()
		return append([]got(nil), list...)
	}
}

// verified checks a request as AWS does.
func verified(r *http.Request, body []byte) error {
	target, err := sigv4.ParseTarget(r.RequestURI)
	if err != nil {
		return err
	}
	s, err := sigv4.Parse(r, target)
	if err != nil {
		return err
	}
	if s.KeyID != ownID || s.Presigned {
		return fmt.Errorf("by %s", s.KeyID)
	}
	if err := s.Covered(r); err != nil {
		return err
	}
	word := s.Payload
	if word == "" {
		word = sigv4.Digest(body)
	}
	if len(word) == 64 && word != sigv4.Digest(body) {
		return sigv4.ErrValue
	}
	_, err = s.Verify(r, target, ownKey, s.Service == "s3", word)
	return err
}

func ok(w http.ResponseWriter, _ *http.Request) {}

// client asks the gateway, whatever the host.
func (r *rig) client(certs ...tls.Certificate) *http.Client {
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
		},
		TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool, Certificates: certs}, DisableCompression: true,
	}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// keys are those that a person gets.
func (r *rig) keys(user string) sigv4.Keys { return r.keysOf(user, "prod") }

func (r *rig) keysOf(user, resource string) sigv4.Keys {
	r.t.Helper()
	req := must(http.NewRequest("POST", "https://"+domain+IssuePath+resource, nil))
	req.Header.Set("Authorization", "Bearer sp_"+user)
	res, err := r.client().Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusOK, res.StatusCode, string(b))
	var d Document
	require.NoError(r.t, json.Unmarshal(b, &d))
	require.Equal(r.t, 1, d.Version)
	return sigv4.Keys{ID: d.AccessKeyID, Secret: d.SecretAccessKey, Token: d.SessionToken}
}

type reply struct {
	*http.Response
	text string
}

// ask is what a client asks for; it is signed by send.
type ask struct {
	service, region string
	method, uri     string
	host            string
	body            string
	headers         []string
	word            string // X-Amz-Content-Sha256; empty: the digest
	at              time.Time
	change          func(*http.Request) // after it was signed
}

// request is the signed request.
func (r *rig) request(k sigv4.Keys, a ask) *http.Request {
	r.t.Helper()
	if a.service == "" {
		a.service = "s3"
	}
	if a.region == "" {
		a.region = country
	}
	if a.host == "" {
		a.host = domain
	}
	if a.at.IsZero() {
		a.at = time.Now()
	}
	req, err := http.NewRequest(a.method, "https://"+a.host+"/", strings.NewReader(a.body))
	require.NoError(r.t, err)
	target, err := sigv4.ParseTarget(a.uri)
	require.NoError(r.t, err)
	path, query, _ := strings.Cut(a.uri, "?")
	req.URL.Opaque = path // as it is
	req.URL.RawQuery = query
	for i := 0; i < len(a.headers); i += 2 {
		req.Header.Set(a.headers[i], a.headers[i+1])
	}
	if a.word == "" {
		a.word = sigv4.Digest([]byte(a.body))
	}
	if a.service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", a.word)
	}
	sigv4.Sign(req, target, k, sigv4.Scope{Region: a.region, Service: a.service, At: a.at}, a.service == "s3", a.word)
	if a.change != nil {
		a.change(req)
	}
	return req
}

func (r *rig) send(k sigv4.Keys, a ask) *reply { return r.do(r.request(k, a)) }

func (r *rig) do(req *http.Request) *reply {
	r.t.Helper()
	res, err := r.client().Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return &reply{res, string(b)}
}

// dynamo asks DynamoDB.
func (r *rig) dynamo(k sigv4.Keys, action, body string) *reply {
	return r.json(k, "dynamodb", "DynamoDB_20120810."+action, body)
}

func (r *rig) json(k sigv4.Keys, service, target, body string) *reply {
	return r.send(k, ask{service: service, method: "POST", uri: "/", body: body, headers: []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", target}})
}
