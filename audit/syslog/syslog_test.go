package syslog

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/testserver"
)

func batch(from, n int) []audit.Outgoing {
	var list []audit.Outgoing
	for i := from; i < from+n; i++ {
		list = append(list, audit.Outgoing{
			Session: "s1", Index: uint64(i), Type: audit.OperationRefused,
			JSON: fmt.Appendf(nil, `{"i":%d,"t":"2026-11-25T08:00:00.123456Z","type":"operation.refused","text":"SELECT 'ü\n'"}`, i),
		})
	}
	return list
}

// collector takes messages of RFC 5425.
type collector struct {
	ln       net.Listener
	roots    *x509.CertPool
	messages chan string
}

func collect(t *testing.T) *collector {
	t.Helper()
	ca := testserver.NewAuthority()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", ca.ServerConfig("127.0.0.1"))
	require.NoError(t, err)
	c := &collector{ln: ln, roots: x509.NewCertPool(), messages: make(chan string, 100)}
	c.roots.AppendCertsFromPEM(ca.PEM())
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go c.read(conn)
		}
	}()
	return c
}

func (c *collector) read(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		head, err := r.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(head, " "))
		if err != nil {
			c.messages <- "not framed: " + head
			return
		}
		m := make([]byte, n)
		if _, err := io.ReadFull(r, m); err != nil {
			return
		}
		c.messages <- string(m)
		if strings.Contains(string(m), "hang up") {
			return
		}
	}
}

// form is RFC 5424's.
var form = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) (\S{1,255}) sallyport (\d+) (\S{1,32}) (\[audit@32473(?: [a-z]+="[^"\\\]]*")*\]) (.*)$`)

func TestMessages(t *testing.T) {
	c := collect(t)
	s := &Sink{Address: c.ln.Addr().String(), TLS: &tls.Config{RootCAs: c.roots}, Hostname: "gate way", MaxMessage: 400}
	defer s.Close()
	require.NoError(t, s.Deliver(t.Context(), batch(1, 2)))
	for i := range 2 {
		m := form.FindStringSubmatch(<-c.messages)
		require.NotNil(t, m)
		require.Equal(t, []string{"108", "2026-11-25T08:00:00.123456Z", "gate_way"}, m[1:4])
		require.Equal(t, []string{"operation.refused", fmt.Sprintf(`[audit@32473 record="s1" index="%d"]`, i+1)}, m[5:7])
		var e audit.Event
		require.NoError(t, json.Unmarshal([]byte(m[7]), &e))
		require.Equal(t, "SELECT 'ü\n'", e.Text)
	}
	long := batch(3, 1)
	long[0].JSON = fmt.Appendf(nil, `{"i":3,"t":"2026-11-25T08:00:00.123456Z","text":%q}`, strings.Repeat("x", 1000))
	require.NoError(t, s.Deliver(t.Context(), long))
	got := <-c.messages
	require.LessOrEqual(t, len(got), 400)
	require.Regexp(t, ` bytes="1\d\d\d"\] `, got)
}

// A collector that hangs up is called again, and what could not be sent is said
// not to have been.
func TestReconnects(t *testing.T) {
	c := collect(t)
	s := &Sink{Address: c.ln.Addr().String(), TLS: &tls.Config{RootCAs: c.roots}, Timeout: 5 * time.Second}
	defer s.Close()
	last := batch(1, 1)
	last[0].JSON = []byte(`{"i":1,"text":"hang up"}`)
	require.NoError(t, s.Deliver(t.Context(), last))
	<-c.messages
	<-s.gone
	require.NoError(t, s.Deliver(t.Context(), batch(2, 1)), "on a new connection")
	require.Contains(t, <-c.messages, `index="2"`)
	c.ln.Close()
	s.close()
	require.Error(t, s.Deliver(t.Context(), batch(3, 1)))
}

// A collector that is not the one that was named gets nothing.
func TestVerifies(t *testing.T) {
	c := collect(t)
	for name, config := range map[string]*tls.Config{"another authority": nil, "another name": {RootCAs: c.roots, ServerName: "other"}} {
		s := &Sink{Address: c.ln.Addr().String(), TLS: config}
		require.Error(t, s.Deliver(t.Context(), batch(1, 1)), name)
	}
	require.Empty(t, c.messages)
}

// rsyslog takes the messages, over TLS, with every field where it belongs.
func TestRsyslog(t *testing.T) {
	daemon, err := exec.LookPath("rsyslogd")
	if err != nil {
		daemon = "/usr/sbin/rsyslogd"
	}
	if _, err := os.Stat(daemon); err != nil {
		testserver.Missing(t, "rsyslogd")
	}
	dir := t.TempDir()
	ca := testserver.NewAuthority()
	cert, key := ca.ServerPEM("127.0.0.1")
	file := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, b, 0o600))
		return name
	}
	port := testserver.FreePort(t)
	out := filepath.Join(dir, "out")
	config := file("rsyslog.conf", fmt.Appendf(nil, `
global(workDirectory=%q maxMessageSize="128k" defaultNetstreamDriver="ossl" defaultNetstreamDriverCAFile=%q
  defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q)
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="%d")
template(name="fields" type="string" string="%%syslogfacility-text%% %%syslogseverity-text%% %%hostname%% %%app-name%% %%msgid%% %%structured-data%% %%msg%%\n")
action(type="omfile" file=%q template="fields")
`, dir, file("ca.pem", ca.PEM()), file("cert.pem", cert), file("key.pem", key), port, out))
	cmd := exec.Command(daemon, "-n", "-f", config, "-i", filepath.Join(dir, "pid"))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	s := &Sink{Address: fmt.Sprintf("127.0.0.1:%d", port), TLS: &tls.Config{RootCAs: roots}, Hostname: "gateway", Facility: 16}
	defer s.Close()
	require.Eventually(t, func() bool { return s.Deliver(t.Context(), batch(1, 3)) == nil }, 20*time.Second, 50*time.Millisecond, "%s", &complaints)
	want := ""
	for i := range 3 {
		want += fmt.Sprintf(`local0 warning gateway sallyport operation.refused [audit@32473 record="s1" index="%d"] {"record":"s1","i":%d,"t":"2026-11-25T08:00:00.123456Z","type":"operation.refused","text":"SELECT 'ü\n'"}`, i+1, i+1) + "\n"
	}
	var got []byte
	require.Eventually(t, func() bool { got, _ = os.ReadFile(out); return strings.Count(string(got), "\n") >= 3 }, 30*time.Second, 20*time.Millisecond, "%s", &complaints)
	require.Equal(t, want, strings.ReplaceAll(string(got), "] {", "] {"))
}
