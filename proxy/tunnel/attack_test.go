package tunnel

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// peer is an agent by hand.
type peer struct {
	t    testing.TB
	gate *gate
	id   *Identity
}

func byHand(t testing.TB, r *registry, g *gate, name string) *peer {
	id, err := enrolled(t, r, g, name).Load()
	require.NoError(t, err)
	return &peer{t, g, id}
}

func (p *peer) dial(proto string) *tls.Conn {
	p.t.Helper()
	a := &Agent{}
	tc, err := a.dialGateway(p.t.Context(), p.gate.address, proto, p.id)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { tc.NetConn().Close() })
	require.NoError(p.t, tc.SetDeadline(time.Now().Add(20*time.Second)))
	return tc
}

func (p *peer) send(c net.Conn, k kind, m any) {
	p.t.Helper()
	b, err := encode(k, m)
	require.NoError(p.t, err)
	_, err = c.Write(b)
	require.NoError(p.t, err)
}

// control opens a control line.
func (p *peer) control() *tls.Conn {
	p.t.Helper()
	tc := p.dial(protoControl)
	p.send(tc, kindHello, hello{Version: 1, Oldest: 1, Instance: newName()})
	k, _, err := readFrame(tc, maxBody)
	require.NoError(p.t, err)
	require.Equal(p.t, kindWelcome, k)
	connected(p.t, p.gate, p.id.Agent)
	return tc
}

// dialled waits for a dial.
func (p *peer) dialled(c net.Conn) dial {
	p.t.Helper()
	k, body, err := readFrame(c, maxBody)
	require.NoError(p.t, err)
	require.Equal(p.t, kindDial, k)
	m, err := decode[dial](body)
	require.NoError(p.t, err)
	return m
}

// claim claims a dial on a connection, by the certificate that it says.
func (p *peer) claim(c *tls.Conn, m dial, cert []byte) []byte {
	p.t.Helper()
	tk := &ticket{id: [idSize]byte(m.ID), key: [keySize]byte(m.Key)}
	state := c.ConnectionState()
	body, err := tk.claim(&state, fingerprintOf(cert))
	require.NoError(p.t, err)
	p.raw(c, kindClaim, body)
	return body
}

func (p *peer) raw(c net.Conn, k kind, body []byte) {
	b, err := frame(k, body)
	require.NoError(p.t, err)
	_, err = c.Write(b) // a connection that is cut already says so when it is read
	_ = err
}

func (p *peer) own() []byte { return p.id.Certificate.Certificate[0] }

// cutOff wants the gateway to have closed a connection.
func cutOff(t testing.TB, c net.Conn) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
	_, err := io.Copy(io.Discard, c)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection is open still")
}

type dialled struct {
	c   net.Conn
	err error
}

func dialling(t testing.TB, g *gate, agent string) <-chan dialled {
	done := make(chan dialled, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		c, err := g.Dialer(agent).DialContext(ctx, "tcp", "10.0.0.1:5432")
		done <- dialled{c, err}
	}()
	return done
}

// What crosses an agent is not local, wherever the agent is connected from: passwords are not sent as they are.
func TestAConnectionByAnAgentIsNotLocal(t *testing.T) {
	_, g, _ := rig(t)
	at := echo(t)
	c := open(t, g, "berlin", at)
	require.Equal(t, Addr{"berlin", at}, c.RemoteAddr())
	require.Equal(t, at, c.RemoteAddr().String())
	require.Equal(t, "agent", c.RemoteAddr().Network())
}

