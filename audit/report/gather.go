package report

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/audit"
)

// maxWhat bounds a text of an entry, in bytes. A spreadsheet takes no more in a cell; the
// record has the whole.
const maxWhat = 32_000

// collector makes entries of records.
type collector struct {
	period Period
	list   []Entry
	many   map[string]*Entry // logins, each for all that are alike
	before *Entry            // the configuration in force when the period begins
}

func newCollector(p Period) *collector { return &collector{period: p, many: make(map[string]*Entry)} }

func (c *collector) add(x Entry) {
	x.What = clip(x.What, maxWhat)
	c.list = append(c.list, x)
}

// clip shortens a text to so many bytes, and says so.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s… (of %d bytes; the record has the whole)", strings.ToValidUTF8(s[:most], ""), len(s))
}

// several adds an event, which may sum up some, to the entry of all that are alike.
func (c *collector) several(x Entry, e *audit.Event) {
	alike := strings.Join([]string{string(x.Kind), x.User, strings.Join(x.Groups, "\x00"), x.Method, x.Address, x.Resource, x.What}, "\x00\x00")
	was := c.many[alike]
	if was == nil {
		x.What, x.Until = clip(x.What, maxWhat), x.Time
		was = &x
		c.many[alike] = was
	}
	was.Count += max(1, e.Count)
	was.Time, was.Until = min(was.Time, x.Time), max(was.Until, x.Time)
}

// entries are all that was collected, in no order.
func (c *collector) entries() []Entry {
	list := c.list
	if c.before != nil {
		list = append(list, *c.before)
	}
	for _, alike := range slices.Sorted(maps.Keys(c.many)) {
		list = append(list, *c.many[alike])
	}
	return list
}

// session collects the entries of one record, with an error those of what can be read.
func (c *collector) session(a *audit.Archive, id string) (err error) {
	g := gatherer{collector: c, id: id}
	for e, failed := range a.Events(id) {
		if failed != nil {
			err = failed
			break
		}
		if !g.event(e) {
			return a.Whole(id)
		}
	}
	g.finish(err)
	return err
}

// gatherer makes entries of one record's events.
type gatherer struct {
	*collector
	id     string
	access *Entry            // nil in the gateway's own record
	asked  map[uint64]*Entry // operations that have not ended
	masked map[string]uint64
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
	if g.access == nil {
		g.own(e)
		return true
	}
	switch e.Type {
	case audit.OperationStart:
		if e.Kind != "connect" {
			g.access.Count++
		}
		if kind := kindOf(e); kind != "" {
			x := g.entry(kind, e)
			x.What, x.Ended = what(e), "the record has no end of it"
			g.asked[e.Op] = &x
		}
	case audit.OperationEnd:
		g.end(e)
	case audit.OperationRefused:
		x := g.entry(Denied, e)
		x.By, x.What = e.By, strings.TrimSpace(what(e)+"\n"+e.Reason)
		g.add(x)
		delete(g.asked, e.Op)
	case audit.SessionUnmasked:
		x := g.entry(Unmasked, e)
		x.What = "the rule's exception let the user see what it masks for others"
		g.add(x)
	case audit.SessionRevised:
		x := g.entry(Configuration, e)
		x.Groups, x.What = e.Groups, "the open session is judged by rules "+e.Policy
		g.add(x)
	case audit.SessionEnd:
		g.access.Until, g.access.Ended = e.Time, cmp.Or(e.Error, "ended")
	case audit.SessionRecovered:
		g.access.Until, g.access.Ended = e.Time, "the gateway stopped before; found at its next start"
	}
	return true
}

func (g *gatherer) begin(e *audit.Event) {
	x := g.entry(Access, e)
	x.Rules, x.Ended = nil, "open"
	if e.For != "" {
		x.What = "on behalf of " + e.For
	}
	g.access, g.asked, g.masked = &x, make(map[uint64]*Entry), make(map[string]uint64)
}

// end reads how an operation ended.
func (g *gatherer) end(e *audit.Event) {
	g.why(e.Rule)
	g.why(e.Grant)
	for typ, n := range e.Masked {
		g.masked[typ] += n
	}
	x := g.asked[e.Op]
	if x == nil {
		return
	}
	delete(g.asked, e.Op)
	x.Count, x.Ended = e.Rows, cmp.Or(strings.TrimSpace(e.Code+" "+e.Error), "done")
	for _, rule := range []string{e.Rule, e.Grant} {
		if rule != "" {
			x.Rules = append(x.Rules, rule)
		}
	}
	g.add(*x)
}

// finish adds what is known when the record ends, with an error if it cannot be read whole.
func (g *gatherer) finish(err error) {
	if g.access == nil {
		return
	}
	if err != nil && g.access.Until == "" {
		g.access.Ended = "not known: the record cannot be read whole"
	}
	g.add(*g.access)
	for _, op := range slices.Sorted(maps.Keys(g.asked)) {
		g.add(*g.asked[op])
	}
	for _, typ := range slices.Sorted(maps.Keys(g.masked)) {
		x := g.entry(Masked, &audit.Event{Time: g.access.Time})
		x.What, x.Count = typ, g.masked[typ]
		g.add(x)
	}
}

