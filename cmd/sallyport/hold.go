package main

import (
	"context"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/guardrail"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/review"
)

// holder has what guardrails hold decided by way of a queue.
type holder struct{ *review.Queue }

// Hold makes a request.
func (h holder) Hold(_ context.Context, s *proxy.Session, op proxy.Op, why guardrail.Held) (*proxy.Hold, error) {
	return h.Queue.Hold(s, op, review.Asked{Rules: why.Rules, Message: why.Message, Approvers: why.Approvers, For: why.For, Blind: why.Blind})
}

// recorded is a transition as the audit log takes it.
func recorded(r review.Request) audit.Held {
	h := audit.Held{
		State: string(r.State), Request: r.ID, Hash: r.Hash, Requester: r.Requester, For: r.For, Session: r.Session, Operation: r.Operation,
		DecidedBy: r.DecidedBy, Channel: r.Channel, Reason: r.Reason,
	}
	if len(r.Rules) > 0 {
		h.Rule = r.Rules[0]
	}
	return h
}