// A claim is worth something once, on one connection, for the certificate that its dial was sent to.
func TestClaimsThatAreNotOnesOwn(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 20 * time.Second })
	berlin, paris := byHand(t, r, g, "berlin"), byHand(t, r, g, "paris")
	line := berlin.control()
	paris.control()
	done := dialling(t, g, "berlin")
	m := berlin.dialled(line)

	// Another agent that has got hold of the dial, with its key.
	other := paris.dial(protoData)
	paris.claim(other, m, paris.own())
	cutOff(t, other)
	other = paris.dial(protoData)
	paris.claim(other, m, berlin.own())
	cutOff(t, other)
	// The right agent with a key that is not the dial's.
	guess := berlin.dial(protoData)
	berlin.claim(guess, dial{ID: m.ID, Key: make([]byte, keySize)}, berlin.own())
	cutOff(t, guess)
	// A claim that was made on another connection.
	one := berlin.dial(protoData)
	tk := &ticket{id: [idSize]byte(m.ID), key: [keySize]byte(m.Key)}
	state := one.ConnectionState()
	stolen, err := tk.claim(&state, fingerprintOf(berlin.own()))
	require.NoError(t, err)
	two := berlin.dial(protoData)
	berlin.raw(two, kindClaim, stolen)
	cutOff(t, two)
	// Claims that are too short, and frames that are too long.
	for _, b := range [][]byte{nil, {1}, stolen[:claimSize-1]} {
		c := berlin.dial(protoData)
		berlin.raw(c, kindClaim, b)
		cutOff(t, c)
	}
	long := berlin.dial(protoData)
	_, err = long.Write([]byte{0xff, 0xff, 0xff, 0xff, byte(kindClaim)})
	require.NoError(t, err)
	cutOff(t, long)

	select {
	case d := <-done:
		t.Fatalf("a claim that is not the dial's has settled it: %v", d.err)
	default:
	}
	berlin.raw(one, kindClaim, stolen) // on its own connection it is right
	d := <-done
	require.NoError(t, d.err)
	defer d.c.Close()
	_, err = io.WriteString(one, "x")
	require.NoError(t, err)
	_, err = io.ReadFull(d.c, make([]byte, 1))
	require.NoError(t, err)
	// The second time it is not.
	again := berlin.dial(protoData)
	berlin.claim(again, m, berlin.own())
	cutOff(t, again)
	g.mu.Lock()
	defer g.mu.Unlock()
	require.Empty(t, g.pending)
}

// A claim that comes after its client has gone opens nothing.
func TestAClaimThatIsLate(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 20 * time.Second })
	p := byHand(t, r, g, "berlin")
	line := p.control()
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := g.Dialer("berlin").DialContext(ctx, "tcp", "10.0.0.1:5432")
		done <- err
	}()
	m := p.dialled(line)
	leave()
	require.ErrorIs(t, <-done, context.Canceled)
	k, body, err := readFrame(line, maxBody)
	require.NoError(t, err)
	require.Equal(t, kindCancel, k)
	c, err := decode[cancel](body)
	require.NoError(t, err)
	require.Equal(t, m.ID, c.ID)
	late := p.dial(protoData)
	p.claim(late, m, p.own())
	cutOff(t, late)
}

// A dial's refusal counts when it comes from the agent that was asked.
func TestAnAgentCannotRefuseForAnother(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.Beat = 20 * time.Second })
	berlin, paris := byHand(t, r, g, "berlin"), byHand(t, r, g, "paris")
	line, other := berlin.control(), paris.control()
	done := dialling(t, g, "berlin")
	m := berlin.dialled(line)
	paris.send(other, kindRefused, why{ID: m.ID, Code: CodeUnreachable, Text: "paris says so"})
	paris.send(other, kindPing, nil)
	k, _, err := readFrame(other, maxBody) // the gateway has read both
	require.NoError(t, err)
	require.Equal(t, kindPong, k)
	berlin.send(line, kindRefused, why{ID: m.ID, Code: CodeUnreachable, Text: "berlin\x1b[2J says so\n"})
	d := <-done
	require.EqualError(t, d.err, "agent berlin did not connect to 10.0.0.1:5432: berlin?[2J says so?")
}