// own reads an event of the gateway's own record.
func (g *gatherer) own(e *audit.Event) {
	if e.Type == audit.GatewayConfig && !e.When().IsZero() && e.When().Before(g.period.From) {
		if g.before == nil || g.before.Time <= e.Time {
			x := g.configuration(e)
			g.before = &x
		}
		return
	}
	if !g.period.contains(e) {
		return
	}
	switch {
	case strings.HasPrefix(e.Type, audit.ReviewPrefix):
		x := g.entry(Approval, e)
		x.By, x.Session = e.DecidedBy, cmp.Or(e.Session, g.id)
		x.What = strings.TrimSpace(strings.TrimPrefix(e.Type, audit.ReviewPrefix) + " " + e.Request + " " + e.Reason)
		g.add(x)
	case e.Type == audit.GatewayPrefix+"login":
		x := g.entry(Login, e)
		x.Session, x.What = "", e.Protocol
		g.several(x, e)
	case e.Type == audit.GatewayPrefix+"login-failed":
		x := g.entry(LoginFailed, e)
		x.Session, x.What = "", e.Protocol+": "+e.Error
		g.several(x, e)
	case e.Type == audit.GatewayPrefix+"connection-failed":
		x := g.entry(Failed, e)
		x.Session, x.What = "", e.Protocol+": "+e.Error
		g.several(x, e)
	case e.Type == audit.GatewayPrefix+"session-refused":
		x := g.entry(Denied, e)
		x.What = e.Type + ": " + e.Error
		g.add(x)
	case e.Type == audit.GatewayConfig:
		g.add(g.configuration(e))
	case e.Type == audit.GatewayStart, e.Type == audit.GatewayStop:
		x := g.entry(Configuration, e)
		x.What = e.Type
		g.add(x)
	case strings.HasPrefix(e.Type, "admin."), e.Type == audit.RecordExpired:
		x := g.entry(Administration, e)
		x.By, x.Session = e.User, e.Session
		x.What = strings.TrimSpace(e.Type + " " + e.Action + " " + e.Reason)
		g.add(x)
	}
}

// judges begins what an entry says of a configuration that came into force.
const judges = "configuration "

func (g *gatherer) configuration(e *audit.Event) Entry {
	x := g.entry(Configuration, e)
	x.What = judges + e.Config + ", rules " + e.Policy
	return x
}

// entry is an entry of who and what e says, or in a session's record of whose
// session it is.
func (g *gatherer) entry(k Kind, e *audit.Event) Entry {
	x := Entry{
		User: e.User, Groups: e.Groups, Method: e.Method, Address: host(e.Remote), Resource: e.Resource, Account: e.Account, Database: e.Database,
		Session: g.id,
	}
	if g.access != nil {
		x = *g.access
		x.Count, x.What, x.Until, x.Ended = 0, "", "", ""
	}
	x.Kind, x.Time, x.Rules = k, e.Time, nil
	if rule := cmp.Or(e.Rule, e.Grant); rule != "" {
		x.Rules = []string{rule}
	}
	return x
}

// why notes by which rule or grant something was allowed.
func (g *gatherer) why(s string) {
	if s != "" && !slices.Contains(g.access.Rules, s) {
		g.access.Rules = append(g.access.Rules, s)
	}
}

// host is an address without its port.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// what is what was asked.
func what(e *audit.Event) string {
	var words []string
	switch e.Kind {
	case "statement", "prepare":
	case "file":
		words = append(words, e.Name)
	default:
		words = append(words, e.Kind, e.Name)
	}
	words = append(words, e.Text)
	if e.Target != "" {
		target := e.Target
		if e.Port != 0 {
			target = net.JoinHostPort(target, fmt.Sprint(e.Port))
		}
		words = append(words, "→", target)
	}
	if e.Kind != "statement" && e.Kind != "prepare" {
		for _, a := range e.Args {
			if a != nil {
				words = append(words, *a)
			}
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(s string) bool { return s == "" }), " ")
}

// kindsOfEffects are what statements do, the gravest first. What only reads, or changes nothing
// but the session, is in no section.
var kindsOfEffects = []struct {
	kind    Kind
	effects []string
}{
	{Rights, []string{"grant"}},
	{Definition, []string{"create", "alter", "drop"}},
	{Write, []string{"insert", "update", "delete", "truncate", "copy-in", "copy-program", "sequence", "call", "execute", "do", "outside", "maintain", "unknown"}},
	{CopiedOut, []string{"copy-out"}},
}

// kindOf says in which section an operation is that ran, empty when in none.
func kindOf(e *audit.Event) Kind {
	switch e.Kind {
	case "connect", "prepare", "env":
		return ""
	case "function":
		return Write
	case "file":
		switch e.Name {
		case "stat", "list", "readlink":
			return ""
		}
		return File
	case "statement":
		for _, k := range kindsOfEffects {
			for effect := range strings.SplitSeq(e.Effects, ",") {
				if slices.Contains(k.effects, effect) {
					return k.kind
				}
			}
		}
		return ""
	}
	return Command
}
