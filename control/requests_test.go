package control_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/proxy/proxytest"
)

// Over the API: seen by those who may, decided by a proven user, on record.
func TestRequests(t *testing.T) {
	d := openDesk(t, control.Review)
	require.Equal(t, http.StatusNotFound, d.do("guest", "GET", "/v1/requests", "").Code, "nothing is held")
	verifier, err := identity.NewVerifier("correct horse")
	require.NoError(t, err)
	users, err := identity.NewUsers([]identity.User{{Name: "bob", Groups: []string{"ops"}, Password: verifier}, {Name: "eve", Password: verifier}})
	require.NoError(t, err)
	d.reviews(t)
	d.handler.Deciders = users
	hold, err := d.handler.Requests.Request(context.Background(), d.session, proxytest.Statement("DELETE FROM t", proxy.EffectDelete), &proxy.Hold{
		Rules: []string{"big"}, Message: "x", Approvers: [][]string{{"ops"}}, For: time.Minute,
	})
	require.NoError(t, err)

	w := d.do("guest", "GET", "/v1/requests", "")
	require.Equal(t, http.StatusOK, w.Code)
	var all control.Requests
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &all))
	require.Len(t, all.Requests, 1)
	r := all.Requests[0]
	require.Equal(t, "DELETE FROM t", r.Text)
	require.Equal(t, http.StatusOK, d.do("guest", "GET", "/v1/requests/"+r.ID, "").Code)
	require.Equal(t, http.StatusNotFound, d.do("guest", "GET", "/v1/requests/nothing", "").Code)
	require.Equal(t, http.StatusUnauthorized, d.do("", "GET", "/v1/requests", "").Code)

	body := func(user, password, hash, reason string) string {
		b, err := json.Marshal(map[string]string{"user": user, "password": password, "hash": hash, "reason": reason})
		require.NoError(t, err)
		return string(b)
	}
	for name, c := range map[string]struct {
		verb, body string
		code       int
	}{
		"wrong password": {"approve", body("bob", "hunter2", r.Hash, ""), http.StatusUnauthorized},
		"no such user":   {"approve", body("nobody", "correct horse", r.Hash, ""), http.StatusUnauthorized},
		"not eligible":   {"approve", body("eve", "correct horse", r.Hash, ""), http.StatusForbidden},
		"not seen":       {"approve", body("bob", "correct horse", "", ""), http.StatusConflict},
		"no reason":      {"deny", body("bob", "correct horse", r.Hash, ""), http.StatusBadRequest},
		"no body":        {"approve", "", http.StatusBadRequest},
		"less of it":     {"approve", strings.Replace(body("bob", "correct horse", r.Hash, ""), "{", `{"seconds":60,`, 1), http.StatusBadRequest},
		"a part of it":   {"approve", strings.Replace(body("bob", "correct horse", r.Hash, ""), "{", `{"actions":["read"],`, 1), http.StatusBadRequest},
		"unknown key":    {"approve", `{"admin": true}`, http.StatusBadRequest},
	} {
		require.Equal(t, c.code, d.do("guest", "POST", "/v1/requests/"+r.ID+"/"+c.verb, c.body).Code, name)
	}
	require.Equal(t, http.StatusNotFound, d.do("guest", "POST", "/v1/requests/nothing/approve", body("bob", "correct horse", r.Hash, "")).Code)
	require.Equal(t, http.StatusForbidden, openDesk(t, control.List).do("guest", "POST", "/v1/requests/"+r.ID+"/approve", "{}").Code, "a permission of its own")

	w = d.do("guest", "POST", "/v1/requests/"+r.ID+"/approve", body("bob", "correct horse", r.Hash, "fine"))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	v := hold.Wait(context.Background())
	require.False(t, v.Refuses())
	got, err := d.handler.Requests.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "bob", got.DecidedBy)
	require.Equal(t, "control socket, guest", got.Channel, "who opened the socket is on record beside who decided")
	require.Equal(t, http.StatusConflict, d.do("guest", "POST", "/v1/requests/"+r.ID+"/deny", body("bob", "correct horse", r.Hash, "x")).Code)

	var refused []string
	for _, e := range d.own(t) {
		b, err := json.Marshal(e)
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2")
		if e.Type == "admin.refused" && e.Action == "admin.decide" {
			refused = append(refused, e.Reason)
		}
	}
	require.Contains(t, strings.Join(refused, "\n"), "as eve: you may not decide about this request")
	require.Contains(t, strings.Join(refused, "\n"), "as bob: authentication failed")
}
