package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/identity"
	"github.com/sallyport/sallyport/internal/newfile"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
	"github.com/sallyport/sallyport/review/offline"
)

const (
	noteOffline   = "offline-grant" // the purpose of the log's notes that are grants
	claimOffline  = "offline_grant" // the request of an identity that an offline grant has let in
	offlinePrefix = "offline-"      // of the names by which their users log in
)

// offlines are the uses of offline grants at this gateway. They are in a file of the data directory, since the store may not answer, until
// the store has them. How many there were is in the audit log, too: the higher number counts.
type offlines struct {
	*Gateway
	file string

	mu   sync.Mutex // held while one is used, and of what follows
	book offlineBook
	bad  error // why the file cannot be used; nil: it can

	logins  atomic.Pointer[map[string]*offlineLogin] // by name
	watches map[string]func()                        // by request, each until its login is gone

	ending context.Context // of what tells channels
	end    context.CancelFunc
	tells  sync.WaitGroup
}

// offlineBook is the file.
type offlineBook struct {
	Number uint64         `json:"number"` // of the latest use
	Uses   []offlineEntry `json:"uses,omitempty"`
}

// offlineEntry is a use.
type offlineEntry struct {
	Login    string          `json:"login"`
	Verifier string          `json:"verifier"` // of the password
	Name     string          `json:"name,omitempty"`
	Groups   []string        `json:"groups,omitempty"`
	Request  *review.Request `json:"request"`
	Kept     bool            `json:"kept,omitempty"` // the store has it
}

func (e *offlineEntry) until() time.Time { return e.Request.Access.Grant.Until }

// offlineLogin is by what the user of a grant logs in.
type offlineLogin struct {
	offlineEntry
	proof *identity.Users
}

// openOffline reads the file, and has what it says count that is not over.
func (g *Gateway) openOffline() {
	o := &offlines{Gateway: g, file: filepath.Join(g.first.Data(), "offline.json")}
	o.ending, o.end = context.WithCancel(context.Background())
	g.offline = o
	g.closers = append(g.closers, func() error { o.end(); o.tells.Wait(); return nil })
	g.desk.Gateway, g.desk.Unkept = g.records.PublicKey(), o.became
	o.mu.Lock()
	defer o.mu.Unlock()
	b, err := os.ReadFile(o.file)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, &o.book)
	}
	for _, e := range o.book.Uses {
		if err == nil && (e.Request == nil || e.Request.Access == nil || e.Request.Access.Grant == nil || e.Request.Access.Glass == nil) {
			err = errors.New("something is missing of a use")
		}
	}
	if err != nil {
		o.book, o.bad = offlineBook{}, fmt.Errorf("%s cannot be read: %w", o.file, err)
		g.log.Error("offline grants cannot be used", "err", o.bad)
		return
	}
	for i := range o.book.Uses {
		if e := &o.book.Uses[i]; !e.Kept {
			g.desk.Admit(e.Request)
		}
	}
	o.use()
}

// use has the logins of the book count. o.mu is held.
func (o *offlines) use() {
	logins := make(map[string]*offlineLogin)
	for _, e := range o.book.Uses {
		users, err := identity.NewUsers([]identity.User{{Name: e.Login, Password: e.Verifier}})
		if err != nil {
			o.log.Error("the login of an offline grant does not count", "request", e.Request.ID, "err", err)
			continue
		}
		logins[e.Login] = &offlineLogin{e, users}
	}
	o.logins.Store(&logins)
	for id, stop := range o.watches {
		if logins[offlinePrefix+id] == nil {
			stop()
			delete(o.watches, id)
		}
	}
	for _, l := range logins {
		id := l.Request.ID
		if o.watches[id] != nil {
			continue
		}
		if o.watches == nil {
			o.watches = make(map[string]func())
		}
		o.watches[id] = o.desk.Watch(l.Request.Requester, func(request, why string) {
			if request == id && why != "" {
				o.cut(id, why)
			}
		})
	}
}

