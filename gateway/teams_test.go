package gateway

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/teams"
)

// TestDecideInTeams: what somebody decides in Teams counts as what she decides herself, by her object in the provider's directory.
func TestDecideInTeams(t *testing.T) {
	const app, tenant = "11111111-2222-3333-4444-555555555555", "3f3d1cea-7a18-41af-872b-cfbbd5140984"
	object := func(n int) string { return fmt.Sprintf("aaaaaaaa-1111-2222-3333-44444444444%d", n) }
	signer, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	var server *reviewtest.HTTP
	server = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasSuffix(path, "/token"):
			fmt.Fprint(w, `{"access_token":"x","expires_in":3600}`)
		case path == "/metadata":
			fmt.Fprintf(w, `{"issuer":"https://api.botframework.com","jwks_uri":"%s/keys"}`, server.URL)
		case path == "/keys":
			b, _ := json.Marshal(jose.JSONWebKey{Key: signer.Public(), KeyID: "k", Use: "sig"})
			fmt.Fprintf(w, `{"keys":[%s]}`, strings.TrimSuffix(string(b), "}")+`,"endorsements":["msteams"]}`)
		case strings.Contains(path, "/members/29:"):
			n := path[len(path)-1:]
			fmt.Fprintf(w, `{"id":"29:%s","aadObjectId":"aaaaaaaa-1111-2222-3333-44444444444%s","tenantId":%q,"userRole":"user"}`, n, n, tenant)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	t.Setenv("BOT_SECRET", "hunter2")
	h := open(t, t.TempDir(), fmt.Sprintf(`
data_dir: data
listen: {ssh: 127.0.0.1:0}
identity:
  users: [{name: alice, groups: [dev], password: %s}]
  providers: [{name: entra, issuer: "https://login.microsoftonline.com/%s/v2.0", client_id: c, subject_claim: oid}]
resources: [{name: vm1, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}}, {name: vm2, type: ssh, address: 127.0.0.1:1, username: u, ssh: {trust_on_first_use: true}}]
access:
  - {groups: [dev], resources: ["*"], allow: [connect]}
  - {name: ask, groups: [dev, "entra:dev"], resources: [vm1], allow: [exec], request: {approvers: ["entra:ops"]}}
api: {listen: 127.0.0.1:0, url: "https://gw.example.com"}
notify:
  - {type: teams, app_id: %s, app_secret: env:BOT_SECRET, tenant: %s, channel: "19:abc@thread.tacv2", provider: entra, decide: true, resources: [vm2]}
`, verifier(t), tenant, app, tenant))
	for n, group := range []string{"ops", "dev", "ops"} {
		require.NoError(t, h.proofs.members.Saw(t.Context(), &proxy.Identity{Subject: "entra/" + object(n), Groups: []string{"entra:" + group}}))
	}
	_, err = h.proofs.members.Disable(t.Context(), "entra/"+object(2))
	require.NoError(t, err)

	// The channel of the file takes what the Bot Connector signs, and nothing else.
	for path, want := range map[string]int{"/teams/teams": http.StatusForbidden, "/teams/other": http.StatusNotFound, "/slack/teams": http.StatusNotFound} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer x.y.z")
		w := httptest.NewRecorder()
		h.API().ServeHTTP(w, r)
		require.Equal(t, want, w.Code, path)
	}

	bot, err := teams.NewBot(teams.BotConfig{
		Name: "teams", AppID: app, Secret: proxy.NewSecret("hunter2"), Tenant: tenant, Channel: "19:abc@thread.tacv2", Store: h.state.store,
		Service: server.URL, Login: server.URL, Metadata: server.URL + "/metadata", Private: true, TLS: server.TLS,
	})
	require.NoError(t, err)
	callbacks := h.botCallbacks(bot, &config.Notify{Provider: "entra"})
	asker := &proxy.Identity{Subject: "entra/" + object(1), Groups: []string{"entra:dev"}}
	terms, err := h.requestable(t.Context(), asker, "", "vm1", "")
	require.NoError(t, err)
	r, err := h.desk.Ask(t.Context(), asker, review.Ask{Resource: "vm1", Terms: terms[0], For: time.Hour, Reason: "INC-1"})
	require.NoError(t, err)
	presses := 0
	press := func(by int, verb, hash string) string {
		presses++
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: signer}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
		require.NoError(t, err)
		token, err := jwt.Signed(s).Claims(map[string]any{"iss": "https://api.botframework.com", "aud": app, "exp": time.Now().Unix() + 60, "serviceurl": "https://smba/"}).Serialize()
		require.NoError(t, err)
		req := httptest.NewRequest(http.MethodPost, "/teams/teams", strings.NewReader(fmt.Sprintf(`{"type":"invoke","name":"adaptiveCard/action","id":"%d","channelId":"msteams","serviceUrl":"https://smba/",
			"from":{"id":"29:%d","aadObjectId":%q},"conversation":{"id":"19:abc@thread.tacv2","tenantId":%q},"value":{"action":{"verb":"sallyport-%s","data":{"request":%q,"hash":%q}}}}`,
			presses, by, object(by), tenant, verb, r.ID, hash)))
		req.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		callbacks.ServeHTTP(w, req)
		require.Equal(t, http.StatusOK, w.Code)
		return w.Body.String()
	}
	require.Contains(t, press(1, "approve", r.Hash), "your own request")
	require.Contains(t, press(2, "approve", r.Hash), "you may not log in")
	require.Contains(t, press(3, "approve", r.Hash), "or have not yet")
	require.Contains(t, press(0, "deny", r.Hash), "a denial needs a reason")
	require.Contains(t, press(0, "approve", strings.Repeat("00", 32)), "read it again")
	require.Contains(t, press(0, "approve", r.Hash), "you have approved the request")
	now, err := h.desk.Get(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, review.Approved, now.State)
	require.Equal(t, "entra/"+object(0), now.DecidedBy)
	require.Equal(t, "teams teams", now.Channel)
	require.NoError(t, h.stop())
	refused := 0
	for _, e := range h.records(t)[""] {
		if e.Type == audit.AdminRefused && e.Action == audit.AdminDecide {
			refused++
		}
	}
	require.Equal(t, 3, refused, "own, without a reason, and another hash")
}
