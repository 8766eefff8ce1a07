package mysql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"net"
	"slices"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
	"github.com/sallyport/sallyport/proxy"
)

// connects logs a client of go-sql-driver in.
func (g *gate) connects(t *testing.T, user, password string, change ...func(*driver.Config)) error {
	t.Helper()
	db, err := sql.Open("mysql", g.dsn(user, password, change...))
	require.NoError(t, err)
	defer db.Close()
	return db.PingContext(context.Background())
}

func TestLogin(t *testing.T) {
	g := startGate(t, gateConfig{})
	require.NoError(t, g.connects(t, "alice", "wonder"))
	require.Equal(t, []proxy.Method{proxy.MethodPassword}, g.users.methods, "the first time the password itself is needed")
	require.NoError(t, g.connects(t, "alice", "wonder"))
	require.Equal(t, proxy.MethodChallenge, g.users.methods[1], "and then a proof of it")
	for _, c := range []struct{ user, password string }{{"alice", "wander"}, {"alice", ""}, {"nobody", "wonder"}, {"alice+", "wonder"}, {"bob", "wonder"}} {
		require.ErrorContains(t, g.connects(t, c.user, c.password), "Error 1045 (28000): ", "%s with %q", c.user, c.password)
	}
	require.NoError(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.AllowCleartextPasswords = true }))

	// Another password counts at once.
	g.users.mu.Lock()
	g.users.passwords["alice"], g.users.verifiers["alice"] = "changed", g.users.verifiers["bob"]
	g.users.mu.Unlock()
	require.ErrorContains(t, g.connects(t, "alice", "wonder"), "1045")
	require.NoError(t, g.connects(t, "alice", "changed"))

	require.ErrorContains(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.TLS = nil }), "Error 3159")
	require.ErrorContains(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.User = "bob+nowhere" }), "Error 1049")
	require.ErrorContains(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.User = "bob" }), "no resource was named")
	require.ErrorContains(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.Collation = "gbk_chinese_ci" }), "Error 1115")
	require.ErrorContains(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.DBName = "nodb" }), "Error 1049 (42000): Unknown database 'nodb'")
	require.NoError(t, g.connects(t, "bob", "builder", func(c *driver.Config) { c.User = "bob orders" }), "a plus that became a space")
}

func TestLoginByCertificate(t *testing.T) {
	g := startGate(t, gateConfig{})
	g.handler.begin()
	g.handler.tls.ClientAuth = tls.RequestClientCert
	pem, key := g.ca.ClientPEM("alice")
	cert, err := tls.X509KeyPair(pem, key)
	require.NoError(t, err)
	with := func(c *driver.Config) { c.TLS.Certificates = []tls.Certificate{cert} }
	for _, password := range []string{"", "anything"} { // which is not looked at
		require.NoError(t, g.connects(t, "alice", password, with))
	}
	require.ErrorContains(t, g.connects(t, "bob", "builder", with), "1045", "the certificate is another's")
	require.False(t, slices.Contains(g.users.methods, proxy.MethodPassword))
}

// A client that proposes another plugin is asked for one that the gateway takes.
func TestLoginBySwitch(t *testing.T) {
	g := startGate(t, gateConfig{})
	out, err := g.mariadb(t, "mariadb", "SELECT 'in'", "--default-auth=mysql_native_password", "-N")
	require.NoError(t, err, out)
	require.Equal(t, "in\n", out)
	out, err = g.mariadb(t, "mariadb", "SELECT 'in'", "--default-auth=mysql_clear_password", "-N")
	require.NoError(t, err, out)
	require.Equal(t, "in\n", out)
}

// The gateway proves itself to accounts of every kind that MariaDB has.
func TestUpstreamLogin(t *testing.T) {
	g := startGate(t, gateConfig{})
	out, err := g.maria.Run("", "INSTALL SONAME 'auth_ed25519'")
	require.NoError(t, err, out)
	out, err = g.maria.Run("", `CREATE USER ed@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('secret'); CREATE USER tls@'127.0.0.1' IDENTIFIED BY 'secret' REQUIRE SSL;
		CREATE USER none@'127.0.0.1'; GRANT ALL ON *.* TO ed@'127.0.0.1'; GRANT ALL ON *.* TO tls@'127.0.0.1'; GRANT ALL ON *.* TO none@'127.0.0.1'`)
	require.NoError(t, err, out)
	for _, c := range []struct {
		user, password string
		tls, in        bool
	}{
		{"ed", "secret", false, true},
		{"ed", "secret", true, true},
		{"ed", "wrong", true, false},
		{"tls", "secret", true, true},
		{"tls", "secret", false, false},
		{"none", "", false, true},
		{"none", "x", false, false},
	} {
		g := startGate(t, gateConfig{user: c.user, password: c.password, tls: c.tls})
		err := g.connects(t, "alice", "wonder")
		if c.in {
			require.NoError(t, err, c)
			continue
		}
		require.ErrorContains(t, err, "the resource does not accept the gateway's credential", c)
		require.NotContains(t, err.Error(), c.user+"'@", "the account is not the user's to know")
	}
}

