package control_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/proxy"
)

// checked counts the passwords that are looked at, of which each has to be let go where
// there is a gate.
type checked struct {
	proxy.Authenticator
	n, at, most atomic.Int32
	gate        chan struct{}
}

func (c *checked) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	c.n.Add(1)
	at := c.at.Add(1)
	defer c.at.Add(-1)
	for most := c.most.Load(); at > most && !c.most.CompareAndSwap(most, at); most = c.most.Load() {
	}
	if c.gate != nil {
		<-c.gate
	}
	return c.Authenticator.Authenticate(ctx, p)
}

// from logs in from an address, as long as ctx goes on.
func (s *site) from(ctx context.Context, address, user, password string) int {
	body, _ := json.Marshal(control.Password{User: user, Password: password})
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/login", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = address
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

// guess has logins come from n addresses at a time, and returns how many had each answer.
func (s *site) guess(n int, address func(i int) string, user func(i int) string) map[int]int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes := map[int]int{}
	for i := range n {
		wg.Go(func() {
			code := s.from(ctx, address(i), user(i), "wrong")
			mu.Lock()
			defer mu.Unlock()
			if codes[code]++; codes[http.StatusTooManyRequests] > 20 {
				cancel() // the others wait for their turn
			}
		})
	}
	wg.Wait()
	return codes
}

// TestPortalGuessing: nobody who has many addresses guesses much, or keeps out who has the
// right password.
func TestPortalGuessing(t *testing.T) {
	network := func(i int) string { return fmt.Sprintf("[2001:db8:7:%x::1]:%d", i, 1000+i) }
	anybody := func(i int) string { return fmt.Sprint("user", i) }
	t.Run("one network", func(t *testing.T) {
		s := openSite(t)
		c := &checked{Authenticator: s.portal.Passwords}
		s.portal.Passwords = c
		codes := s.guess(300, network, anybody)
		require.Less(t, int(c.n.Load()), 60, codes)
		require.Greater(t, codes[http.StatusTooManyRequests], 20)
		require.Equal(t, http.StatusOK, s.from(t.Context(), "192.0.2.9:7", "bob", "bob"), "others are not kept out")
	})
	t.Run("everywhere", func(t *testing.T) {
		s := openSite(t)
		home := "192.0.2.9:7"
		require.Equal(t, http.StatusOK, s.from(t.Context(), home, "eve", "eve"))
		c := &checked{Authenticator: s.portal.Passwords}
		s.portal.Passwords = c
		codes := s.guess(500, func(i int) string { return fmt.Sprintf("198.51.%d.%d:80", i>>8, i&255) }, anybody)
		require.Less(t, int(c.n.Load()), 150, codes)
		require.Equal(t, http.StatusOK, s.from(t.Context(), home, "eve", "eve"))
		require.Equal(t, http.StatusOK, s.from(t.Context(), "203.0.113.5:80", "bob", "bob"), "late, and let in")
	})
	t.Run("one name", func(t *testing.T) {
		s := openSite(t)
		codes := s.guess(60, func(i int) string { return fmt.Sprintf("198.51.100.%d:80", i) }, func(int) string { return "bob" })
		require.Equal(t, 60, codes[http.StatusUnauthorized])
		require.Equal(t, http.StatusOK, s.from(t.Context(), "203.0.113.5:80", "bob", "bob"), "late, and let in")
	})
	t.Run("at a time", func(t *testing.T) {
		s := openSite(t)
		c := &checked{Authenticator: s.portal.Passwords, gate: make(chan struct{})}
		s.portal.Passwords = c
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { s.from(t.Context(), fmt.Sprintf("198.51.100.%d:80", i), anybody(i), "wrong") })
		}
		for range 20 {
			c.gate <- struct{}{}
		}
		wg.Wait()
		require.LessOrEqual(t, c.most.Load(), int32(2), "listeners check passwords too")
	})
}

// TestPortalQuiet: what anybody can cause fills no record.
func TestPortalQuiet(t *testing.T) {
	s := openSite(t)
	long := strings.Repeat("é", 10_000)
	before := len(s.own(t))
	for i := range 200 {
		r := httptest.NewRequest("GET", "/v1/users", nil)
		r.RemoteAddr = fmt.Sprintf("198.51.100.%d:80", i)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		if i < 15 {
			s.from(t.Context(), r.RemoteAddr, fmt.Sprint(i, long), "wrong")
		}
	}
	s.login(t, "bob")
	var own []*audit.Event
	require.Eventually(t, func() bool {
		own = s.own(t)[before:]
		return len(own) > 0 && own[len(own)-1].Type == "gateway.login"
	}, 10*time.Second, 10*time.Millisecond)
	own = own[:len(own)-1]
	require.NotEmpty(t, own)
	require.LessOrEqual(t, len(own), 50)
	for _, e := range own {
		require.LessOrEqual(t, len(e.User), 128)
		require.Equal(t, "gateway.login-failed", e.Type)
	}
}
