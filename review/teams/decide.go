package teams

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/review/internal/service"
)

// KindCallback is the kind of the documents that say which callbacks were taken, so that none counts twice.
const KindCallback = "teams-callback"

// Bounds of callbacks.
const (
	maxCallback  = 256 << 10      // bytes
	keepCallback = 24 * time.Hour // longer than a token is good for
	answerWithin = 8 * time.Second
)

// Callbacks takes what people decide in Teams: an http.Handler for the bot's messaging endpoint. A button carries the request's identifier and
// the hash of what was seen. Who presses it is the member of the directory who the Bot Connector says, in a request that it has signed for
// this bot; what she may do is for Approve and Deny to say. Make one by [NewCallbacks].
type Callbacks struct {
	bot           *Bot
	who           func(ctx context.Context, object string) (*proxy.Identity, error)
	approve, deny func(ctx context.Context, request string, v review.Vote) error
	slog          *slog.Logger
	keys          keys
}

// NewCallbacks returns what takes the callbacks of a bot. who returns the person of an object identifier in the bot's directory, as she is now;
// its error is for her. approve and deny decide; their errors are told to who decides when they are among those of package review. log may be
// nil.
func NewCallbacks(b *Bot, who func(ctx context.Context, object string) (*proxy.Identity, error), approve, deny func(ctx context.Context, request string, v review.Vote) error, log *slog.Logger) *Callbacks {
	return &Callbacks{bot: b, who: who, approve: approve, deny: deny, slog: log, keys: keys{turn: make(chan struct{}, 1)}}
}

func (cb *Callbacks) log() *slog.Logger { return cmp.Or(cb.slog, slog.Default()) }

// activity is what the Bot Connector sends, as far as it is of interest.
type activity struct {
	Type       string `json:"type"`
	Name       string `json:"name"`
	ID         string `json:"id"`
	ChannelID  string `json:"channelId"`
	ServiceURL string `json:"serviceUrl"`
	From       struct {
		ID     string `json:"id"`
		Object string `json:"aadObjectId"`
	} `json:"from"`
	Conversation struct {
		ID     string `json:"id"`
		Tenant string `json:"tenantId"`
	} `json:"conversation"`
	ChannelData struct {
		Team struct {
			ID string `json:"id"`
		} `json:"team"`
		Tenant struct {
			ID string `json:"id"`
		} `json:"tenant"`
	} `json:"channelData"`
	Value struct {
		Action struct {
			Verb string `json:"verb"`
			Data struct {
				Request string `json:"request"`
				Hash    string `json:"hash"`
				Reason  string `json:"reason"`
			} `json:"data"`
		} `json:"action"`
	} `json:"value"`
}

// ServeHTTP takes one callback.
func (cb *Callbacks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	var in activity
	if json.Unmarshal(body, &in) != nil {
		w.WriteHeader(http.StatusForbidden) // whose it is cannot be told
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	switch err := cb.bot.verify(ctx, &cb.keys, token, in.ServiceURL); {
	case errors.Is(err, errToken):
		w.WriteHeader(http.StatusForbidden)
		return
	case err != nil:
		cb.log().Error("teams: it cannot be checked who sends what is decided in Teams", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if in.Type != "invoke" || in.Name != "adaptiveCard/action" || in.ChannelID != endorsement {
		return // such as a message to the bot, which says nothing
	}
	w.Header().Set("Content-Type", "application/json")
	answer := object{"statusCode": http.StatusOK, "type": "application/vnd.microsoft.activity.message", "value": cb.decided(ctx, &in, body)}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		cb.log().Debug("teams: the caller left", "err", err)
	}
}

// Texts for who decides.
var (
	errForm    = &review.RefusalError{Message: "this cannot be read: use the buttons of the card"}
	errAccount = &review.RefusalError{Message: "Teams does not say for certain who you are: you must be a member of the gateway's directory"}
	errAgain   = &review.RefusalError{Message: "this was taken already"}
)

// errFailed is what who decides is told of what went wrong inside.
const errFailed = "it could not be decided now: look at the request, and try again"

// decided decides, and returns what who has pressed is told.
func (cb *Callbacks) decided(ctx context.Context, in *activity, body []byte) string {
	verb := in.Value.Action.Verb
	err := cb.decide(ctx, in, body)
	if err == nil && verb == verbApprove {
		return "you have approved the request"
	} else if err == nil {
		return "you have denied the request"
	}
	if text, ok := review.Tellable(err); ok {
		cb.log().Warn("teams: a decision in Teams does not count", "object", in.From.Object, "request", in.Value.Action.Data.Request, "reason", text)
		return text
	}
	cb.log().Error("teams: a decision in Teams failed", "err", err)
	return errFailed
}

func (cb *Callbacks) decide(ctx context.Context, in *activity, body []byte) error {
	action := &in.Value.Action
	if action.Verb != verbApprove && action.Verb != verbDeny || action.Data.Request == "" || action.Data.Hash == "" || len(action.Data.Request)+len(action.Data.Hash) > 1000 {
		return errForm
	}
	if err := cb.member(ctx, in); err != nil {
		return err
	}
	if fresh, err := cb.fresh(ctx, in, body); err != nil {
		return err
	} else if !fresh {
		return errAgain
	}
	by, err := cb.who(ctx, in.From.Object)
	if err != nil {
		return err
	}
	if by == nil || by.Kind != proxy.Human {
		return errAccount
	}
	v := review.Vote{By: by, Hash: action.Data.Hash, Reason: action.Data.Reason, Channel: "teams " + cb.bot.config.Name}
	if action.Verb == verbApprove {
		return cb.approve(ctx, action.Data.Request, v)
	}
	return cb.deny(ctx, action.Data.Request, v)
}

// member checks that who has pressed is a member of the bot's directory now, and of the team: a channel can be shared with others.
func (cb *Callbacks) member(ctx context.Context, in *activity) error {
	at := cmp.Or(in.ChannelData.Team.ID, in.Conversation.ID)
	if !guid.MatchString(in.From.Object) || in.From.ID == "" || at == "" || cmp.Or(in.ChannelData.Tenant.ID, in.Conversation.Tenant) != cb.bot.config.Tenant {
		return errAccount
	}
	var p struct {
		ID     string `json:"id"`
		Object string `json:"aadObjectId"`
		Tenant string `json:"tenantId"`
		Role   string `json:"userRole"`
	}
	err := cb.bot.ask(ctx, service.Request{
		What: "read who has decided", Method: http.MethodGet, Path: []string{"v3", "conversations", at, "members", in.From.ID}, Out: &p,
	})
	if code := service.Code(err); code == http.StatusNotFound || code == http.StatusForbidden {
		return errAccount
	}
	if err != nil {
		return err
	}
	if p.ID != in.From.ID || p.Object != in.From.Object || p.Tenant != cb.bot.config.Tenant || p.Role == "guest" || p.Role == "anonymous" {
		return errAccount
	}
	return nil
}

// fresh reports whether a callback was not taken before, by any gateway on the store. It is from now on.
func (cb *Callbacks) fresh(ctx context.Context, in *activity, body []byte) (bool, error) {
	key := []byte(in.ID)
	if in.ID == "" {
		key = body
	}
	sum := sha256.Sum256(key)
	return kept.Once(ctx, cb.bot.config.Store, KindCallback, cb.bot.config.Name+"/"+hex.EncodeToString(sum[:]), keepCallback)
}
