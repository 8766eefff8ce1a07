package teams

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/review/internal/service"
	"github.com/sallyport/sallyport/store"
)

// KindMessage is the kind of the documents that say which card is about which request.
const KindMessage = "teams-message"

// KeepMessages is for how long a card is changed after something was told last.
const KeepMessages = 60 * 24 * time.Hour

// Where Microsoft's services are.
const (
	DefaultService = "https://smba.trafficmanager.net/teams"
	DefaultLogin   = "https://login.microsoftonline.com"
	// DefaultMetadata says by which keys the Bot Connector signs.
	DefaultMetadata = "https://login.botframework.com/v1/.well-known/openidconfiguration"
)

// BotConfig says where the cards of a bot go. Name, AppID, Secret, Tenant, Channel and Store are needed.
type BotConfig struct {
	Name    string       // of the channel of notices; cards are kept by it
	AppID   string       // of the bot's registration in Entra
	Secret  proxy.Secret // a client secret of the registration
	Tenant  string       // the identifier of the company's directory
	Channel string       // the identifier of a channel of a team that has the bot, such as 19:…@thread.tacv2
	Store   store.Store  // remembers cards

	// Decide gives cards about access that waits buttons to decide by; see [Callbacks].
	Decide  bool
	Details bool // what an operation would do is in cards, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: cards have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: cards have none.
	Command func(subject string) string

	// Service, Login and Metadata are other places of Microsoft's services; empty: the public ones.
	Service, Login, Metadata string
	Private                  bool        // these may lead to a private address
	TLS                      *tls.Config // nil is the system's roots
}

// Bot writes and changes cards. It is safe for concurrent use.
type Bot struct {
	config         BotConfig
	service, login *service.Client

	turn  chan struct{} // holds a value while somebody uses or fetches the token
	token proxy.Secret
	until time.Time // of the token
}

var (
	guid      = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	channelID = regexp.MustCompile(`^19:[A-Za-z0-9_.@-]{4,200}$`)
)

// NewBot checks c and returns its bot. It does not connect.
func NewBot(c BotConfig) (*Bot, error) {
	if err := review.ValidChannel(c.Name); err != nil {
		return nil, fmt.Errorf("teams: %w", err)
	}
	switch {
	case !guid.MatchString(c.AppID), !guid.MatchString(c.Tenant):
		return nil, errors.New("teams: want the identifiers of the bot's registration and of the directory, as 11111111-2222-3333-4444-555555555555")
	case !channelID.MatchString(c.Channel):
		return nil, errors.New("teams: want the identifier of a channel, such as 19:ba9feb7470794dbe@thread.tacv2, which is in the link to it")
	case c.Secret.Empty():
		return nil, errors.New("teams: got no client secret of the bot")
	case c.Store == nil:
		return nil, errors.New("teams: got no store that remembers cards")
	}
	for _, at := range []struct {
		url *string
		is  string
	}{{&c.Service, DefaultService}, {&c.Login, DefaultLogin}, {&c.Metadata, DefaultMetadata}} {
		if *at.url == "" {
			*at.url = at.is
		}
	}
	b := &Bot{config: c, turn: make(chan struct{}, 1)}
	var err error
	if b.service, err = b.open(c.Service); err != nil {
		return nil, err
	}
	if b.login, err = b.open(c.Login); err != nil {
		return nil, err
	}
	_, err = b.open(c.Metadata)
	return b, err
}

func (b *Bot) open(at string) (*service.Client, error) {
	return service.Config{Name: "teams", URL: at, Private: b.config.Private, TLS: b.config.TLS}.Open()
}

// beforeEnd is how long before its end a token is not used any more.
const beforeEnd = 5 * time.Minute

// proof is what proves the bot to the Bot Connector. Nobody else is told it: where cards go is configured, and no message of others says.
func (b *Bot) proof(ctx context.Context) (http.Header, error) {
	if err := b.take(ctx); err != nil {
		return nil, err
	}
	defer b.give()
	if !time.Now().Before(b.until) {
		var answer struct {
			Token   string `json:"access_token"`
			Expires int    `json:"expires_in"`
		}
		err := b.login.Do(ctx, service.Request{
			What: "log in", Method: http.MethodPost, Path: []string{b.config.Tenant, "oauth2", "v2.0", "token"}, Out: &answer, Form: url.Values{
				"grant_type": {"client_credentials"}, "client_id": {b.config.AppID}, "client_secret": {b.config.Secret.Reveal()}, "scope": {"https://api.botframework.com/.default"},
			},
		})
		if err != nil {
			return nil, err
		}
		if answer.Token == "" || answer.Expires <= 0 {
			return nil, errors.New("teams: log in: the answer has no token")
		}
		b.token, b.until = proxy.NewSecret(answer.Token), time.Now().Add(time.Duration(min(answer.Expires, 86400))*time.Second-beforeEnd)
	}
	return http.Header{"Authorization": {"Bearer " + b.token.Reveal()}}, nil
}

