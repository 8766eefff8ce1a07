package compliance

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/audit"
)

// fields are what tables show of events of the gateway's own record. What is not among them is in no pack: texts, messages of
// servers, and whatever somebody may add to events later.
var fields = map[string]func(e *audit.Event) string{
	"time":       func(e *audit.Event) string { return e.Time },
	"event":      func(e *audit.Event) string { return e.Type },
	"user":       func(e *audit.Event) string { return e.User },
	"for":        func(e *audit.Event) string { return e.For },
	"groups":     func(e *audit.Event) string { return strings.Join(e.Groups, " ") },
	"identity":   func(e *audit.Event) string { return e.Identity },
	"method":     func(e *audit.Event) string { return e.Method },
	"factors":    func(e *audit.Event) string { return e.Methods },
	"address":    func(e *audit.Event) string { return host(e.Remote) },
	"protocol":   func(e *audit.Event) string { return e.Protocol },
	"resource":   func(e *audit.Event) string { return e.Resource },
	"account":    func(e *audit.Event) string { return e.Account },
	"session":    func(e *audit.Event) string { return e.Session },
	"operation":  func(e *audit.Event) string { return number(e.Op) },
	"action":     func(e *audit.Event) string { return e.Action },
	"request":    func(e *audit.Event) string { return e.Request },
	"state":      func(e *audit.Event) string { return strings.TrimPrefix(e.Type, audit.ReviewPrefix) },
	"hash":       func(e *audit.Event) string { return e.Hash },
	"mark":       func(e *audit.Event) string { return e.Mark },
	"rule":       func(e *audit.Event) string { return e.Rule },
	"decided_by": func(e *audit.Event) string { return e.DecidedBy },
	"channel":    func(e *audit.Event) string { return e.Channel },
	"until":      func(e *audit.Event) string { return e.Deadline },
	"reason":     reason,
	"config":     func(e *audit.Event) string { return e.Config },
	"policy":     func(e *audit.Event) string { return e.Policy },
	"reference":  func(e *audit.Event) string { return e.Ref },
	"version":    func(e *audit.Event) string { return e.Version },
	"failed": func(e *audit.Event) string {
		if e.Error != "" {
			return "yes"
		}
		return ""
	},
	"count": func(e *audit.Event) string { return number(max(1, e.Count)) },
}

// reason is what was given as one. Of who looked at something it is not told what she looked for: that may be a value.
func reason(e *audit.Event) string {
	if e.Type == audit.AdminRead {
		what, _, _ := strings.Cut(e.Reason, " ")
		return what
	}
	return e.Reason
}

// host is an address without its port.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// number is a number of something that is there.
func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// own is a table of events of the gateway's own record. An event is in every table that it belongs to.
type own struct {
	Table
	has func(typ string) bool
}

func types(list ...string) func(string) bool {
	return func(typ string) bool { return slices.Contains(list, typ) }
}

func begins(prefixes ...string) func(string) bool {
	return func(typ string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(typ, p) })
	}
}

func either(list ...func(string) bool) func(string) bool {
	return func(typ string) bool {
		return slices.ContainsFunc(list, func(has func(string) bool) bool { return has(typ) })
	}
}

// review is the type of a state of requests.
func review(states ...string) func(string) bool {
	for i, s := range states {
		states[i] = audit.ReviewPrefix + s
	}
	return types(states...)
}

var (
	whoColumns = []string{"time", "event", "user", "groups", "address", "session", "action", "reason"}

	glass = review("break_glass", "review_due", "reviewed", "violation")
)

