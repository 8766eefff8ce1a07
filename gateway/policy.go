package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/policy"
	"github.com/sallyport/sallyport/proxy"
)

// deciding is what says who may do what: access rules, a policy in Rego, or both, each of
// which must agree.
type deciding struct {
	rules *policy.Policy
	alone bool              // the policy in Rego decides, and there are no access rules
	rego  config.RegoPolicy // nil when the file has no policy in Rego
}

// decidingOf makes what decides by f, and reports whether it is what decided before. budgets and grants are
// nil where sessions only ask.
func decidingOf(f *config.File, log *slog.Logger, before *parts, budgets *policy.Budgets, grants policy.Grants) (d deciding, same bool, err error) {
	d.alone = f.Decides() && len(f.Access) == 0
	if d.rego, err = f.Rego(log, budgets, grants); err != nil {
		return d, false, err
	}
	sameRules := before != nil && f.SameAccess(before.config)
	sameRego := before != nil && f.SameRego(before.config) && (d.rego == nil || d.rego.Revision() == before.rego.Revision())
	if sameRego {
		d.rego = before.rego
	}
	if sameRules {
		d.rules = before.rules
	} else if d.rules, err = f.Policy(); err == nil {
		d.rules = d.rules.WithBudgets(budgets).With(grants)
	}
	return d, sameRules && sameRego, err
}

// chain is what is asked, in order.
func (d deciding) chain() (list []proxy.Interceptor) {
	if !d.alone {
		list = append(list, d.rules)
	}
	if d.rego != nil {
		list = append(list, d.rego)
	}
	return list
}

// may reports whether id may connect to a target under some conditions.
func (d deciding) may(ctx context.Context, id *proxy.Identity, t proxy.Target) bool {
	return (d.alone || d.rules.May(id, t)) && (d.rego == nil || d.rego.May(ctx, id, t))
}

// requestable reports whether somebody may ask for access to a resource, by some account.
func (d deciding) requestable(ctx context.Context, id *proxy.Identity, r *proxy.Resource) bool {
	return slices.ContainsFunc(r.Accounts, func(a proxy.Account) bool {
		rules, _ := d.asked(ctx, &proxy.Session{Identity: id, Target: proxy.Target{Resource: r, Account: a}}) // a policy that does not decide is asked for nothing
		return slices.ContainsFunc(rules, func(rule *policy.Rule) bool {
			return slices.Contains(rule.Allow, "connect") || slices.Contains(rule.Allow, "all")
		})
	})
}

// asked are the rules by which access is asked for where s is to connect: those of the file, in their order, and that of the policy in
// Rego, where the rules of the file would let it be used. They need no more of s than an identity and a target; one without a
// database is all of the resource's. An error says that the policy in Rego did not decide.
func (d deciding) asked(ctx context.Context, s *proxy.Session) (rules []*policy.Rule, err error) {
	if !d.alone {
		rules = d.rules.Requestable(s.Identity, s.Target)
	}
	if d.rego == nil || !d.alone && len(rules) == 0 && !d.rules.May(s.Identity, s.Target) {
		return rules, nil
	}
	own, err := d.rego.Requestable(ctx, s)
	if own != nil {
		rules = append(rules, own)
	}
	return rules, err
}

// asking is the rule of a name by which access is asked for where s is to connect; nil: it is not asked for by that.
func (d deciding) asking(ctx context.Context, s *proxy.Session, name string) (*policy.Rule, error) {
	if !strings.HasPrefix(name, config.RegoRules) {
		if rule := d.rules.Rule(name); !d.alone && rule != nil && rule.Request != nil {
			return rule, nil
		}
		return nil, nil
	}
	if d.rego == nil {
		return nil, nil
	}
	rule, err := d.rego.Requestable(ctx, s)
	if rule != nil && rule.Name != name {
		rule = nil
	}
	return rule, err
}

// Reach is what somebody may do about a resource.
type Reach struct {
	Connect bool // under some conditions
	Ask     bool // for access to it
}

// MayConnect returns what reports whether somebody may connect to a resource by f, by some account of it, for lists of
// resources without a gateway.
func MayConnect(f *config.File) (func(id *proxy.Identity, r *proxy.Resource) Reach, error) {
	d, _, err := decidingOf(f, slog.New(slog.DiscardHandler), nil, nil, nil)
	return func(id *proxy.Identity, r *proxy.Resource) Reach {
		return Reach{
			Connect: slices.ContainsFunc(r.Accounts, func(a proxy.Account) bool {
				return d.may(context.Background(), id, proxy.Target{Resource: r, Account: a, Database: r.Database})
			}),
			Ask: d.requestable(context.Background(), id, r),
		}
	}, err
}

// asks is what is asked of a session in return for connecting. Where the policy in Rego does not
// decide, which lets nobody connect, it is that all is recorded, and masked by all profiles.
func (d deciding) asks(s *proxy.Session, profiles []string) policy.Obligations {
	o := d.rules.Decide(s).Obligations
	if d.rego == nil {
		return o
	}
	more, err := d.rego.Obligations(s.Context(), s)
	if err != nil {
		more = policy.Obligations{Masking: profiles, Recording: policy.RecordingFull}
	}
	return o.And(more)
}

// version is v, with the revision of the policy in Rego.
func (d deciding) version(v audit.Version) audit.Version {
	if d.rego != nil {
		sum := sha256.Sum256([]byte(v.Policy + " " + d.rego.Revision()))
		v.Policy = hex.EncodeToString(sum[:8])
	}
	return v
}
