// Package slack tells people of requests in a channel of Slack. Each request is one message, which is
// changed when something becomes of it. People decide by its buttons where that is configured.
package slack

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/sallyport/sallyport/internal/terminal"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/store"
)

// KindMessage is the kind of the documents that say which message is about which request.
const KindMessage = "slack-message"

// KeepMessages is for how long a message is changed after something was told last.
const KeepMessages = 60 * 24 * time.Hour

// DefaultURL is where Slack's API is.
const DefaultURL = "https://slack.com/api/"

// Config says where messages go. Name, Channel, Token and Store are needed.
type Config struct {
	Name    string       // of the channel of notices; messages are kept by it
	Channel string       // identifier of Slack's channel, such as C0123456789
	Token   proxy.Secret // of a bot with the scope chat:write that is in the channel
	Store   store.Store  // remembers messages
	URL     string       // of the API; empty is DefaultURL
	TLS     *tls.Config  // nil is the system's roots
	App     proxy.Secret // the app's token for Socket Mode, which begins with xapp-; needed for Callbacks.Run alone

	// Decide gives messages about access that waits buttons to decide by; see [Callbacks].
	Decide bool
	// Runbooks gives messages about runs of runbooks that wait these buttons, too, where all that is decided about is in the message; see
	// [Shows].
	Runbooks bool
	Details  bool // what an operation would do is in messages, too
	// Link is where what a notice is about is shown, by review.Notice.Subject; nil: messages have no link.
	Link func(subject string) string
	// Command shows it on a command line; nil: messages have none.
	Command func(subject string) string
}

// Notifier writes and changes messages. It is safe for concurrent use.
type Notifier struct {
	config Config
	api    *slack.Client
	socket *http.Client // opens connections
}

