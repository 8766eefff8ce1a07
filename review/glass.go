package review

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/store"
)

// BreakGlass is the event of access that somebody has taken without an approval. All channels are told of it, whatever else
// they want to be told.
const BreakGlass = "break_glass"

// KindGlass is the kind of the documents that say who has broken the glass, and by which request, until that is reviewed. The names
// are hashes of subjects.
const KindGlass = "broken-glass"

// Glass is what a request for access has that was granted without an approval.
type Glass struct {
	// Proof is how she had proven who she is, such as "oidc (pwd mfa)".
	Proof string `json:"proof"`
	// Ended is how it has ended; nil: it goes on, or nobody has looked yet.
	Ended *GlassEnd `json:"ended,omitempty"`
	// Remind is when people are told again that its review is due.
	Remind time.Time `json:"remind,omitzero"`
	// Offline is by what it was taken while the store did not answer; nil: it did.
	Offline *Offline `json:"offline,omitempty"`
}

// Offline is what a request has that was made while the store did not answer. It counts at one gateway.
type Offline struct {
	Gateway string   `json:"gateway"` // its name; see Desk.Gateway
	Number  uint64   `json:"number"`  // of the use, there
	Grant   string   `json:"grant"`   // the identifier of what was used
	By      []string `json:"by"`      // who has signed it besides the requester
}

// GlassEnd is how access without an approval has ended.
type GlassEnd struct {
	State  State      `json:"state"` // ended, revoked or cancelled
	By     string     `json:"by,omitempty"`
	At     *time.Time `json:"at,omitempty"` // by somebody; nil: when its time was over
	Reason string     `json:"reason,omitempty"`
}

// broken is what a request has that was granted without an approval; nil: it was not.
func (r *Request) broken() *Glass {
	if r.Access == nil {
		return nil
	}
	return r.Access.Glass
}

// unreviewed reports whether access without an approval has ended, and nobody has said that its review is due.
func (r *Request) unreviewed() bool {
	return r.broken() != nil && (r.State == Ended || r.State == Revoked || r.State == Cancelled)
}

// UnreviewedError says that somebody has broken the glass before, which nobody has reviewed.
type UnreviewedError struct{ Request string }

func (e *UnreviewedError) Error() string {
	return "you have broken the glass before, by request " + e.Request + ", and may again once that is reviewed"
}

// ErrReview is returned for a review that does not say why.
var ErrReview = errors.New("a review needs a reason, of at most 1000 bytes")

// ErrNotDue is returned for the review of what need not be reviewed, or not yet.
var ErrNotDue = errors.New("this request need not be reviewed now: only access without an approval is, once it has ended")

// breaks is the request by which somebody takes at once what she asks for.
func (d *Desk) breaks(who *proxy.Identity, a Ask, glass *Glass) (*Request, error) {
	t := &a.Terms
	switch {
	case who == nil || who.Kind != proxy.Human || who.OnBehalfOf != "":
		return nil, fmt.Errorf("%w: only a person breaks the glass, herself", ErrAsk)
	case t.BreakGlass <= 0:
		return nil, fmt.Errorf("%w: rule %s does not let you have it without an approval", ErrAsk, t.Rule)
	case !a.From.IsZero():
		return nil, fmt.Errorf("%w: without an approval it begins at once", ErrAsk)
	}
	// What tickets look like does not count when what makes them may be down.
	t.Max, t.For, t.Reason = t.BreakGlass, min(t.For, t.BreakGlass), ""
	r, err := d.plan(who, &a)
	if err != nil {
		return nil, err
	}
	r.State = Approved
	r.Access.Glass = glass
	r.Access.Grant = &Grant{From: r.Created, Until: r.Created.Add(r.Access.For()), Actions: slices.Clone(r.Access.Actions)}
	r.Deadline = r.Access.Grant.Until
	r.describe()
	r.Hash = r.accessDigest()
	return r, nil
}

