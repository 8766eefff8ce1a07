package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/alert"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

// useAlerts has the rules of p watch the record. It is read for them from when there are some. g.applying is held.
func (g *Gateway) useAlerts(p *parts) error {
	rules := p.config.AlertRules(g.resourceOf)
	g.alerts.Use(rules)
	if g.alertsFed || len(rules) == 0 {
		return nil
	}
	g.alertsFed = true
	return g.feed(g.alerts, audit.FeedConfig{})
}

// alerts answers what administrators ask about alerts.
type alerts struct{ *Gateway }

// List implements [control.Alerts].
func (a alerts) List(ctx context.Context) ([]control.Alert, error) {
	f := a.parts().config
	own := f.Own()
	list := []control.Alert{}
	for i := range f.Alerts {
		r := &f.Alerts[i]
		home := "store"
		if slices.ContainsFunc(own, func(o revision.Object) bool { return o.Kind == "alert" && o.Name == r.Name }) {
			home = "file"
		}
		firings, err := a.alerts.Firings(ctx, r.Name)
		if err != nil {
			return nil, err
		}
		one := control.Alert{
			Name: r.Name, Home: home, Events: r.Events, Each: r.Each, Count: max(r.Count, 1), Seconds: int(r.Within / time.Second), Quiet: int(r.Quiet / time.Second), Channels: r.Notify,
			Message: r.Message, Firings: firingsOf(firings),
		}
		if one.Quiet == 0 {
			one.Quiet = int(alert.DefaultQuiet / time.Second)
		}
		list = append(list, one)
	}
	return list, nil
}

func firingsOf(firings []alert.Firing) []control.Firing {
	list := []control.Firing{}
	for _, f := range slices.Backward(firings) {
		list = append(list, control.Firing{ID: f.ID, At: f.At, Alert: f.Alert})
	}
	return list
}

// maxTried bounds how many events an alert is tried on.
const maxTried = 20_000

// Try implements [control.Alerts].
func (a alerts) Try(ctx context.Context, records *audit.Archive, q control.AlertQuestion) (*control.AlertTried, error) {
	rule, err := a.rule(q)
	if err != nil {
		return nil, err
	}
	t := &trying{rule: rule, since: q.Since, until: q.Until}
	if err := t.read(ctx, records); err != nil && ctx.Err() == nil {
		return nil, err
	}
	tried := rule.Try(t.events)
	return &control.AlertTried{Fitted: tried.Fitted, Fired: tried.Fired, Firings: firingsOf(tried.Firings), More: t.more || ctx.Err() != nil, Unread: t.unread}, nil
}

// rule is that of a question: one that is there, or one that is written.
func (a alerts) rule(q control.AlertQuestion) (*alert.Rule, error) {
	f := a.parts().config
	if q.Object != "" {
		r, err := f.ReadAlert(q.Object, a.resourceOf)
		if err != nil {
			return nil, fmt.Errorf("%w:\n%w", revision.ErrInvalid, err)
		}
		return r, nil
	}
	i := slices.IndexFunc(f.Alerts, func(r config.Alert) bool { return r.Name == q.Name })
	if i < 0 {
		return nil, fmt.Errorf("alert %q: %w", q.Name, proxy.ErrNotFound)
	}
	r := f.Alerts[i].Rule(a.resourceOf)
	return &r, nil
}

// trying reads what a rule is tried on.
type trying struct {
	rule         *alert.Rule
	since, until time.Time
	events       []alert.Seen
	more         bool // there are more than are tried
	unread       int  // records
}

// longSession is for how long before a time sessions began that are looked at for what happened since.
const longSession = 24 * time.Hour

func (t *trying) read(ctx context.Context, a *audit.Archive) error {
	own, err := a.Own()
	if err != nil {
		return err
	}
	for _, id := range slices.Backward(own) { // the newest first
		older, err := t.record(ctx, a, id, false)
		if err != nil || t.more {
			return err
		}
		if older {
			break
		}
	}
	if !t.aboutSessions() {
		return nil
	}
	found, err := a.Search(ctx, audit.Query{Since: t.since.Add(-longSession), Until: t.until}, nil)
	if err != nil {
		return err
	}
	t.unread += len(found.Unread)
	for _, s := range slices.Backward(found.Sessions) {
		if _, err := t.record(ctx, a, s.ID, true); err != nil || t.more {
			return err
		}
	}
	return nil
}

// aboutSessions reports whether the rule may be about what is in sessions' records.
func (t *trying) aboutSessions() bool {
	for _, typ := range []string{
		audit.SessionStart, audit.SessionEnd, audit.SessionRecovered, audit.SessionRevised, audit.SessionUnmasked, audit.OperationStart, audit.OperationEnd, audit.OperationRefused,
		audit.OperationObserved, audit.Degraded,
	} {
		if t.rule.Wants(typ) {
			return true
		}
	}
	return false
}

// record reads one, and reports whether its last event was before the time that is asked about.
func (t *trying) record(ctx context.Context, a *audit.Archive, id string, session bool) (older bool, err error) {
	var start *audit.Event
	index := uint64(0)
	for raw, err := range a.Raw(id) {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, audit.ErrErased) {
				t.unread++
			}
			return false, nil
		}
		index++
		if session && start == nil {
			if start, err = alert.Start(raw); err != nil {
				t.unread++
				return false, nil
			}
		}
		s, err := alert.See(id, index, raw, start)
		if err != nil {
			continue
		}
		if older = s.At.Before(t.since); older || !s.At.Before(t.until) || !t.rule.Fits(&s) {
			continue
		}
		if len(t.events) >= maxTried {
			t.more = true
			return false, nil
		}
		t.events = append(t.events, s)
	}
	return older, nil
}
