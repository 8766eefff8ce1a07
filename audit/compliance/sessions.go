package compliance

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/report"
	"github.com/sallyport/sallyport/proxy"
)

// What sessions' records say. A session is in the pack when it was open at some time of the period; what happened in it counts
// by its own time.

var sessionTable = Table{
	"sessions", "Sessions", "Who was at which resource, as which account, from when until when, by which configuration and rules, and how much was asked, refused and masked in the period. A session that goes on after the period has no end here.",
	[]Kind{Sessions, Termination},
	[]string{"session", "begin", "end", "ended", "user", "for", "groups", "identity", "method", "factors", "address", "via", "resource", "account", "database", "protocol", "config", "policy", "operations", "refused", "masked", "lost_events"},
}

var decisionTable = Table{
	"decisions", "Decisions", "Each operation that was asked, connecting among them: what decided, by which rule, grant, approval and version of the rules, and how it ended. Relations and the fingerprint say what a statement was about; its text is in the session's record.",
	[]Kind{Decisions},
	[]string{"time", "session", "operation", "user", "for", "resource", "account", "database", "kind", "file", "effects", "relations", "fingerprint", "verdict", "decided_by", "cause", "rule", "grant", "requests", "policy", "outcome", "code", "rows", "masked", "duration_us"},
}

var maskingTable = Table{
	"masking", "Values masked", "How many values of which type were masked in a session in the period, and by which rule's exception somebody saw what is masked for others (seen unmasked).",
	[]Kind{Masking},
	[]string{"time", "session", "user", "resource", "account", "what", "type", "rule", "values"},
}

// errBefore says that a session had ended before the period.
var errBefore = errors.New("the session had ended before")

// walk reads a session's record.
type walk struct {
	*gathering
	period report.Period
	id     string
	start  *audit.Event // nil until it was read
	policy string
	end    string
	ended  string
	inside bool // something of it is in the period, or it was open all along
	asked  map[uint64]*decision

	operations, refused, lost uint64
	masked                    map[string]uint64
}

// decision is a line of the table of decisions.
type decision struct {
	time, policy string
	op           audit.Event // without texts
	requests     []string
}

func within(p report.Period, at time.Time) bool { return !at.Before(p.From) && at.Before(p.To) }

// read reads the record to its end, which proves that it is as it was sealed. An error of its own is one of the record.
func (w *walk) read(a *audit.Archive) (failed, err error) {
	w.asked, w.masked = make(map[uint64]*decision), make(map[string]uint64)
	for e, err := range a.Events(w.id) {
		if err != nil {
			failed = err
			break
		}
		if err := w.ctx.Err(); err != nil {
			return nil, err
		}
		if err := w.event(e); err != nil {
			return nil, err
		}
	}
	if w.start == nil {
		if failed == nil {
			failed = errBefore
		}
		return failed, nil
	}
	return failed, w.finish(failed)
}

func (w *walk) event(e *audit.Event) error {
	at := e.When()
	if w.start == nil {
		if e.Type != audit.SessionStart || !at.Before(w.period.To) {
			return nil
		}
		w.start, w.policy = e, e.Policy
	}
	if !at.Before(w.period.To) {
		return nil
	}
	in := within(w.period, at)
	w.inside = w.inside || in
	switch e.Type {
	case audit.SessionRevised:
		w.policy = cmp.Or(e.Policy, w.policy)
	case audit.SessionEnd:
		w.end, w.ended = e.Time, "ended"
		if e.Error != "" {
			w.ended = "was ended"
		}
	case audit.SessionRecovered:
		w.end, w.ended = e.Time, "the gateway stopped before"
	case audit.OperationStart:
		if in {
			w.begin(e)
		}
	case audit.OperationEnd:
		return w.done(e, in)
	case audit.OperationRefused, audit.OperationObserved:
		if in {
			return w.answered(e)
		}
	case audit.SessionUnmasked:
		if in {
			return w.maskingSheet.add(e.Time, w.id, w.start.User, w.start.Resource, w.start.Account, "seen unmasked", "", cmp.Or(e.Rule, e.Grant), "")
		}
	case audit.Degraded:
		if in {
			w.lost += e.Lost
		}
	}
	return nil
}

