package control_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/identity/tokens"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/store"
)

// down is a store that does not answer.
type down struct{ store.Store }

var errDown = errors.New("store: connecting to user=app host=db.internal: refused")

func (down) Write(context.Context, ...store.Write) (int64, error) { return 0, errDown }
func (down) Head(context.Context) (int64, time.Time, error)       { return 0, time.Time{}, errDown }
func (down) Get(context.Context, string, string) (store.Document, error) {
	return store.Document{}, errDown
}

// TestAccessRequests: who may ask, who may know of a request, and who decides.
func TestAccessRequests(t *testing.T) {
	s := openSite(t)
	desk := &review.Desk{
		Store: store.NewMemory(), Note: s.handler.Gateway.Note,
		Who: func(ctx context.Context, subject string) (*proxy.Identity, error) {
			return s.sources.Refresh(ctx, &proxy.Identity{Subject: subject, Claims: map[string]string{}})
		},
	}
	require.NoError(t, desk.Load(t.Context()))
	terms := review.Terms{
		Rule: "prod", Actions: []string{"connect", "read", "write"}, Stages: []review.Stage{{Approvers: []string{"ops"}, Need: 1}},
		For: time.Hour, Max: 2 * time.Hour, Decide: time.Hour,
	}
	s.handler.Requests = desk
	s.portal.Access = &control.Access{Actions: []string{"connect", "read", "write"}, Terms: func(_ context.Context, who *proxy.Identity, _, resource, _ string) ([]review.Terms, error) {
		switch {
		case resource != "orders":
			return nil, fmt.Errorf("%w: %s", proxy.ErrNotFound, resource)
		case !who.In("shop"):
			return nil, nil
		}
		return []review.Terms{terms}, nil
	}}
	bob, eve, olga, ada := s.login(t, "bob"), s.login(t, "eve"), s.login(t, "olga"), s.login(t, "ada")
	ask := control.AccessRequest{Resource: "orders", Reason: "INC-1"}

	_, missing := s.do(t, bob, "POST", "/v1/requests", control.AccessRequest{Resource: "nothing", Reason: "x"})
	status, text := s.do(t, eve, "POST", "/v1/requests", ask)
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, missing, text, "what one may not ask for is like what is not there")
	scoped := answer[control.NewToken](t, s, bob, "POST", "/v1/tokens", control.TokenRequest{
		Label: "x", Seconds: 60, Scopes: []tokens.Scope{{Actions: []string{"read"}}},
	}).Secret
	status, text = s.do(t, scoped, "POST", "/v1/requests", ask)
	require.Equal(t, http.StatusForbidden, status, text)
	status, _ = s.do(t, "", "POST", "/v1/requests", ask)
	require.Equal(t, http.StatusUnauthorized, status)
	for _, c := range []struct {
		change func(*control.AccessRequest)
		says   string
	}{
		{func(r *control.AccessRequest) { r.Reason = "" }, "a reason is needed"},
		{func(r *control.AccessRequest) { r.Seconds = 1 }, "at least a minute"},
		{func(r *control.AccessRequest) { r.Seconds = -1 }, "seconds: got -1"},
		{func(r *control.AccessRequest) { r.Seconds = 1 << 62 }, "seconds: got"},
		{func(r *control.AccessRequest) { r.Seconds = 3 * 3600 }, "at most 2h"},
		{func(r *control.AccessRequest) { r.Actions = []string{"all"} }, "you may ask for [connect read write] by rule prod"},
		{func(r *control.AccessRequest) { r.Rule = "other" }, "no rule lets you ask for that"},
		{func(r *control.AccessRequest) { r.From = time.Now().AddDate(1, 0, 0) }, "within 30 days"},
	} {
		r := ask
		c.change(&r)
		status, text := s.do(t, bob, "POST", "/v1/requests", r)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, c.says)
	}
	r := answer[review.Request](t, s, bob, "POST", "/v1/requests", ask)
	require.Equal(t, review.Pending, r.State)
	require.NotEmpty(t, r.Access.Remote, "approvers see where she is")
	other := ask
	other.Reason = "INC-2"
	again := answer[review.Request](t, s, bob, "POST", "/v1/requests", other)
	require.Equal(t, []any{r.ID, "INC-2", 1}, []any{again.ID, again.Access.Reason, again.Access.Revision}, "what waits has the reason that is given last")
	r = again

	_, text = s.do(t, bob, "GET", "/v1/requests/"+r.ID, nil)
	require.Contains(t, text, `"seconds":3600`, "a time is answered as it is asked for")

	// Who knows of it.
	for name, c := range map[string]struct {
		token  string
		status int
	}{"the requester": {bob, 200}, "an approver": {olga, 200}, "who may see all": {ada, 200}, "others": {eve, 404}} {
		status, _ := s.do(t, c.token, "GET", "/v1/requests/"+r.ID, nil)
		require.Equal(t, c.status, status, name)
		list := answer[control.Requests](t, s, c.token, "GET", "/v1/requests", nil)
		require.Equal(t, c.status == 200, len(list.Requests) == 1, name)
	}

	// Who decides.
	approve := control.Decision{Hash: r.Hash}
	certified, _, byCertificate := s.certify(t, olga)
	require.NotEmpty(t, certified.Certificate)
	token := answer[control.NewToken](t, s, olga, "POST", "/v1/tokens", control.TokenRequest{Label: "x", Seconds: 60}).Secret
	for name, got := range map[string]int{
		"the requester":    first(s.do(t, bob, "POST", "/v1/requests/"+r.ID+"/approve", approve)),
		"an administrator": first(s.do(t, ada, "POST", "/v1/requests/"+r.ID+"/approve", approve)),
		"a certificate":    first(s.ask(t, byCertificate, "", "POST", "/v1/requests/"+r.ID+"/approve", approve)),
		"a token":          first(s.do(t, token, "POST", "/v1/requests/"+r.ID+"/approve", approve)),
	} {
		require.Equal(t, http.StatusForbidden, got, name)
	}
	require.Equal(t, http.StatusNotFound, first(s.do(t, eve, "POST", "/v1/requests/"+r.ID+"/approve", approve)))
	status, text = s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: "another"})
	require.Equal(t, http.StatusConflict, status, text)
	status, text = s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash, Seconds: 7200})
	require.Equal(t, http.StatusBadRequest, status, text)
	for _, seconds := range []int64{-1, 1 << 62, 9223372037} {
		status, text = s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash, Seconds: seconds})
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "seconds: got")
	}
	status, text = s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash, Actions: []string{"reed"}})
	require.Equal(t, http.StatusBadRequest, status, text)
	require.Contains(t, text, `\"reed\" is unknown: want one of connect, read, write`)
	done := answer[review.Request](t, s, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash, Seconds: 600, Actions: []string{"read"}})
	require.Equal(t, review.Approved, done.State)
	require.Equal(t, []string{"connect", "read"}, done.Access.Grant.Actions)
	require.Equal(t, 10*time.Minute, done.Access.Grant.Until.Sub(done.Access.Grant.From))

	// Who takes it back.
	require.Equal(t, http.StatusNotFound, first(s.do(t, eve, "POST", "/v1/requests/"+r.ID+"/revoke", control.ReasonRequest{Reason: "x"})))
	require.Equal(t, http.StatusForbidden, first(s.do(t, bob, "POST", "/v1/requests/"+r.ID+"/revoke", control.ReasonRequest{Reason: "x"})), "she withdraws it")
	require.Equal(t, http.StatusBadRequest, first(s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/revoke", control.ReasonRequest{})))
	require.Equal(t, http.StatusNotFound, first(s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/cancel", control.ReasonRequest{})))
	done = answer[review.Request](t, s, ada, "POST", "/v1/requests/"+r.ID+"/revoke", control.ReasonRequest{Reason: "enough"})
	require.Equal(t, review.Revoked, done.State)
	require.Empty(t, answer[control.Requests](t, s, bob, "GET", "/v1/requests", nil).Requests)
	require.Len(t, answer[control.Requests](t, s, bob, "GET", "/v1/requests?past=true", nil).Requests, 1)
	require.Empty(t, answer[control.Requests](t, s, eve, "GET", "/v1/requests?past=true", nil).Requests)

	r = answer[review.Request](t, s, bob, "POST", "/v1/requests", ask)
	require.Equal(t, review.Cancelled, answer[review.Request](t, s, bob, "POST", "/v1/requests/"+r.ID+"/cancel", control.ReasonRequest{}).State)

	// Those on call see what they may approve. While it is not known who is, they are told that, and nothing is listed.
	onCall := review.Roster{People: []string{"eve"}}
	var unknown error
	desk.OnCall = func(context.Context, string) (review.Roster, error) { return onCall, unknown }
	terms.Stages = []review.Stage{{Approvers: []string{"oncall:shop"}, Need: 1}}
	r = answer[review.Request](t, s, bob, "POST", "/v1/requests", ask)
	require.Equal(t, []string{"eve"}, r.Called)
	require.Len(t, answer[control.Requests](t, s, eve, "GET", "/v1/requests", nil).Requests, 1)
	require.Equal(t, http.StatusNotFound, first(s.do(t, olga, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash})))
	unknown = errDown
	require.Empty(t, answer[control.Requests](t, s, eve, "GET", "/v1/requests", nil).Requests)
	status, text = s.do(t, eve, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash})
	require.Equal(t, http.StatusServiceUnavailable, status, text)
	require.Contains(t, text, review.ErrOnCall.Error())
	require.NotContains(t, text, "db.internal")
	unknown = nil
	require.Equal(t, review.Approved, answer[review.Request](t, s, eve, "POST", "/v1/requests/"+r.ID+"/approve", control.Decision{Hash: r.Hash}).State)

	// What the store says of itself is not for callers.
	desk.Store = down{desk.Store}
	for _, path := range []string{"", "/" + r.ID + "/approve", "/" + r.ID + "/cancel"} {
		body := any(control.ReasonRequest{})
		switch path {
		case "":
			body = control.AccessRequest{Resource: "orders", Reason: "INC-2"}
		case "/" + r.ID + "/approve":
			body = approve
		}
		status, text = s.do(t, bob, "POST", "/v1/requests"+path, body)
		require.GreaterOrEqual(t, status, 500, path)
		require.NotContains(t, text, "db.internal", path)
	}

	var noted []string
	for _, e := range s.own(t) {
		if strings.HasPrefix(e.Type, "review.") || e.Type == "admin.refused" {
			noted = append(noted, e.Type+"|"+e.User+"|"+e.DecidedBy+"|"+e.Resource)
		}
	}
	require.Contains(t, noted, "review.pending|bob||orders")
	require.Contains(t, noted, "review.approved|bob|olga|orders")
	require.Contains(t, noted, "review.revoked|bob|ada|orders")
	require.Contains(t, noted, "review.cancelled|bob|bob|orders")
	require.Contains(t, noted, "admin.refused|bob||")
}
