package opa

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Result is what a policy answers: an object with Allow and any of the others, and with
// nothing else.
type Result struct {
	Allow  bool   `json:"allow"`
	Rule   string `json:"rule,omitempty"`   // told to the user, and recorded
	Reason string `json:"reason,omitempty"` // why it is denied, told to the user
	Remedy string `json:"remedy,omitempty"` // what would be allowed
	// Review has people approve what is allowed.
	Review *Review `json:"review,omitempty"`
	// Request has what is allowed granted for a time to those who ask for it. That of the answer about "connect" counts, for the
	// whole session; Rule names it. Its members are those that [Config.Request] reads, and "actions", which are all that may be
	// granted: those of [policy.Actions], or without it all.
	Request map[string]any `json:"request,omitempty"`
	// Obligations are what is asked for in return. Those of the answer about "connect" count, for
	// the whole session.
	Obligations *Obligations `json:"obligations,omitempty"`
}

// Obligations are those of [policy.Obligations].
type Obligations struct {
	Session    string   `json:"session,omitempty"` // a time, such as "8h"
	Idle       string   `json:"idle,omitempty"`
	Statements uint64   `json:"statements,omitempty"`
	Rows       uint64   `json:"rows,omitempty"`
	Budgets    []Budget `json:"budgets,omitempty"` // of one person
	Masking    []string `json:"masking,omitempty"`
	Recording  string   `json:"recording,omitempty"`
}

// Budget is a [policy.Budget].
type Budget struct {
	Statements uint64 `json:"statements,omitempty"`
	Rows       uint64 `json:"rows,omitempty"`
	Per        string `json:"per"` // a time, such as "24h"
}

// Review says who approves.
type Review struct {
	Approvers []string `json:"approvers"` // groups; a member of one of them decides
	Message   string   `json:"message,omitempty"`
	For       string   `json:"for,omitempty"` // how long a request may wait, such as "15m"; empty is an hour
	// InTransaction is how long the client waits while a transaction of its session is open, such as "30s"; empty is a minute.
	InTransaction string `json:"in_transaction,omitempty"`
}

// Causes of a refusal that the policy did not decide. They are told to users.
var (
	errUndefined = errors.New("it says nothing about this operation")
	errTimeout   = errors.New("it took too long")
	errPanic     = errors.New("it broke")
	errFailed    = errors.New("it failed")
)

// formError says that a policy's answer has another form than Result.
type formError string

func (e formError) Error() string { return "its answer is not understood: " + string(e) }

// parse reads a policy's answer.
func parse(answer any) (r Result, err error) {
	object, ok := answer.(map[string]any)
	if !ok {
		return r, formError("got a " + kindOf(answer) + ", want an object")
	}
	known := map[string]any{"rule": &r.Rule, "reason": &r.Reason, "remedy": &r.Remedy}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		v := object[key]
		switch into := known[key].(type) {
		case *string:
			if *into, ok = v.(string); !ok {
				return r, formError(key + " is a " + kindOf(v) + ", want a string")
			}
			continue
		}
		switch key {
		case "allow":
			if r.Allow, ok = v.(bool); !ok {
				return r, formError("allow is a " + kindOf(v) + ", want a boolean")
			}
		case "review":
			if r.Review, err = parseReview(v); err != nil {
				return r, err
			}
		case "request":
			if r.Request, ok = v.(map[string]any); !ok {
				return r, formError("request is a " + kindOf(v) + ", want an object")
			}
		case "obligations":
			if r.Obligations, err = parseObligations(v); err != nil {
				return r, err
			}
		default:
			return r, formError(fmt.Sprintf("%q is not one of allow, rule, reason, remedy, review, request and obligations", key))
		}
	}
	if _, has := object["allow"]; !has {
		return r, formError("it does not have allow")
	}
	if r.Request != nil && !r.Allow {
		return r, formError("it has a request and does not allow: a request is about what is allowed to those who were granted it, so set allow to true")
	}
	return r, nil
}

// inTransaction is a key of a review.
const inTransaction = "in_transaction"

func parseReview(v any) (*Review, error) {
	object, ok := v.(map[string]any)
	if !ok {
		return nil, formError("review is a " + kindOf(v) + ", want an object")
	}
	r := &Review{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		switch v := object[key].(type) {
		case string:
			switch key {
			case "message":
				r.Message = v
				continue
			case "for":
				if d, err := time.ParseDuration(v); err != nil || d <= 0 {
					return nil, formError("review.for is not a time, such as 15m")
				}
				r.For = v
				continue
			case inTransaction:
				if d, err := time.ParseDuration(v); err != nil || d <= 0 {
					return nil, formError("review." + key + " is not a time, such as 1m")
				}
				r.InTransaction = v
				continue
			}
		case []any:
			if key == "approvers" {
				for _, group := range v {
					name, ok := group.(string)
					if !ok || name == "" {
						return nil, formError("review.approvers are not names of groups")
					}
					r.Approvers = append(r.Approvers, name)
				}
				continue
			}
		}
		return nil, formError(fmt.Sprintf("review.%s is a %s, want approvers, message, for or %s", key, kindOf(object[key]), inTransaction))
	}
	if len(r.Approvers) == 0 {
		return nil, formError("review has no approvers")
	}
	return r, nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number, float64, int:
		return "number"
	case []any:
		return "list"
	}
	return "object"
}

const defaultWait = time.Hour

// verdict is what an answer means for an operation.
func (p *Policy) verdict(r *Result, kind proxy.Kind) proxy.Verdict {
	rule := r.Rule
	switch {
	case !r.Allow:
		reason := r.Reason
		if reason == "" {
			reason = "a policy denies this"
		}
		return proxy.Deny(proxy.CausePolicy, rule, reason, r.Remedy)
	case r.Review != nil:
		h := &proxy.Hold{Rules: []string{rule}, Approvers: [][]string{r.Review.Approvers}, Message: r.Review.Message, For: defaultWait}
		if rule == "" {
			h.Rules[0] = name
		}
		if h.Message == "" {
			h.Message = "this needs an approval"
		}
		if r.Review.For != "" {
			h.For, _ = time.ParseDuration(r.Review.For) // parse has read it
		}
		if r.Review.InTransaction != "" {
			h.InTransaction, _ = time.ParseDuration(r.Review.InTransaction)
		}
		return proxy.Verdict{Action: proxy.ActionHold, Cause: proxy.CauseApproval, Rule: h.Rules[0], Reason: h.Message, Hold: h}
	case p.decides && kind == proxy.KindConnect:
		return proxy.Allow(rule)
	}
	return proxy.Pass()
}

// undecided refuses because the policy has not decided.
func undecided(why error) proxy.Verdict {
	return proxy.Deny(proxy.CauseInternal, "", "the policy did not decide, so this is refused: "+why.Error(), "")
}
