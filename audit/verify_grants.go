package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Approvals are what was found of what ran by approvals.
type Approvals struct {
	// Proven are how many operations and sessions ran as it was approved, by a signed grant.
	Proven int
	// Unsigned are how many ran by an approval that nobody has signed: one of a version that signed none, or of an assembly's own reviewer.
	Unsigned int
	// Others are how many ran by grants of other logs whose public keys were not given, by the log's name.
	Others map[string]int
}

// approvalVerifier checks that what ran by approvals is what was approved.
type approvalVerifier struct {
	Approvals
	log     string   // the log's public key
	public  []string // that and those of others
	problem func(text string)

	standing
	ran    map[string]*runs // by request
	used   map[string]runOf // by mark, what the gateway's own records say was about to run
	undone map[string]bool  // marks of what was not done
	blind  bool             // not all of the gateway's own records were read
}

// runOf is an operation that ran by a request.
type runOf struct {
	request, session string
	op               uint64
}

// runs are what ran by a request, and how often it may; 0 is as often as it is wanted.
type runs struct {
	list []runOf
	uses int
}

func (r runOf) String() string { return fmt.Sprintf("operation %d of session %s", r.op, r.session) }

func newApprovalVerifier(log string, others []string, problem func(text string)) *approvalVerifier {
	return &approvalVerifier{
		Approvals: Approvals{Others: make(map[string]int)}, log: log, public: append([]string{log}, others...), problem: problem,
		ran: make(map[string]*runs), used: make(map[string]runOf), undone: make(map[string]bool),
	}
}

// approvedSession is one session's record that is checked.
type approvedSession struct {
	*approvalVerifier
	id    string
	own   bool
	start Event
	// given are the operations whose approvals their record has, and the bounds of these; nil: none has.
	given map[uint64]*proxy.GrantBounds
}

func (v *approvalVerifier) session(id string) *approvedSession {
	return &approvedSession{approvalVerifier: v, id: id, given: make(map[uint64]*proxy.GrantBounds)}
}

// read reads a record: the first frame, by which it is opened, the last, which says how much ran by approvals, and the others when
// something did, or when that is not known.
func (s *approvedSession) read(r *Record) error {
	rest, err := r.reader(0)
	if err != nil {
		return err
	}
	if err := rest.frame(s.event); err != nil || len(r.frames) == 1 {
		return err
	}
	if !s.own {
		last, err := r.reader(len(r.frames) - 1)
		if err != nil {
			return err
		}
		quiet := false
		err = last.frame(func(raw []byte) { quiet = typeOf(raw) == SessionEnd && !bytes.Contains(raw, keyApprovals) })
		if err != nil || quiet {
			return err
		}
	}
	for range r.frames[1:] {
		if err := rest.frame(s.event); err != nil {
			return err
		}
	}
	return nil
}

var (
	keyApproved  = []byte(`,"approved":[`)
	keyApprovals = []byte(`,"approvals":`)
	keyGrant     = []byte(`,"grant":"`)
)

// event reads one event. Most say nothing of approvals, and are not decoded. What it does not understand was not written by a log.
func (s *approvedSession) event(raw []byte) {
	typ := typeOf(raw)
	switch {
	case isOwn(typ):
		s.own = true
		return
	case typ == SessionStart:
		s.decode(raw, &s.start)
		return
	case s.own && strings.HasPrefix(typ, ReviewPrefix):
	case !s.own && typ == OperationStart && bytes.Contains(raw, keyApproved):
	case !s.own && typ == OperationEnd && bytes.Contains(raw, keyGrant):
	default:
		return
	}
	e := &Event{}
	if !s.decode(raw, e) {
		return
	}
	switch {
	case s.own:
		s.reviewed(e)
	case e.Type == OperationEnd:
		s.ended(e)
	default:
		s.given[e.Op] = nil
		for _, x := range e.Approved {
			s.approved(e, &x)
		}
	}
}

func (s *approvedSession) decode(raw []byte, e *Event) bool {
	if err := json.Unmarshal(raw, e); err != nil {
		s.problem(fmt.Sprintf("session %s: an event is not one: %v", s.id, err))
		return false
	}
	return true
}

