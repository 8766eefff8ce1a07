package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/proxy"
)

// rig is a gateway with a real OpenSSH server as its resource.
type rig struct {
	t        testing.TB
	dir      string
	settings ssh.Settings
	resource *proxy.Resource
	handler  *ssh.Handler
	gateway  *proxy.Gateway
	journal  *journal
	users    *users
	creds    *creds
	address  string // the gateway's
	sshd     *sshd
	userKey  gossh.Signer
	keyFile  string
	stop     func() error
}

func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		for _, dir := range []string{"/usr/sbin/", "/usr/lib/openssh/", "/usr/bin/"} {
			if _, err := os.Stat(dir + name); err == nil {
				return dir + name
			}
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed, and CI must not skip", name)
		}
		t.Skipf("SKIPPED, NOT TESTED: %s is not installed", name)
	}
	return path
}

func newSigner(t testing.TB) (gossh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := gossh.NewSignerFromKey(private)
	require.NoError(t, err)
	block, err := gossh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	return signer, pem.EncodeToMemory(block)
}

func writeKey(t testing.TB, dir, name string) (gossh.Signer, string) {
	t.Helper()
	signer, private := newSigner(t)
	file := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(file, private, 0o600))
	require.NoError(t, os.WriteFile(file+".pub", authorized(signer.PublicKey()), 0o600))
	return signer, file
}

// signs is an authority whose keys stay.
func signs(a ssh.Authority) func() *ssh.Authority { return func() *ssh.Authority { return &a } }

func authorized(key gossh.PublicKey) []byte { return gossh.MarshalAuthorizedKey(key) }

// sshd is Debian's OpenSSH server on a loopback port.
type sshd struct {
	address string
	host    gossh.Signer
	log     *lockedBuffer
	cmd     *exec.Cmd
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func startSSHD(t testing.TB, dir string, accepted []byte, extra string) *sshd {
	t.Helper()
	path := program(t, "sshd")
	require.NoError(t, os.MkdirAll("/run/sshd", 0o755))
	host, hostFile := writeKey(t, dir, "host_key")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "authorized_keys"), accepted, 0o600))
	// An empty home: no start-up file of the machine runs at a login.
	home := filepath.Join(dir, "home")
	require.NoError(t, os.MkdirAll(home, 0o755))
	port := testserver.FreePort(t)
	config := fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
