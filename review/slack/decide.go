package slack

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
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/review/internal/service"
)

// KindCallback is the kind of the documents that say which callbacks were taken, so that none counts twice.
const KindCallback = "slack-callback"

// Bounds of callbacks.
const (
	maxCallback  = 256 << 10               // bytes
	signedWithin = 5 * time.Minute         // by the store's clock, before and after
	keepCallback = 15 * time.Minute        // longer than a signature is good for, by the same clock
	answerWithin = 2500 * time.Millisecond // after three seconds Slack tells the user that it failed
	maxReason    = 1000                    // characters
)

// Names of buttons, dialogs and their parts.
const (
	actionApprove = "sallyport-approve"
	actionDeny    = "sallyport-deny"
	actionLook    = "sallyport-look"
	partReason    = "reason"
)

// Callbacks takes what people decide in Slack: an http.Handler for the app's Request URL, or by Run over a connection to Slack. A button carries the request's identifier and
// the hash of what was seen, and opens a dialog for the reason. Who presses it is known by the mail address of her account in Slack, which
// Slack has verified; what she may do is for Approve and Deny to say. All fields but Log are needed, and Signing for ServeHTTP
// alone. The bot needs the scope users:read.email, too.
type Callbacks struct {
	Notifier *Notifier
	// Signing is the app's signing secret.
	Signing proxy.Secret
	// Who returns the one person of a mail address, as she is now. The error is for her.
	Who func(ctx context.Context, email string) (*proxy.Identity, error)
	// Approve and Deny decide. Their errors are told to who decides when they are among those of package review.
	Approve, Deny func(ctx context.Context, request string, v review.Vote) error
	Log           *slog.Logger
}