// begin notes an operation that was allowed.
func (w *walk) begin(e *audit.Event) {
	d := &decision{time: e.Time, policy: w.policy, op: *e}
	d.op.Text, d.op.Args, d.op.Query = "", nil, ""
	for _, a := range e.Approved {
		d.requests = append(d.requests, a.Request)
	}
	if e.Kind != connects {
		w.operations++
	}
	w.asked[e.Op] = d
}

// connects is the kind of the operation that a session begins with.
const connects = "connect"

// done writes how an operation has ended that began in the period. What it has masked counts when it ends.
func (w *walk) done(e *audit.Event, in bool) error {
	if in {
		for typ, n := range e.Masked {
			w.masked[typ] += n
		}
	}
	d := w.asked[e.Op]
	if d == nil {
		return nil
	}
	delete(w.asked, e.Op)
	outcome := "done"
	if e.Error != "" || e.Code != "" && e.Code != "0" {
		outcome = "failed"
	}
	return w.decide(d, e, outcome)
}

// answered writes what was refused, or would have been by a rule that only observes.
func (w *walk) answered(e *audit.Event) error {
	outcome := "refused"
	if e.Type == audit.OperationObserved {
		outcome = "observed"
	} else {
		w.refused++
		delete(w.asked, e.Op)
		if e.Kind != connects {
			w.operations++
		}
	}
	return w.decide(&decision{time: e.Time, policy: w.policy, op: *e}, e, outcome)
}

func (w *walk) decide(d *decision, e *audit.Event, outcome string) error {
	file := ""
	if d.op.Kind == "file" {
		file = strings.TrimSpace(d.op.Name + " " + d.op.Target)
	}
	verdict := cmp.Or(e.Verdict, d.op.Verdict)
	if verdict == "" || verdict == proxy.ActionPass.String() { // nobody had anything to say against it
		verdict = proxy.ActionAllow.String()
	}
	duration := ""
	if e.Micros != 0 {
		duration = strconv.FormatInt(e.Micros, 10)
	}
	return w.decisions.add(d.time, w.id, strconv.FormatUint(d.op.Op, 10), w.start.User, w.start.For, w.start.Resource, w.start.Account, w.start.Database,
		d.op.Kind, file, d.op.Effects, d.op.Relations, d.op.Fingerprint, verdict, cmp.Or(e.By, d.op.By), cmp.Or(e.Cause, d.op.Cause),
		cmp.Or(e.Rule, d.op.Rule), cmp.Or(e.Grant, d.op.Grant), strings.Join(d.requests, " "), d.policy, outcome, e.Code, number(e.Rows), counts(e.Masked), duration)
}

// counts are how many of which type, such as "EMAIL:2 PHONE:1".
func counts(m map[string]uint64) string {
	var list []string
	for _, typ := range slices.Sorted(maps.Keys(m)) {
		list = append(list, typ+":"+strconv.FormatUint(m[typ], 10))
	}
	return strings.Join(list, " ")
}

// finish writes what is known when the record has ended, or cannot be read on.
func (w *walk) finish(failed error) error {
	if w.end == "" && failed == nil {
		w.inside = true // it was open at the period's end
	}
	if failed != nil {
		w.inside, w.ended = true, "not known: the record cannot be read whole"
	}
	if !w.inside {
		return nil
	}
	for _, op := range slices.Sorted(maps.Keys(w.asked)) {
		if err := w.decide(w.asked[op], &audit.Event{}, "no end in the period"); err != nil {
			return err
		}
	}
	total := uint64(0)
	for _, typ := range slices.Sorted(maps.Keys(w.masked)) {
		total += w.masked[typ]
		if err := w.maskingSheet.add(w.start.Time, w.id, w.start.User, w.start.Resource, w.start.Account, "masked", typ, "", number(w.masked[typ])); err != nil {
			return err
		}
	}
	s := w.start
	return w.sessions.add(w.id, s.Time, w.end, cmp.Or(w.ended, "open"), s.User, s.For, strings.Join(s.Groups, " "), cmp.Or(s.Identity, "human"), s.Method, s.Methods,
		host(s.Remote), s.Via, s.Resource, s.Account, s.Database, s.Protocol, s.Config, s.Policy, strconv.FormatUint(w.operations, 10),
		strconv.FormatUint(w.refused, 10), strconv.FormatUint(total, 10), number(w.lost))
}