// channelID is an identifier of a channel, a private one or a conversation.
var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]{2,40}$`)

// timeout is that of one request.
const timeout = 15 * time.Second

// New checks c and returns its notifier. It does not connect.
func New(c Config) (*Notifier, error) {
	if err := review.ValidChannel(c.Name); err != nil {
		return nil, fmt.Errorf("slack: %w", err)
	}
	if !channelID.MatchString(c.Channel) {
		return nil, fmt.Errorf("slack: channel: got %q, want an identifier such as C0123456789, which is in the channel's details", c.Channel)
	}
	if c.Token.Empty() {
		return nil, errors.New("slack: token: got nothing, want a bot's, which begins with xoxb-")
	}
	if c.Store == nil {
		return nil, errors.New("slack: got no store that remembers messages")
	}
	if c.URL == "" {
		c.URL = DefaultURL
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("slack: url: want https://HOST/PATH")
	}
	if !strings.HasSuffix(c.URL, "/") {
		c.URL += "/"
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: c.TLS, ForceAttemptHTTP2: true, TLSHandshakeTimeout: timeout,
		ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: 64 << 10,
		DisableKeepAlives: true, // a message whose answer got lost with an old connection would be written twice
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client := &http.Client{Transport: bounded{transport}, Timeout: timeout, CheckRedirect: stay}
	return &Notifier{
		config: c, socket: &http.Client{Transport: transport, CheckRedirect: stay},
		api: slack.New(c.Token.Reveal(), slack.OptionAppLevelToken(c.App.Reveal()), slack.OptionHTTPClient(client), slack.OptionAPIURL(c.URL)),
	}, nil
}

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 1 << 20

// bounded reads no more of an answer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// message is where the message about a request is.
type message struct {
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// Notify writes the message about a request, or changes it to what has become of it. A message of which nobody knows whether it was
// written is written again.
func (n *Notifier) Notify(ctx context.Context, of *review.Notice) error {
	doc, err := n.config.Store.Get(ctx, KindMessage, n.config.Name+"/"+of.Subject())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("slack: which message is about the request: %w", err)
	}
	options := n.options(of)
	var m message
	if err == nil && json.Unmarshal(doc.Body, &m) == nil && m.TS != "" {
		_, ts, _, err := n.api.UpdateMessageContext(ctx, m.Channel, m.TS, options...)
		var failed slack.SlackErrorResponse
		switch {
		case err == nil && ts != "":
			return nil
		case err == nil:
			return errors.New("slack: chat.update: the answer does not say which message it is")
		case !errors.As(err, &failed) || failed.Err != "message_not_found" && failed.Err != "channel_not_found":
			return answered("chat.update", err)
		}
		// Somebody has deleted it: it is written anew.
	}
	if m.Channel, m.TS, err = n.api.PostMessageContext(ctx, n.config.Channel, options...); err != nil {
		return answered("chat.postMessage", err)
	}
	if m.TS == "" || m.Channel == "" {
		return errors.New("slack: chat.postMessage: the answer does not say which message it is")
	}
	return n.remember(ctx, of.Subject(), m)
}

func (n *Notifier) remember(ctx context.Context, request string, m message) error {
	body, err := json.Marshal(m)
	if err == nil {
		err = kept.Put(ctx, n.config.Store, KindMessage, n.config.Name+"/"+request, body, KeepMessages)
	}
	if err != nil {
		return fmt.Errorf("slack: remembering the message: %w", err)
	}
	return nil
}

// code is what Slack calls an error.
var code = regexp.MustCompile(`^[a-z_]{1,64}$`)

// answered is the error of a method, without what the answer says but for its code.
func answered(method string, err error) error {
	var busy *slack.RateLimitedError
	var status slack.StatusCodeError
	var failed slack.SlackErrorResponse
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var outer *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &busy):
		return &review.BusyError{After: max(0, busy.RetryAfter), Err: fmt.Errorf("slack: %s: too many messages", method)}
	case errors.As(err, &status):
		return fmt.Errorf("slack: %s: the answer has the status %d", method, status.Code)
	case errors.As(err, &failed):
		if !code.MatchString(failed.Err) {
			return fmt.Errorf("slack: %s: it failed, and Slack does not say how", method)
		}
		err := fmt.Errorf("slack: %s: %s", method, failed.Err)
		if failed.Err == "invalid_blocks" || failed.Err == "msg_too_long" {
			return fmt.Errorf("%w: %w", review.ErrRefused, err)
		}
		return err
	case errors.As(err, &syntax), errors.As(err, &kind):
		return fmt.Errorf("slack: %s: the answer is not one of Slack's", method)
	case errors.As(err, &outer):
		return fmt.Errorf("slack: %s: %w", method, outer.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("slack: %s: the answer is cut off", method)
	}
	return fmt.Errorf("slack: %s: no answer that is understood", method)
}

// Bounds of Slack's on parts of a message, in characters; ours are smaller.
const (
	maxHeadline = 600
	maxField    = 1000
	maxFields   = 10 // of a section
)

// plain is text that is shown as it is: no mark-up, no mention, no emoji. It has at most so many characters.
func plain(text string, most int) *slack.TextBlockObject {
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return slack.NewTextBlockObject(slack.PlainTextType, text, false, false)
}

// escaped is text that a notification shows as it is.
var escaped = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// buttons are those of a message.
func (n *Notifier) buttons(of *review.Notice) (list []slack.BlockElement) {
	r := &of.Request
	if n.config.Decide && r.State == review.Pending && (r.Access != nil || n.config.Runbooks && Shows(r)) {
		value := carried(r.ID, r.Hash)
		list = append(list,
			slack.NewButtonBlockElement(actionApprove, value, plain("Approve", 75)).WithStyle(slack.StylePrimary),
			slack.NewButtonBlockElement(actionDeny, value, plain("Deny", 75)).WithStyle(slack.StyleDanger))
	}
	if n.config.Link != nil {
		list = append(list, slack.NewButtonBlockElement(actionLook, "", plain("Look at the "+of.Sort(), 75)).WithURL(n.config.Link(of.Subject())))
	}
	return list
}

// maxWhole is how many characters a section has at most that shows a run of a runbook.
const maxWhole = 2900

// Shows reports whether a message can show all that approvers read of a request for a run of a runbook, so that who reads it can decide.
func Shows(r *review.Request) bool {
	return r.Access == nil && r.Kind == proxy.KindRunbook.String() && len(r.Arguments) == 0 && r.Text != "" && len([]rune(whole(r))) <= maxWhole
}

// whole is the text of a request, on its lines, without what would not be seen as it is.
func whole(r *review.Request) string { return terminal.VisibleLines(r.Text) }

// options are the message as it is now. What others wrote is in it as plain text only.
func (n *Notifier) options(of *review.Notice) []slack.MsgOption {
	headline := plain(of.Headline(), maxHeadline)
	blocks := []slack.Block{slack.NewSectionBlock(headline, nil, nil)}
	var fields []*slack.TextBlockObject
	shown := n.config.Runbooks && Shows(&of.Request)
	if shown {
		blocks = append(blocks, slack.NewSectionBlock(plain(whole(&of.Request), maxWhole), nil, nil))
	}
	for _, f := range of.Facts(n.config.Details && !shown) {
		value := f.Value
		if f.Written {
			value = "“" + value + "”"
		}
		fields = append(fields, plain(f.Name+"\n"+value, maxField))
	}
	for len(fields) > 0 {
		most := min(len(fields), maxFields)
		blocks = append(blocks, slack.NewSectionBlock(nil, fields[:most], nil))
		fields = fields[most:]
	}
	if buttons := n.buttons(of); len(buttons) > 0 {
		blocks = append(blocks, slack.NewActionBlock("", buttons...))
	}
	if n.config.Command != nil {
		blocks = append(blocks, slack.NewContextBlock("", plain(n.config.Command(of.Subject()), maxField)))
	}
	return []slack.MsgOption{
		slack.MsgOptionText(escaped.Replace(headline.Text), false), slack.MsgOptionBlocks(blocks...), slack.MsgOptionDisableMarkdown(), slack.MsgOptionLinkNames(false),
		slack.MsgOptionParse(false), slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
}