func TestWhoIsNoAgent(t *testing.T) {
	r, elsewhere := newRegistry(t), newRegistry(t)
	g := gateway(t, r)
	p := byHand(t, r, g, "berlin")

	t.Run("without a certificate", func(t *testing.T) {
		c, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoControl}})
		if err == nil { // the client learns of it when it reads
			cutOff(t, c)
		}
	})
	t.Run("with one of another authority", func(t *testing.T) {
		other := gateway(t, elsewhere)
		q := byHand(t, elsewhere, other, "berlin")
		c, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoControl}, Certificates: []tls.Certificate{q.id.Certificate}})
		if err == nil {
			cutOff(t, c)
		}
	})
	t.Run("with the gateway's kind of certificate", func(t *testing.T) {
		c, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoControl}, Certificates: []tls.Certificate{*r.server(t)}})
		if err == nil {
			cutOff(t, c)
		}
	})
	t.Run("a data connection without a control line", func(t *testing.T) { cutOff(t, p.dial(protoData)) })
	t.Run("another protocol", func(t *testing.T) {
		for _, protos := range [][]string{nil, {"h2", "http/1.1"}, {"sallyport-agent/0"}} {
			_, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
			require.Error(t, err)
		}
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		_, err := tls.Dial("tcp", g.address, &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{protoControl}, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{p.id.Certificate},
		})
		require.Error(t, err)
	})
	t.Run("what the gateway is asked to enrol with", func(t *testing.T) {
		for _, body := range []string{``, `{}`, `{"id":"x","secret":"y"}`, `[`, strings.Repeat("x", maxBody)} {
			c, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoEnrol}})
			require.NoError(t, err)
			p.raw(c, kindEnrol, []byte(body))
			k, b, err := readFrame(c, maxBody)
			require.NoError(t, err)
			require.Equal(t, kindIssued, k)
			m, err := decode[issued](b)
			require.NoError(t, err)
			require.Empty(t, m.Chain)
			require.NotEmpty(t, m.Code)
			cutOff(t, c)
		}
	})
	for name, first := range map[string][]byte{
		"another frame first": must(encode(kindPing, nil)), "a hello that is not JSON": must(frame(kindHello, []byte("{"))),
		"a hello without an instance": must(encode(kindHello, hello{Version: 1})), "a frame that is too long": {0x7f, 0xff, 0xff, 0xff, byte(kindHello)},
		"a hello that is too long": must(frame(kindHello, []byte(`{"instance":"`+strings.Repeat("x", 1000)+`"}`))),
	} {
		t.Run(name, func(t *testing.T) {
			c := p.dial(protoControl)
			_, err := c.Write(first)
			require.NoError(t, err)
			cutOff(t, c)
			for _, st := range g.Agents() {
				require.False(t, st.Connected)
			}
		})
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestAnEnrolmentTokenCountsOnce(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	token := r.token("berlin")
	read, err := ParseToken(token.Text() + "\n")
	require.NoError(t, err)
	require.Equal(t, token, read)
	wrong := token
	wrong.Secret = newName()
	_, err = Enrolment{Gateway: g.address, Token: wrong}.Enrol(t.Context())
	require.ErrorContains(t, err, "was used, or has expired")
	_, err = Enrolment{Gateway: g.address, Token: read}.Enrol(t.Context())
	require.NoError(t, err)
	_, err = Enrolment{Gateway: g.address, Token: read}.Enrol(t.Context())
	require.ErrorContains(t, err, "was used, or has expired")
}

// A token is not sent to a gateway that is not the one that it was made at.
func TestAnEnrolmentTokenIsSentToItsGatewayOnly(t *testing.T) {
	r, elsewhere := newRegistry(t), newRegistry(t)
	other := gateway(t, elsewhere, func(s *Server) {
		s.Certificate = func() (*tls.Certificate, error) { // the authority of the right one, added to the chain
			c := elsewhere.server(t)
			c.Certificate = append(c.Certificate, r.cert.Raw)
			return c, nil
		}
	})
	token := r.token("berlin")
	elsewhere.tokens[token.ID], elsewhere.names[token.ID] = token, "berlin"
	_, err := Enrolment{Gateway: other.address, Token: token}.Enrol(t.Context())
	require.Error(t, err)
	require.Contains(t, elsewhere.tokens, token.ID, "the token was sent")
	require.NotContains(t, err.Error(), token.Secret)

	agent := r.server(t)
	agent.Certificate = r.sign("berlin", x509.ExtKeyUsageClientAuth, agent.PrivateKey.(*ecdsa.PrivateKey).Public(), ServerName)
	posing := gateway(t, r, func(s *Server) { s.Certificate = func() (*tls.Certificate, error) { return agent, nil } })
	_, err = Enrolment{Gateway: posing.address, Token: r.token("paris")}.Enrol(t.Context())
	require.Error(t, err, "an agent's certificate passes for a gateway's")
}

func TestAnAgentConnectsToItsGatewaysOnly(t *testing.T) {
	r, elsewhere := newRegistry(t), newRegistry(t)
	g, other := gateway(t, r), gateway(t, elsewhere)
	id, err := enrolled(t, r, g, "berlin").Load()
	require.NoError(t, err)
	_, err = (&Agent{}).dialGateway(t.Context(), other.address, protoControl, id)
	require.ErrorContains(t, err, "the gateway's certificate")
}

func TestTokensThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "secret", "sallyport-agent...", "sallyport-agent.a.b.c", "other.a.b." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"sallyport-agent.a.b." + base64.RawURLEncoding.EncodeToString(make([]byte, 31)), "sallyport-agent.a.b." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)) + ".c",
		"sallyport-agent." + strings.Repeat("a", 400) + ".b." + base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
	} {
		_, err := ParseToken(text)
		require.ErrorIs(t, err, errNotToken)
		if len(text) > 3 {
			require.NotContains(t, err.Error(), text)
		}
	}
}

