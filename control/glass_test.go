package control_test

import (
	"context"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// TestBreakGlass: only a person takes access without an approval who has proven herself right now, by a second factor too; others review
// it, and she may not again before.
func TestBreakGlass(t *testing.T) {
	s := openSite(t)
	const skew = -time.Hour // logins are by the store's clock, and not by that of the gateway which answers
	clocked := &teststore.Clocked{Store: store.NewMemory()}
	clocked.Set(skew)
	desk := &review.Desk{Store: clocked, Note: s.handler.Gateway.Note}
	require.NoError(t, desk.Load(t.Context()))
	terms := review.Terms{
		Rule: "prod", Actions: []string{"connect", "read"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}},
		For: time.Hour, Max: 2 * time.Hour, Decide: time.Hour, Reason: "INC-[0-9]+",
	}
	s.handler.Requests = desk
	s.portal.Access = &control.Access{Terms: func(_ context.Context, who *proxy.Identity, _, _, _ string) ([]review.Terms, error) {
		t := terms
		if who.In("shop") {
			t.BreakGlass = 30 * time.Minute
		}
		return []review.Terms{t}, nil
	}}
	var old time.Duration // of what callers have proven
	s.handler.Authenticate = func(r *http.Request) (*proxy.Identity, error) {
		id, err := s.handler.Known(r)
		if err != nil {
			return nil, err
		}
		was := *id
		was.Claims, was.AuthTime = maps.Clone(id.Claims), id.AuthTime.Add(skew-old)
		return &was, nil
	}
	bob, eve, olga, ada := s.login(t, "bob"), s.login(t, "eve"), s.login(t, "olga"), s.login(t, "ada")
	ask := control.AccessRequest{Resource: "orders", Reason: "everything is down", BreakGlass: true}
	refused := func(token string, want int, says string) {
		t.Helper()
		status, text := s.do(t, token, "POST", "/v1/requests", ask)
		require.Equal(t, want, status, text)
		require.Contains(t, text, says)
	}
	require.Equal(t, int64(1800), answer[control.TermsList](t, s, bob, "GET", "/v1/resources/orders/terms", nil).Terms[0].BreakGlass, "a user who may is told so")
	require.Zero(t, answer[control.TermsList](t, s, eve, "GET", "/v1/resources/orders/terms", nil).Terms[0].BreakGlass)
	refused(bob, http.StatusForbidden, "this one had none")
	refused(eve, http.StatusForbidden, "no rule lets you take that without an approval at orders; ask for it")
	s.enrol(t, bob, "bob")
	old = control.GlassFresh + time.Second
	refused(bob, http.StatusForbidden, "at most 5 minutes old: prove yourself again")
	old = 0
	_, _, byCertificate := s.certify(t, bob)
	status, text := s.ask(t, byCertificate, "", "POST", "/v1/requests", ask)
	require.Equal(t, http.StatusForbidden, status, text)
	token := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret
	refused(token, http.StatusForbidden, "only a person who has logged in")
	require.Empty(t, desk.List())
	refusals := 0
	for _, e := range s.own(t) {
		if e.Type == audit.AdminRefused && e.Action == audit.AdminAsk {
			refusals++
			require.Contains(t, e.Reason, "break-glass at orders: ")
		}
	}
	require.Equal(t, 4, refusals, "who tries is on record")

	r := answer[review.Request](t, s, bob, "POST", "/v1/requests", ask)
	require.Equal(t, review.Approved, r.State)
	require.Equal(t, "password ("+identity.MethodsFactor+")", r.Access.Glass.Proof)
	require.Equal(t, 30*time.Minute, r.Access.Grant.Until.Sub(r.Access.Grant.From))
	for _, e := range s.own(t) {
		if e.Type == "review.break_glass" {
			require.Contains(t, e.Channel, "password (pwd otp mfa) at 127.0.0.1:")
			require.Equal(t, "everything is down", e.Reason)
			text = e.Request
		}
	}
	require.Equal(t, r.ID, text, "it is on record")
	refused(bob, http.StatusConflict, "you have broken the glass before, by request "+r.ID)

	at := "/v1/requests/" + r.ID
	verdict := control.ReviewDecision{Decision: control.Decision{Hash: r.Hash, Reason: "as it was"}}
	status, text = s.do(t, olga, "POST", at+"/review", verdict)
	require.Equal(t, http.StatusConflict, status, text)
	require.Contains(t, text, "once it has ended")
	answer[review.Request](t, s, olga, "POST", at+"/revoke", control.ReasonRequest{Reason: "enough"})
	go desk.Run(t.Context())
	require.Eventually(t, func() bool {
		return answer[review.Request](t, s, olga, "GET", at, nil).State == review.ReviewDue
	}, 20*time.Second, 10*time.Millisecond)
	require.Len(t, answer[control.Requests](t, s, olga, "GET", "/v1/requests", nil).Requests, 1, "it is there until it is reviewed")
	for name, c := range map[string]struct {
		token string
		body  control.ReviewDecision
		want  int
	}{
		"herself":       {bob, verdict, http.StatusForbidden},
		"somebody":      {eve, verdict, http.StatusNotFound},
		"without a why": {olga, control.ReviewDecision{Decision: control.Decision{Hash: r.Hash}}, http.StatusBadRequest},
		"not seen":      {olga, control.ReviewDecision{Decision: control.Decision{Reason: "x"}}, http.StatusConflict},
		"less of it":    {olga, control.ReviewDecision{Decision: control.Decision{Hash: r.Hash, Reason: "x", Seconds: 5}}, http.StatusBadRequest},
		"a program":     {answer[control.NewToken](t, s, olga, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret, verdict, http.StatusForbidden},
		"nobody":        {"", verdict, http.StatusUnauthorized},
	} {
		status, text := s.do(t, c.token, "POST", at+"/review", c.body)
		require.Equal(t, c.want, status, name+": "+text)
	}
	verdict.Violation = true
	done := answer[review.Request](t, s, ada, "POST", at+"/review", verdict) // who may see all
	require.Equal(t, review.Violation, done.State)
	require.Equal(t, review.Revoked, done.Access.Glass.Ended.State)
	status, _ = s.do(t, olga, "POST", at+"/review", verdict)
	require.Equal(t, http.StatusConflict, status)
	answer[review.Request](t, s, bob, "POST", "/v1/requests", ask)
}
