package aws

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// doors decides who may connect to what, and remembers what was asked.
type doors struct {
	mu    sync.Mutex
	asked []string
}

func (*doors) Name() string { return "doors" }

func (d *doors) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(_ context.Context, op proxy.Op) proxy.Verdict {
		c, ok := op.(*proxy.Connect)
		if !ok {
			return proxy.Pass()
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		name := c.Target.Resource.Name
		d.asked = append(d.asked, s.Identity.Subject+" "+name)
		switch {
		case name == "other" && s.Identity.Subject == "alice":
			return proxy.Verdict{Action: proxy.ActionHold, Rule: "doors", Hold: &proxy.Hold{Rules: []string{"doors"}, Approvers: [][]string{{"lead"}}, For: time.Minute}}
		case name == "other":
			return proxy.Deny(proxy.CausePolicy, "doors", "bob may not use it", "")
		}
		return proxy.Pass()
	}}, nil
}

func (d *doors) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.asked...)
}

// TestAttackIssue: who may not use an account does not learn that there is one of this name, by status, text or what is asked; and nobody
// learns anything before a proof has been found right.
func TestAttackIssue(t *testing.T) {
	d := &doors{}
	r, _ := start(t, ok, func(r *rig) {
		r.gateway.Interceptors = append([]proxy.Interceptor{d}, r.gateway.Interceptors...)
		r.gateway.Reviewer = &desk{}
	})
	get := func(user, name string) *reply {
		req := must(http.NewRequest("POST", "https://"+domain+IssuePath+name, nil))
		req.Header.Set("Authorization", "Bearer sp_"+user)
		res, err := r.client().Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return &reply{res, string(b)}
	}
	forbidden, unknown := get("bob", "other"), get("bob", "none")
	require.Equal(t, http.StatusNotFound, forbidden.StatusCode, forbidden.text)
	require.Equal(t, forbidden.StatusCode, unknown.StatusCode)
	require.Equal(t, forbidden.text, unknown.text)
	forbidden.Header.Del("Date")
	unknown.Header.Del("Date")
	require.Equal(t, forbidden.Header, unknown.Header)
	require.Equal(t, []string{"bob other", "bob none"}, d.list())
	require.Equal(t, http.StatusOK, get("bob", "prod").StatusCode)
	require.Equal(t, http.StatusOK, get("alice", "other").StatusCode, "she could after an approval")
	require.Empty(t, r.gateway.Sessions(), "nothing was opened")

	r.people.logout("eve")
	for _, name := range []string{"prod", "other", "none"} {
		res := get("eve", name)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode, name)
		require.Equal(t, get("eve", "prod").text, res.text, name)
	}
	require.NotContains(t, d.list(), "eve prod")
}
