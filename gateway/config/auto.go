package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// Auto says what an access rule grants without anybody who approves; see policy.Auto.
type Auto struct {
	Position
	Groups  []string      `yaml:"groups,chooses"`
	When    *Condition    `yaml:"when,chooses"`
	Reason  string        `yaml:"reason"` // a pattern
	Max     time.Duration `yaml:"max"`
	Actions []string      `yaml:"actions,chooses"`
}

// MinAuth says how those who approve must have proven who they are; see policy.Proof.
type MinAuth struct {
	Position
	Factors     []string       `yaml:"factors,chooses"`
	LoginWithin *time.Duration `yaml:"login_within,chooses"`
}

// Escalation says who approves, too, after a share of the time to decide; see policy.Escalation.
type Escalation struct {
	Position
	After     string   `yaml:"after"` // such as 50%
	Approvers []string `yaml:"approvers"`
}

// share is After in percent.
func (e *Escalation) share() (int, error) {
	digits, ok := strings.CutSuffix(e.After, "%")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > 99 {
		return 0, fmt.Errorf("after: got %q, want 1%% to 99%% of the time to decide", e.After)
	}
	return n, nil
}

func (a *Auto) auto() *policy.Auto {
	if a == nil {
		return nil
	}
	return &policy.Auto{Groups: a.Groups, When: a.When.condition(), Reason: a.Reason, Max: a.Max, Actions: a.Actions}
}

func (m *MinAuth) proof() policy.Proof {
	if m == nil {
		return policy.Proof{}
	}
	return policy.Proof{Factors: m.Factors, Within: valueOf(m.LoginWithin)}
}

func (f *File) validateAuto(d *decoder, a *Access) {
	auto := a.Request.Auto
	if auto == nil {
		return
	}
	auto.When.validate(d, "request.auto.when")
	f.checkGroups(d, auto.Line, auto.Groups)
	for _, w := range auto.Actions {
		if !slices.Contains(a.Allow, w) && !slices.Contains(a.Allow, "all") {
			d.problem(auto.Line, suggest(w, a.Allow), "access: request: auto: the rule does not allow %q, so it cannot grant it", w)
		}
	}
}

func (f *File) validateMinAuth(d *decoder, m *MinAuth) {
	if m == nil {
		return
	}
	if len(m.Factors) == 0 && m.LoginWithin == nil {
		d.problem(m.Line, "factors: [otp], or login_within: 15m", "access: request: min_auth: it asks for nothing")
	}
	d.positive(m.Line, "request.min_auth.login_within", m.LoginWithin)
}

// checkDeciders reports approvers that do not exist, and lists of which nobody could decide. about are the resources for whose labels
// approvers can stand; nil: none.
func (f *File) checkDeciders(d *decoder, line int, approvers []string, about func(*proxy.Resource) bool) {
	labels := false
	for _, a := range approvers {
		_, label := policy.LabelOf(a)
		if label = label && about != nil; !label && strings.ContainsAny(a, "{}") {
			d.problem(line, "write a group, user:NAME, or in a request {label.NAME}", "%q is not an approver", a)
			return
		}
		labels = labels || label
	}
	if !labels {
		f.checkApproverNames(d, line, approvers)
		f.checkApprovers(d, line, approvers)
		return
	}
	for i := range f.Resources {
		r := &f.Resources[i]
		res := &proxy.Resource{Name: r.Name, Type: r.Type, Labels: r.Labels}
		if !about(res) {
			continue
		}
		list := policy.ApproversAt(approvers, res)
		if len(list) == 0 {
			f.refersTo(d, line, "approvers "+strings.Join(approvers, ", ")+" at "+r.Name, false, "add the label to the resource, or another approver to the rule",
				"access: request: resource %s has no label for the approvers [%s], so nobody could approve", r.Name, strings.Join(approvers, ", "))
			continue
		}
		f.checkApproverNames(d, line, list)
		f.checkApprovers(d, line, list)
	}
}

// checkApproverNames reports groups and people among approvers that do not exist.
func (f *File) checkApproverNames(d *decoder, line int, approvers []string) {
	var groups []string
	for _, a := range approvers {
		subject, person := strings.CutPrefix(a, review.PersonPrefix)
		if !person {
			groups = append(groups, a)
		} else if !d.unsure() {
			f.refersTo(d, line, "user "+subject, subject != "*" && f.knowsUser(subject), "", "an approver is user %q, who does not exist", subject)
		}
	}
	f.checkGroups(d, line, f.groupsOf(d, line, groups))
}

// knowsUser reports whether somebody of a name exists.
func (f *File) knowsUser(name string) bool {
	known := f.options.Users
	return f.givesUser(name) || known != nil && known(name) || slices.ContainsFunc(f.Identity.Users, func(x User) bool { return x.Name == name })
}
