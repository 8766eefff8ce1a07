package control_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// TestRequestChanges: who changes a request, who proposes something else and who accepts it, and who asks for more time.
func TestRequestChanges(t *testing.T) {
	s := openSite(t)
	desk := &review.Desk{Store: store.NewMemory(), Note: s.handler.Gateway.Note}
	require.NoError(t, desk.Load(t.Context()))
	terms := review.Terms{
		Rule: "prod", Actions: []string{"connect", "read", "write"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}},
		For: time.Hour, Max: 2 * time.Hour, Decide: time.Hour,
	}
	gone := false
	s.handler.Requests = desk
	s.portal.Access = &control.Access{
		Actions: []string{"connect", "read", "write"},
		Terms: func(_ context.Context, who *proxy.Identity, _, _, _ string) ([]review.Terms, error) {
			if gone || !who.In("shop") {
				return nil, nil
			}
			return []review.Terms{terms}, nil
		},
		Rule: func(_ context.Context, r *review.Request) (review.Terms, error) {
			if gone || r.Access.Rule != "prod" || r.Resource != "orders" {
				return review.Terms{}, control.NotFound("it is gone")
			}
			return terms, nil
		},
	}
	bob, eve, olga, ada := s.login(t, "bob"), s.login(t, "eve"), s.login(t, "olga"), s.login(t, "ada")
	scoped := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{
		Label: "x", Seconds: 60, Scopes: []tokens.Scope{{Actions: []string{"read"}}},
	}).Secret
	token := answer[control.NewToken](t, s, olga, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret
	r := answer[review.Request](t, s, bob, "POST", "/v1/requests", control.AccessRequest{Resource: "orders", Reason: "INC-1"})
	at := "/v1/requests/" + r.ID
	status := func(who, path string, body any) int { return first(s.do(t, who, "POST", path, body)) }

	// A change is the requester's own.
	shorter := control.RequestChange{Seconds: 600}
	for name, c := range map[string]struct {
		who  string
		body any
		want int
	}{
		"nobody":            {"", shorter, http.StatusUnauthorized},
		"somebody else":     {eve, shorter, http.StatusNotFound},
		"an approver":       {olga, shorter, http.StatusNotFound},
		"an administrator":  {ada, shorter, http.StatusNotFound},
		"a scoped token":    {scoped, shorter, http.StatusForbidden},
		"too long":          {bob, control.RequestChange{Seconds: 3 * 3600}, http.StatusBadRequest},
		"a time of nothing": {bob, control.RequestChange{Seconds: -1}, http.StatusBadRequest},
		"a huge time":       {bob, control.RequestChange{Seconds: 1 << 62}, http.StatusBadRequest},
		"an action":         {bob, control.RequestChange{Actions: []string{"reed"}}, http.StatusBadRequest},
		"nothing":           {bob, control.RequestChange{}, http.StatusBadRequest},
		"another's key":     {bob, map[string]string{"requester": "eve"}, http.StatusBadRequest},
	} {
		require.Equal(t, c.want, status(c.who, at+"/edit", c.body), name)
	}
	edited := answer[review.Request](t, s, bob, "POST", at+"/edit", shorter)
	require.Equal(t, int64(600), edited.Access.Seconds)
	require.Equal(t, http.StatusConflict, status(olga, at+"/approve", control.Decision{Hash: r.Hash}), "it is not what she has seen")

	// A proposal is an approver's, in person.
	wider := control.Decision{Hash: edited.Hash, Seconds: 7200, Reason: "it takes longer"}
	for name, c := range map[string]struct {
		who  string
		body control.Decision
		want int
	}{
		"the requester":    {bob, wider, http.StatusForbidden},
		"somebody else":    {eve, wider, http.StatusNotFound},
		"an administrator": {ada, wider, http.StatusForbidden},
		"a token":          {token, wider, http.StatusForbidden},
		"no reason":        {olga, control.Decision{Hash: edited.Hash, Seconds: 7200}, http.StatusBadRequest},
		"too long":         {olga, control.Decision{Hash: edited.Hash, Seconds: 7201, Reason: "x"}, http.StatusBadRequest},
		"not seen":         {olga, control.Decision{Hash: r.Hash, Seconds: 7200, Reason: "x"}, http.StatusConflict},
	} {
		require.Equal(t, c.want, status(c.who, at+"/propose", c.body), name)
	}
	proposed := answer[review.Request](t, s, olga, "POST", at+"/propose", wider)
	accept := control.AcceptRequest{Hash: proposed.Access.Proposal.Hash}
	require.Equal(t, http.StatusNotFound, status(olga, at+"/accept", accept))
	require.Equal(t, http.StatusNotFound, status(eve, at+"/accept", accept))
	require.Equal(t, http.StatusConflict, status(bob, at+"/accept", control.AcceptRequest{Hash: edited.Hash}))
	accepted := answer[review.Request](t, s, bob, "POST", at+"/accept", accept)
	require.Equal(t, int64(7200), accepted.Access.Seconds)
	require.Equal(t, http.StatusBadRequest, status(olga, at+"/approve", control.Decision{Hash: accepted.Hash, From: &time.Time{}}), "an approval moves nothing")
	require.Equal(t, http.StatusBadRequest, status(olga, at+"/deny", control.Decision{Hash: accepted.Hash, Reason: "x", Seconds: 60}))
	answer[review.Request](t, s, olga, "POST", at+"/approve", control.Decision{Hash: accepted.Hash})
	require.Equal(t, http.StatusConflict, status(bob, at+"/edit", shorter), "what is granted is not changed")

	// More time is asked for what one has.
	more := control.AccessRequest{Extends: r.ID, Reason: "INC-2"}
	require.Equal(t, http.StatusNotFound, status(eve, "/v1/requests", more))
	require.Equal(t, http.StatusNotFound, status(olga, "/v1/requests", more))
	require.Equal(t, http.StatusForbidden, status(scoped, "/v1/requests", more))
	require.Equal(t, http.StatusNotFound, status(bob, "/v1/requests", control.AccessRequest{Extends: "nothing", Reason: "x"}))
	for name, change := range map[string]func(*control.AccessRequest){
		"a resource": func(a *control.AccessRequest) { a.Resource = "orders" },
		"actions":    func(a *control.AccessRequest) { a.Actions = []string{"read"} },
		"a rule":     func(a *control.AccessRequest) { a.Rule = "prod" },
		"a time":     func(a *control.AccessRequest) { a.From = time.Now() },
		"no reason":  func(a *control.AccessRequest) { a.Reason = "" },
		"too long":   func(a *control.AccessRequest) { a.Seconds = 7201 },
	} {
		a := more
		change(&a)
		require.Equal(t, http.StatusBadRequest, status(bob, "/v1/requests", a), name)
	}
	extended := answer[review.Request](t, s, bob, "POST", "/v1/requests", more)
	require.Equal(t, r.ID, extended.Access.Extends)
	require.Equal(t, review.Pending, extended.State)

	// What the rule does not grant any more is neither changed nor extended.
	gone = true
	require.Equal(t, http.StatusBadRequest, status(bob, "/v1/requests/"+extended.ID+"/edit", shorter))
	require.Equal(t, http.StatusNotFound, status(olga, "/v1/requests/"+extended.ID+"/propose", control.Decision{Hash: extended.Hash, Seconds: 60, Reason: "x"}))
	require.Equal(t, http.StatusBadRequest, status(bob, "/v1/requests", more))
}

