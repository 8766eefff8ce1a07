package webhook

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/webhook"
)

func batch() []audit.Outgoing {
	return []audit.Outgoing{
		{Session: "s1", Index: 4, Type: audit.OperationEnd, JSON: []byte(`{"i":4,"type":"operation.end"}`)},
		{Session: "s1", Index: 5, Type: audit.SessionEnd, JSON: []byte(`{"i":5,"type":"session.end"}`)},
	}
}

func key(t *testing.T, text string) Key {
	t.Helper()
	k, err := ParseKey(text)
	require.NoError(t, err)
	return k
}

var (
	secret  = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	private = "whsk_" + base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnopqrstuvwxyz012345"))
)

// endpoint is a TLS server and a sink that trusts it.
func endpoint(t *testing.T, h http.HandlerFunc) (*httptest.Server, *Sink) {
	t.Helper()
	srv := httptest.NewTLSServer(h)
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	s, err := New(Config{URL: srv.URL + "/hook?token=hunter2", Called: "hook", Keys: []Key{key(t, secret), key(t, private)}, Private: true, TLS: &tls.Config{RootCAs: pool}})
	require.NoError(t, err)
	return srv, s
}

// The receiver checks what it got as the specification says, with both kinds of
// signatures; what comes again has the same identifier.
func TestSignatures(t *testing.T) {
	var ids []string
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key(t, private).Public(), "whpk_"))
	require.NoError(t, err)
	_, s := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		ids = append(ids, r.Header.Get("webhook-id"))
		content := fmt.Appendf(nil, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
		mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
		mac.Write(content)
		list := strings.Fields(r.Header.Get("webhook-signature"))
		require.Len(t, list, 2)
		require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), list[0])
		sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(list[1], "v1a,"))
		require.NoError(t, err)
		require.True(t, ed25519.Verify(public, content, sig))
		var message struct {
			Type string
			Data struct{ Events []audit.Event }
		}
		require.NoError(t, json.Unmarshal(body, &message))
		require.Equal(t, "audit.events", message.Type)
		require.Equal(t, uint64(4), message.Data.Events[0].Index)
		w.WriteHeader(http.StatusNoContent)
	})
	require.NoError(t, s.Deliver(t.Context(), batch()))
	require.NoError(t, s.Deliver(t.Context(), batch()))
	require.Equal(t, ids[0], ids[1])
	require.NoError(t, s.Deliver(t.Context(), batch()[:1]))
	require.NotEqual(t, ids[0], ids[2])
}

func TestAnswers(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	status := 0
	_, s := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(status)
		io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	for _, status = range []int{301, 307, 308, 400, 401, 404, 410, 429, 500, 503} {
		err := s.Deliver(t.Context(), batch())
		require.Error(t, err, status)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Zero(t, elsewhere, "redirects are not followed")
	status = http.StatusRequestEntityTooLarge
	var large *audit.TooLargeError
	require.ErrorAs(t, s.Deliver(t.Context(), batch()), &large)
	status = http.StatusAccepted
	require.NoError(t, s.Deliver(t.Context(), batch()))
}

// What fails on the way names no part of the URL but where it goes.
func TestFailures(t *testing.T) {
	srv, s := endpoint(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		panic(http.ErrAbortHandler) // a return would be an answer, which can overtake the client's leaving
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.Error(t, s.Deliver(ctx, batch()), "an endpoint that says nothing")
	srv.CloseClientConnections()
	srv.Close()
	err := s.Deliver(t.Context(), batch())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
	srv, _ = endpoint(t, func(http.ResponseWriter, *http.Request) {})
	s, err = New(Config{URL: srv.URL, Called: "x", Keys: []Key{key(t, secret)}, Private: true}) // without the endpoint's certificate
	require.NoError(t, err)
	require.ErrorContains(t, s.Deliver(t.Context(), batch()), "certificate")
}

func TestGuard(t *testing.T) {
	// A name that leads to loopback does not get there.
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	defer srv.Close()
	s, err := New(Config{URL: strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), Called: "x", Keys: []Key{key(t, secret)}})
	require.NoError(t, err)
	require.ErrorIs(t, s.Deliver(t.Context(), batch()), webhook.ErrPrivate)
}

func TestConfig(t *testing.T) {
	keys := []Key{key(t, secret)}
	for name, c := range map[string]Config{
		"no key":      {URL: "https://example.com"},
		"plain http":  {URL: "http://example.com", Keys: keys},
		"a user":      {URL: "https://u:p@example.com", Keys: keys},
		"no host":     {URL: "https:///x", Keys: keys},
		"file":        {URL: "file:///etc/passwd", Keys: keys},
		"no URL":      {Keys: keys},
		"a wrong URL": {URL: "https://\x00", Keys: keys},
	} {
		_, err := New(c)
		require.Error(t, err, name)
	}
	for _, text := range []string{"", "hunter2", "whsec_", "whsec_aaaa", "whsec_!", "whsk_AAAA", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)), "whsk_" + base64.StdEncoding.EncodeToString(make([]byte, 64))} {
		_, err := ParseKey(text)
		require.Error(t, err, text)
		require.False(t, len(text) > 6 && strings.Contains(err.Error(), text))
	}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", keys, keys, keys, keys[0]), "0123")
}
