package slack_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/teststore"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/slack"
	"github.com/sallyport/sallyport/store"
)

const signing = "8f742231b10e8888abcd99yyyzzz85a5"

// TestSignatureVector is the example of Slack's documents.
func TestSignatureVector(t *testing.T) {
	require.Equal(t, "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
		sign("1531420618", "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&"+
			"user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&"+
			"trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"))
}

func sign(seconds, body string) string {
	mac := hmac.New(sha256.New, []byte(signing))
	fmt.Fprintf(mac, "v0:%s:%s", seconds, body)
	return "v0=" + hex.EncodeToString(mac.Sum(nil))
}

// decider is a Slack app in a test.
type decider struct {
	*slack.Callbacks
	slack *fake
	mu    sync.Mutex
	done  []string // what was decided, as "VERB ID HASH BY: REASON"
	err   error    // of decisions
}

func (d *decider) decide(verb string) func(ctx context.Context, id string, v review.Vote) error {
	return func(_ context.Context, id string, v review.Vote) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.err == nil {
			d.done = append(d.done, fmt.Sprintf("%s %s %s %s: %s", verb, id, v.Hash, v.By.Subject, v.Reason))
		}
		return d.err
	}
}

const bob = `{"ok":true,"user":{"id":"U1","team_id":"T1","is_email_confirmed":true,"profile":{"email":"bob@example.com"}}}`

func newDecider(t *testing.T, s store.Store) *decider {
	d := &decider{slack: newFake(t)}
	d.slack.answers("users.info", bob)
	d.slack.answers("views.open", `{"ok":true}`)
	c := d.slack.config(s)
	c.Decide = true
	d.Callbacks = &slack.Callbacks{
		Notifier: open(t, c), Signing: proxy.NewSecret(signing), Approve: d.decide("approve"), Deny: d.decide("deny"), Log: slog.New(slog.DiscardHandler),
		Who: func(_ context.Context, email string) (*proxy.Identity, error) {
			switch email {
			case "bob@example.com":
				return &proxy.Identity{Subject: "bob"}, nil
			case "robot@example.com":
				return &proxy.Identity{Subject: "robot", Kind: proxy.Service}, nil
			}
			return nil, &review.RefusalError{Message: "nobody knows you"}
		},
	}
	return d
}