// ServeHTTP takes one callback.
func (cb *Callbacks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := service.Posted(w, r, maxCallback)
	if !ok {
		return
	}
	at, ok := cb.signed(r.Header, body)
	if !ok {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	form, err := url.ParseQuery(string(body))
	var in slack.InteractionCallback
	if err != nil || json.Unmarshal([]byte(form.Get("payload")), &in) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	switch fresh, err := cb.fresh(ctx, at, body); {
	case errors.Is(err, errLate):
		w.WriteHeader(http.StatusUnauthorized)
		return
	case err != nil:
		cb.log().Error("slack: what somebody decides in Slack cannot be taken", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case !fresh:
		return // it was taken before
	}
	answer, err := cb.take(ctx, &in)
	if err != nil {
		cb.log().Warn("slack: what somebody decides in Slack cannot be taken", "err", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if answer != nil {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(answer); err != nil {
			cb.log().Debug("slack: the caller left", "err", err)
		}
	}
}

// take takes one callback that is fresh, and returns what Slack is answered with; nil: nothing.
func (cb *Callbacks) take(ctx context.Context, in *slack.InteractionCallback) (answer json.RawMessage, err error) {
	switch in.Type {
	case slack.InteractionTypeBlockActions:
		return nil, cb.pressed(ctx, in)
	case slack.InteractionTypeViewSubmission:
		if err := cb.decided(ctx, in); err != nil {
			return json.Marshal(slack.NewErrorsViewSubmissionResponse(map[string]string{partReason: cb.fit(err)}))
		}
	}
	return nil, nil
}

func (cb *Callbacks) log() *slog.Logger {
	if cb.Log != nil {
		return cb.Log
	}
	return slog.Default()
}

// signed returns when Slack has signed a callback, and whether it has.
func (cb *Callbacks) signed(h http.Header, body []byte) (at time.Time, ok bool) {
	stamp := h.Get("X-Slack-Request-Timestamp")
	text, v0 := strings.CutPrefix(h.Get("X-Slack-Signature"), "v0=")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	signature, malformed := hex.DecodeString(text)
	if !v0 || err != nil || malformed != nil || cb.Signing.Empty() {
		return at, false
	}
	mac := hmac.New(sha256.New, []byte(cb.Signing.Reveal()))
	fmt.Fprintf(mac, "v0:%s:", stamp)
	mac.Write(body)
	return time.Unix(seconds, 0), hmac.Equal(mac.Sum(nil), signature)
}

var errLate = errors.New("the callback was not signed just now")

// fresh reports whether a callback that was signed at a time was not taken before, by any gateway on the store. It is from now on. The store's
// clock says whether that was just now: by the clock of a gateway's machine that is late, a callback would count again which others have
// forgotten.
func (cb *Callbacks) fresh(ctx context.Context, at time.Time, body []byte) (bool, error) {
	_, now, err := cb.Notifier.config.Store.Head(ctx)
	if err != nil {
		return false, err
	}
	if now.Sub(at).Abs() > signedWithin {
		return false, errLate
	}
	return cb.once(ctx, body)
}

// once reports whether a callback was not taken before, by any gateway on the store. It is from now on.
func (cb *Callbacks) once(ctx context.Context, body []byte) (bool, error) {
	sum := sha256.Sum256(body)
	return kept.Once(ctx, cb.Notifier.config.Store, KindCallback, cb.Notifier.config.Name+"/"+hex.EncodeToString(sum[:]), keepCallback)
}

// carried is what a button or a dialog carries.
func carried(id, hash string) string { return id + " " + hash }

func parseCarried(text string) (id, hash string, ok bool) {
	id, hash, ok = strings.Cut(text, " ")
	return id, hash, ok && id != "" && hash != "" && len(text) <= 1000
}

// pressed opens the dialog of a button.
func (cb *Callbacks) pressed(ctx context.Context, in *slack.InteractionCallback) error {
	for _, a := range in.ActionCallback.BlockActions {
		if a == nil || a.ActionID != actionApprove && a.ActionID != actionDeny {
			continue
		}
		id, _, ok := parseCarried(a.Value)
		if !ok {
			continue
		}
		verb := "Approve"
		if a.ActionID == actionDeny {
			verb = "Deny"
		}
		reason := slack.NewPlainTextInputBlockElement(nil, partReason)
		reason.Multiline, reason.MaxLength = true, maxReason
		input := slack.NewInputBlock(partReason, plain("Reason", 75), nil, reason)
		input.Optional = a.ActionID == actionApprove
		_, err := cb.Notifier.api.OpenViewContext(ctx, in.TriggerID, slack.ModalViewRequest{
			Type: slack.VTModal, Title: plain(verb+" the request", 24), Submit: plain(verb, 24), Close: plain("Back", 24), CallbackID: a.ActionID, PrivateMetadata: a.Value,
			Blocks: slack.Blocks{BlockSet: []slack.Block{slack.NewSectionBlock(plain("Request "+id, maxField), nil, nil), input}},
		})
		return answered("views.open", err)
	}
	return nil // such as the button that opens the request
}

// Errors for who decides.
var (
	errForm    = errors.New("this cannot be read: press the button of the message again")
	errAccount = errors.New("your account in Slack does not say for certain who you are: it needs a verified mail address, and must not be a guest's or a bot's")
	errFailed  = errors.New("it could not be decided now: look at the request, and try again")
)

// decided decides as a dialog says.
func (cb *Callbacks) decided(ctx context.Context, in *slack.InteractionCallback) error {
	id, hash, ok := parseCarried(in.View.PrivateMetadata)
	if !ok || in.View.State == nil || in.View.CallbackID != actionApprove && in.View.CallbackID != actionDeny {
		return errForm
	}
	by, err := cb.who(ctx, in)
	if err != nil {
		cb.log().Warn("slack: somebody may not decide in Slack", "user", in.User.ID, "request", id, "err", err)
		return err
	}
	v := review.Vote{By: by, Hash: hash, Reason: in.View.State.Values[partReason][partReason].Value, Channel: "slack " + cb.Notifier.config.Name}
	if in.View.CallbackID == actionApprove {
		return cb.Approve(ctx, id, v)
	}
	return cb.Deny(ctx, id, v)
}

// who is the person who has pressed.
func (cb *Callbacks) who(ctx context.Context, in *slack.InteractionCallback) (*proxy.Identity, error) {
	u, err := cb.Notifier.api.GetUserInfoContext(ctx, in.User.ID)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errFailed, answered("users.info", err))
	}
	// Of another workspace, as in a channel that companies share, Slack has verified nothing for us.
	ours := u.ID == in.User.ID && u.TeamID != "" && u.TeamID == in.Team.ID && !u.IsStranger
	if !ours || u.Deleted || u.IsBot || u.IsAppUser || u.IsWorkflowBot || u.IsConnectorBot || u.IsRestricted || u.IsUltraRestricted || !u.IsEmailConfirmed || u.Profile.Email == "" {
		return nil, errAccount
	}
	by, err := cb.Who(ctx, u.Profile.Email)
	if err != nil {
		return nil, err
	}
	if by == nil || by.Kind != proxy.Human {
		return nil, errAccount
	}
	return by, nil
}

// fit is an error as it is shown to who decides: what went wrong inside is for the operator.
func (cb *Callbacks) fit(err error) string {
	if errors.Is(err, errForm) || errors.Is(err, errAccount) {
		return err.Error()
	}
	if text, ok := review.Tellable(err); ok {
		return text
	}
	cb.log().Error("slack: a decision in Slack failed", "err", err)
	return errFailed.Error()
}