// Break grants what somebody asks for at once, without an approval: her terms have to let her. proof is how she has proven who she is,
// which is for the caller to judge. It is told on all channels, and has to be reviewed before she may again.
func (d *Desk) Break(ctx context.Context, who *proxy.Identity, a Ask, proof string) (*Request, error) {
	if _, err := d.touch(ctx); err != nil {
		return nil, err
	}
	r, err := d.breaks(who, a, &Glass{Proof: proof})
	if err != nil {
		return nil, err
	}
	made, err := d.turn(ctx, r.Requester)
	if err != nil {
		return nil, err
	}
	defer made()
	if err := d.reviewed(ctx, r.Requester); err != nil {
		return nil, err
	}
	var version int64
	for range attempts {
		if _, err = d.pane(ctx, r); err != nil { // before it is recorded that it is broken
			return nil, err
		}
		if version, err = d.keep(ctx, store.Document{Kind: KindRequest, Name: r.ID}, r, step{BreakGlass, r.Access.Reason, true}); !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	d.log().Warn("somebody has taken access without an approval", "request", r.ID, "subject", r.Requester, "resource", r.Resource, "until", r.Access.Grant.Until)
	d.see(r, version)
	return r, nil
}

// unreviewed are the requests by which somebody has broken the glass and which, as far as is known here, nobody has reviewed.
func (d *Desk) unreviewed(subject string) (ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, k := range d.known {
		if k.request.Requester == subject && k.request.broken() != nil && !k.request.over() {
			ids = append(ids, id)
		}
	}
	return ids
}

// reviewed reports that somebody has broken the glass by a request that was not reviewed.
func (d *Desk) reviewed(ctx context.Context, subject string) error {
	for _, id := range d.unreviewed(subject) {
		r, err := d.Get(ctx, id)
		switch {
		case errors.Is(err, ErrUnknown), err == nil && r.over(): // it has not been heard of here
		case err != nil:
			return err
		default:
			return &UnreviewedError{id}
		}
	}
	return nil
}

// pane is the write by which r's requester has broken the glass. She may not have before, unless that was reviewed: of two that come at
// once, one is kept.
func (d *Desk) pane(ctx context.Context, r *Request) (store.Write, error) {
	body, err := json.Marshal(pane{r.ID})
	if err != nil {
		return store.Write{}, err
	}
	doc, err := d.Store.Get(ctx, KindGlass, paneName(r.Requester))
	if errors.Is(err, store.ErrNotFound) {
		return store.Create(store.Document{Kind: KindGlass, Name: paneName(r.Requester), Body: body}), nil
	}
	if err != nil {
		return store.Write{}, err
	}
	var was pane
	if json.Unmarshal(doc.Body, &was) != nil {
		return store.Write{}, fmt.Errorf("reading by which request %s has broken the glass: it is damaged", r.Requester)
	}
	_, before, err := d.read(ctx, was.Request)
	switch {
	case errors.Is(err, ErrUnknown), err == nil && before.over():
		doc.Body = body
		return store.Replace(doc), nil
	case err != nil:
		return store.Write{}, err
	}
	return store.Write{}, &UnreviewedError{was.Request}
}

// pane is what is kept of who has broken the glass.
type pane struct {
	Request string `json:"request"`
}

func paneName(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return hex.EncodeToString(sum[:])
}

// mended is the write after which the requester of what was reviewed may break the glass again.
func (d *Desk) mended(ctx context.Context, r *Request) ([]store.Write, error) {
	doc, err := d.Store.Get(ctx, KindGlass, paneName(r.Requester))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	var p pane
	if err != nil || json.Unmarshal(doc.Body, &p) != nil || p.Request != r.ID {
		return nil, err
	}
	return []store.Write{store.Delete(doc)}, nil
}

// glassWrites are those that belong to a step of access without an approval, besides the request's own.
func (d *Desk) glassWrites(ctx context.Context, r *Request, s step) ([]store.Write, error) {
	switch s.event {
	case BreakGlass:
		w, err := d.pane(ctx, r)
		if r.Access.Glass.Offline != nil && errors.As(err, new(*UnreviewedError)) {
			return nil, nil // it has happened, and there are two to review
		}
		return []store.Write{w}, err
	case string(Fine), string(Violation):
		return d.mended(ctx, r)
	}
	return nil, nil
}

// RemindEvery is how often people are told that a review is due.
const RemindEvery = 24 * time.Hour

// due has a review follow the end of access without an approval, or is told again. Who has ended it is kept.
func (g *Glass) due(r *Request, now time.Time) {
	if g.Remind = now.Add(RemindEvery); r.State == ReviewDue {
		return
	}
	g.Ended = &GlassEnd{State: r.State, By: r.DecidedBy, At: r.DecidedAt, Reason: r.Reason}
	r.State, r.DecidedBy, r.DecidedAt, r.Channel, r.Reason = ReviewDue, "", nil, "", ""
}

// Review says of access without an approval, which has ended, that it was in order, or a violation, and why. Approvers do, of any
// stage, and those who are permitted to.
func (d *Desk) Review(ctx context.Context, id string, v Vote, violation, permitted bool) (*Request, error) {
	v.Reason = strings.TrimSpace(v.Reason)
	return d.change(ctx, id, func(r *Request, now time.Time) (step, error) {
		if err := r.personal(v.By); err != nil {
			return step{}, err
		}
		switch may, err := d.oversees(ctx, r, v.By, permitted); {
		case err != nil:
			return step{}, err
		case !may:
			return step{}, ErrIneligible
		case r.State == Fine || r.State == Violation:
			return step{}, r.decided()
		case r.State != ReviewDue:
			return step{}, ErrNotDue
		case v.Hash != r.Hash:
			return step{}, ErrChanged
		case v.Reason == "" || len(v.Reason) > maxReason:
			return step{}, ErrReview
		}
		as := Fine
		if violation {
			as = Violation
		}
		s := r.decide(as, &v, now)
		s.gives = true // she may break the glass again: not unless it is on record
		return s, nil
	})
}

// reviewers are those who review a request: approvers of any stage.
func (a *Access) reviewers() (groups []string) {
	for _, s := range a.Stages {
		for _, g := range s.Approvers {
			if !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	return groups
}
