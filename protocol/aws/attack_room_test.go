package aws

import (
	"bufio"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// held is how much room there is taken.
func (r *room) held() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

// TestAttackRoom: who knows a session token and not its secret key, as from a presigned address, takes up a bounded part of the gateway with
// bodies that are read before the signature is checked. Other logins are served, and what was taken is given back.
func TestAttackRoom(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) { r.handler.Shared = &Shared{} })
	alice, bob := r.keys("alice"), r.keys("bob")
	leaked := sigv4.Keys{ID: alice.ID, Secret: "not known", Token: alice.Token}
	headers := []string{"Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810.PutItem"}
	begin := func() *tls.Conn {
		req := r.request(leaked, ask{service: "dynamodb", method: "POST", uri: "/", headers: headers})
		c, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: r.ca.Pool, ServerName: domain, NextProtos: []string{"http/1.1"}})
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", domain, maxBody)
		require.NoError(t, err)
		require.NoError(t, req.Header.Write(c))
		_, err = io.WriteString(c, "\r\n")
		require.NoError(t, err)
		return c
	}
	var open []*tls.Conn
	for n := int64(maxBody); n <= maxOwnRoom; n += maxBody {
		open = append(open, begin())
		require.Eventually(t, func() bool { return r.handler.Shared.room.held() == n }, 10*time.Second, time.Millisecond)
	}
	res, err := http.ReadResponse(bufio.NewReader(begin()), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "SlowDown", res.Header.Get("X-Amzn-Errortype"))
	require.Equal(t, 200, r.dynamo(bob, "PutItem", `{"TableName":"orders"}`).StatusCode)
	for _, c := range open {
		c.Close()
	}
	require.Eventually(t, func() bool { return r.handler.Shared.room.held() == 0 }, 10*time.Second, time.Millisecond)
	require.Equal(t, 200, r.dynamo(alice, "PutItem", `{"TableName":"orders"}`).StatusCode)
	require.Len(t, sent(), 2)
	require.Eventually(t, func() bool { return r.handler.Shared.room.held() == 0 }, 10*time.Second, time.Millisecond)
}

// TestRoom: there is a bound for each, and one for all.
func TestRoom(t *testing.T) {
	var r room
	require.False(t, r.take("a", maxOwnRoom+1))
	for i := range maxRoom / maxOwnRoom {
		require.True(t, r.take(fmt.Sprint(i), maxOwnRoom))
		require.False(t, r.take(fmt.Sprint(i), 1))
	}
	require.False(t, r.take("another", 1))
	r.give("0", maxOwnRoom)
	require.True(t, r.take("another", 1))
	require.NotContains(t, r.own, "0")
}

// TestAttackKeyring: where the gateway fails at its own key, clients are not told how.
func TestAttackKeyring(t *testing.T) {
	r, sent := start(t, ok, func(r *rig) {
		r.handler.Keys = &Keyring{KeyOf: func(string, func() (crypto.PrivateKey, error)) (crypto.PrivateKey, error) {
			return nil, errors.New("open /var/lib/gateway/keys: permission denied")
		}}
	})
	res := r.send(sigv4.Keys{ID: "SPGKA", Secret: "a", Token: "SP1.A"}, ask{method: "GET", uri: "/bucket/key"})
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, res.text)
	require.NotContains(t, res.text, "permission denied")
	require.NotContains(t, res.text, "/var/lib")
	require.Contains(t, r.log.String(), "permission denied")
	require.Empty(t, sent())
}
