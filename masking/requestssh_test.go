package masking_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/testserver"
	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/protocol/ssh"
	"github.com/sallyport/sallyport/protocol/ssh/commandline"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// shore is a gateway in front of OpenSSH's server, with OpenSSH's clients.
type shore struct {
	rig
	dir, addr string
	key       gossh.Signer
}

func startShore(t *testing.T, c masking.Config) *shore {
	t.Helper()
	s := &shore{rig: rig{counts: map[detect.Type]uint64{}}, dir: t.TempDir(), key: hostKey(t)}
	me, err := user.Current()
	require.NoError(t, err)
	host := testserver.KeyPair(t, filepath.Join(s.dir, "host"))
	upstream := testserver.KeyPair(t, filepath.Join(s.dir, "upstream"))
	address := testserver.OpenSSH(t, s.dir, filepath.Join(s.dir, "host"), upstream, "AcceptEnv NOTE")
	pem, err := os.ReadFile(filepath.Join(s.dir, "upstream"))
	require.NoError(t, err)
	m, err := masking.New(c)
	require.NoError(t, err)
	gateway := &proxy.Gateway{
		Authenticator: people{"wonder"},
		Directory: proxy.Resources{&proxy.Resource{
			Name: "vm", Type: "ssh", Address: address, Accounts: []proxy.Account{{Name: "main", Username: me.Username}},
			Settings: ssh.Settings{HostKeys: []string{host}, Env: []string{"NOTE"}},
		}},
		Credentials:  proxytest.Credential{Username: me.Username, PrivateKey: proxy.NewSecret(string(pem))},
		Interceptors: []proxy.Interceptor{letIn{}, m, counter{&s.rig}},
		DrainTimeout: time.Second,
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- gateway.Serve(ctx, ln, &ssh.Handler{HostKeys: []gossh.Signer{s.key}, Grammar: &commandline.Grammar{}})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-served) })
	ask := filepath.Join(s.dir, "ask")
	require.NoError(t, os.WriteFile(ask, []byte("#!/bin/sh\necho wonder\n"), 0o700))
	return s
}

// run runs one of OpenSSH's clients; args name the gateway by HOST.
func (s *shore) run(t *testing.T, program, stdin string, args ...string) (string, int) {
	t.Helper()
	name, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "HOST", "alice+vm@"+name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{
		"-F", "/dev/null", "-o", "Port=" + port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "PreferredAuthentications=password,keyboard-interactive", "-o", "NumberOfPasswordPrompts=1", "-o", "BatchMode=no",
	}, args...)...)
	cmd.Env = append(os.Environ(), "SSH_ASKPASS="+filepath.Join(s.dir, "ask"), "SSH_ASKPASS_REQUIRE=force", "DISPLAY=x")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.NotNil(t, cmd.ProcessState, string(out))
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// written is what a file holds; nothing when its command had no time to make it.
func written(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(b)
}

// What clients send to machines is refused before it is there, and the client is told.
func TestRequestsRefuseOnMachines(t *testing.T) {
	s := startShore(t, noCards(masking.RequestsRefuse))
	const refusal = "which may not be sent (rule no cards)"
	stays := func(out string, code int, place string) {
		t.Helper()
		require.NotZero(t, code, out)
		require.Contains(t, out, "a value of type CREDIT_CARD "+place+", "+refusal, out)
		require.NotContains(t, out, testCard)
	}
	file := filepath.Join(s.dir, "there")
	out, code := s.run(t, "ssh", "", "HOST", "echo '"+testCard+"' > "+file)
	stays(out, code, "in the command line")
	require.NoFileExists(t, file)
	out, code = s.run(t, "ssh", strings.Repeat("fine\n", 100)+testCard+"\nmore\n", "HOST", "cat > "+file)
	stays(out, code, "in the standard input")
	require.NotContains(t, written(t, file), testCard)
	out, _ = s.run(t, "ssh", "echo hello\necho '"+testCard+"'\n", "HOST")
	require.Contains(t, out, refusal)
	require.NotContains(t, out, testCard)
	require.Contains(t, out, "hello")

	out, _ = s.run(t, "ssh", "", "-o", "SetEnv=NOTE="+testPAN, "HOST", "echo [$NOTE]")
	require.Contains(t, out, "[]")
	require.NotContains(t, out, testPAN)
	out, _ = s.run(t, "ssh", "", "-o", "SetEnv=NOTE=fine", "HOST", "echo [$NOTE]")
	require.Contains(t, out, "[fine]")

	content := strings.Repeat("all is well. ", 10000) + "then " + testCard + " comes" + strings.Repeat(", and goes on", 10000)
	here, wide := filepath.Join(s.dir, "here"), filepath.Join(s.dir, "wide")
	require.NoError(t, os.WriteFile(here, []byte(content), 0o600))
	var utf16 bytes.Buffer
	for _, c := range "the card is " + testCard + "\n" {
		utf16.Write([]byte{byte(c), 0})
	}
	require.NoError(t, os.WriteFile(wide, utf16.Bytes(), 0o600))
	for i, args := range [][]string{{"-O", here}, {"-s", here}, {"-s", wide}, {"-O", wide}} {
		to := filepath.Join(s.dir, "up"+string(rune('0'+i)))
		out, code = s.run(t, "scp", "", args[0], args[1], "HOST:"+to)
		stays(out, code, "in the content of a file")
		if b, err := os.ReadFile(to); err == nil {
			require.NotContains(t, string(b), "and goes on", "what comes after it")
			require.NotContains(t, string(b), testCard)
			require.NotContains(t, strings.ReplaceAll(string(b), "\x00", ""), testCard)
		}
	}
	out, code = s.run(t, "sftp", "put "+here+" "+filepath.Join(s.dir, "sent")+"\n", "-b", "-", "HOST")
	stays(out, code, "in the content of a file")

	// What holds no such value goes through as it is.
	plain := filepath.Join(s.dir, "plain")
	data := append([]byte("\x7fELF order 5500000000000005\n"), bytes.Repeat([]byte{0, 1, 2, 254, '4', '1'}, 50000)...)
	require.NoError(t, os.WriteFile(plain, data, 0o600))
	for i, flag := range []string{"-O", "-s"} {
		to := filepath.Join(s.dir, "ok"+string(rune('0'+i)))
		out, code = s.run(t, "scp", "", flag, plain, "HOST:"+to)
		require.Zero(t, code, out)
		b, err := os.ReadFile(to)
		require.NoError(t, err)
		require.Equal(t, data, b)
	}
	out, code = s.run(t, "ssh", string(data), "HOST", "cat > "+file+"; echo done")
	require.Zero(t, code, out)
	require.Equal(t, string(data), written(t, file))
	out, code = s.run(t, "scp", "", "-O", "HOST:"+here, filepath.Join(s.dir, "back"))
	require.Zero(t, code, "what is read is not sent: %s", out)
}