// reviewed reads what became of a request.
func (s *approvedSession) reviewed(e *Event) {
	switch state := strings.TrimPrefix(e.Type, ReviewPrefix); {
	case state == undoneState:
		s.undone[e.Mark] = true
	case state == usedState && e.Mark != "": // unless it is of a version before
		s.used[e.Mark] = runOf{e.Request, e.Session, e.Op}
	case e.Signed != "":
		g, err := OpenGrant(e.Signed, s.log)
		switch {
		case err != nil:
		case g.Request != e.Request || g.State != proxy.GrantApproved || g.Hash != e.Hash || g.Requester != e.User || g.For != e.For:
			err = errors.New("what is signed is another")
		default:
			s.lets(g)
			return
		}
		s.problem(fmt.Sprintf("the approval of request %s, event %d of record %s: %v", e.Request, e.Index, s.id, err))
	}
}

// ended checks how an operation ended that ran by an approval.
func (s *approvedSession) ended(e *Event) {
	bounds, ok := s.given[e.Op]
	delete(s.given, e.Op)
	switch {
	case !ok && e.Grant != "":
		s.Unsigned++
	case bounds != nil && e.Code == "" && e.Error == "":
		words := strings.Fields(e.Tag)
		if len(words) == 0 {
			return
		}
		if rows, err := strconv.ParseInt(words[len(words)-1], 10, 64); err == nil && rows != bounds.Rows {
			s.problem(fmt.Sprintf("session %s: operation %d changed %d rows, and %d were approved", s.id, e.Op, rows, bounds.Rows))
		}
	}
}

// approved checks an approval by which an operation ran.
func (s *approvedSession) approved(e *Event, x *Approved) {
	g, err := OpenGrant(x.Grant, s.public...)
	switch {
	case x.Grant == "":
		err = errors.New("no such approval is signed")
	case errors.Is(err, ErrOtherSigner):
		origin, _ := GrantOrigin(x.Grant)
		s.Others[origin]++
		return
	case err == nil:
		if s.ran[g.Request] == nil {
			s.ran[g.Request] = &runs{uses: g.Uses}
		}
		r := s.ran[g.Request]
		r.list = append(r.list, runOf{g.Request, s.id, e.Op})
		s.lets(g)
		err = covers(g, &s.start, e, x)
		if g.Bounds != nil {
			s.given[e.Op] = g.Bounds
		}
	}
	if err != nil {
		s.problem(fmt.Sprintf("session %s: operation %d ran by request %s: %v", s.id, e.Op, quoteID(x.Request), err))
		return
	}
	s.Proven++
}

// connectSlack is how long it may take from the moment at which somebody is let in until that is recorded, and how far the gateways'
// readings of their store's clock may differ. An operation has the time at which its approval was used in the store.
const connectSlack = 10 * time.Second

// covers holds that what ran in a session is what was granted.
func covers(g *proxy.Grant, in, e *Event, x *Approved) error {
	at, err := time.Parse(time.RFC3339Nano, x.At)
	access := len(g.Actions) > 0
	slack := time.Duration(0)
	if access {
		slack = connectSlack
	}
	who := func(user, of string) string {
		if of == "" {
			return user
		}
		return user + " for " + of
	}
	where := func(resource, account, database string) string {
		return fmt.Sprintf("%s, account %q, database %q", resource, account, database)
	}
	switch {
	case g.State != proxy.GrantApproved:
		return fmt.Errorf("it was not approved: what is signed is that it was %s", g.State)
	case g.Request != x.Request:
		return fmt.Errorf("what is signed is the approval of request %s", g.Request)
	case g.Requester != in.User || g.For != in.For:
		return fmt.Errorf("it was approved for %s, and ran for %s", who(g.Requester, g.For), who(in.User, in.For))
	case g.Resource != in.Resource, (!access || g.Account != "") && g.Account != in.Account, !access && g.Database != in.Database:
		return fmt.Errorf("it was approved at %s, and ran at %s", where(g.Resource, g.Account, g.Database), where(in.Resource, in.Account, in.Database))
	case err != nil:
		return errors.New("its record does not say when it was used")
	case at.Add(slack).Before(g.From):
		return fmt.Errorf("it was used at %s, and was approved from %s on", stamp(at), stamp(g.From))
	case !at.Add(-slack).Before(g.NotAfter):
		return fmt.Errorf("it was used at %s, and was approved until %s", stamp(at), stamp(g.NotAfter))
	case access && e.Kind != proxy.KindConnect.String():
		return fmt.Errorf("access was approved, and what ran is of the kind %s", e.Kind)
	case access:
		return nil
	case g.Kind != e.Kind:
		return fmt.Errorf("what was approved is of the kind %s, and it is of the kind %s", g.Kind, e.Kind)
	case g.Text != x.Text:
		return errors.New("another text was approved")
	case g.Arguments != x.Arguments:
		return errors.New("other arguments were approved")
	}
	return says(e, x)
}

