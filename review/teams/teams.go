// Package teams tells of requests in Microsoft Teams: by the webhook of a workflow, which posts a card for each event and by which nobody
// decides, since a workflow does not prove who has pressed a button; or by a bot, whose one card for each request is changed when something
// becomes of it, and by which people decide where that is configured.
package teams

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/service"
)

// Config says where the cards of a workflow go. URL is needed.
type Config struct {
	// URL is that of the workflow's trigger "When a Teams webhook request is received". Who has it can post.
	URL     proxy.Secret
	Private bool        // the URL may lead to a private address
	TLS     *tls.Config // nil is the system's roots
	Details bool        // what an operation would do is in cards, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: cards have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: cards have none.
	Command func(subject string) string
}

// Notifier posts cards by a workflow. It is safe for concurrent use.
type Notifier struct {
	config Config
	client *service.Client
}

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	client, err := service.Config{Name: "teams", URL: c.URL.Reveal(), Private: c.Private, TLS: c.TLS}.Open()
	if err != nil {
		return nil, err
	}
	return &Notifier{c, client}, nil
}

// maxMessage is how many bytes a message has at most; Teams takes 28 KB.
const maxMessage = 24 << 10

// object is a part of a card.
type object map[string]any

// line is a line of a card. A text run has no mark-up, unlike a text block and a fact.
func line(parts ...object) object { return object{"type": "RichTextBlock", "inlines": parts} }

func run(text string, most int) object {
	// Elsewhere in cards this begins a function, such as one that writes a date.
	text = strings.ReplaceAll(text, "{{", "{\u200b{")
	return object{"type": "TextRun", "text": service.Shorten(text, most)}
}

// card is what tells of a notice. Texts have at most so many characters.
func card(of *review.Notice, details bool, link, command func(subject string) string, most int) object {
	head := run(of.Headline(), most)
	head["weight"], head["size"] = "Bolder", "Medium"
	body := []object{line(head)}
	for _, f := range of.Facts(details) {
		name := run(f.Name+": ", most)
		name["isSubtle"] = true
		value := f.Value
		if f.Written {
			value = "“" + value + "”"
		}
		body = append(body, line(name, run(value, most)))
	}
	if command != nil {
		shows := run(command(of.Subject()), most)
		shows["fontType"] = "Monospace"
		body = append(body, line(shows))
	}
	out := object{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body}
	if link != nil {
		out["actions"] = []object{{"type": "Action.OpenUrl", "title": "Look at the " + of.Sort(), "url": link(of.Subject())}}
	}
	return out
}

// message is what is posted.
func message(card object) object {
	return object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card,
	}}}
}

// fitting is a message that is not larger than Teams takes. make makes it of texts of at most so many characters.
func fitting(make func(most int) object) object {
	m := make(1000)
	for most := 500; most > 60 && size(m) > maxMessage; most /= 2 {
		m = make(most)
	}
	return m
}

// Notify posts a card. One of which nobody knows whether it was posted is posted again.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	c := &n.config
	m := fitting(func(most int) object { return message(card(of, c.Details, c.Link, c.Command, most)) })
	err := n.client.Do(ctx, service.Request{What: "post", Method: http.MethodPost, In: m})
	if service.Code(err) == http.StatusRequestEntityTooLarge {
		return fmt.Errorf("%w: %w", review.ErrRefused, err)
	}
	return err
}

func size(m object) int {
	b, err := json.Marshal(m)
	if err != nil {
		return 0 // which is said when it is sent
	}
	return len(b)
}
