package scram

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The exchange of RFC 7677, section 3.
func TestVectors(t *testing.T) {
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	require.NoError(t, err)
	const (
		first  = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
		reply  = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
		final  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
		finish = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
	)
	v, err := Derive("pencil", salt, 4096)
	require.NoError(t, err)
	s := &Server{Verifier: v}
	_, err = s.First(Mechanism, []byte(first))
	require.NoError(t, err)
	s.nonce, s.auth = strings.TrimPrefix(strings.Split(reply, ",")[0], "r="), "n=user,r=rOprNGfwEbeRWgbNEkqO,"+reply
	got, err := s.Final([]byte(final))
	require.NoError(t, err)
	require.Equal(t, finish, string(got))

	c := &Client{Password: "pencil", gs2: "n,,", bare: "n=user,r=rOprNGfwEbeRWgbNEkqO", nonce: "rOprNGfwEbeRWgbNEkqO"}
	proof, err := c.Final([]byte(reply))
	require.NoError(t, err)
	require.Equal(t, final, string(proof))
	require.NoError(t, c.Verify([]byte(finish)))
}

// exchange runs both sides; change may alter each message on its way.
func exchange(c *Client, s *Server, offered []string, change func(step int, m string) string) error {
	mechanism, m, err := c.First(offered)
	if err != nil {
		return err
	}
	if m, err = s.First(mechanism, []byte(change(0, string(m)))); err != nil {
		return err
	}
	if m, err = c.Final([]byte(change(1, string(m)))); err != nil {
		return err
	}
	if m, err = s.Final([]byte(change(2, string(m)))); err != nil {
		return err
	}
	return c.Verify([]byte(change(3, string(m))))
}

func TestExchange(t *testing.T) {
	v, err := NewVerifier("secret")
	require.NoError(t, err)
	same := func(_ int, m string) string { return m }
	both := []string{MechanismPlus, Mechanism}
	for _, c := range []struct {
		name           string
		password       string
		client, server []byte // bindings
		offered        []string
		ok             bool
	}{
		{"plain", "secret", nil, nil, both[1:], true},
		{"wrong password", "Secret", nil, nil, both[1:], false},
		{"bound", "secret", []byte("cert"), []byte("cert"), both, true},
		{"bound to another certificate", "secret", []byte("mine"), []byte("theirs"), both, false},
		{"the offer of binding was taken away", "secret", []byte("cert"), []byte("cert"), both[1:], false},
		{"the client cannot bind", "secret", nil, []byte("cert"), both, true},
		{"the server cannot bind", "secret", []byte("cert"), nil, both[1:], true},
		{"nothing in common", "secret", nil, nil, []string{"MAGIC"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := exchange(&Client{Password: c.password, Binding: c.client}, &Server{Verifier: v, Binding: c.server}, c.offered, same)
			require.Equal(t, c.ok, err == nil, "%v", err)
		})
	}
	require.Error(t, exchange(&Client{Password: "secret"}, &Server{Verifier: Mock([]byte("key"), "nobody")}, both[1:], same))
}

