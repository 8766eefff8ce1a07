// Package report answers an auditor's questions for a period from the records: who
// had access and why, what was approved, what was denied, who saw what is masked for
// others, what was done to the gateway, and what was erased.
//
// [Read] gathers the entries. [Report.WriteCSV] writes them for a spreadsheet and
// [Report.WriteHTML] as a page to print.
package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// Kind says which question an [Entry] answers.
type Kind string

// Kinds of entries, in the order in which a page shows them.
const (
	Access         Kind = "access"         // a session: who was at what, and by which rules or grants
	Approval       Kind = "approval"       // what became of a held operation, and who decided
	Denied         Kind = "denied"         // an operation, login or session that was refused
	Unmasked       Kind = "unmasked"       // a rule's exception let somebody see what it masks for others
	Administration Kind = "administration" // what somebody did to the gateway or its records
	Erased         Kind = "erased"         // a session whose content was erased; when it was is not known
	Unreadable     Kind = "unreadable"     // a record that cannot be read whole, or is missing; the entries before are of what could be read
)

// Period is the time from From on and before To.
type Period struct{ From, To time.Time }

// Days returns the period from the beginning of one day to the end of another, in
// UTC. A day is written as 2026-01-31. An empty last is the day of now, and an
// empty first the one 30 days before that of now. A text that is not a day, and a period
// that ends before it begins, are errors. Their texts can be shown to the user.
func Days(first, last string, now time.Time) (Period, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	from, err := day("first", first, today.AddDate(0, 0, -30))
	if err != nil {
		return Period{}, err
	}
	to, err := day("last", last, today)
	if err != nil {
		return Period{}, err
	}
	p := Period{from, to.AddDate(0, 0, 1)}
	if !p.From.Before(p.To) {
		return Period{}, fmt.Errorf("the period ends on %s, before it begins on %s", to.Format(time.DateOnly), from.Format(time.DateOnly))
	}
	return p, nil
}

func day(which, s string, empty time.Time) (time.Time, error) {
	if s == "" {
		return empty, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("the %s day of the period is %q, which is not a day: write it as 2026-01-31", which, s)
	}
	return t, nil
}

// contains reports whether an event falls into the period.
func (p Period) contains(e *audit.Event) bool {
	at := e.When()
	return !at.IsZero() && !at.Before(p.From) && at.Before(p.To)
}

// Entry is one line of a report. Fields that do not apply are empty. Texts are as
// they were recorded; only WriteCSV and WriteHTML make them safe.
type Entry struct {
	Kind       Kind
	Time       string // RFC 3339, UTC
	User       string
	Groups     []string
	Resource   string
	Account    string
	Database   string
	Session    string
	Rules      []string // why: the rules or grants by which it was
	By         string   // who decided, or did it
	What       string
	Operations int // how many were asked and ran, connecting apart; in Access
}

// count is what the entry counts, as a text.
func (x *Entry) count() string {
	if x.Kind != Access {
		return ""
	}
	return strconv.Itoa(x.Operations) + " operations"
}

// Report is what happened in a period. It can be changed before it is written, for
// example to leave entries out.
type Report struct {
	Period  Period
	Entries []Entry // oldest first; those of erased and unreadable sessions, which have no time, before all
}

// Incomplete is how many records could not be read whole, or are missing.
func (r *Report) Incomplete() (n int) {
	for i := range r.Entries {
		if r.Entries[i].Kind == Unreadable {
			n++
		}
	}
	return n
}

// Read gathers the report of a period from a log's records. A session counts by its
// beginning; an event of the gateway's own by its time. Sessions whose content was
// erased are listed whatever the period, and so are records that cannot be read whole
// or are missing: a report leaves nothing out without a word. When ctx ends, Read stops
// before the next session and returns the error of ctx.
func Read(ctx context.Context, a *audit.Archive, p Period) (*Report, error) {
	ids, err := a.Sessions()
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	r := &Report{Period: p}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		found, err := session(a, id, p)
		r.Entries = append(r.Entries, found...)
		switch {
		case errors.Is(err, audit.ErrErased):
			r.Entries = append(r.Entries, Entry{Kind: Erased, Session: id, What: "the content was erased; its proof is there"})
		case err != nil:
			r.Entries = append(r.Entries, Entry{Kind: Unreadable, Session: id, What: err.Error()})
		}
	}
	missing, err := a.Missing()
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	for _, id := range missing {
		r.Entries = append(r.Entries, Entry{Kind: Unreadable, Session: id, What: "the session is sealed, and its record is missing"})
	}
	slices.SortStableFunc(r.Entries, func(a, b Entry) int { return strings.Compare(a.Time, b.Time) })
	return r, nil
}

