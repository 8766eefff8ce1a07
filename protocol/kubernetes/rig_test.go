package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// people are known by tokens "sp_NAME" and by certificates.
type people struct{}

func (people) Is(text string) bool { return strings.HasPrefix(text, "sp_") }

func (people) Bearer(_ context.Context, secret proxy.Secret) (*proxy.Identity, error) {
	user, ok := strings.CutPrefix(secret.Reveal(), "sp_")
	if !ok || user == "nobody" {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: user, Groups: []string{"dev", "system:masters"}, Method: proxy.MethodPassword, AuthTime: time.Now()}, nil
}

func (people) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	if p.Method != proxy.MethodCertificate || p.Certificates[0].Subject.CommonName != p.User {
		return nil, proxy.ErrUnauthenticated
	}
	return &proxy.Identity{Subject: p.User, Method: p.Method, AuthTime: time.Now()}, nil
}

// rules is an interceptor made of functions, which remembers what was asked and how it ended.
type rules struct {
	proxy.Hooks
	mu    sync.Mutex
	ops   []string
	ended []string
}

func (*rules) Name() string { return "rules" }

// text is an operation in one line.
func text(op proxy.Op) string {
	switch op := op.(type) {
	case *proxy.Request:
		return strings.TrimSpace(fmt.Sprintf("%s %s %v", op.Method, op.Action, op.Also))
	case *proxy.Exec:
		return fmt.Sprintf("%s %s: %s", op.Kind, op.Target, op.Command)
	case *proxy.Forward:
		return fmt.Sprintf("%s %s", op.Kind, op.Host)
	}
	return op.Info().Kind.String()
}

func (r *rules) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	h := r.Hooks
	h.Ask = func(ctx context.Context, op proxy.Op) proxy.Verdict {
		if _, connect := op.(*proxy.Connect); connect {
			return proxy.Allow("test")
		}
		r.mu.Lock()
		r.ops = append(r.ops, text(op))
		r.mu.Unlock()
		if r.Hooks.Ask != nil {
			return r.Hooks.Ask(ctx, op)
		}
		return proxy.Pass()
	}
	h.Done = func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = append(r.ended, fmt.Sprintf("%s = %s %v", text(op), out.Code, out.Err))
	}
	return h, nil
}

func (r *rules) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ops...)
}

func (r *rules) outcomes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.ended...)
}

// hideCanary is a filter that replaces one word, wherever it is cut.
func hideCanary(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
	var held []byte
	return proxy.Filter{
		Bytes: func(dst, src []byte) ([]byte, error) {
			held = append(held, src...)
			if i := bytes.LastIndexByte(held, '\n'); i >= 0 {
				dst = append(dst, bytes.ReplaceAll(held[:i+1], []byte("canary-77"), []byte("*********"))...)
				held = held[i+1:]
			}
			return dst, nil
		},
		End: func(dst []byte) ([]byte, error) {
			return append(dst, bytes.ReplaceAll(held, []byte("canary-77"), []byte("*********"))...), nil
		},
	}, nil
}

// cluster is a small API server: it has what kubectl asks for, and its containers are processes of this machine.
type cluster struct {
	mu   sync.Mutex
	seen []*http.Request // without their bodies
	sent []string
	pod  string // a folder

	version atomic.Int32 // the status of GET /version, where it is not 200
}

func (c *cluster) requests() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*http.Request(nil), c.seen...)
}

func (c *cluster) last(t *testing.T) *http.Request {
	list := c.requests()
	require.NotEmpty(t, list)
	return list[len(list)-1]
}

