package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/hours"
	"github.com/sallyport/sallyport/proxy"
)

// Auto has a rule grant by itself what is asked for under conditions, without anybody who approves.
type Auto struct {
	// Groups are those of who asks; a member of one of them. Empty is everybody who may ask.
	Groups []string
	// When must hold when it is asked for, and when access begins. What is not known counts against it.
	When Condition
	// Reason is a pattern that must be found in the reason; empty: any reason will do.
	Reason string
	// Max is the longest that is granted so; 0 is as long as may be asked for.
	Max time.Duration
	// Actions are at most those that are granted so, and connecting; empty is all of the rule.
	Actions []string
}

// Applies reports whether the rule grants something by itself to somebody who asks from an address, which may be empty, at a time.
func (a *Auto) Applies(id *proxy.Identity, remote string, at time.Time) bool {
	if len(a.Groups) > 0 && !slices.ContainsFunc(a.Groups, func(g string) bool { return g == "*" || id.In(g) }) {
		return false
	}
	s := scene{identity: id, now: at}
	if from, err := netip.ParseAddrPort(remote); err == nil {
		s.from = from.Addr().Unmap().WithZone("")
	}
	holds, _ := a.When.holds(&s)
	return holds == yes || !a.When.given()
}

func (a *Auto) validate(r *Request) error {
	if a == nil {
		return nil
	}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("request: auto: "+format, args...)) }
	if len(a.Groups) == 0 && !a.When.given() && a.Reason == "" && a.Max == 0 && len(a.Actions) == 0 {
		bad("it has no condition: leave request out of the rule, which then allows what it says to everybody it is about")
	}
	if err := a.When.validate(); err != nil {
		bad("%w", err)
	}
	if _, err := regexp.Compile(a.Reason); err != nil {
		bad("the pattern of the reason: %v", err)
	}
	if most := r.Terms().Max; a.Max < 0 || a.Max > most {
		bad("got a time of %s, want at most the %s that may be asked for", hours.Length(a.Max), hours.Length(most))
	}
	for _, w := range a.Actions {
		if _, ok := parseAction(w); !ok {
			bad("action %q is unknown", w)
		}
	}
	return errors.Join(errs...)
}

// Proof is how those who approve must have proven who they are. The zero Proof is any way.
type Proof struct {
	Factors []string      // as RFC 8176 names them, such as "otp" or "hwk"; one of them
	Within  time.Duration // how long ago that was at most; 0 is any time
}

func (p *Proof) validate() error {
	if p.Within < 0 || p.Within > 0 && p.Within < time.Minute || p.Within > MaxRequest {
		return fmt.Errorf("request: the proof of approvers: got a login of the last %s, want one of 1m to %s", hours.Length(p.Within), hours.Length(MaxRequest))
	}
	for _, f := range p.Factors {
		if f == "" || strings.ContainsAny(f, " \t\r\n") {
			return fmt.Errorf("request: the proof of approvers: %q is not a factor: want a word such as otp or hwk", f)
		}
	}
	return nil
}

// labelOpen and labelClose are around the name of a label, in the place of an approver.
const (
	labelOpen  = "{label."
	labelClose = "}"
)

// LabelOf returns the label that an approver is the value of, such as {label.owner}.
func LabelOf(approver string) (label string, ok bool) {
	rest, ok := strings.CutPrefix(approver, labelOpen)
	if !ok {
		return "", false
	}
	label, ok = strings.CutSuffix(rest, labelClose)
	return label, ok && label != ""
}

// ApproversAt returns the approvers at a resource: labels are their values, and those that the resource does not have are nobody.
func ApproversAt(approvers []string, r *proxy.Resource) []string {
	list := make([]string, 0, len(approvers))
	for _, a := range approvers {
		if label, ok := LabelOf(a); ok {
			if a = r.Labels[label]; a == "" || a == "*" {
				continue
			}
		}
		list = append(list, a)
	}
	return list
}

func validateApprovers(approvers []string) error {
	for _, a := range approvers {
		if _, ok := LabelOf(a); !ok && strings.ContainsAny(a, "{}") {
			return fmt.Errorf("request: approver %q: want a group, user:NAME, or {label.NAME}", a)
		}
	}
	return nil
}