// session gathers the entries of one record, with an error those of what can be read.
func session(a *audit.Archive, id string, p Period) (list []Entry, err error) {
	g := gatherer{id: id, period: p}
	for e, failed := range a.Events(id) {
		if failed != nil {
			err = failed
			break
		}
		if !g.event(e) {
			return nil, a.Whole(id)
		}
	}
	if g.access != nil {
		list = append(list, *g.access)
	}
	return append(list, g.list...), err
}

// gatherer makes entries of a record's events.
type gatherer struct {
	id     string
	period Period
	access *Entry // nil in the gateway's own record
	list   []Entry
}

// event reads one event. It returns false when the record does not fall into the
// period.
func (g *gatherer) event(e *audit.Event) bool {
	if e.Type == audit.SessionStart {
		if !g.period.contains(e) {
			return false
		}
		g.begin(e)
		return true
	}
	if g.access == nil && !g.period.contains(e) {
		return true
	}
	switch e.Type {
	case audit.OperationStart:
		if g.access != nil && e.Kind != "connect" {
			g.access.Operations++
		}
	case audit.OperationEnd:
		g.why(e.Rule)
		g.why(e.Grant)
	case audit.OperationRefused:
		x := g.entry(Denied, e)
		x.By, x.What = e.By, strings.TrimSpace(e.Text+"\n"+e.Reason)
		g.list = append(g.list, x)
	case audit.SessionUnmasked:
		x := g.entry(Unmasked, e)
		x.What = "the rule's exception let the user see what it masks for others"
		g.list = append(g.list, x)
	default:
		g.own(e)
	}
	return true
}

func (g *gatherer) begin(e *audit.Event) {
	x := g.entry(Access, e)
	x.Rules, x.What = nil, "session by "+e.Method+" from "+e.Remote
	if e.For != "" {
		x.What += " on behalf of " + e.For
	}
	g.access = &x
}

// own reads an event of the gateway's own record.
func (g *gatherer) own(e *audit.Event) {
	switch {
	case strings.HasPrefix(e.Type, audit.ReviewPrefix):
		x := g.entry(Approval, e)
		x.By, x.Session = e.DecidedBy, cmp.Or(e.Session, g.id)
		x.What = strings.TrimSpace(strings.TrimPrefix(e.Type, audit.ReviewPrefix) + " " + e.Request + " " + e.Reason)
		g.list = append(g.list, x)
	case e.Type == audit.GatewayPrefix+"login-failed", e.Type == audit.GatewayPrefix+"session-refused":
		x := g.entry(Denied, e)
		x.What = e.Type + ": " + e.Error
		g.list = append(g.list, x)
	case strings.HasPrefix(e.Type, "admin."), e.Type == audit.RecordExpired:
		x := g.entry(Administration, e)
		x.By, x.Session = e.User, e.Session
		x.What = strings.TrimSpace(e.Type + " " + e.Action + " " + e.Reason)
		g.list = append(g.list, x)
	}
}

// entry is an entry of who and what e says, or in a session's record of whose
// session it is.
func (g *gatherer) entry(k Kind, e *audit.Event) Entry {
	x := Entry{User: e.User, Groups: e.Groups, Resource: e.Resource, Account: e.Account, Database: e.Database, Session: g.id}
	if g.access != nil {
		x = *g.access
		x.Operations, x.By = 0, ""
	}
	x.Kind, x.Time, x.Rules = k, e.Time, nil
	if rule := cmp.Or(e.Rule, e.Grant); rule != "" {
		x.Rules = []string{rule}
	}
	return x
}

// why notes by which rule or grant something was allowed.
func (g *gatherer) why(s string) {
	if g.access != nil && s != "" && !slices.Contains(g.access.Rules, s) {
		g.access.Rules = append(g.access.Rules, s)
	}
}
