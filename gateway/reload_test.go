package gateway

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/testserver"
)

// rewrite writes the config file that the gateway runs by.
func (s *swapping) rewrite(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(s.parts().config.Name(), []byte(text), 0o600))
}

// logs waits for a line of the log.
func (h *house) logs(t *testing.T, what string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(h.log.String(), what) }, 30*time.Second, 5*time.Millisecond, "the log lacks %q; it has:\n%s", what, h.log)
}

// TestReloadListeners: listeners come, go and change what they serve, and sessions that
// came in by one go on.
func TestReloadListeners(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	own, moved := testserver.FreeAddress(t), testserver.FreeAddress(t)
	at := func(address string) string {
		return strings.Replace(s.configs["open"], "{name: shop,", fmt.Sprintf("{name: shop, listen: %q,", address), 1)
	}
	reach := func(address string) error {
		host, port, _ := net.SplitHostPort(address)
		c, err := pgconn.Connect(t.Context(), fmt.Sprintf("host=%s port=%s user=alice password=%s sslmode=disable", host, port, password))
		if err == nil {
			c.Close(t.Context())
		}
		return err
	}
	client := s.ssh(t, "alice", "vm1")
	require.Error(t, reach(own))

	s.rewrite(t, at(own))
	require.NoError(t, s.Reload())
	require.NoError(t, reach(own), "a listener that came")
	host, port, _ := net.SplitHostPort(own)
	stays := connect(t, fmt.Sprintf("host=%s port=%s user=alice password=%s sslmode=disable", host, port, password))
	require.Equal(t, own, s.Addr("postgres", "shop").String())

	s.rewrite(t, at(moved))
	require.NoError(t, s.Reload())
	require.NoError(t, reach(moved), "a listener that moved")
	require.Eventually(t, func() bool { return reach(own) != nil }, 20*time.Second, 5*time.Millisecond, "a listener that is gone")
	require.Equal(t, [][]string{{"1"}}, stays.query("SELECT 1"), "its session goes on")

	// One address serves another resource from one moment to the next.
	listen := s.Addr("ssh", "").String()
	forMachine := strings.Replace(s.configs["open"], "{name: vm1,", fmt.Sprintf("{name: vm1, listen: %q,", moved), 1)
	require.NotEqual(t, s.configs["open"], forMachine)
	s.rewrite(t, forMachine)
	require.NoError(t, s.Reload())
	greeting := func() string {
		c, err := net.Dial("tcp", moved)
		require.NoError(t, err, "somebody listens all the time")
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(200*time.Millisecond)))
		b := make([]byte, 4)
		n, _ := io.ReadFull(c, b)
		return string(b[:n])
	}
	require.Eventually(t, func() bool { return greeting() == "SSH-" }, 20*time.Second, 5*time.Millisecond)
	known, err := os.ReadFile(filepath.Join(dir, "data", "ssh", "gateway_known_hosts"))
	require.NoError(t, err)
	_, port, _ = net.SplitHostPort(moved)
	require.Contains(t, string(known), "[127.0.0.1]:"+port+" ", "clients know it there")

	// A listener that cannot be had leaves everything as it was.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	revision := s.Proxy().Revision()
	s.rewrite(t, at(taken.Addr().String()))
	require.ErrorContains(t, s.Reload(), "address already in use")
	s.logs(t, "the config file cannot be used: the gateway goes on with the one from before")
	require.Same(t, revision, s.Proxy().Revision())
	require.Eventually(t, func() bool { return greeting() == "SSH-" }, 20*time.Second, 5*time.Millisecond)

	require.Equal(t, listen, s.Addr("ssh", "").String())
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("echo in")
	require.NoError(t, err, "a session from before all of it goes on")
	require.Equal(t, "in\n", string(out))
	require.Equal(t, [][]string{{"1"}}, stays.query("SELECT 1"))
}

// TestReloadProtocol: a protocol that was not used is served once a file uses it.
func TestReloadProtocol(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, nil, dir)
	machine := startMachine(t, dir, []string{"alice"})
	public, err := os.ReadFile(filepath.Join(dir, "alice.pub"))
	require.NoError(t, err)
	text := strings.Replace(s.configs["open"], "{name: alice, groups: [dev],", fmt.Sprintf("{name: alice, groups: [dev], ssh_keys: [%q],", strings.TrimSpace(string(public))), 1)
	text = strings.Replace(text, "resources:\n", fmt.Sprintf("resources:\n  - {name: vm1, type: ssh, address: %q, username: %s, key: \"file:upstream\", listen: \"127.0.0.1:0\", labels: {env: test}, ssh: {host_keys: [%q]}}\n",
		machine.address, machine.user, machine.hostKey), 1)
	s.rewrite(t, text)
	require.NoError(t, s.Reload())
	require.NotNil(t, s.Addr("ssh", "vm1"))
}