PermitRootLogin prohibit-password
MaxSessions 100
MaxStartups 1000
AcceptEnv LANG LC_* GIT_PROTOCOL FOO
PermitUserEnvironment no
StreamLocalBindUnlink yes
X11Forwarding yes
X11UseLocalhost yes
Subsystem sftp internal-sftp
LogLevel VERBOSE
PrintMotd no
SetEnv HOME=%s
%s
`, port, hostFile, filepath.Join(dir, "authorized_keys"), home, extra)
	file := filepath.Join(dir, "sshd_config")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	s := &sshd{address: "127.0.0.1:" + strconv.Itoa(port), host: host, log: &lockedBuffer{}}
	s.cmd = exec.Command(path, "-D", "-e", "-f", file)
	s.cmd.Stderr = s.log
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	waitFor(t, "sshd to listen", func() bool {
		c, err := net.Dial("tcp", s.address)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return s
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

// users authenticates by public key and password.
type users struct {
	mu        sync.Mutex
	keys      map[string]string // authorized line → user
	passwords map[string]string
	authority gossh.PublicKey
	seen      []proxy.Proof
}

func (u *users) Authenticate(_ context.Context, p proxy.Proof) (*proxy.Identity, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = append(u.seen, p)
	id := &proxy.Identity{Subject: p.User, Method: p.Method}
	switch p.Method {
	case proxy.MethodPublicKey:
		key, err := gossh.ParsePublicKey(p.PublicKey)
		if err == nil && u.keys[string(authorized(key))] == p.User {
			return id, nil
		}
	case proxy.MethodSSHCertificate:
		key, err := gossh.ParsePublicKey(p.PublicKey)
		if err != nil {
			break
		}
		cert := key.(*gossh.Certificate)
		if u.authority != nil && bytes.Equal(cert.SignatureKey.Marshal(), u.authority.Marshal()) && cert.ValidPrincipals[0] == p.User {
			return id, nil
		}
	case proxy.MethodPassword, proxy.MethodInteractive:
		if want, ok := u.passwords[p.User]; ok && p.Password.Reveal() == want {
			return id, nil
		}
	}
	return nil, fmt.Errorf("%w", proxy.ErrUnauthenticated)
}

// creds leases a key or password.
type creds struct {
	mu       sync.Mutex
	cred     proxy.Credential
	leases   int
	fresh    int
	released int
	next     *proxy.Credential // what a fresh lease gives
}

func (c *creds) Lease(_ context.Context, r proxy.LeaseRequest) (*proxy.Lease, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases++
	cred := c.cred
	if r.Refused != nil {
		c.fresh++
		if c.next != nil {
			cred = *c.next
		}
	}
	if cred.Username == "" {
		cred.Username = r.Target.Account.Username
	}
	return &proxy.Lease{Credential: cred, Release: func() { c.mu.Lock(); c.released++; c.mu.Unlock() }}, nil
}

// journal is an interceptor that notes everything and refuses what it is told
// to.
type journal struct {
	mu    sync.Mutex
	asked []string
	done  []string
	ends  []error

	ask  func(op proxy.Op) proxy.Verdict
	flow func(op proxy.Op, shape *proxy.Shape) (proxy.Filter, error)
}

func (j *journal) Name() string { return "journal" }

func (j *journal) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	h := proxy.Hooks{
		Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
			j.mu.Lock()
			j.asked = append(j.asked, describe(op))
			ask := j.ask
			j.mu.Unlock()
			if ask != nil {
				if v := ask(op); v.Action != proxy.ActionNone {
					return v
				}
			}
			if op.Info().Kind == proxy.KindConnect {
				return proxy.Allow("test")
			}
			return proxy.Pass()
		},
		Done: func(_ context.Context, op proxy.Op, out *proxy.Outcome) {
			text := describe(op) + " → "
			switch {
			case out.Verdict.Refuses():
				text += "refused: " + out.Verdict.Message()
			case out.Err != nil:
				text += "error: " + out.Err.Error()
			default:
				text += "done " + out.Code
			}
			if out.Tag != "" {
				text += " " + out.Tag
			}
			if op.Info().Kind == proxy.KindFile {
				text += fmt.Sprintf(" in %d out %d", out.BytesIn, out.BytesOut)
			}
			j.mu.Lock()
			j.done = append(j.done, strings.TrimSpace(text))
			j.mu.Unlock()
		},
		Close: func(err error) {
			j.mu.Lock()
			j.ends = append(j.ends, err)
			j.mu.Unlock()
		},
	}
	if j.flow != nil {
		h.Flow = func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			return j.flow(op, shape)
		}
	}
	return h, nil
}

func describe(op proxy.Op) string {
	kind := op.Info().Kind.String()
	switch o := op.(type) {
	case *proxy.Connect:
		return kind + " " + o.Target.String()
	case *proxy.Exec:
		return strings.TrimSpace(kind + " " + o.Command)
	case *proxy.Call:
		s := kind + " " + o.Name
		for _, a := range o.Args {
			s += " " + string(a)
		}
		return s
	case *proxy.File:
		s := kind + " " + o.Action.String() + " " + o.Path
		if o.Target != "" {
			s += " " + o.Target
		}
		return s
	case *proxy.Forward:
		s := fmt.Sprintf("%s %s %s:%d", kind, o.Network, o.Host, o.Port)
		if o.Listen {
			s += " listen"
		}
		return s
	}
	return kind
}

func (j *journal) doneLines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.done...)
}

func (j *journal) has(line string) bool {
	for _, l := range j.doneLines() {
		if strings.Contains(l, line) {
			return true
		}
	}
	return false
}

func (j *journal) expect(t testing.TB, line string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if j.has(line) {
			return
		}
	}
	t.Fatalf("the journal lacks %q; it has:\n%s", line, strings.Join(j.doneLines(), "\n"))
}

// newRig starts a gateway in front of an sshd. change may alter anything before
// the gateway serves.
func newRig(t testing.TB, change func(r *rig)) *rig {
	t.Helper()
	before := runtime.NumGoroutine()
	dir, err := os.MkdirTemp("", "sallyport-ssh")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, dir: dir, journal: &journal{}}
	gateKey, gatePEM := newSigner(t)
	r.sshd = startSSHD(t, dir, authorized(gateKey.PublicKey()), "")
	r.creds = &creds{cred: proxy.Credential{PrivateKey: proxy.NewSecret(string(gatePEM))}}
	r.userKey, r.keyFile = writeKey(t, dir, "id_alice")
	r.users = &users{
		keys:      map[string]string{string(authorized(r.userKey.PublicKey())): "alice"},
		passwords: map[string]string{"alice": "wonderland"},
	}
	r.settings = ssh.Settings{HostKeys: []string{string(authorized(r.sshd.host.PublicKey()))}}
	me, err := user.Current()
	require.NoError(t, err)
	r.resource = &proxy.Resource{Name: "vm1", Type: "ssh", Address: r.sshd.address, Accounts: []proxy.Account{{Name: "me", Username: me.Username}}}
	gwHost, _ := writeKey(t, dir, "gateway_host_key")
	r.handler = &ssh.Handler{HostKeys: []gossh.Signer{gwHost}}
	r.gateway = &proxy.Gateway{
		Authenticator: r.users, Directory: proxy.Resources{r.resource}, Credentials: r.creds,
		Interceptors: []proxy.Interceptor{r.journal}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		DrainTimeout: 2 * time.Second,
	}
	if testing.Verbose() {
		r.gateway.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if change != nil {
		change(r)
	}
	if r.resource.Settings == nil {
		r.resource.Settings = r.settings
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.gateway.Serve(ctx, ln, r.handler) }()
	var once sync.Once
	var stopErr error
	r.stop = func() error {
		once.Do(func() {
			cancel()
			select {
			case stopErr = <-served:
			case <-time.After(10 * time.Second):
				buf := make([]byte, 1<<20)
				stopErr = fmt.Errorf("Serve does not return; goroutines:\n%s", buf[:runtime.Stack(buf, true)])
			}
		})
		return stopErr
	}
	t.Cleanup(func() {
		require.NoError(t, r.stop())
		r.creds.mu.Lock()
		require.Equal(t, r.creds.leases, r.creds.released, "every leased credential is given back")
		r.creds.mu.Unlock()
		checkLeaks(t, before)
	})
	host, port, _ := net.SplitHostPort(r.address)
	known := fmt.Sprintf("[%s]:%s %s", host, port, authorized(gwHost.PublicKey()))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(known), 0o600))
	config := fmt.Sprintf(`Host *
  UserKnownHostsFile %s
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  IdentityFile %s
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  LogLevel ERROR
  Port %s
