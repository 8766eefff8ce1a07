package control_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
)

// kept are hosts that a test keeps.
type kept []control.Host

func (k *kept) List(context.Context) ([]control.Host, error) { return *k, nil }

func (k *kept) Forget(_ context.Context, name, by, reason string, record func(keys []string) error) (*control.Host, error) {
	for i := range *k {
		h := &(*k)[i]
		if h.Name != name {
			continue
		}
		if err := record([]string{h.Key}); err != nil {
			return nil, err
		}
		h.Forgotten = append(h.Forgotten, control.ForgottenKey{Key: h.Key, By: by, Reason: reason})
		h.Key = ""
		return h, nil
	}
	return nil, control.NotFound("no such host")
}

// TestHosts: administrators see by which keys hosts are known and have one forgotten, with a reason and on record; nobody else does.
func TestHosts(t *testing.T) {
	s := openSite(t)
	ada, eve := s.login(t, "ada"), s.login(t, "eve")
	why := map[string]any{"reason": "set up anew"}
	for _, path := range []string{"/v1/hosts", "/v1/hosts/vm1/forget"} {
		method, body := "GET", any(nil)
		if path != "/v1/hosts" {
			method, body = "POST", why
		}
		status, _ := s.do(t, ada, method, path, body)
		require.Equal(t, http.StatusNotFound, status, "there are none")
	}
	s.handler.Hosts = &kept{{Name: "vm1", Protocol: "ssh", Key: "SHA256:x"}}
	require.Equal(t, "SHA256:x", answer[control.HostList](t, s, ada, "GET", "/v1/hosts", nil).Hosts[0].Key)
	for _, tt := range []struct {
		who    string
		path   string
		body   any
		status int
	}{
		{eve, "/v1/hosts/vm1/forget", why, http.StatusForbidden},
		{ada, "/v1/hosts/vm1/forget", map[string]any{"reason": " "}, http.StatusBadRequest},
		{ada, "/v1/hosts/vm1/forget", map[string]any{"reason": "a\nb"}, http.StatusBadRequest},
		{ada, "/v1/hosts/vm2/forget", why, http.StatusNotFound},
	} {
		status, _ := s.do(t, tt.who, "POST", tt.path, tt.body)
		require.Equal(t, tt.status, status, tt)
	}
	status, _ := s.do(t, eve, "GET", "/v1/hosts", nil)
	require.Equal(t, http.StatusForbidden, status)
	require.Equal(t, "ada", answer[control.Host](t, s, ada, "POST", "/v1/hosts/vm1/forget", why).Forgotten[0].By)
	var told []string
	for _, e := range s.own(t) {
		if e.Type == audit.AdminConfigure || e.Type == audit.AdminConfiguration && e.Reason == "hosts" {
			told = append(told, e.User+" "+e.Action+" "+e.Reason)
		}
	}
	require.Equal(t, []string{"ada  hosts", "ada forget host vm1 SHA256:x: set up anew"}, told)
}
