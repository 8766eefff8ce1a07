package webhook_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/webhook"
)

var (
	secret  = "whsec_" + base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	private = "whsk_" + base64.StdEncoding.EncodeToString([]byte("abcdefghijklmnopqrstuvwxyz012345"))
)

func keys(t *testing.T) []webhook.Key {
	t.Helper()
	var list []webhook.Key
	for _, text := range []string{secret, private} {
		k, err := webhook.ParseKey(text)
		require.NoError(t, err)
		list = append(list, k)
	}
	return list
}

// endpoint is a service and a notifier that trusts it.
func endpoint(t *testing.T, answer http.HandlerFunc, change func(c *webhook.Config)) (*reviewtest.HTTP, *webhook.Notifier) {
	t.Helper()
	h := reviewtest.NewHTTP(t, answer)
	c := webhook.Config{URL: h.URL + "/hook?token=hunter2", Keys: keys(t), Private: true, TLS: h.TLS}
	if change != nil {
		change(&c)
	}
	n, err := webhook.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { n.Close() })
	return h, n
}

func TestConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		h, n := endpoint(t, nil, nil)
		return reviewtest.Subject{Notifier: n, Service: h, Secrets: []string{"hunter2", secret, private, "0123456789abcdef0123456789abcdef"}}
	})
}

// TestSignatures: receivers check the message as the specification says, by either key, and know one that comes again.
func TestSignatures(t *testing.T) {
	public, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(keys(t)[1].Public(), "whpk_"))
	require.NoError(t, err)
	var ids []string
	_, n := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		ids = append(ids, r.Header.Get("webhook-id"))
		at, err := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), time.Unix(at, 0), time.Minute)
		content := fmt.Appendf(nil, "%s.%d.%s", r.Header.Get("webhook-id"), at, body)
		mac := hmac.New(sha256.New, []byte("0123456789abcdef0123456789abcdef"))
		mac.Write(content)
		list := strings.Fields(r.Header.Get("webhook-signature"))
		require.Len(t, list, 2)
		require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), list[0])
		sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(list[1], "v1a,"))
		require.NoError(t, err)
		require.True(t, ed25519.Verify(public, content, sig))
		w.WriteHeader(http.StatusAccepted)
	}, nil)
	for _, id := range []string{"a", "a", "b"} {
		require.NoError(t, n.Notify(t.Context(), reviewtest.Notice(id, review.Asked)))
	}
	require.Equal(t, ids[0], ids[1])
	require.NotEqual(t, ids[0], ids[2])
}

// TestThin: what people and programs wrote stays with the gateway, unless details are asked for.
func TestThin(t *testing.T) {
	var body []byte
	answer := func(_ http.ResponseWriter, r *http.Request) { body, _ = io.ReadAll(r.Body) }
	link := func(id string) string { return "https://gw.example.com/v1/requests/" + id }
	_, n := endpoint(t, answer, func(c *webhook.Config) { c.Link = link })
	of := reviewtest.Notice("n", "approved")
	of.Request.Arguments = []string{"an argument"}
	require.NoError(t, n.Notify(t.Context(), of))
	require.JSONEq(t, `{"type":"request.approved","timestamp":"2026-03-01T12:00:00Z","data":{"id":"4jzq7nbkw2","kind":"access","state":"approved",
		"requester":"alice","resource":"orders","decided_by":"bob","link":"https://gw.example.com/v1/requests/4jzq7nbkw2"}}`, string(body))

	_, n = endpoint(t, answer, func(c *webhook.Config) { c.Details = true })
	require.NoError(t, n.Notify(t.Context(), of))
	var m webhook.Message
	require.NoError(t, json.Unmarshal(body, &m))
	require.Equal(t, &webhook.Details{
		Account: "writer", Text: of.Request.Text, Message: "writing needs a second person", Reason: "INC-4711: repair the order of Mrs. Smith",
		Decision: "as discussed", Rules: []string{"writers-ask"}, Approvers: [][]string{{"oncall"}}, Deadline: of.Request.Deadline, Hash: of.Request.Hash,
	}, m.Data.Details)
	require.NotContains(t, string(body), "an argument")

	_, n = endpoint(t, answer, func(c *webhook.Config) {
		c.Details, c.Link = true, func(subject string) string { return "https://gw.example.com/" + subject }
	})
	require.NoError(t, n.Notify(t.Context(), reviewtest.Alert("n")))
	require.JSONEq(t, `{"type":"alert.fired","timestamp":"2026-03-01T12:00:00Z","data":{"id":"alert/many-refusals/n","kind":"alert","state":"fired","requester":"alice","resource":"orders",
		"link":"https://gw.example.com/alert/many-refusals/n","alert":{"rule":"many-refusals","message":"somebody tries what she may not","count":5,"seconds":600,"before":2,
		"event":"operation.refused","user":"alice","resource":"orders","decision":"no-drop","session":"20260301T115501-4jzq7nbkw2"}}}`, string(body))
}

func TestAnswers(t *testing.T) {
	status := 0
	header := ""
	_, n := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(status)
	}, nil)
	tell := func() error { return n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)) }
	for _, status = range []int{200, 201, 202, 204} {
		require.NoError(t, tell())
	}
	for _, status = range []int{301, 302, 400, 401, 403, 404, 408, 413, 429, 500, 502, 503} {
		err := tell()
		require.ErrorContains(t, err, strconv.Itoa(status))
		require.NotErrorIs(t, err, review.ErrGone)
		require.NotErrorAs(t, err, new(*review.BusyError))
	}
	header, status = "30", http.StatusServiceUnavailable
	var busy *review.BusyError
	require.ErrorAs(t, tell(), &busy)
	require.Equal(t, 30*time.Second, busy.After)
	status = http.StatusGone
	require.ErrorIs(t, tell(), review.ErrGone)
}

// TestPrivate: a name that leads inside reaches nothing there, unless that is configured.
func TestPrivate(t *testing.T) {
	h := reviewtest.NewHTTP(t, nil)
	for _, url := range []string{h.URL, strings.Replace(h.URL, "127.0.0.1", "localhost", 1)} {
		n, err := webhook.New(webhook.Config{URL: url, Keys: keys(t), TLS: h.TLS})
		require.NoError(t, err)
		require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)), "private, local or reserved")
	}
	require.Zero(t, h.Taken())
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]webhook.Config{
		"no key":     {URL: "https://example.com"},
		"plain http": {URL: "http://example.com", Keys: keys(t)},
		"loopback":   {URL: "http://127.0.0.1", Keys: keys(t)},
		"a user":     {URL: "https://u:p@example.com", Keys: keys(t)},
		"no URL":     {Keys: keys(t)},
	} {
		_, err := webhook.New(c)
		require.Error(t, err, name)
	}
	_, err := webhook.New(webhook.Config{URL: "http://example.com", Plaintext: true, Keys: keys(t)})
	require.NoError(t, err)
}