Host gw
  HostName %s
  User alice+vm1
Host jump
  HostName %s
  User alice
Host vm1 vm2
  Port 22
  User me
  ProxyCommand %s -F %s -W %%h:%%p jump
  HostKeyAlias [%s]:%s
`, filepath.Join(dir, "known_hosts"), r.keyFile, port, host, host, program(t, "ssh"), filepath.Join(dir, "ssh_config"), host, port)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ssh_config"), []byte(config), 0o600))
	return r
}

func checkLeaks(t testing.TB, before int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if runtime.NumGoroutine() <= before+2 { // the runtime's own come and go
			return
		}
	}
	buf := make([]byte, 1<<20)
	t.Errorf("goroutines leaked: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
}

// result is how a program ended.
type result struct {
	out, err string
	code     int
}

func (r *rig) config() string { return filepath.Join(r.dir, "ssh_config") }

func (r *rig) run(stdin io.Reader, name string, args ...string) result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // so that what hangs is told
	defer cancel()
	cmd := exec.CommandContext(ctx, program(r.t, name), args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errOut
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SSH_AUTH_SOCK=", "HOME="+r.dir)
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		r.t.Fatalf("%s: %v; stderr: %s", name, err, errOut.String())
	}
	return result{out.String(), errOut.String(), code}
}

// ssh runs OpenSSH's client.
func (r *rig) ssh(args ...string) result {
	r.t.Helper()
	return r.run(nil, "ssh", append([]string{"-F", r.config()}, args...)...)
}

// client connects with the library.
func (r *rig) client(user string, auth ...gossh.AuthMethod) (*gossh.Client, error) {
	if auth == nil {
		auth = []gossh.AuthMethod{gossh.PublicKeys(r.userKey)}
	}
	return gossh.Dial("tcp", r.address, &gossh.ClientConfig{
		User: user, Auth: auth, HostKeyCallback: gossh.FixedHostKey(r.handler.HostKeys[0].PublicKey()), Timeout: 5 * time.Second,
	})
}

func (r *rig) mustClient() *gossh.Client {
	r.t.Helper()
	c, err := r.client("alice+vm1")
	require.NoError(r.t, err)
	r.t.Cleanup(func() { c.Close() })
	return c
}

// random is crypto/rand.Reader, which this package's tests name in one place.
type random struct{}

func (random) Read(b []byte) (int, error) { return rand.Read(b) }