const (
	podJSON    = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"default","uid":"1"},"spec":{"containers":[{"name":"app","image":"app:1"}]},"status":{"phase":"Running","message":"canary-77"}}`
	secretJSON = `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"db","namespace":"default","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"password\":\"aHVudGVyMg==\"}}","note":"kept"}},"data":{"password":"aHVudGVyMg==","user":"YWRtaW4="},"type":"Opaque"}`
	deployJSON = `{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"default","resourceVersion":"7"},"spec":{"replicas":2}}`
	scaleJSON  = `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"web","namespace":"default","resourceVersion":"7"},"spec":{"replicas":2}}`
)

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	c.seen = append(c.seen, r)
	c.sent = append(c.sent, string(body))
	c.mu.Unlock()
	say := func(text string) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}
	switch path := r.URL.Path; {
	case path == "/api":
		say(`{"kind":"APIVersions","versions":["v1"]}`)
	case path == "/apis":
		say(`{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}]}`)
	case path == "/api/v1":
		say(`{"kind":"APIResourceList","groupVersion":"v1","resources":[
{"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["get","list","watch","create","delete"]},
{"name":"secrets","singularName":"secret","namespaced":true,"kind":"Secret","verbs":["get","list","watch","create","delete"]},
{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["get","list","patch"]},
{"name":"namespaces","singularName":"namespace","namespaced":false,"kind":"Namespace","verbs":["get","list","delete"]}]}`)
	case path == "/apis/apps/v1":
		say(`{"kind":"APIResourceList","groupVersion":"apps/v1","resources":[{"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["get","list","patch"]},{"name":"deployments/scale","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get","patch","update"]}]}`)
	case path == "/canary":
		w.Header().Set("X-Note", "canary-77")
		say("{}")
	case path == "/flood":
		for range 100 {
			w.WriteHeader(http.StatusEarlyHints)
		}
		say("{}")
	case path == "/version" && c.version.Load() != 0:
		w.WriteHeader(int(c.version.Load()))
	case path == "/version":
		say(`{"major":"1","minor":"33","gitVersion":"v1.33.0"}`)
	case strings.HasSuffix(path, "/log"):
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, "started\nhas canary-77 in it\n")
		if r.URL.Query().Get("follow") == "true" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	case strings.HasSuffix(path, "/exec"):
		c.exec(w, r, r.URL.Query()["command"])
	case strings.HasSuffix(path, "/attach"):
		c.exec(w, r, []string{"cat"})
	case strings.HasSuffix(path, "/portforward"):
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{tunnel}})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(1 << 20)
		for {
			kind, b, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			_ = conn.Write(r.Context(), kind, b)
		}
	case strings.HasSuffix(path, "/pods/web"):
		say(podJSON)
	case strings.HasSuffix(path, "/pods") && r.URL.Query().Get("watch") != "":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", podJSON)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case strings.HasSuffix(path, "/pods"):
		if strings.Contains(r.Header.Get("Accept"), "as=Table") {
			say(`{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"1"},"columnDefinitions":[{"name":"Name","type":"string","format":"name"},{"name":"Status","type":"string"}],"rows":[{"cells":["web","Running"],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web","namespace":"default"}}}]}`)
			return
		}
		say(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[` + podJSON + `]}`)
	case strings.HasSuffix(path, "/secrets/opaque"):
		w.Header().Set("Content-Type", "application/vnd.kubernetes.protobuf")
		_, _ = io.WriteString(w, "k8s\x00 hunter2")
	case strings.HasSuffix(path, "/secrets") && r.Method == http.MethodGet:
		say(`{"kind":"SecretList","apiVersion":"v1","metadata":{},"items":[` + secretJSON + `]}`)
	case strings.Contains(path, "/secrets"):
		say(secretJSON)
	case strings.HasSuffix(path, "/scale"):
		say(scaleJSON)
	case strings.HasSuffix(path, "/deployments/web"):
		say(deployJSON)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not here: `+r.Method+" "+path+`","reason":"NotFound","code":404}`)
	}
}

// exec runs a command as a container does.
func (c *cluster) exec(w http.ResponseWriter, r *http.Request, command []string) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{channelV5, channelV4}})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	conn.SetReadLimit(1 << 20)
	cmd := exec.CommandContext(r.Context(), command[0], command[1:]...)
	cmd.Dir = c.pod
	var mu sync.Mutex
	send := func(ch byte, b []byte) {
		mu.Lock()
		defer mu.Unlock()
		_ = conn.Write(r.Context(), websocket.MessageBinary, append([]byte{ch}, b...))
	}
	cmd.Stdout, cmd.Stderr = channelWriter(func(b []byte) { send(chanStdout, b) }), channelWriter(func(b []byte) { send(chanStderr, b) })
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	if r.URL.Query().Get("stdin") != "true" {
		stdin.Close()
	}
	go func() {
		for {
			_, b, err := conn.Read(r.Context())
			if err != nil || len(b) > 0 && b[0] == chanClose {
				stdin.Close()
			}
			if err != nil {
				return
			}
			if len(b) > 0 && b[0] == chanStdin {
				_, _ = stdin.Write(b[1:])
			}
		}
	}()
	end := map[string]any{"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Success"}
	if err := cmd.Run(); err != nil {
		end["status"], end["reason"], end["message"] = "Failure", "NonZeroExitCode", "command terminated with non-zero exit code"
		end["details"] = map[string]any{"causes": []any{map[string]string{"reason": "ExitCode", "message": fmt.Sprint(cmd.ProcessState.ExitCode())}}}
	}
	b, _ := json.Marshal(end)
	send(chanStatus, b)
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

