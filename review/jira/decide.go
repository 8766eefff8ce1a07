package jira

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/internal/kept"
	"github.com/sallyport/sallyport/review/internal/service"
	"github.com/sallyport/sallyport/store"
)

// Bounds of decisions.
const (
	maxCallback = 1 << 20          // bytes: Jira sends whole issues
	lookWithin  = 20 * time.Second // one issue
	takeWithin  = 2 * time.Minute  // after which a decision is taken anew whose taking has not ended
	maxReason   = 900              // bytes
)

// Decisions takes what people decide in Jira: who moves the issue of a request to its status Approved or Denied, and who answers an approval
// of Jira Service Management. What Jira says is a signal: the issue is read anew, whatever a webhook says, and who has decided may do so
// by Approve and Deny, as everybody does. An issue whose text was changed decides nothing. Only requests for access are decided. All
// fields but Signing, Every and Log are needed.
type Decisions struct {
	Notifier *Notifier
	// Signing is the secret of the webhook that calls ServeHTTP. Empty: ServeHTTP takes nothing.
	Signing proxy.Secret
	// Every is how often Run reads issues; 0 is 30 seconds, or five minutes with Signing.
	Every time.Duration
	// Pending returns the requests that wait.
	Pending func() []review.Request
	// Who returns the one person of an account, as she is now. The error is for her.
	Who func(ctx context.Context, a Account) (*proxy.Identity, error)
	// Approve and Deny decide. Their errors are told in the issue when they are among those of package review.
	Approve, Deny func(ctx context.Context, request string, v review.Vote) error
	Log           *slog.Logger
}

// Account is one in Jira.
type Account struct {
	// ID is the account's identifier in Jira Cloud, and its key in Data Center. Neither changes or comes to be another's.
	ID string
	// Email is the mail address of somebody's account at Atlassian, which Atlassian has verified. Empty: Jira does not tell it, or it is
	// of another kind of account.
	Email string
}

func (d *Decisions) log() *slog.Logger { return cmp.Or(d.Log, slog.Default()) }

