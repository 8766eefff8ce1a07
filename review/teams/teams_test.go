package teams_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/reviewtest"
	"github.com/sallyport/sallyport/review/teams"
)

// element is a part of a card.
type element struct {
	Type, Text, Title, URL string
	Inlines                []element
}

// message is what a workflow is sent.
type message struct {
	Type        string
	Attachments []struct {
		ContentType string
		Content     struct {
			Type, Version string
			Body          []element
			Actions       []element
		}
	}
}

// fake is a workflow, which takes messages with 202.
type fake struct {
	*reviewtest.HTTP
	mu    sync.Mutex
	sent  []string // as they came
	cards []message
}

func newFake(t *testing.T) *fake {
	f := &fake{}
	f.HTTP = reviewtest.NewHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		var m message
		if r.URL.RequestURI() != "/workflows/a1/triggers/manual/paths/invoke?api-version=1&sig=hunter2" || json.Unmarshal(b, &m) != nil || len(b) > 28<<10 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sent, f.cards = append(f.sent, string(b)), append(f.cards, m)
		w.WriteHeader(http.StatusAccepted)
	})
	return f
}

func (f *fake) notifier(t *testing.T, change func(c *teams.Config)) *teams.Notifier {
	t.Helper()
	c := teams.Config{URL: proxy.NewSecret(f.URL + "/workflows/a1/triggers/manual/paths/invoke?api-version=1&sig=hunter2"), Private: true, TLS: f.TLS}
	if change != nil {
		change(&c)
	}
	n, err := teams.New(c)
	require.NoError(t, err)
	return n
}

func TestConformance(t *testing.T) {
	reviewtest.Test(t, func(t *testing.T) reviewtest.Subject {
		f := newFake(t)
		return reviewtest.Subject{Notifier: f.notifier(t, nil), Service: f, Secrets: []string{"hunter2"}}
	})
}

// TestCard: an event is a card with what a person wants to know, and a link to where it is decided.
func TestCard(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *teams.Config) {
		c.Link = func(id string) string { return "https://gw.example.com/v1/requests/" + id }
		c.Command = func(id string) string { return "sallyport requests show " + id }
	})
	require.NoError(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)))
	m := f.cards[0]
	require.Equal(t, "message", m.Type)
	require.Equal(t, "application/vnd.microsoft.card.adaptive", m.Attachments[0].ContentType)
	card := m.Attachments[0].Content
	require.Equal(t, "AdaptiveCard", card.Type)
	require.Equal(t, "alice asks for access to orders", card.Body[0].Inlines[0].Text)
	require.Equal(t, "sallyport requests show 4jzq7nbkw2", card.Body[len(card.Body)-1].Inlines[0].Text)
	require.Equal(t, []element{{Type: "Action.OpenUrl", Title: "Look at the request", URL: "https://gw.example.com/v1/requests/4jzq7nbkw2"}}, card.Actions)
	require.Contains(t, f.sent[0], "“INC-4711: repair the order of Mrs. Smith”")
}

// TestHostileCard: what people wrote is in text runs, which have no mark-up, and a card is not larger than Teams takes.
func TestHostileCard(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *teams.Config) { c.Details = true })
	hostile := reviewtest.Hostile()
	hostile.Request.DecidedBy, hostile.Request.Account = strings.Repeat("ü&<>\"", 2000), "{{DATE(2017-02-14T06:08:00Z)}}"
	require.NoError(t, n.Notify(t.Context(), hostile))
	hostile.Request.Access = nil
	hostile.Request.Text, hostile.Request.Effects, hostile.Request.Blind, hostile.Request.Message = strings.Repeat("𝄞", 4000), strings.Repeat("𝄞", 4000), strings.Repeat("𝄞", 4000), strings.Repeat("𝄞", 4000)
	hostile.Request.Rules, hostile.Request.Reason, hostile.Request.Approvers = []string{strings.Repeat("𝄞", 4000)}, strings.Repeat("𝄞", 4000), [][]string{{strings.Repeat("𝄞", 4000)}}
	hostile.Request.Database, hostile.Request.Requester, hostile.Request.For = strings.Repeat("𝄞", 4000), strings.Repeat("𝄞", 4000), strings.Repeat("𝄞", 4000)
	require.NoError(t, n.Notify(t.Context(), hostile))
	for i, m := range f.cards {
		require.Less(t, len(f.sent[i]), 28<<10)
		require.NotContains(t, f.sent[i], "{{")
		card := m.Attachments[0].Content
		require.Empty(t, card.Actions)
		require.Greater(t, len(card.Body), 8)
		for _, b := range card.Body {
			require.Equal(t, "RichTextBlock", b.Type)
			for _, run := range b.Inlines {
				require.Equal(t, "TextRun", run.Type)
				require.NotContains(t, run.Text, "\n")
				require.NotContains(t, run.Text, "\x1b")
				require.NotContains(t, run.Text, "\u202e")
			}
		}
	}
}

// TestDetails: what an operation would do stays with the gateway, unless details are asked for.
func TestDetails(t *testing.T) {
	f := newFake(t)
	of := reviewtest.Notice("n", review.Asked)
	of.Request.Access, of.Request.Kind, of.Request.Text = nil, "statement", "DELETE FROM orders"
	require.NoError(t, f.notifier(t, nil).Notify(t.Context(), of))
	require.NoError(t, f.notifier(t, func(c *teams.Config) { c.Details = true }).Notify(t.Context(), of))
	require.NotContains(t, f.sent[0], "DELETE")
	require.Contains(t, f.sent[1], "DELETE FROM orders")
}

// TestPrivate: a name that leads inside reaches nothing there, unless that is configured.
func TestPrivate(t *testing.T) {
	f := newFake(t)
	n := f.notifier(t, func(c *teams.Config) { c.Private = false })
	require.ErrorContains(t, n.Notify(t.Context(), reviewtest.Notice("n", review.Asked)), "private, local or reserved")
	require.Zero(t, f.Taken())
}

func TestConfig(t *testing.T) {
	for _, url := range []string{"", "http://example.com/?sig=hunter2", "https://u:hunter2@example.com", "hunter2", "https://example.com/%zz?sig=hunter2"} {
		_, err := teams.New(teams.Config{URL: proxy.NewSecret(url)})
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