// A value that comes in pieces is refused with its last one, and a line that is typed with a
// value is not run.
func TestRequestsRefusePieces(t *testing.T) {
	s := startShore(t, noCards(masking.RequestsRefuse))
	client, err := gossh.Dial("tcp", s.addr, &gossh.ClientConfig{
		User: "alice+vm", Auth: []gossh.AuthMethod{gossh.Password("wonder")}, HostKeyCallback: gossh.FixedHostKey(s.key.PublicKey()), Timeout: 10 * time.Second,
	})
	require.NoError(t, err)
	defer client.Close()
	file := filepath.Join(s.dir, "pieces")
	session, err := client.NewSession()
	require.NoError(t, err)
	var said bytes.Buffer
	session.Stderr = &said
	in, err := session.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, session.Start("cat > "+file))
	for _, c := range testCard {
		if _, err := in.Write([]byte{byte(c)}); err != nil {
			break
		}
	}
	require.Error(t, session.Wait())
	require.Contains(t, said.String(), "in the standard input, which may not be sent")
	require.NotContains(t, written(t, file), testCard)

	session, err = client.NewSession()
	require.NoError(t, err)
	defer session.Close()
	require.NoError(t, session.RequestPty("xterm", 24, 80, nil))
	in, err = session.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, session.Shell())
	typed := filepath.Join(s.dir, "typed")
	_, err = in.Write([]byte("echo " + testCard + " > " + typed + "\r"))
	require.NoError(t, err)
	_, err = in.Write([]byte("echo a > " + typed + ".done\r"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := os.Stat(typed + ".done"); return err == nil }, 20*time.Second, 20*time.Millisecond)
	require.NoFileExists(t, typed)
}

// What is only observed on a machine is noted, by type and place.
func TestRequestsObserveOnMachines(t *testing.T) {
	s := startShore(t, noCards(masking.RequestsObserve))
	here := filepath.Join(s.dir, "here")
	require.NoError(t, os.WriteFile(here, []byte(testCard+"\n"+testCard+"\n"), 0o600))
	out, code := s.run(t, "scp", "", "-s", here, "HOST:"+here+".up")
	require.Zero(t, code, out)
	out, code = s.run(t, "ssh", testCard+"\n", "HOST", "cat > "+here+".in # "+testCard)
	require.Zero(t, code, out)
	for _, f := range []string{".up", ".in"} {
		b, err := os.ReadFile(here + f)
		require.NoError(t, err)
		require.Contains(t, string(b), testCard)
	}
	require.Eventually(t, func() bool { return len(s.said()) == 3 }, 10*time.Second, 10*time.Millisecond)
	require.ElementsMatch(t, []string{
		"no cards: a value of type CREDIT_CARD was sent in the content of a file, and 1 more",
		"no cards: a value of type CREDIT_CARD was sent in the command line",
		"no cards: a value of type CREDIT_CARD was sent in the standard input",
	}, s.said())
}