// What a peer or somebody between changes breaks the exchange.
func TestAttack10ChangedMessages(t *testing.T) {
	v, err := NewVerifier("secret")
	require.NoError(t, err)
	replace := func(step int, old, new string) func(int, string) string {
		return func(at int, m string) string {
			if at == step {
				return strings.Replace(m, old, new, 1)
			}
			return m
		}
	}
	iterations := fmt.Sprintf("i=%d", DefaultIterations)
	for name, change := range map[string]func(int, string) string{
		"client's nonce":          replace(0, "r=", "r=x"),
		"authorisation name":      replace(0, "n,,", "n,a=root,"),
		"binding flag":            replace(0, "n,,", "y,,"),
		"binding asked":           replace(0, "n,,", "p=tls-server-end-point,,"),
		"mandatory extension":     replace(0, "n=,", "m=x,n=,"),
		"no nonce":                replace(0, "r=", "x="),
		"server's nonce":          replace(1, "r=", "r=x"),
		"iteration count 1":       replace(1, iterations, "i=1"),
		"iteration count 2^31":    replace(1, iterations, "i=2147483648"),
		"iteration count -1":      replace(1, iterations, "i=-1"),
		"no iteration count":      replace(1, ","+iterations, ""),
		"no salt":                 replace(1, "s=", "s=,x="),
		"64 KiB of a nonce":       replace(1, "r=", "r="+strings.Repeat("a", 65536)),
		"proof":                   replace(2, ",p=", ",p=AAAA"),
		"no proof":                replace(2, ",p=", ",q="),
		"final nonce":             replace(2, "r=", "r=x"),
		"final binding":           replace(2, "c=biws", "c=eSws"),
		"server's proof":          replace(3, "v=", "v=AAAA"),
		"an error as the proof":   replace(3, "v=", "e="),
		"an empty server's proof": func(at int, m string) string { return map[bool]string{true: "v=", false: m}[at == 3] },
	} {
		t.Run(name, func(t *testing.T) {
			plain := []string{Mechanism}
			require.Error(t, exchange(&Client{Password: "secret"}, &Server{Verifier: v}, plain, change))
		})
	}
	t.Run("replayed", func(t *testing.T) {
		c, s := &Client{Password: "secret"}, &Server{Verifier: v}
		var last string
		require.NoError(t, exchange(c, s, []string{Mechanism}, func(at int, m string) string {
			if at == 2 {
				last = m
			}
			return m
		}))
		_, err := s.Final([]byte(last))
		require.Error(t, err, "twice in one exchange")
		again := &Server{Verifier: v}
		_, first, err := (&Client{Password: "secret"}).First([]string{Mechanism})
		require.NoError(t, err)
		_, err = again.First(Mechanism, first)
		require.NoError(t, err)
		_, err = again.Final([]byte(last))
		require.Error(t, err, "in another exchange")
	})
}

func TestVerifiers(t *testing.T) {
	v, err := NewVerifier("secret")
	require.NoError(t, err)
	got, err := ParseVerifier(v.String())
	require.NoError(t, err)
	require.Equal(t, v, got)
	require.True(t, v.Matches("secret"))
	require.False(t, v.Matches("secrets"))
	require.Equal(t, Mock([]byte("k"), "a"), Mock([]byte("k"), "a"))
	require.NotEqual(t, Mock([]byte("k"), "a"), Mock([]byte("k"), "b"))
	for _, s := range []string{
		"", "secret", "md5abc", "SCRAM-SHA-256$", strings.Replace(v.String(), "4096", "0", 1), strings.Replace(v.String(), "4096", "99999999", 1),
		strings.Replace(v.String(), ":", "", 1), v.String() + "AAAA", "SCRAM-SHA-1" + strings.TrimPrefix(v.String(), Mechanism),
	} {
		_, err := ParseVerifier(s)
		require.Error(t, err, s)
	}
}

func FuzzServer(f *testing.F) {
	v, err := Derive("secret", []byte("salt"), MinIterations)
	require.NoError(f, err)
	f.Add("n,,n=,r=abc", "c=biws,r=abc,p=AAAA", false)
	f.Add("p=tls-server-end-point,,n=,r=abc", "c=,r=,p=", true)
	f.Fuzz(func(t *testing.T, first, final string, plus bool) {
		s, mechanism := &Server{Verifier: v}, Mechanism
		if plus {
			s.Binding, mechanism = []byte("cert"), MechanismPlus
		}
		if _, err := s.First(mechanism, []byte(first)); err == nil {
			if _, err := s.Final([]byte(final)); err == nil {
				t.Fatal("let in without the password")
			}
		}
		c := &Client{Password: "secret"}
		c.First([]string{Mechanism})
		if _, err := c.Final([]byte(first)); err == nil {
			t.Fatal("a server that does not know the nonce was answered")
		}
		c.Verify([]byte(final))
		ParseVerifier(first)
	})
}
