// Package teams tells of requests in a channel or chat of Microsoft Teams, by the webhook of a workflow. Each event is a card. Nobody decides
// by it: a workflow does not prove who has pressed a button.
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

// Config says where cards go. URL is needed.
type Config struct {
	// URL is that of the workflow's trigger "When a Teams webhook request is received". Who has it can post.
	URL     proxy.Secret
	Private bool        // the URL may lead to a private address
	TLS     *tls.Config // nil is the system's roots
	Details bool        // what an operation would do is in cards, too
	// Link is where a request is shown; nil: cards have no link.
	Link func(request string) string
	// Command shows a request on a command line; nil: cards have none.
	Command func(request string) string
}

// Notifier posts cards. It is safe for concurrent use.
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

// message is what is posted. Texts have at most so many characters.
func (n *Notifier) message(of *review.Notice, most int) object {
	head := run(of.Headline(), most)
	head["weight"], head["size"] = "Bolder", "Medium"
	body := []object{line(head)}
	for _, f := range of.Facts(n.config.Details) {
		name := run(f.Name+": ", most)
		name["isSubtle"] = true
		value := f.Value
		if f.Written {
			value = "“" + value + "”"
		}
		body = append(body, line(name, run(value, most)))
	}
	if n.config.Command != nil {
		command := run(n.config.Command(of.Request.ID), most)
		command["fontType"] = "Monospace"
		body = append(body, line(command))
	}
	card := object{"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4", "body": body}
	if n.config.Link != nil {
		card["actions"] = []object{{"type": "Action.OpenUrl", "title": "Look at the request", "url": n.config.Link(of.Request.ID)}}
	}
	return object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": nil, "content": card,
	}}}
}

// Notify posts a card. One of which nobody knows whether it was posted is posted again.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	m := n.message(of, 1000)
	for most := 500; most > 60 && size(m) > maxMessage; most /= 2 {
		m = n.message(of, most)
	}
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