// ask asks the Bot Connector.
func (b *Bot) ask(ctx context.Context, q service.Request) error {
	var err error
	if q.Header, err = b.proof(ctx); err != nil {
		return err
	}
	if err = b.service.Do(ctx, q); service.Code(err) == http.StatusUnauthorized {
		if b.take(ctx) == nil {
			b.until = time.Time{} // the token is not good any more
			b.give()
		}
	}
	return err
}

// take waits for the token.
func (b *Bot) take(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *Bot) give() { <-b.turn }

// posted is where a card is.
type posted struct {
	Conversation string `json:"conversation"`
	Activity     string `json:"activity"`
}

// Notify writes the card about a request, or changes it to what has become of it. A card of which nobody knows whether it was written is
// written again.
func (b *Bot) Notify(ctx context.Context, of *review.Notice) error {
	name := b.config.Name + "/" + of.Subject()
	doc, err := b.config.Store.Get(ctx, KindMessage, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("teams: which card is about the request: %w", err)
	}
	c := &b.config
	m := fitting(func(most int) object { return message(b.buttons(of, card(of, c.Details, c.Link, c.Command, most))) })
	var at posted
	if err == nil && json.Unmarshal(doc.Body, &at) == nil && at.Activity != "" {
		q := service.Request{What: "change the card", Method: http.MethodPut, Path: []string{"v3", "conversations", at.Conversation, "activities", at.Activity}, In: m}
		if err := b.ask(ctx, q); service.Code(err) != http.StatusNotFound {
			return refused(err)
		}
		// Somebody has deleted it: it is written anew.
	}
	var made struct {
		ID       string `json:"id"`
		Activity string `json:"activityId"`
	}
	err = b.ask(ctx, service.Request{What: "write the card", Method: http.MethodPost, Path: []string{"v3", "conversations"}, Out: &made, In: object{
		"isGroup": true, "bot": object{"id": "28:" + c.AppID}, "tenantId": c.Tenant, "channelData": object{"channel": object{"id": c.Channel}, "tenant": object{"id": c.Tenant}}, "activity": m,
	}})
	if err != nil {
		return refused(err)
	}
	if made.ID == "" || made.Activity == "" {
		return errors.New("teams: write the card: the answer does not say which one it is")
	}
	return b.remember(ctx, name, posted{made.ID, made.Activity})
}

// refused is an error of a message: one that is too large will never be taken.
func refused(err error) error {
	if service.Code(err) == http.StatusRequestEntityTooLarge {
		return fmt.Errorf("%w: %w", review.ErrRefused, err)
	}
	return err
}

func (b *Bot) remember(ctx context.Context, name string, at posted) error {
	body, err := json.Marshal(at)
	if err == nil {
		err = kept.Put(ctx, b.config.Store, KindMessage, name, body, KeepMessages)
	}
	if err != nil {
		return fmt.Errorf("teams: remembering the card: %w", err)
	}
	return nil
}

// Names of buttons, and of what they carry.
const (
	verbApprove = "sallyport-approve"
	verbDeny    = "sallyport-deny"
	partReason  = "reason"
)

// maxReason is how many characters a reason has.
const maxReason = 1000

// buttons adds to a card what people decide by, while they can.
func (b *Bot) buttons(of *review.Notice, card object) object {
	r := &of.Request
	if !b.config.Decide || r.Access == nil || r.State != review.Pending {
		return card
	}
	card["version"] = "1.5"
	body, _ := card["body"].([]object)
	card["body"] = append(body, object{"type": "Input.Text", "id": partReason, "label": "Reason", "isMultiline": true, "maxLength": maxReason})
	button := func(title, verb, style string) object {
		return object{"type": "Action.Execute", "title": title, "verb": verb, "style": style, "data": object{"request": r.ID, "hash": r.Hash}}
	}
	actions, _ := card["actions"].([]object)
	card["actions"] = append([]object{button("Approve", verbApprove, "positive"), button("Deny", verbDeny, "destructive")}, actions...)
	return card
}