// TestReloadBroken: a file with problems, one that others can write, and one with another
// data directory change nothing; what needs a restart is logged.
func TestReloadBroken(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	k := connect(t, s.plain("alice", "shop"))
	revision := s.Proxy().Revision()
	file := s.parts().config.Name()
	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		says       string
	}{
		{"not YAML", "{", 0o600, "not YAML"},
		{"empty", "", 0o600, "the file is empty"},
		{"an unknown key", s.configs["open"] + "\nmaskng: []\n", 0o600, `unknown key \"maskng\"`},
		{"a rule that names nobody", strings.Replace(s.configs["closed"], "groups: [ops]", "groups: [nobody]", 1), 0o600, "which has no members"},
		{"written by others", s.configs["closed"], 0o666, "every user can write it (mode 0666): take that away with chmod go-w"},
		{"another data directory", strings.Replace(s.configs["closed"], "data_dir: data", "data_dir: elsewhere", 1), 0o600, "stop it, and start it with this file"},
		{"a certificate that is not there", strings.Replace(s.configs["closed"], "tls: {", "tls: {cert: no.pem, key: no.key, ", 1), 0o600, "no.pem"},
	} {
		require.NoError(t, os.WriteFile(file, []byte(c.text), 0o600))
		require.NoError(t, os.Chmod(file, c.mode))
		require.Error(t, s.Reload(), c.name)
		s.logs(t, c.says)
		require.NoError(t, os.Chmod(file, 0o600))
		require.Same(t, revision, s.Proxy().Revision(), c.name)
		require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"), c.name)
	}
	require.NoError(t, os.Remove(file))
	require.Error(t, s.Reload())
	require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"))

	s.rewrite(t, s.configs["open"]+"\nmetrics: 127.0.0.1:0\ndomain: gw.example.com\n")
	require.NoError(t, s.Reload())
	s.logs(t, `keys="domain, metrics"`)
}

// TestReloadFollows: a file that changes is used without being asked to, once it is whole, and
// one that is broken or gone is logged once.
func TestReloadFollows(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	k := connect(t, s.plain("alice", "shop"))
	s.rewrite(t, "{")
	s.logs(t, "not YAML")
	require.Equal(t, [][]string{{"1"}}, k.query("SELECT 1"))
	require.NoError(t, os.Remove(s.parts().config.Name()))
	s.logs(t, "the config file cannot be read: the gateway goes on with the one from before")
	s.rewrite(t, s.configs["closed"])
	require.NotEmpty(t, k.rows(fatal), "the session ends")
	require.Equal(t, 1, strings.Count(s.log.String(), "not YAML"))
	require.Equal(t, 1, strings.Count(s.log.String(), "cannot be read"))
}

// TestReloadResource: a resource that is gone ends its sessions, with what they run; the
// others go on, and a secret that was rotated is used by the next session.
func TestReloadResource(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	copying := s.wire(t, "alice", "shop")
	copying.Send(&pgproto3.Query{String: "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000000)) TO STDOUT"})
	require.NoError(t, copying.Flush())
	ended := make(chan string, 1)
	go func() {
		for {
			m, err := copying.Receive()
			if err != nil {
				ended <- err.Error()
				return
			}
			if fatal(m) {
				ended <- m.(*pgproto3.ErrorResponse).Message
				return
			}
		}
	}()
	client := s.ssh(t, "alice", "vm1")
	begin := strings.Index(s.configs["open"], "  - {name: shop,")
	end := begin + strings.Index(s.configs["open"][begin:], "\n") + 1
	s.rewrite(t, s.configs["open"][:begin]+s.configs["open"][end:])
	require.NoError(t, s.Reload())
	require.Contains(t, <-ended, "is no longer available")
	session, err := client.NewSession()
	require.NoError(t, err)
	out, err := session.Output("echo in")
	require.NoError(t, err)
	require.Equal(t, "in\n", string(out))

	s.rewrite(t, s.configs["open"])
	require.NoError(t, s.Reload())
	secret := filepath.Join(dir, "db.password")
	good, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(secret, []byte("not this"), 0o600))
	_, err = pgconn.Connect(t.Context(), s.plain("alice", "shop"))
	require.Error(t, err)
	require.NoError(t, os.WriteFile(secret, good, 0o600))
	require.Equal(t, [][]string{{"1"}}, connect(t, s.plain("alice", "shop")).query("SELECT 1"))
}

