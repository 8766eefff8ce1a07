package teams_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/teams"
	"github.com/sallyport/sallyport/store"
)

const (
	appID  = "11111111-2222-3333-4444-555555555555"
	tenant = "3f3d1cea-7a18-41af-872b-cfbbd5140984"
	bobs   = "aaaaaaaa-1111-2222-3333-444444444444" // bob's object in the directory
	secret = "s8Q~hunter2"
)

// signers are the Bot Connector's keys in tests: one for Teams, one for another channel, and one that it does not have.
var signers = sync.OnceValue(func() (list [3]*rsa.PrivateKey) {
	for i := range list {
		list[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return list
})

// connector is the Bot Connector with its logins and keys, as the references of the Bot Framework say.
type connector struct {
	*reviewtest.HTTP
	mu      sync.Mutex
	cards   []string // as they came: METHOD PATH BODY
	logins  int
	fetched int
	gone    bool
	revoked bool   // the token that was given
	keys    string // in place of the real ones
	member  string // in place of the real one
}

func newConnector(t *testing.T) *connector {
	c := &connector{}
	c.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		path := strings.TrimPrefix(r.URL.Path, "/teams")
		switch {
		case r.URL.Path == "/login/"+tenant+"/oauth2/v2.0/token":
			if string(body) != "client_id="+appID+"&client_secret=s8Q~hunter2&grant_type=client_credentials&scope=https%3A%2F%2Fapi.botframework.com%2F.default" {
				w.WriteHeader(http.StatusUnauthorized)
				fmt.Fprint(w, `{"error":"invalid_client"}`)
				return
			}
			c.logins++
			c.revoked = false
			fmt.Fprint(w, `{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"eyJ0eXAi-hunter3"}`)
		case r.URL.Path == "/.well-known/openidconfiguration":
			c.fetched++
			fmt.Fprintf(w, `{"issuer":"https://api.botframework.com","authorization_endpoint":"https://invalid.botframework.com","jwks_uri":"%s/.well-known/keys","id_token_signing_alg_values_supported":["RS256"]}`, c.URL)
		case r.URL.Path == "/.well-known/keys":
			if c.keys != "" {
				fmt.Fprint(w, c.keys)
				return
			}
			var list []string
			for i, endorsed := range []string{`["msteams","directline"]`, `["webchat"]`} {
				b, _ := json.Marshal(jose.JSONWebKey{Key: signers()[i].Public(), KeyID: fmt.Sprint("k", i), Use: "sig"})
				list = append(list, strings.TrimSuffix(string(b), "}")+`,"endorsements":`+endorsed+`}`)
			}
			fmt.Fprintf(w, `{"keys":[%s,{"kty":"odd"}]}`, strings.Join(list, ","))
		case r.Header.Get("Authorization") != "Bearer eyJ0eXAi-hunter3" || c.revoked:
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == http.MethodPost && path == "/v3/conversations":
			c.cards = append(c.cards, r.Method+" "+path+" "+string(body))
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"id":"19:abc@thread.tacv2;messageid=%d","activityId":"%d"}`, len(c.cards), len(c.cards))
		case r.Method == http.MethodPut && strings.HasPrefix(path, "/v3/conversations/") && !c.gone:
			c.cards = append(c.cards, r.Method+" "+path+" "+string(body))
			fmt.Fprint(w, `{"id":"1"}`)
		case r.Method == http.MethodGet && strings.HasPrefix(path, "/v3/conversations/19:team@thread.tacv2/members/"):
			id := path[strings.LastIndex(path, "/")+1:]
			if c.member != "" {
				fmt.Fprint(w, c.member)
			} else if id == "29:bob" {
				fmt.Fprintf(w, `{"id":"29:bob","name":"Bob","aadObjectId":%q,"tenantId":%q,"userRole":"user","email":"bob@example.com"}`, bobs, tenant)
			} else {
				w.WriteHeader(http.StatusNotFound)
			}
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	return c
}

// Taken is how many notices were taken, whatever that took.
func (c *connector) Taken() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.cards)
}

func (c *connector) config(s store.Store) teams.BotConfig {
	return teams.BotConfig{
		Name: "ops", AppID: appID, Secret: proxy.NewSecret(secret), Tenant: tenant, Channel: "19:abc@thread.tacv2", Store: s, Decide: true,
		Service: c.URL + "/teams", Login: c.URL + "/login", Metadata: c.URL + "/.well-known/openidconfiguration", Private: true, TLS: c.TLS,
	}
}

func openBot(t *testing.T, c teams.BotConfig) *teams.Bot {
	t.Helper()
	b, err := teams.NewBot(c)
	require.NoError(t, err)
	return b
}

func TestBotConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		c := newConnector(t)
		return reviewtest.Subject{Notifier: openBot(t, c.config(store.NewMemory())), Service: c, Secrets: []string{secret, "eyJ0eXAi-hunter3"}}
	})
}

// TestOneCard: a request is one card, which says what has become of it, also after a restart; one that was deleted is written anew.
func TestOneCard(t *testing.T) {
	c, s := newConnector(t), store.NewMemory()
	cfg := c.config(s)
	cfg.Link = func(id string) string { return "https://gw.example.com/v1/requests/" + id }
	require.NoError(t, openBot(t, cfg).Notify(t.Context(), reviewtest.Notice("a", review.Asked)))
	b := openBot(t, cfg)
	require.NoError(t, b.Notify(t.Context(), reviewtest.Notice("b", "approved")))
	require.Len(t, c.cards, 2)
	require.Contains(t, c.cards[0], `POST /v3/conversations {"activity":{"attachments":[{"content":{`)
	for _, part := range []string{
		`"channelData":{"channel":{"id":"19:abc@thread.tacv2"},"tenant":{"id":"` + tenant + `"}}`, `"isGroup":true`, `"bot":{"id":"28:` + appID + `"}`, `"verb":"sallyport-approve"`,
		`"verb":"sallyport-deny"`, `"data":{"hash":"` + strings.Repeat("ab", 32) + `","request":"4jzq7nbkw2"}`, `"id":"reason"`, `"version":"1.5"`, `"url":"https://gw.example.com/v1/requests/4jzq7nbkw2"`,
	} {
		require.Contains(t, c.cards[0], part)
	}
	require.True(t, strings.HasPrefix(c.cards[1], `PUT /v3/conversations/19:abc@thread.tacv2;messageid=1/activities/1 {`), c.cards[1])
	require.Contains(t, c.cards[1], "bob approved the request of alice")
	require.NotContains(t, c.cards[1], "sallyport-approve", "what is decided has no buttons")
	require.NotContains(t, c.cards[1], "Input.Text")

	c.gone = true
	require.NoError(t, b.Notify(t.Context(), reviewtest.Notice("c", "ended")))
	require.True(t, strings.HasPrefix(c.cards[2], "POST "))
	logins := c.logins
	c.revoked = true
	require.Error(t, b.Notify(t.Context(), reviewtest.Notice("d", "ended")))
	require.NoError(t, b.Notify(t.Context(), reviewtest.Notice("d", "ended")))
	require.Equal(t, logins+1, c.logins, "a token is used until it is not good any more")

	operation := reviewtest.Notice("e", review.Asked)
	operation.Request.ID, operation.Request.Access, operation.Request.Kind, operation.Request.Text = "op", nil, "statement", "DELETE FROM orders"
	require.NoError(t, b.Notify(t.Context(), operation))
	last := c.cards[len(c.cards)-1]
	require.NotContains(t, last, "DELETE")
	require.NotContains(t, last, "sallyport-approve")
	d, err := s.Get(t.Context(), teams.KindMessage, "ops/4jzq7nbkw2")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(teams.KeepMessages), d.Expires, time.Minute)
}

// decider is a bot by which people decide, in a test.
type decider struct {
	*teams.Callbacks
	at    *connector
	store store.Store
	mu    sync.Mutex
	done  []string // what was decided, as "VERB ID HASH BY: REASON"
	err   error    // of decisions
}

func newDecider(t *testing.T, at *connector, s store.Store) *decider {
	d := &decider{at: at, store: s}
	decide := func(verb string) func(ctx context.Context, id string, v review.Vote) error {
		return func(_ context.Context, id string, v review.Vote) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.err == nil {
				d.done = append(d.done, fmt.Sprintf("%s %s %s %s by %s: %s", verb, id, v.Hash, v.By.Subject, v.Channel, v.Reason))
			}
			return d.err
		}
	}
	who := func(_ context.Context, object string) (*proxy.Identity, error) {
		switch object {
		case bobs:
			return &proxy.Identity{Subject: "entra/" + object}, nil
		}
		return nil, &review.RefusalError{Message: "nobody knows you"}
	}
	d.Callbacks = teams.NewCallbacks(openBot(t, at.config(s)), who, decide("approve"), decide("deny"), slog.New(slog.DiscardHandler))
	return d
}

// press is what the Bot Connector sends when somebody presses a button.
type press struct {
	key    int
	kid    string
	claims map[string]any
	body   string
}

var presses int

func pressed(verb, reason string) *press {
	presses++
	now := time.Now().Unix()
	return &press{
		kid: "k0",
		claims: map[string]any{
			"iss": "https://api.botframework.com", "aud": appID, "nbf": now - 60, "exp": now + 3600, "serviceurl": "https://smba.trafficmanager.net/emea/",
		},
		body: fmt.Sprintf(`{"type":"invoke","name":"adaptiveCard/action","id":"f:%d","channelId":"msteams","serviceUrl":"https://smba.trafficmanager.net/emea/",
			"from":{"id":"29:bob","name":"Bob","aadObjectId":%q},"recipient":{"id":"28:%s"},"conversation":{"id":"19:abc@thread.tacv2;messageid=1","conversationType":"channel","tenantId":%q},
			"channelData":{"channel":{"id":"19:abc@thread.tacv2"},"team":{"id":"19:team@thread.tacv2"},"tenant":{"id":%q}},
			"value":{"action":{"type":"Action.Execute","verb":"sallyport-%s","data":{"request":"4jzq7nbkw2","hash":"abab","reason":%q}},"trigger":"manual"}}`, presses, bobs, appID, tenant, tenant, verb, reason),
	}
}

func (p *press) token(t *testing.T) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: signers()[p.key]}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", p.kid))
	require.NoError(t, err)
	raw, err := jwt.Signed(signer).Claims(p.claims).Serialize()
	require.NoError(t, err)
	return raw
}

// send sends it, and returns the status and what the user is told.
func (d *decider) send(t *testing.T, p *press, change func(r *http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/teams/ops", strings.NewReader(p.body))
	r.Header.Set("Authorization", "Bearer "+p.token(t))
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	var answer struct {
		StatusCode  int
		Type, Value string
	}
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Equal(t, 200, answer.StatusCode)
		require.Equal(t, "application/vnd.microsoft.activity.message", answer.Type)
	}
	return w.Code, answer.Value
}

// TestBotDecide: what somebody presses is decided as the person of the directory who the Bot Connector says.
func TestBotDecide(t *testing.T) {
	d := newDecider(t, newConnector(t), store.NewMemory())
	code, told := d.send(t, pressed("approve", ""), nil)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "you have approved the request", told)
	_, told = d.send(t, pressed("deny", "not today"), nil)
	require.Equal(t, "you have denied the request", told)
	require.Equal(t, []string{"approve 4jzq7nbkw2 abab entra/" + bobs + " by teams ops: ", "deny 4jzq7nbkw2 abab entra/" + bobs + " by teams ops: not today"}, d.done)
	require.Equal(t, 1, d.at.fetched, "keys are kept")
	for err, want := range map[error]string{
		review.ErrOwn: review.ErrOwn.Error(), review.ErrReason: review.ErrReason.Error(), errors.New("hunter2: the store is down"): "it could not be decided now: look at the request, and try again",
	} {
		d.err = err
		_, told := d.send(t, pressed("approve", ""), nil)
		require.Equal(t, want, told)
	}
	// What is not a button decides nothing, and is nobody's mistake.
	d.err, d.done = nil, nil
	for _, change := range []func(s string) string{
		func(s string) string { return strings.Replace(s, `"type":"invoke"`, `"type":"message"`, 1) },
		func(s string) string { return strings.Replace(s, "adaptiveCard/action", "composeExtension/query", 1) },
		func(s string) string { return strings.Replace(s, `"channelId":"msteams"`, `"channelId":"webchat"`, 1) },
		func(s string) string { return strings.Replace(s, `"verb":"sallyport-approve"`, `"verb":"other"`, 1) },
		func(s string) string { return strings.Replace(s, `"hash":"abab"`, `"hash":""`, 1) },
	} {
		p := pressed("approve", "")
		p.body = change(p.body)
		code, told := d.send(t, p, nil)
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, []string{"", "this cannot be read: use the buttons of the card"}, told)
	}
	require.Empty(t, d.done)
}

// TestBotSigned: what the Bot Connector has not signed for this bot, about Teams, now, causes nothing.
func TestBotSigned(t *testing.T) {
	at := newConnector(t)
	d := newDecider(t, at, store.NewMemory())
	now := time.Now().Unix()
	for name, change := range map[string]func(p *press){
		"another issuer":  func(p *press) { p.claims["iss"] = "https://sts.windows.net/" + tenant + "/" },
		"no issuer":       func(p *press) { delete(p.claims, "iss") },
		"another bot":     func(p *press) { p.claims["aud"] = "66666666-2222-3333-4444-555555555555" },
		"several bots":    func(p *press) { p.claims["aud"] = []string{appID, "66666666-2222-3333-4444-555555555555"} },
		"no bot":          func(p *press) { delete(p.claims, "aud") },
		"expired":         func(p *press) { p.claims["exp"] = now - 600 },
		"without an end":  func(p *press) { delete(p.claims, "exp") },
		"not yet":         func(p *press) { p.claims["nbf"] = now + 600 },
		"another service": func(p *press) { p.claims["serviceurl"] = "https://evil.example/" },
		"no service":      func(p *press) { delete(p.claims, "serviceurl") },
		"no service at all": func(p *press) {
			delete(p.claims, "serviceurl")
			p.body = strings.Replace(p.body, "https://smba.trafficmanager.net/emea/", "", 1)
		},
		"a key for other channels": func(p *press) { p.key, p.kid = 1, "k1" },
		"a key of others":          func(p *press) { p.key, p.kid = 2, "k2" },
		"a key under its name":     func(p *press) { p.key = 2 },
		"not JSON":                 func(p *press) { p.body = "x" },
	} {
		p := pressed("approve", "")
		change(p)
		code, told := d.send(t, p, nil)
		require.Equal(t, http.StatusForbidden, code, name)
		require.Empty(t, told, name)
	}
	for name, change := range map[string]func(r *http.Request){
		"no token": func(r *http.Request) { r.Header.Del("Authorization") },
		"basic":    func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") },
		"rubbish":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer x.y.z") },
		"unsigned": func(r *http.Request) {
			parts := strings.Split(r.Header.Get("Authorization"), ".")
			r.Header.Set("Authorization", "Bearer eyJhbGciOiJub25lIiwia2lkIjoiazAifQ."+parts[1]+".")
		},
		"changed": func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:60]+"A"+r.Header.Get("Authorization")[61:])
		},
	} {
		code, _ := d.send(t, pressed("approve", ""), change)
		require.Equal(t, http.StatusForbidden, code, name)
	}
	// By the public key as if it were a shared secret.
	public, err := json.Marshal(jose.JSONWebKey{Key: signers()[0].Public()})
	require.NoError(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, (&jose.SignerOptions{}).WithHeader("kid", "k0"))
	require.NoError(t, err)
	p := pressed("approve", "")
	raw, err := jwt.Signed(signer).Claims(p.claims).Serialize()
	require.NoError(t, err)
	code, _ := d.send(t, p, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+raw) })
	require.Equal(t, http.StatusForbidden, code)
	code, _ = d.send(t, pressed("approve", ""), func(r *http.Request) { r.Method = http.MethodGet })
	require.Equal(t, http.StatusMethodNotAllowed, code)
	require.Empty(t, d.done)
	require.Equal(t, 1, at.fetched, "an unknown key does not have them fetched time and again")
	// The claim as the reference writes it, and a clock that is a little wrong.
	p = pressed("approve", "")
	p.claims["serviceUrl"], p.claims["exp"] = p.claims["serviceurl"], now-120
	delete(p.claims, "serviceurl")
	code, _ = d.send(t, p, nil)
	require.Equal(t, http.StatusOK, code)
	require.Len(t, d.done, 1)
}

// TestBotKeys: while the keys cannot be read, or none of them is for Teams, nothing is taken.
func TestBotKeys(t *testing.T) {
	for _, keys := range []string{`{}`, `{"keys":[]}`, `<html>`, `{"keys":[{"kty":"RSA","kid":"k0","endorsements":["msteams"],"n":"AQAB","e":"AQAB"}]}`} {
		at := newConnector(t)
		at.keys = keys
		d := newDecider(t, at, store.NewMemory())
		code, _ := d.send(t, pressed("approve", ""), nil)
		require.Equal(t, http.StatusServiceUnavailable, code, keys)
		require.Empty(t, d.done)
	}
	at := newConnector(t)
	d := newDecider(t, at, store.NewMemory())
	at.Do(reviewtest.Fails)
	code, _ := d.send(t, pressed("approve", ""), nil)
	require.Equal(t, http.StatusServiceUnavailable, code)
}

// TestBotWho: only a member of the bot's own directory, who the team has.
func TestBotWho(t *testing.T) {
	for name, c := range map[string]struct {
		member string
		change func(s string) string
		want   string
	}{
		"a guest":            {fmt.Sprintf(`{"id":"29:bob","aadObjectId":%q,"tenantId":%q,"userRole":"guest"}`, bobs, tenant), nil, "does not say for certain"},
		"of another company": {fmt.Sprintf(`{"id":"29:bob","aadObjectId":%q,"tenantId":"66666666-7a18-41af-872b-cfbbd5140984","userRole":"user"}`, bobs), nil, "does not say for certain"},
		"somebody else":      {fmt.Sprintf(`{"id":"29:bob","aadObjectId":"bbbbbbbb-1111-2222-3333-444444444444","tenantId":%q,"userRole":"user"}`, tenant), nil, "does not say for certain"},
		"not in the team":    {"", func(s string) string { return strings.Replace(s, "29:bob", "29:eve", 1) }, "does not say for certain"},
		"without an object":  {"", func(s string) string { return strings.Replace(s, bobs, "", 1) }, "does not say for certain"},
		"another tenant":     {"", func(s string) string { return strings.ReplaceAll(s, tenant, "66666666-7a18-41af-872b-cfbbd5140984") }, "does not say for certain"},
		"unknown here": {
			fmt.Sprintf(`{"id":"29:bob","aadObjectId":"bbbbbbbb-1111-2222-3333-444444444444","tenantId":%q,"userRole":"user"}`, tenant),
			func(s string) string { return strings.Replace(s, bobs, "bbbbbbbb-1111-2222-3333-444444444444", 1) }, "nobody knows you",
		},
		"no answer": {`<html>`, nil, "it could not be decided now"},
	} {
		at := newConnector(t)
		d := newDecider(t, at, store.NewMemory())
		p := pressed("approve", "")
		at.member = c.member
		if c.change != nil {
			p.body = c.change(p.body)
		}
		code, told := d.send(t, p, nil)
		require.Equal(t, http.StatusOK, code, name)
		require.Contains(t, told, c.want, name)
		require.Empty(t, d.done, name)
	}
}

// TestBotOnce: what arrives again, at whatever gateway, decides nothing.
func TestBotOnce(t *testing.T) {
	at, s := newConnector(t), store.NewMemory()
	one, two := newDecider(t, at, s), newDecider(t, at, s)
	p := pressed("approve", "")
	for _, d := range []*decider{one, two, one} {
		code, _ := d.send(t, p, nil)
		require.Equal(t, http.StatusOK, code)
	}
	require.Len(t, one.done, 1)
	require.Empty(t, two.done)
	_, told := two.send(t, p, nil)
	require.Equal(t, "this was taken already", told)
}

func TestBotConfig(t *testing.T) {
	good := teams.BotConfig{Name: "a", AppID: appID, Secret: proxy.NewSecret(secret), Tenant: tenant, Channel: "19:ba9feb7470794dbe@thread.tacv2", Store: store.NewMemory()}
	_, err := teams.NewBot(good)
	require.NoError(t, err)
	for name, change := range map[string]func(c *teams.BotConfig){
		"no name":           func(c *teams.BotConfig) { c.Name = "" },
		"no bot":            func(c *teams.BotConfig) { c.AppID = "bot" },
		"no directory":      func(c *teams.BotConfig) { c.Tenant = "example.com/../common" },
		"a channel's name":  func(c *teams.BotConfig) { c.Channel = "General" },
		"no secret":         func(c *teams.BotConfig) { c.Secret = proxy.Secret{} },
		"no store":          func(c *teams.BotConfig) { c.Store = nil },
		"service in clear":  func(c *teams.BotConfig) { c.Service = "http://x" },
		"login in clear":    func(c *teams.BotConfig) { c.Login = "http://x" },
		"metadata in clear": func(c *teams.BotConfig) { c.Metadata = "http://x" },
	} {
		c := good
		change(&c)
		_, err := teams.NewBot(c)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
