package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// TestLoginsByTheStoresClock: how long ago somebody has logged in is known by the store's clock, whatever that of the gateway's machine says:
// another gateway, whose clock differs, may have answered her login.
func TestLoginsByTheStoresClock(t *testing.T) {
	for _, ahead := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			s := &teststore.Clocked{Store: store.NewMemory()}
			s.Set(ahead)
			h := open(t, t.TempDir(), fmt.Sprintf(`
listen: {postgres: "127.0.0.1:0"}
api: {listen: "127.0.0.1:0", url: "https://gw.example.com"}
identity: {users: [{name: alice, groups: [dev], password: %[1]s}, {name: olga, groups: [ops], password: %[1]s}]}
resources: [{name: shop, type: postgres, address: "127.0.0.1:1", username: app, password: "env:APP", tls: {mode: disable}}]
access:
  - {name: ask, groups: [dev], resources: [shop], allow: [connect], request: {approvers: [ops], min_auth: {login_within: 10m}}}
  - {name: fresh, groups: [dev], resources: [shop], allow: [connect, read], when: {login_within: 10m}}
`, verifier(t)), func(o *Options) { o.Store = s })
			var olga control.Login
			require.Equal(t, http.StatusOK, h.ask(t, "", "POST", "/v1/login", control.Password{User: "olga", Password: password}, &olga))
			approve := func() int {
				alice := &proxy.Identity{Subject: "alice", Groups: []string{"dev"}}
				terms, err := h.requestable(t.Context(), alice, "", "shop", "")
				require.NoError(t, err)
				r, err := h.desk.Ask(t.Context(), alice, review.Ask{Resource: "shop", Terms: terms[0], For: time.Hour, Reason: "INC-1"})
				require.NoError(t, err)
				defer func() {
					_, err := h.desk.Cancel(t.Context(), r.ID, alice)
					require.NoError(t, err)
				}()
				return h.ask(t, olga.Token, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash}, nil)
			}
			require.Equal(t, http.StatusOK, approve(), "she has logged in just now")
			user, err := h.parts().users.Authenticate(t.Context(), proxy.Proof{Method: proxy.MethodPassword, User: "alice", Password: proxy.NewSecret(password)})
			require.NoError(t, err)
			require.WithinDuration(t, h.desk.Now(), user.AuthTime, time.Minute, "by a client of a resource, too")
			require.WithinDuration(t, h.desk.Now(), h.Proxy().Now(), time.Minute, "and rules go by it")

			s.Set(ahead + 20*time.Minute)
			require.Eventually(t, func() bool { return h.desk.Now().After(time.Now().Add(ahead + 19*time.Minute)) }, 30*time.Second, 10*time.Millisecond)
			require.Equal(t, http.StatusForbidden, approve(), "that was twenty minutes ago")
			require.Equal(t, http.StatusOK, h.ask(t, olga.Token, "POST", "/v1/me/prove", control.Again{Password: password}, nil))
			require.Equal(t, http.StatusOK, approve(), "she has proven herself again")
		})
	}
}