// ServeHTTP takes one webhook. It says which issue to look at, and nothing else counts of it.
func (d *Decisions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, ok := service.Posted(w, r, maxCallback)
	if !ok {
		return
	}
	if !d.signed(r.Header.Get("X-Hub-Signature"), body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var in struct {
		Issue struct {
			ID string `json:"id"`
		} `json:"issue"`
	}
	if json.Unmarshal(body, &in) != nil || !number.MatchString(in.Issue.ID) {
		return // it is about something else
	}
	request, err := d.about(r.Context(), in.Issue.ID)
	if err == nil && request != nil {
		err = d.look(r.Context(), request, in.Issue.ID)
	}
	if err != nil {
		d.log().Error("jira: what was decided about an issue cannot be read or taken", "issue", in.Issue.ID, "err", err)
		w.WriteHeader(http.StatusServiceUnavailable) // it comes again
	}
}

// signed reports whether Jira has signed a webhook.
func (d *Decisions) signed(signature string, body []byte) bool {
	text, ok := strings.CutPrefix(signature, "sha256=")
	sum, err := hex.DecodeString(text)
	if !ok || err != nil || d.Signing.Empty() {
		return false
	}
	mac := hmac.New(sha256.New, []byte(d.Signing.Reveal()))
	mac.Write(body)
	return hmac.Equal(sum, mac.Sum(nil))
}

// about is the request that waits and that an issue is about; nil: there is none.
func (d *Decisions) about(ctx context.Context, id string) (*review.Request, error) {
	doc, err := d.Notifier.config.Store.Get(ctx, KindNumber, d.Notifier.name(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var request string
	if err == nil {
		err = json.Unmarshal(doc.Body, &request)
	}
	if err != nil {
		return nil, fmt.Errorf("jira: which request the issue is about: %w", err)
	}
	for _, r := range d.Pending() {
		if r.ID == request {
			return &r, nil
		}
	}
	return nil, nil
}

// look takes what was decided in the issue about a request. id is the issue's, where it is known; another one decides nothing.
func (d *Decisions) look(ctx context.Context, r *review.Request, id string) error {
	if r.Access == nil || r.State != review.Pending {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	i, known, err := d.Notifier.issue(ctx, r.ID)
	if err != nil || !known || i.ID == "" || id != "" && id != i.ID {
		return err
	}
	list, err := d.Notifier.signals(ctx, &i)
	for _, s := range list {
		if err := d.take(ctx, &i, r, s); err != nil {
			return err
		}
	}
	return err
}

// take takes one decision, once.
func (d *Decisions) take(ctx context.Context, i *issue, r *review.Request, s signal) error {
	n := d.Notifier
	if s.account == "" {
		return nil // nobody's
	}
	if own, err := n.own(ctx); err != nil || own == s.account {
		return err // the gateway's own, by which it shows what was decided
	}
	mark := n.name(digest("decision", i.ID, s.id))
	fresh, err := n.mark(ctx, mark, takeWithin)
	if err != nil || !fresh {
		return err
	}
	err = d.decide(ctx, i, r, &s)
	text, refused := review.Tellable(err)
	if err != nil && !refused {
		n.unmark(ctx, mark)
		return err
	}
	if refused {
		d.log().Warn("jira: a decision in Jira does not count", "issue", i.Key, "account", s.account, "request", r.ID, "reason", text)
		decided := (*review.DecidedError)(nil)
		if err := d.answer(ctx, i, s, text, !errors.As(err, &decided)); err != nil {
			n.unmark(ctx, mark)
			return err
		}
	}
	return kept.Note(ctx, n.config.Store, KindSignal, mark, KeepIssues)
}

// Errors for who decides.
var (
	errEdited  = &review.RefusalError{Message: "the text of this issue was changed, so that nobody decides by it: decide at the gateway"}
	errHistory = &review.RefusalError{Message: "Jira does not show all that was changed in this issue, so that nobody decides by it: decide at the gateway"}
	errEarlier = &review.RefusalError{Message: "this was decided before the issue showed the request as it is now: look at it, and decide again"}
	errAccount = &review.RefusalError{Message: "Jira does not say for certain who you are: your account is not active, or is an app's"}
)

// decide decides as a signal says.
func (d *Decisions) decide(ctx context.Context, i *issue, r *review.Request, s *signal) error {
	switch {
	case s.edited:
		return errEdited
	case s.more, s.at.IsZero():
		return errHistory
	case !i.Shown.IsZero() && !s.at.After(i.Shown):
		return errEarlier
	}
	account, reason, err := d.Notifier.account(ctx, i, s)
	if err != nil {
		return err
	}
	by, err := d.Who(ctx, account)
	if err != nil {
		return err
	}
	if by == nil || by.Kind != proxy.Human {
		return errAccount
	}
	v := review.Vote{By: by, Hash: i.Hash, Reason: reason, Channel: "jira " + d.Notifier.config.Name + " " + i.Key}
	if s.approve {
		return d.Approve(ctx, r.ID, v)
	}
	if v.Reason == "" {
		v.Reason = "denied in " + i.Key
	}
	return d.Deny(ctx, r.ID, v)
}

// answer says in an issue why a decision does not count, once, and has the issue wait again.
func (d *Decisions) answer(ctx context.Context, i *issue, s signal, text string, waits bool) error {
	n := d.Notifier
	mark := n.name(digest("answer", i.ID, s.account, text))
	fresh, err := n.mark(ctx, mark, KeepIssues)
	if err != nil {
		return err
	}
	if fresh {
		if _, err := n.comment(ctx, i, verbatim("The decision of "+cmp.Or(s.name, s.account)+" does not count: "+text)); err != nil {
			n.unmark(ctx, mark)
			return err
		}
	}
	if !waits {
		return nil
	}
	return n.bring(ctx, i, n.config.Statuses.Waiting)
}

// digest names what is done once.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// mark notes that something is done for a time, and reports whether nobody has noted it yet, at any gateway on the store.
func (n *Notifier) mark(ctx context.Context, name string, life time.Duration) (bool, error) {
	return kept.Once(ctx, n.config.Store, KindSignal, name, life)
}

// unmark lets it be tried anew at once; otherwise it is after takeWithin.
func (n *Notifier) unmark(ctx context.Context, name string) {
	if err := kept.Forget(ctx, n.config.Store, KindSignal, name); err != nil {
		n.log().Warn("jira: a decision that could not be taken is taken again later", "err", err)
	}
}