// Nothing that opens something is in a log or an error, at any level.
func TestSecretsAreNotLogged(t *testing.T) {
	r := newRegistry(t)
	var seen logs
	g := gateway(t, r, func(s *Server) { s.Log = seen.logger() })
	token := r.token("berlin")
	id, err := Enrolment{Gateway: g.address, Token: token}.Enrol(t.Context())
	require.NoError(t, err)
	f := File(filepath.Join(t.TempDir(), "agent.json"))
	require.NoError(t, f.Save(id))
	_, err = Enrolment{Gateway: g.address, Token: token}.Enrol(t.Context())
	require.Error(t, err)
	seen.logger().Info("a token", "token", token, "text", fmt.Sprintf("%v %+v %#v %s", token, token, token, token), "err", err)
	agentAt(t, f, []string{g.address}, func(a *Agent) { a.Log = seen.logger() })
	connected(t, g, "berlin")
	say(t, open(t, g, "berlin", echo(t)), "what users send")
	_, err = g.Dialer("berlin").DialContext(t.Context(), "tcp", "192.0.2.1:80")
	require.Error(t, err)
	b, err := os.ReadFile(string(f))
	require.NoError(t, err)
	var k kept
	require.NoError(t, json.Unmarshal(b, &k))
	text := seen.String()
	require.Contains(t, text, "berlin")
	for _, secret := range []string{token.Secret, token.Text(), base64.StdEncoding.EncodeToString(k.Key), "what users send"} {
		require.NotContains(t, text, secret)
	}
}

func TestTheFileOfAnAgentIsItsOwn(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r)
	f := enrolled(t, r, g, "berlin")
	st, err := os.Stat(string(f))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	require.NoError(t, os.Chmod(string(f), 0o640))
	_, err = f.Load()
	require.ErrorContains(t, err, "0600")
	require.NoError(t, os.Chmod(string(f), 0o600))
	b, err := os.ReadFile(string(f))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(string(f), append([]byte("x"), b...), 0o600))
	_, err = f.Load()
	require.ErrorContains(t, err, "is not what enrolling writes")
	require.NotContains(t, err.Error(), string(b[:20]))
	require.NoError(t, os.WriteFile(string(f), make([]byte, maxFile+1), 0o600))
	_, err = f.Load()
	require.ErrorContains(t, err, "want at most")
}

// Silent connections and such that send rubbish keep no agent out.
func TestAFloodOfHandshakes(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.MaxUnknown, s.MaxPerAddress = 64, 1000 })
	f := enrolled(t, r, g, "berlin")
	for i := range 500 {
		c, err := net.Dial("tcp", g.address)
		require.NoError(t, err)
		defer c.Close()
		if i%2 == 0 {
			io.WriteString(c, "GET / HTTP/1.1\r\n\r\n")
		}
	}
	agentAt(t, f, []string{g.address})
	connected(t, g, "berlin")
	say(t, open(t, g, "berlin", echo(t)), "hello")
	g.admissions.mu.Lock()
	waiting := g.admissions.waiting.Len()
	g.admissions.mu.Unlock()
	require.LessOrEqual(t, waiting, 64)
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.MaxPerAddress = 4 })
	var open []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", g.address)
		require.NoError(t, err)
		defer c.Close()
		open = append(open, c)
	}
	eventually(t, func() bool {
		g.admissions.mu.Lock()
		defer g.admissions.mu.Unlock()
		return g.admissions.waiting != nil && g.admissions.waiting.Len() == 4
	})
	c, err := net.Dial("tcp", g.address)
	require.NoError(t, err)
	defer c.Close()
	cutOff(t, c)
	for _, c := range open {
		c.Close()
	}
	eventually(t, func() bool {
		g.admissions.mu.Lock()
		defer g.admissions.mu.Unlock()
		return len(g.admissions.addresses) == 0 && g.admissions.waiting.Len() == 0
	})
}

// Who is connected, but says nothing, is not waited for for ever.
func TestASilentConnectionEnds(t *testing.T) {
	r := newRegistry(t)
	g := gateway(t, r, func(s *Server) { s.HandshakeTimeout = 100 * time.Millisecond })
	p := byHand(t, r, g, "berlin")
	c, err := net.Dial("tcp", g.address)
	require.NoError(t, err)
	defer c.Close()
	cutOff(t, c)
	cutOff(t, p.dial(protoControl)) // without a hello
	e, err := tls.Dial("tcp", g.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protoEnrol}})
	require.NoError(t, err)
	cutOff(t, e)
}