type channelWriter func(b []byte)

func (w channelWriter) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// rig is a gateway in front of a cluster.
type rig struct {
	t        *testing.T
	ca       *testserver.Authority
	gateway  *proxy.Gateway
	handler  *Handler
	rules    *rules
	cluster  *cluster
	resource *proxy.Resource
	addr     string
}

func start(t *testing.T, changes ...func(r *rig)) *rig {
	t.Helper()
	r := &rig{t: t, ca: testserver.NewAuthority(), rules: &rules{}, cluster: &cluster{pod: t.TempDir()}}
	cert, key := r.ca.ServerPEM("127.0.0.1")
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(r.cluster)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	r.resource = &proxy.Resource{
		Name: "prod", Type: "kubernetes", Address: server.Listener.Addr().String(), TLS: proxy.TLS{RootCAs: r.ca.Pool},
		Accounts: []proxy.Account{{Name: "default", Username: "system:serviceaccount:ops:gateway", Secret: "env:X"}},
	}
	r.handler = &Handler{
		Resource: "prod", Bearers: people{}, Log: slog.New(slog.DiscardHandler),
		TLS: &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequestClientCert},
	}
	r.gateway = &proxy.Gateway{
		Authenticator: people{}, Interceptors: []proxy.Interceptor{r.rules}, Unrecorded: true, Log: slog.New(slog.DiscardHandler), DrainTimeout: time.Second,
		Credentials: proxytest.Credential{Token: proxy.NewSecret("upstream-token")},
	}
	for _, c := range changes {
		c(r)
	}
	list := proxy.Resources{r.resource}
	r.gateway.Directory = list
	r.handler.Resources = func() proxy.Resources { return list }
	r.addr = proxytest.ServeTCP(t, r.gateway, r.handler)
	return r
}

func with(s Settings) func(*rig) { return func(r *rig) { r.resource.Settings = s } }

func (r *rig) client() *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool}, ForceAttemptHTTP2: true}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// do asks as bob, who has a token, and returns the status and the body.
func (r *rig) do(method, path, body string, headers ...string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, "https://"+r.addr+path, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer sp_bob")
	for i := 0; i < len(headers); i += 2 {
		if req.Header.Del(headers[i]); headers[i+1] != "" {
			req.Header[headers[i]] = []string{headers[i+1]}
		}
	}
	res, err := r.client().Do(req)
	require.NoError(r.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r.t, err)
	return res.StatusCode, string(b)
}

// kubectls are the releases of kubectl that are here, of which one is needed.
func kubectls(t *testing.T) (list []string) {
	t.Helper()
	for _, name := range []string{"kubectl", "kubectl.1.31"} {
		if p, err := exec.LookPath(name); err == nil {
			list = append(list, p)
		} else if p, err := exec.LookPath(filepath.Join("/usr/lib/google-cloud-sdk/bin", name)); err == nil {
			list = append(list, p)
		}
	}
	if len(list) == 0 {
		testserver.Missing(t, "kubectl")
	}
	return list
}

// kubectl runs one as bob, and returns what it prints and its exit status.
func (r *rig) kubectl(program string, args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	return r.kubectlInput(program, nil, args...)
}

func (r *rig) kubectlInput(program string, input io.Reader, args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	dir := r.t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	require.NoError(r.t, os.WriteFile(ca, r.ca.PEM(), 0o600))
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, program, append([]string{"--kubeconfig=/dev/null", "--cache-dir=" + dir, "--server=https://" + r.addr, "--certificate-authority=" + ca, "--token=sp_bob"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &complaints
	err := cmd.Run()
	if ctx.Err() != nil {
		r.t.Fatalf("kubectl %v hangs: %s%s", args, out.String(), complaints.String())
	}
	if cmd.ProcessState == nil {
		require.NoError(r.t, err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}