// ownTables are the tables of the gateway's own record. What belongs to no other is in the last.
var ownTables = []own{
	{
		Table{"requests", "Requests and decisions", "Each step of a request: what was asked for, who decided and by which channel, what was granted until when, and how it ended. The hash is of what was decided about. A step that is undone says by its mark which one was recorded and not made.", []Kind{Requests}, []string{"time", "request", "state", "user", "for", "resource", "account", "session", "operation", "rule", "decided_by", "channel", "until", "reason", "hash", "mark"}},
		begins(audit.ReviewPrefix),
	},
	{
		Table{"emergency-access", "Access without an approval", "Who took access in an emergency, offline grants, and the review that followed.", []Kind{Emergency}, []string{"time", "event", "request", "user", "resource", "account", "decided_by", "channel", "until", "action", "reason"}},
		either(glass, types(audit.AdminOffline)),
	},
	{
		Table{"logins", "Logins and their means", "Who proved herself, who failed to, and who changed how she proves herself. The user of a failure is who was claimed; count says how many of one address it sums up.", []Kind{Logins}, []string{"time", "event", "user", "groups", "identity", "method", "factors", "address", "protocol", "resource", "action", "count", "failed"}},
		either(types(audit.GatewayPrefix+"login", audit.GatewayPrefix+"login-failed", audit.GatewayPrefix+"connection-failed", audit.GatewayPrefix+"session-refused",
			audit.AdminLogin, audit.AdminLogout, audit.AdminLink, audit.AdminCredential, audit.AdminToken, audit.AdminFactor)),
	},
	{
		Table{"configuration", "Configuration in force", "By which configuration and rules sessions were judged, who changed objects of the store, and what was looked at or tried there.", []Kind{Changes}, []string{"time", "event", "user", "groups", "address", "action", "reason", "config", "policy"}},
		types(audit.GatewayConfig, audit.AdminConfigure, audit.AdminConfiguration, audit.AdminAdopt),
	},
	{
		Table{"credentials", "Credentials of the gateway", "Which of the gateway's own credentials was asked for, renewed and revoked, by its reference and for which session. Values are not on record.", []Kind{Credentials}, []string{"time", "event", "user", "session", "resource", "account", "reference", "version", "failed"}},
		begins("secret."),
	},
	{
		Table{"oversight", "Who looked at what is recorded", "Who listed, watched, searched, read and exported, and who was not permitted to. What was searched for is not told.", []Kind{Oversight}, whoColumns},
		types(audit.AdminList, audit.AdminWatch, audit.AdminRead, audit.AdminRequests, audit.AdminUsers, audit.AdminConfiguration, audit.AdminExport, audit.AdminRefused, audit.AdminDetokenise),
	},
	{
		Table{"retention", "Erased, held and released", "Which records were erased by a person or by a rule of retention, and which were kept from it.", []Kind{Retention}, whoColumns},
		types(audit.AdminErase, audit.AdminHold, audit.AdminRelease, audit.RecordExpired),
	},
	{
		Table{"termination", "Sessions and people that were stopped", "Who ended or froze which session, disabled a user or ended her logins, and which access was taken back.", []Kind{Termination}, []string{"time", "event", "user", "address", "session", "request", "decided_by", "action", "reason"}},
		either(types(audit.AdminKill, audit.AdminFreeze, audit.AdminThaw, audit.AdminMessage, audit.AdminUser), review("revoked", "ended", "cancelled", "expired")),
	},
	{
		Table{"unmasking", "Masked values that were turned back or shown", "Who had a masked value turned back, or was refused that; who was shown what is masked of a request.", []Kind{Masking}, []string{"time", "event", "user", "address", "session", "request", "action", "reason"}},
		either(types(audit.AdminDetokenise), review("revealed")),
	},
	{
		Table{"health", "The gateway and its exports", "When the gateway began and stopped, sinks and copies that were late or disagree, connections that were closed to make room, and failures.", []Kind{Health}, []string{"time", "event", "address", "count", "failed"}},
		either(types(audit.GatewayStart, audit.GatewayStop, audit.GatewayRotate, audit.Degraded, audit.AdminAdopt, audit.GatewayPrefix+"overload", audit.GatewayPrefix+"panic"), begins("export.")),
	},
	{
		Table{"other-events", "Other events", "What the gateway has recorded of itself and is in no other table.", []Kind{Oversight}, whoColumns},
		nil,
	},
}