// cut ends the sessions of who has logged in by what an offline grant has given.
func (o *offlines) cut(request, why string) {
	for _, s := range o.gateway.Sessions() {
		if s.Identity.Claims[claimOffline] == request {
			s.Kill(errors.New(why))
		}
	}
}

// save writes the book. What is over and in the store is left out. o.mu is held.
func (o *offlines) save() error {
	if o.bad != nil {
		return o.bad
	}
	now := time.Now()
	o.book.Uses = slices.DeleteFunc(o.book.Uses, func(e offlineEntry) bool { return e.Kept && now.After(e.until()) })
	b, err := json.MarshalIndent(o.book, "", "  ")
	if err != nil {
		return err
	}
	return newfile.Replace(o.file, append(b, '\n'))
}

// became notes what has become of a use, and with kept that the store has it.
func (o *offlines) became(r *review.Request, kept bool) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.book.Uses {
		if e := &o.book.Uses[i]; e.Request.ID == r.ID {
			e.Request, e.Kept = r, e.Kept || kept
		}
	}
	o.use()
	return o.save()
}

// refusal is an answer to somebody who uses an offline grant.
func refusal(status int, code, format string, args ...any) error {
	return &control.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

func notSo(err error) error {
	return refusal(http.StatusForbidden, control.CodeForbidden, "%v", err)
}

// rule returns the rule of a name that lets somebody have access by an offline grant, now, with its terms.
func (o *offlines) rule(id *proxy.Identity, resource, account, name string) (review.Terms, error) {
	t, err := o.Target(resource, account, "")
	if err != nil {
		return review.Terms{}, err
	}
	err = fmt.Errorf("no rule lets %s have access to %s by an offline grant", id.Subject, resource)
	p := o.parts()
	if p.alone {
		return review.Terms{}, err
	}
	for _, r := range p.rules.Requestable(id, t) {
		terms := termsOf(r, id, t.Resource)
		if name != "" && r.Name != name || terms.BreakGlass == 0 {
			continue
		}
		if _, err = config.OfflineRule(p.rules, r.Name); err == nil {
			return terms, nil
		}
	}
	return review.Terms{}, err
}

// Make implements [control.Offline].
func (o *offlines) Make(ctx context.Context, by *proxy.Identity, r control.OfflineGrantRequest) (*control.OfflineGrant, error) {
	if o.parts().config.Offline == nil {
		return nil, refusal(http.StatusNotFound, control.CodeNotFound, "this gateway has no offline grants: its configuration names no keepers")
	}
	id, err := o.now(ctx, r.Subject)
	if errors.Is(err, proxy.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, refusal(http.StatusNotFound, control.CodeNotFound, "%v", err)
	}
	terms, err := o.rule(id, r.Resource, r.Account, r.Rule)
	if err != nil {
		return nil, notSo(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	g := &offline.Grant{
		ID: strings.ToLower(rand.Text()[:10]), Subject: id.Subject, Name: id.Name, Groups: id.Groups, Key: strings.TrimSpace(r.Key), Resource: r.Resource, Account: r.Account,
		Rule: terms.Rule, Actions: r.Actions, Seconds: r.Seconds, Made: now, By: by.Subject, NotAfter: now.Add(offline.DefaultLife),
	}
	if len(g.Actions) == 0 {
		if g.Actions = terms.Actions; slices.Contains(g.Actions, "all") {
			g.Actions = []string{"all"}
		}
	}
	if g.Seconds == 0 {
		g.Seconds = int64(terms.BreakGlass / time.Second)
	}
	if r.Days > 0 {
		g.NotAfter = now.AddDate(0, 0, r.Days)
	}
	for _, a := range g.Actions {
		if !slices.Contains(terms.Actions, a) {
			return nil, refusal(http.StatusBadRequest, control.CodeBadRequest, "rule %s does not allow %q; it allows %s", terms.Rule, a, strings.Join(terms.Actions, ", "))
		}
	}
	if g.For() > terms.BreakGlass {
		return nil, refusal(http.StatusBadRequest, control.CodeBadRequest, "rule %s lets nobody have it for longer than %s", terms.Rule, terms.BreakGlass)
	}
	text, err := g.Encode()
	if err != nil {
		return nil, refusal(http.StatusBadRequest, control.CodeBadRequest, "%v", err)
	}
	sealed, err := o.records.SignNote(noteOffline, text)
	if err != nil {
		return nil, err
	}
	return &control.OfflineGrant{ID: g.ID, Sealed: string(sealed), NotAfter: g.NotAfter}, nil
}

// open returns a grant that this gateway has sealed, and that counts now, with who may use it and on which terms.
func (o *offlines) open(sealed string) (*offline.Grant, *proxy.Identity, review.Terms, error) {
	none := review.Terms{}
	text, err := o.records.OpenNote(noteOffline, []byte(sealed))
	if err != nil {
		return nil, nil, none, refusal(http.StatusForbidden, control.CodeForbidden, "this is not a grant of this gateway, or it was changed")
	}
	g, err := offline.DecodeGrant(text)
	if err != nil {
		return nil, nil, none, notSo(err)
	}
	p := o.parts()
	switch f := p.config; {
	case f.Offline == nil:
		return nil, nil, none, refusal(http.StatusNotFound, control.CodeNotFound, "this gateway has no offline grants: its configuration names no keepers")
	case slices.Contains(f.Offline.Revoked, g.ID):
		return nil, nil, none, refusal(http.StatusForbidden, control.CodeForbidden, "grant %s was revoked", g.ID)
	case !time.Now().Before(g.NotAfter):
		return nil, nil, none, refusal(http.StatusForbidden, control.CodeForbidden, "grant %s has expired at %s", g.ID, g.NotAfter.Format(time.RFC3339))
	}
	id := &proxy.Identity{Subject: g.Subject, Name: g.Name, Groups: g.Groups}
	if !p.provides(g.Subject) { // then the file says who she is
		if id, err = p.users.Find(g.Subject); err != nil {
			return nil, nil, none, notSo(err)
		}
	}
	terms, err := o.rule(id, g.Resource, g.Account, g.Rule)
	if err != nil {
		return nil, nil, none, notSo(err)
	}
	terms.BreakGlass = min(terms.BreakGlass, g.For())
	return g, id, terms, nil
}

// next is the number of the next use. o.mu is held.
func (o *offlines) next() (uint64, error) {
	if o.bad != nil {
		return 0, o.bad
	}
	counted, err := o.records.Counted(review.BreakGlass)
	if err != nil {
		return 0, err
	}
	return max(counted, o.book.Number, o.desk.OfflineUses()) + 1, nil
}

// Begin implements [control.Offline].
func (o *offlines) Begin(_ context.Context, r control.OfflineBegin) (*control.OfflineStatement, error) {
	g, _, terms, err := o.open(r.Sealed)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	number, err := o.next()
	o.mu.Unlock()
	if err != nil {
		return nil, o.uncounted(err)
	}
	length := time.Duration(r.Seconds) * time.Second
	if length == 0 {
		length = terms.BreakGlass
	}
	s, err := offline.Begin(g, []byte(r.Sealed), o.records.PublicKey(), number, r.Reason, length, time.Now())
	if err != nil {
		return nil, refusal(http.StatusBadRequest, control.CodeBadRequest, "%v", err)
	}
	text, err := s.Encode()
	if err != nil {
		return nil, refusal(http.StatusBadRequest, control.CodeBadRequest, "%v", err)
	}
	keepers, need := o.parts().config.Keepers()
	out := &control.OfflineStatement{Text: string(text), Subject: g.Subject, Need: need, Expires: s.Expires}
	for _, k := range keepers {
		if k.Name != g.Subject {
			out.Keepers = append(out.Keepers, k.Name)
		}
	}
	return out, nil
}

// uncounted is the answer where it cannot be told how many uses there were, or a use not be recorded.
func (o *offlines) uncounted(err error) error {
	o.log.Error("an offline grant is not used, because it cannot be recorded, or not be told which was used", "err", err)
	return refusal(http.StatusServiceUnavailable, control.CodeUnrecorded, "this is refused because it could not be recorded; the gateway's log says why")
}

// Use implements [control.Offline].
func (o *offlines) Use(_ context.Context, by *proxy.Identity, r control.OfflineUse) (*control.OfflineAccess, error) {
	g, id, terms, err := o.open(r.Sealed)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	number, err := o.next()
	if err != nil {
		return nil, o.uncounted(err)
	}
	statement := []byte(r.Statement)
	s, err := offline.DecodeStatement(statement, g, []byte(r.Sealed), o.records.PublicKey(), number, time.Now())
	if err != nil {
		return nil, notSo(err)
	}
	signatures := make([][]byte, len(r.Signatures))
	for i, signature := range r.Signatures {
		signatures[i] = []byte(signature)
	}
	keepers, need := o.parts().config.Keepers()
	signed, err := offline.Signed(statement, signatures, g, keepers, need)
	if err != nil {
		return nil, notSo(err)
	}
	proof := fmt.Sprintf("offline grant %s, use %d, signed by %s and by %s", g.ID, number, id.Subject, strings.Join(signed, ", "))
	ask := review.Ask{Resource: g.Resource, Account: g.Account, Terms: terms, Actions: s.Actions, For: s.For(), Reason: s.Reason, Remote: "the control socket, " + by.Subject}
	if slices.Contains(s.Actions, "all") {
		ask.Actions = nil
	}
	request, err := o.desk.BreakOffline(id, ask, proof, review.Offline{Number: number, Grant: g.ID, By: signed})
	if err != nil {
		return nil, refusal(http.StatusConflict, control.CodeConflict, "%v", err)
	}
	password := strings.ToLower(rand.Text())
	verifier, err := identity.NewVerifier(password)
	if err != nil {
		return nil, err
	}
	if err := o.records.RecordCounted(offlineNote(request, review.BreakGlass, signed), number); err != nil {
		return nil, o.uncounted(err)
	}
	before := o.book
	o.book = offlineBook{number, append(slices.Clone(before.Uses), offlineEntry{
		Login: offlinePrefix + request.ID, Verifier: verifier, Name: id.Name, Groups: id.Groups, Request: request,
	})}
	if err := o.save(); err != nil {
		o.book = before
		_ = o.gateway.Note(context.Background(), offlineNote(request, review.Undone, signed)) // what is recorded was not done
		return nil, o.uncounted(err)
	}
	o.use()
	o.desk.Admit(request)
	o.log.Error("BREAK-GLASS: somebody has taken access by an offline grant", "request", request.ID, "subject", id.Subject, "resource", g.Resource, "until", request.Access.Grant.Until, "signed", strings.Join(signed, ", "))
	o.tell(request)
	return &control.OfflineAccess{Request: request, User: offlinePrefix + request.ID + "+" + g.Resource, Password: password, Resource: g.Resource}, nil
}

func offlineNote(r *review.Request, state string, signed []string) *proxy.Note {
	n := &proxy.RequestNote{
		ID: r.ID, State: state, Hash: r.Hash, Requester: r.Requester, Rules: r.Rules, DecidedBy: strings.Join(signed, ", "), Channel: r.Access.Glass.Proof + " at " + r.Access.Remote,
		Reason: r.Access.Reason, Resource: r.Resource, Account: r.Account, Until: r.Access.Grant.Until,
	}
	if state == review.BreakGlass {
		n.Signed = r.Signed
	}
	return &proxy.Note{Kind: proxy.NoteReview, By: "review", Request: n}
}

// tellOffline is how long a channel has to be told of the use of an offline grant. It is told again when the store answers.
const tellOffline = time.Minute

// tell tells every channel at once, since what tells them otherwise is in the store.
func (o *offlines) tell(r *review.Request) {
	for _, n := range o.parts().notifiers {
		o.tells.Go(func() {
			if err := o.tellOne(&n, r); err != nil {
				o.log.Error("a channel could not be told that an offline grant is used", "channel", n.Name, "request", r.ID, "err", err)
			}
		})
	}
}

func (o *offlines) tellOne(n *notifier, r *review.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	ctx, stop := context.WithTimeout(o.ending, tellOffline)
	defer stop()
	return n.Notifier.Notify(ctx, &review.Notice{ID: r.ID + "-offline", Event: review.BreakGlass, At: r.Created, Request: *r})
}

// named is the login of a name; nil: there is none that counts now.
func (o *offlines) named(login string) *offlineLogin {
	all := o.logins.Load()
	if all == nil || !strings.HasPrefix(login, offlinePrefix) {
		return nil
	}
	l := (*all)[login]
	if l == nil || !o.desk.Opens(l.Request.ID) {
		return nil
	}
	return l
}

// withOffline are sources that also know who logs in by an offline grant. They ask nobody else about her, who may not answer.
type withOffline struct {
	*reminded
	*offlines
}

// Authenticate implements [proxy.Authenticator].
func (w withOffline) Authenticate(ctx context.Context, p proxy.Proof) (*proxy.Identity, error) {
	l := w.named(p.User)
	if l == nil {
		return w.reminded.Authenticate(ctx, p)
	}
	if _, err := l.proof.Authenticate(ctx, p); err != nil {
		return nil, err
	}
	return &proxy.Identity{
		Subject: l.Request.Requester, Name: l.Name, Groups: slices.Clone(l.Groups), Method: p.Method, AuthTime: time.Now(), Expires: l.until(),
		Claims: map[string]string{claimOffline: l.Request.ID},
	}, nil
}

// Verifier implements [proxy.VerifierSource].
func (w withOffline) Verifier(ctx context.Context, login string) (string, bool, error) {
	if l := w.named(login); l != nil {
		return l.proof.Verifier(ctx, login)
	}
	return w.reminded.Verifier(ctx, login)
}

// Refresh implements [proxy.Refresher].
func (w withOffline) Refresh(ctx context.Context, id *proxy.Identity) (*proxy.Identity, error) {
	request := id.Claims[claimOffline]
	if request == "" {
		return w.reminded.Refresh(ctx, id)
	}
	l := w.named(offlinePrefix + request)
	if l == nil || l.Request.Requester != id.Subject {
		return nil, fmt.Errorf("the access is over that request %s has given by an offline grant", request)
	}
	if p := w.parts(); !p.provides(id.Subject) {
		if _, err := p.users.Find(id.Subject); err != nil {
			return nil, err
		}
	}
	return id, nil
}

// Name implements [proxy.Interceptor].
func (o *offlines) Name() string { return "offline-grant" }

// Intercept implements [proxy.Interceptor]: who logs in by an offline grant reaches its resource, and no other.
func (o *offlines) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	request := s.Identity.Claims[claimOffline]
	if request == "" {
		return proxy.Hooks{}, nil
	}
	v := proxy.Deny(proxy.CausePolicy, "", "the access is over that an offline grant has given", "")
	if l := o.named(offlinePrefix + request); l != nil {
		if l.Request.Resource == s.Target.Resource.Name {
			return proxy.Hooks{}, nil
		}
		v.Reason = "the offline grant is for " + l.Request.Resource
	}
	return proxy.Hooks{Ask: func(context.Context, proxy.Op) proxy.Verdict { return v }}, nil
}