// says holds that the text that an event has is the one of its digests.
func says(e *Event, x *Approved) error {
	salt, err := hex.DecodeString(x.Salt)
	op := opOf(e)
	if x.Salt == "" || op == nil {
		return err // the text is not there
	}
	text, arguments, _ := proxy.Digests(op, salt)
	switch {
	case err != nil:
		return errors.New("the salt of its digests is not one")
	case text != x.Text:
		return errors.New("the text on record is another than was approved")
	case len(e.Args) == 0 && arguments != x.Arguments:
		return errors.New("arguments were approved, and the record has none")
	}
	return nil
}

// opOf is the operation that an event is about, without its arguments; nil when the event does not have its whole text.
func opOf(e *Event) proxy.Op {
	m := proxy.Meta{}
	for k := proxy.Kind(1); k.Valid(); k++ {
		if k.String() == e.Kind {
			m.Kind = k
		}
	}
	if e.Withheld != "" || e.TextDigest != "" {
		return nil
	}
	switch m.Kind {
	case proxy.KindStatement, proxy.KindPrepare:
		return &proxy.Statement{Meta: m, Text: []byte(e.Text)}
	case proxy.KindExec, proxy.KindShell, proxy.KindSubsystem, proxy.KindInput, proxy.KindRunbook:
		return &proxy.Exec{Meta: m, Command: e.Text, Target: e.Target}
	case proxy.KindFile:
		for a := proxy.FileOpenRead; a.String() != proxy.FileUnknown.String(); a++ {
			if a.String() == e.Name {
				return &proxy.File{Meta: m, Action: a, Path: e.Text, Target: e.Target}
			}
		}
	case proxy.KindRequest, proxy.KindUpgrade:
		return &proxy.Request{Meta: m, Method: e.Name, Host: e.Target, Path: e.Text, Query: e.Query}
	case proxy.KindForward, proxy.KindAgent, proxy.KindX11:
		return &proxy.Forward{Meta: m, Network: e.Name, Host: e.Target, Port: e.Port, Listen: e.Listen, Opaque: e.Opaque}
	}
	return nil
}

// finish checks what the records say together: that nothing ran by an approval more often than it may, nor without that being on record
// before.
func (v *approvalVerifier) finish() {
	announced := make(map[runOf]bool)
	by := make(map[string][]runOf)
	for _, mark := range slices.Sorted(maps.Keys(v.used)) {
		if r := v.used[mark]; !v.undone[mark] {
			announced[r] = true
			by[r.request] = append(by[r.request], r)
		}
	}
	for _, request := range slices.Sorted(maps.Keys(by)) {
		if list := by[request]; len(list) > 1 {
			v.problem(fmt.Sprintf("the gateway's own record has request %s as used %d times: by %v and %v", quoteID(request), len(list), list[0], list[1]))
		}
	}
	v.standing.finish(v.problem)
	for _, request := range slices.Sorted(maps.Keys(v.ran)) {
		r := v.ran[request]
		if r.uses == 0 {
			continue
		}
		if n := len(r.list); n > r.uses {
			v.problem(fmt.Sprintf("request %s was approved to run %s, and ran %d times: the last were %v and %v", request, plural(r.uses, "time", "times"), n, r.list[n-2], r.list[n-1]))
		}
		for _, one := range r.list {
			if !announced[one] && !v.blind {
				v.problem(fmt.Sprintf("session %s: operation %d ran by request %s, whose use the gateway's own record does not have", one.session, one.op, request))
			}
		}
	}
}