// playLogin plays a server that greets, and then asks with each packet in turn. It returns
// what the gateway answered.
func playLogin(t *testing.T, plugin string, settings Settings, sealed bool, asks ...[]byte) (answers [][]byte, err error) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	done := make(chan error, 1)
	var first []byte
	go func() {
		g := &wire.Greeting{Version: "8.0.36", Capabilities: gatewayCan | wire.LongPassword, Nonce: nonce(), Plugin: plugin}
		a := &upstreamAuth{
			talk: &wire.Conversation{Conn: near, Seq: 2}, cred: proxy.Credential{Username: "app", Password: proxy.NewSecret("the-secret")}, settings: &settings,
			announced: plugin, plugin: plugin, nonce: g.Nonce[:], sealed: sealed,
		}
		var err error
		if first, err = a.first(); err == nil {
			_, err = a.finish()
		}
		near.Close()
		done <- err
	}()
	talk := &wire.Conversation{Conn: far, Seq: 2}
	for _, ask := range asks {
		if talk.Write(ask) != nil {
			break
		}
		b, err := talk.Read(1 << 16)
		if err != nil {
			break
		}
		answers = append(answers, b)
	}
	far.Close()
	err = <-done
	return append([][]byte{first}, answers...), err
}

func switchTo(plugin string, n int) []byte {
	return wire.AppendSwitch(nil, &wire.Switch{Plugin: plugin, Data: make([]byte, n)})
}

// A server gets no proof that is weaker than what it has announced, and no password as it
// is, unless the resource says so.
func TestWeakerProofIsRefused(t *testing.T) {
	for _, c := range []struct {
		name, plugin string
		settings     Settings
		sealed       bool
		asks         [][]byte
		want         string // of the error; empty: the last answer is given
	}{
		{"native after caching", pluginCaching, Settings{}, true, [][]byte{switchTo(pluginNative, 20)}, "weaker proof"},
		{"native, allowed", pluginCaching, Settings{NativePassword: true}, true, [][]byte{switchTo(pluginNative, 20)}, ""},
		{"native in the open", pluginNative, Settings{}, false, [][]byte{switchTo(pluginNative, 20)}, "without TLS"},
		{"caching in the open", pluginCaching, Settings{}, false, [][]byte{switchTo(pluginCaching, 20)}, "without TLS"},
		{"native in the open, allowed", pluginNative, Settings{Plaintext: true}, false, [][]byte{switchTo(pluginNative, 20)}, ""},
		{"clear", pluginCaching, Settings{}, true, [][]byte{switchTo(pluginClear, 0)}, "unencrypted password"},
		{"clear in the open", pluginNative, Settings{Cleartext: true, Plaintext: true}, false, [][]byte{switchTo(pluginClear, 0)}, "unencrypted password"},
		{"clear, allowed", pluginCaching, Settings{Cleartext: true}, true, [][]byte{switchTo(pluginClear, 0)}, ""},
		{"the oldest", pluginNative, Settings{NativePassword: true, Cleartext: true}, true, [][]byte{{wire.EOFHeader}}, "mysql_old_password"},
		{"an unknown one", pluginNative, Settings{}, true, [][]byte{switchTo("dialog", 0)}, `"dialog"`},
		{"a short nonce", pluginNative, Settings{}, true, [][]byte{switchTo(pluginNative, 8)}, "a nonce of 8 bytes"},
		{"no nonce", pluginNative, Settings{}, true, [][]byte{switchTo(pluginNative, 0)}, "a nonce of 0 bytes"},
		{"twice", pluginNative, Settings{}, true, [][]byte{switchTo(pluginNative, 20), switchTo(pluginNative, 20)}, "twice"},
		{"full in the open", pluginCaching, Settings{}, false, [][]byte{{wire.AuthMoreHeader, cachingFull}}, "without TLS"},
		{"full twice", pluginCaching, Settings{}, true, [][]byte{{wire.AuthMoreHeader, cachingFull}, {wire.AuthMoreHeader, cachingFull}}, "out of order"},
		{"a key unasked", pluginCaching, Settings{}, true, [][]byte{append([]byte{wire.AuthMoreHeader}, "-----BEGIN"...)}, "out of order"},
		{"a key that is none", pluginCaching, Settings{Plaintext: true}, false, [][]byte{{wire.AuthMoreHeader, cachingFull}, {wire.AuthMoreHeader, 'x'}}, "not PEM"},
		{"nothing", pluginNative, Settings{}, true, [][]byte{{}}, "empty packet"},
		{"a row", pluginNative, Settings{}, true, [][]byte{{5, 'h'}}, "protocol violation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			answers, err := playLogin(t, c.plugin, c.settings, c.sealed, c.asks...)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				require.LessOrEqual(t, len(answers), len(c.asks))
				for _, a := range answers {
					if c.name != "full twice" {
						require.NotContains(t, string(a), "the-secret")
					}
				}
				return
			}
			require.Len(t, answers, 1+len(c.asks))
			require.NotEmpty(t, answers[len(c.asks)])
		})
	}
}

// caching_sha2_password towards a server, as its documentation has it.
func TestUpstreamCaching(t *testing.T) {
	answers, err := playLogin(t, pluginCaching, Settings{}, true, []byte{wire.AuthMoreHeader, cachingFull})
	require.ErrorContains(t, err, "EOF") // the server says nothing more
	require.Len(t, answers, 2)
	require.Len(t, answers[0], 32)
	require.Equal(t, "the-secret\x00", string(answers[1]))
	answers, _ = playLogin(t, pluginCaching, Settings{Plaintext: true}, false, []byte{wire.AuthMoreHeader, cachingFull})
	require.Equal(t, []byte{2}, answers[1], "the server's key is asked for")
}