// TestReloadLastMember: who is the last member of a group and is taken out of the file is out, though
// rules still name the group: they choose nobody, and what they would have held is not let run by nobody's word.
func TestReloadLastMember(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	open := s.configs["open"]
	text := open[:strings.Index(open, "access:")] + `
access: [{name: all, groups: [dev], allow: [all]}, {name: theirs, groups: [ops], allow: [all]}]
guardrails: [{use: off}, {name: asked, hold: {effects: [delete]}, approvers: [ops], for: 1s}]
masking: [{use: off}]
`
	s.rewrite(t, text)
	require.NoError(t, s.Reload())
	bob, alice := connect(t, s.plain("bob", "shop")), connect(t, s.plain("alice", "shop"))
	require.Equal(t, [][]string{{"1"}}, bob.query("SELECT 1"))

	member := strings.Index(text, ", {name: bob,")
	s.rewrite(t, text[:member]+text[member+strings.Index(text[member:], "]}"):])
	require.NoError(t, s.Reload())
	require.NotEmpty(t, bob.rows(fatal), "the session ends")
	_, err := pgconn.Connect(t.Context(), s.plain("bob", "shop"))
	require.Error(t, err)
	s.logs(t, `a rule names what is not there`)
	s.logs(t, `the rule names group \"ops\", which has no members`)

	rows := alice.rows(ready, &pgproto3.Query{String: "DELETE FROM legacy"})
	require.Contains(t, fmt.Sprint(rows), "nobody decided")
	require.Equal(t, [][]string{{"1"}}, alice.query("SELECT count(*) FROM legacy"))
}

// TestReloadOften: a hundred revisions leave nothing open, and sessions go on through all
// of them.
func TestReloadOften(t *testing.T) {
	s := openSwapping(t, nil, t.TempDir())
	k, tls := connect(t, s.plain("alice", "shop")), connect(t, s.database("alice", "shop"))
	cycle := func(n int) {
		for i := range n {
			s.rewrite(t, s.configs[[]string{"open", "a"}[i%2]]+fmt.Sprintf("\nlimits: {max_sessions: %d}\n", 50+i))
			require.NoError(t, s.Reload())
			require.Len(t, k.query(allPeople), 6)
			require.Len(t, tls.query(allPeople), 6)
		}
	}
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(list)
	}
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	cycle(20)
	goroutines, files, heap := runtime.NumGoroutine(), descriptors(), memory()
	cycle(100)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+5 }, 20*time.Second, 10*time.Millisecond, "%d goroutines were there", goroutines)
	require.Eventually(t, func() bool { return descriptors() <= files+3 }, 20*time.Second, 10*time.Millisecond, "%d descriptors were there", files)
	require.Less(t, memory(), heap+heap/2+8<<20)
}

// TestReloadTakesRights: what runs on a host ends within a second when its right is taken away, though people may still connect there;
// what keeps its right goes on.
func TestReloadTakesRights(t *testing.T) {
	dir := t.TempDir()
	s := openSwapping(t, startMachine(t, dir, []string{"alice"}), dir)
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0") // which nobody accepts: the system does
	require.NoError(t, err)
	defer elsewhere.Close()
	allow := func(actions string) string {
		was := s.configs["open"]
		now := strings.Replace(was, "ssh: {host_keys:", fmt.Sprintf("ssh: {forwards: [%q], host_keys:", elsewhere.Addr()), 1)
		require.NotEqual(t, was, now)
		return strings.Replace(now, "allow: [all]", "allow: ["+actions+"]", 1)
	}
	start := func(run func(*gossh.Session) error) func(*testing.T, *gossh.Client) (io.Reader, error) {
		return func(t *testing.T, c *gossh.Client) (io.Reader, error) {
			session, err := c.NewSession()
			require.NoError(t, err)
			out, err := session.StdoutPipe()
			require.NoError(t, err)
			_, err = session.StdinPipe()
			require.NoError(t, err)
			return out, run(session)
		}
	}
	forward := func(_ *testing.T, c *gossh.Client) (io.Reader, error) {
		return c.Dial("tcp", elsewhere.Addr().String())
	}
	for _, c := range []struct {
		name, right string
		run         func(*testing.T, *gossh.Client) (io.Reader, error)
	}{
		{"a shell", "shell", start((*gossh.Session).Shell)},
		{"a command", "exec", start(func(s *gossh.Session) error { return s.Start("cat") })},
		{"sftp", "file-read, file-write", start(func(s *gossh.Session) error { return s.RequestSubsystem("sftp") })},
		{"a forwarded connection", "forward", forward},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.rewrite(t, allow("connect, read, "+c.right))
			require.NoError(t, s.Reload())
			client := s.ssh(t, "alice", "vm1")
			out, err := c.run(t, client)
			require.NoError(t, err)
			s.rewrite(t, allow("connect, write, "+c.right))
			require.NoError(t, s.Reload())
			_, _, err = client.SendRequest("keepalive@openssh.com", true, nil)
			require.NoError(t, err, "it goes on")
			s.rewrite(t, allow("connect, read"))
			at := time.Now()
			require.NoError(t, s.Reload())
			_, err = io.Copy(io.Discard, out)
			require.Less(t, time.Since(at), 10*time.Second, "%v", err)
			require.Error(t, client.Wait())
			s.ssh(t, "alice", "vm1") // she may still connect
		})
	}
}