// post sends a payload as Slack does.
func (d *decider) post(payload string, change func(r *http.Request)) *httptest.ResponseRecorder {
	body := url.Values{"payload": {payload}}.Encode()
	r := httptest.NewRequest(http.MethodPost, "/slack/ops", strings.NewReader(body))
	seconds := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("X-Slack-Request-Timestamp", seconds)
	r.Header.Set("X-Slack-Signature", sign(seconds, body))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

var triggers int

// submit is the payload of a dialog.
func submit(verb, carried, reason string) string {
	triggers++
	return fmt.Sprintf(`{"type":"view_submission","trigger_id":"%d","team":{"id":"T1"},"user":{"id":"U1"},"view":{"callback_id":"sallyport-%s","private_metadata":%q,
		"state":{"values":{"reason":{"reason":{"type":"plain_text_input","value":%q}}}}}}`, triggers, verb, carried, reason)
}

// TestDecide: a button carries the request and the hash of what was seen, opens a dialog, and what is said there is decided as the person.
func TestDecide(t *testing.T) {
	d := newDecider(t, store.NewMemory())
	require.NoError(t, d.Notifier.Notify(t.Context(), reviewtest.Notice("n", review.Asked)))
	require.NoError(t, d.Notifier.Notify(t.Context(), reviewtest.Notice("n", "approved")))
	calls := d.slack.asked()
	carried := "4jzq7nbkw2 " + strings.Repeat("ab", 32)
	require.Equal(t, 2, strings.Count(calls[0].Get("blocks"), carried))
	require.NotContains(t, calls[1].Get("blocks"), carried, "what is decided has no buttons")
	require.NotContains(t, calls[1].Get("blocks"), "sallyport-approve")

	for _, verb := range []string{"approve", "deny"} {
		w := d.post(fmt.Sprintf(`{"type":"block_actions","trigger_id":"%s","user":{"id":"U1"},"actions":[{"action_id":"sallyport-%s","block_id":"b","type":"button","value":%q}]}`, verb, verb, carried), nil)
		require.Equal(t, http.StatusOK, w.Code)
		calls = d.slack.asked()
		last := calls[len(calls)-1]
		require.Equal(t, "views.open", last.method)
		var opened struct {
			TriggerID string `json:"trigger_id"`
			View      struct {
				CallbackID      string `json:"callback_id"`
				PrivateMetadata string `json:"private_metadata"`
			}
		}
		require.NoError(t, json.Unmarshal([]byte(last.Get("json")), &opened))
		require.Equal(t, verb, opened.TriggerID)
		require.Equal(t, "sallyport-"+verb, opened.View.CallbackID)
		require.Equal(t, carried, opened.View.PrivateMetadata)
	}
	require.Empty(t, d.done, "a button alone decides nothing")
	before := len(d.slack.asked())
	d.post(`{"type":"block_actions","trigger_id":"look","user":{"id":"U1"},"actions":[{"action_id":"sallyport-look","block_id":"b","type":"button"}]}`, nil)
	require.Len(t, d.slack.asked(), before)

	w := d.post(submit("approve", carried, ""), nil)
	require.Equal(t, http.StatusOK, w.Code)
	require.Empty(t, w.Body.String())
	d.post(submit("deny", carried, "not today"), nil)
	require.Equal(t, []string{"approve " + carried + " bob: ", "deny " + carried + " bob: not today"}, d.done)
}

// at has Slack sign what somebody approves at another time.
func at(offset time.Duration) func(r *http.Request) {
	body := url.Values{"payload": {submit("approve", "r h", "")}}.Encode()
	return func(r *http.Request) {
		seconds := strconv.FormatInt(time.Now().Add(offset).Unix(), 10)
		*r = *httptest.NewRequest(http.MethodPost, "/slack/ops", strings.NewReader(body))
		r.Header.Set("X-Slack-Request-Timestamp", seconds)
		r.Header.Set("X-Slack-Signature", sign(seconds, body))
	}
}

// TestDecideByTheStoresClock: the store's clock says whether Slack has signed a callback just now, so that one which was taken is not taken
// again at a gateway whose machine's clock is late.
func TestDecideByTheStoresClock(t *testing.T) {
	s := &teststore.Clocked{Store: store.NewMemory()}
	s.Set(time.Hour)
	d := newDecider(t, s)
	require.Equal(t, http.StatusUnauthorized, d.post("", at(0)).Code, "that was an hour ago")
	require.Empty(t, d.done)
	now := at(time.Hour)
	require.Equal(t, http.StatusOK, d.post("", now).Code)
	require.Equal(t, http.StatusOK, newDecider(t, s).post("", now).Code)
	require.Len(t, d.done, 1)
	s.Set(time.Hour + 20*time.Minute) // what was taken is forgotten by now
	require.Equal(t, http.StatusUnauthorized, d.post("", now).Code)
	require.Len(t, d.done, 1)
}

// TestDecideSigned: what Slack has not signed, or long ago, decides nothing.
func TestDecideSigned(t *testing.T) {
	d := newDecider(t, store.NewMemory())
	for name, change := range map[string]func(r *http.Request){
		"no signature": func(r *http.Request) { r.Header.Del("X-Slack-Signature") },
		"no time":      func(r *http.Request) { r.Header.Del("X-Slack-Request-Timestamp") },
		"another time": func(r *http.Request) {
			r.Header.Set("X-Slack-Request-Timestamp", strconv.FormatInt(time.Now().Unix()-1, 10))
		},
		"another signature": func(r *http.Request) { r.Header.Set("X-Slack-Signature", "v0="+strings.Repeat("00", 32)) },
		"a short one":       func(r *http.Request) { r.Header.Set("X-Slack-Signature", "v0=") },
		"another version": func(r *http.Request) {
			r.Header.Set("X-Slack-Signature", strings.Replace(r.Header.Get("X-Slack-Signature"), "v0", "v1", 1))
		},
		"long ago":      at(-6 * time.Minute),
		"in the future": at(6 * time.Minute),
	} {
		require.Equal(t, http.StatusUnauthorized, d.post(submit("approve", "r h", ""), change).Code, name)
	}
	require.Equal(t, http.StatusMethodNotAllowed, d.post(submit("approve", "r h", ""), func(r *http.Request) { r.Method = http.MethodGet }).Code)
	w := d.post(submit("approve", "r h", strings.Repeat("x", 300<<10)), nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, w.Code)
	require.Empty(t, d.done)
	require.Empty(t, d.slack.asked())
	require.Equal(t, http.StatusOK, d.post(submit("approve", "r h", ""), at(-4*time.Minute)).Code)
	require.Len(t, d.done, 1)
}

// TestDecideOnce: what comes again decides nothing again, at another gateway neither.
func TestDecideOnce(t *testing.T) {
	s := store.NewMemory()
	one, two := newDecider(t, s), newDecider(t, s)
	payload := submit("approve", "r h", "")
	require.Equal(t, http.StatusOK, one.post(payload, nil).Code)
	require.Equal(t, http.StatusOK, one.post(payload, nil).Code)
	require.Equal(t, http.StatusOK, two.post(payload, nil).Code)
	require.Len(t, one.done, 1)
	require.Empty(t, two.done)
}

// TestDecideWho: an account in Slack that does not say for certain who somebody is decides nothing, and she is told.
func TestDecideWho(t *testing.T) {
	d := newDecider(t, store.NewMemory())
	for name, c := range map[string]struct{ user, want string }{
		"a guest":             {strings.Replace(bob, `"id"`, `"is_restricted":true,"id"`, 1), "does not say for certain"},
		"a guest of one":      {strings.Replace(bob, `"id"`, `"is_ultra_restricted":true,"id"`, 1), "does not say for certain"},
		"a stranger":          {strings.Replace(bob, `"id"`, `"is_stranger":true,"id"`, 1), "does not say for certain"},
		"of another company":  {strings.Replace(bob, `T1`, `T2`, 1), "does not say for certain"},
		"without a company":   {strings.Replace(bob, `T1`, ``, 1), "does not say for certain"},
		"a bot":               {strings.Replace(bob, `"id"`, `"is_bot":true,"id"`, 1), "does not say for certain"},
		"gone":                {strings.Replace(bob, `"id"`, `"deleted":true,"id"`, 1), "does not say for certain"},
		"unproven":            {strings.Replace(bob, `"is_email_confirmed":true,`, ``, 1), "does not say for certain"},
		"somebody else":       {strings.Replace(bob, `U1`, `U2`, 1), "does not say for certain"},
		"no address":          {strings.Replace(bob, `bob@example.com`, ``, 1), "does not say for certain"},
		"unknown":             {strings.Replace(bob, `bob@`, `eve@`, 1), "nobody knows you"},
		"a program":           {strings.Replace(bob, `bob@`, `robot@`, 1), "does not say for certain"},
		"Slack does not know": {`{"ok":false,"error":"user_not_found"}`, "it could not be decided now"},
	} {
		d.slack.answers("users.info", c.user)
		w := d.post(submit("approve", "r h", ""), nil)
		require.Equal(t, http.StatusOK, w.Code, name)
		require.Contains(t, w.Body.String(), c.want, name)
		require.Contains(t, w.Body.String(), `"response_action":"errors"`, name)
	}
	require.Empty(t, d.done)
}

// TestDecideTold: who may not decide is told why, and nothing of what went wrong inside.
func TestDecideTold(t *testing.T) {
	d := newDecider(t, store.NewMemory())
	for _, c := range []struct {
		err  error
		want string
	}{
		{review.ErrOwn, review.ErrOwn.Error()},
		{review.ErrIneligible, "you are not one of its approvers"},
		{review.ErrChanged, "read it again"},
		{review.ErrReason, "a denial needs a reason"},
		{&review.DecidedError{State: review.Denied, By: "carol"}, "this request was denied by carol"},
		{errors.New("hunter2 is broken"), "it could not be decided now"},
	} {
		d.err = c.err
		w := d.post(submit("deny", "r h", "x"), nil)
		var answer struct {
			Action string            `json:"response_action"`
			Errors map[string]string `json:"errors"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, "errors", answer.Action)
		require.Contains(t, answer.Errors["reason"], c.want)
		require.NotContains(t, w.Body.String(), "hunter2")
	}
	for _, payload := range []string{submit("approve", "", ""), submit("approve", "r", ""), submit("other", "r h", ""), `{"type":"view_submission","view":{"callback_id":"sallyport-approve","private_metadata":"r h"}}`} {
		require.Contains(t, d.post(payload, nil).Body.String(), "press the button of the message again")
	}
	require.Equal(t, http.StatusBadRequest, d.post("{", nil).Code)
	require.Equal(t, http.StatusOK, d.post(`{"type":"shortcut"}`, nil).Code)
	require.Empty(t, d.done)
}