// TestApproversProve: an approval counts of those who have logged in as the rule wants it, and the others are told what is wanted.
func TestApproversProve(t *testing.T) {
	s := openSite(t)
	desk := &review.Desk{Store: store.NewMemory(), Note: s.handler.Gateway.Note}
	require.NoError(t, desk.Load(t.Context()))
	terms := review.Terms{
		Rule: "prod", Actions: []string{"connect", "read"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}}, For: time.Hour, Max: time.Hour, Decide: time.Hour,
		Proof: review.Proof{Within: 600},
	}
	s.handler.Requests = desk
	s.portal.Access = &control.Access{Terms: func(context.Context, *proxy.Identity, string, string, string) ([]review.Terms, error) {
		return []review.Terms{terms}, nil
	}}
	bob, olga := s.login(t, "bob"), s.login(t, "olga")
	r := answer[review.Request](t, s, bob, "POST", "/v1/requests", control.AccessRequest{Resource: "orders", Reason: "INC-1"})
	require.Equal(t, review.Approved, answer[review.Request](t, s, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash}).State)
	terms.Proof.Factors = []string{"otp"}
	r = answer[review.Request](t, s, bob, "POST", "/v1/requests", control.AccessRequest{Resource: "orders", Reason: "INC-2"})
	status, text := s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash})
	require.Equal(t, http.StatusForbidden, status)
	require.Contains(t, text, `"unproven"`)
	require.Contains(t, text, "want one with otp")
}
