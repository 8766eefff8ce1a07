package proxy

import (
	"bytes"
	"context"
	"slices"
)

// lasting are the kinds of operations that go on until their user ends them.
const lasting uint32 = 1<<KindExec | 1<<KindShell | 1<<KindSubsystem | 1<<KindForward | 1<<KindAgent | 1<<KindX11 | 1<<KindReplication | 1<<KindUpgrade

// Lasting reports whether operations of kind k go on until their user ends them, such as
// a shell. Such an operation ends with the right that it needs; of other kinds, one that
// runs ends as it began. A [Request] says so of itself.
func (k Kind) Lasting() bool { return k.Valid() && lasting>>k&1 == 1 }

func lasts(op Op) bool {
	r, ok := op.(*Request)
	return op.Info().Kind.Lasting() || ok && r.Lasting
}

// right is what is asked again about an operation that lasts, while it runs.
type right struct {
	op    Op        // as it was allowed, apart from what its handler does with it
	given approvals // by which it may run
}

// keep notes an operation that lasts and has just been allowed, so that revisions ask
// about it again. Where one has come since it was asked, that one is asked here.
func (s *Session) keep(ctx context.Context, op Op, m *Meta, given approvals) {
	if s.Dry || !lasts(op) {
		return
	}
	r := &right{asked(op), given}
	s.mu.Lock()
	m.right = r
	c := s.chain.Load()
	s.mu.Unlock()
	if c == m.chain {
		return
	}
	if v := s.reask(ctx, c, r); v.Refuses() {
		m.verdict, m.by = v, ""
	}
}

// rights are those of the operations that run and last.
func (s *Session) rights() (list []*right) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := s.active.head; m != nil; m = m.next {
		if m.right != nil {
			list = append(list, m.right)
		}
	}
	return list
}

// reask asks the interceptors of c about what the session does already.
func (s *Session) reask(ctx context.Context, c *chain, r *right) Verdict {
	op, given := asked(r.op), r.given
	m := op.Info()
	m.op, m.chain = op, c
	s.pass(ctx, op, m, &given)
	if m.verdict.Action == ActionHold {
		return Deny(CauseApproval, m.verdict.Rule, "this session needs an approval now: connect again to ask for it", "")
	}
	return m.verdict
}

// asked is a copy of op as interceptors are asked about it, which lives on its own.
func asked(op Op) Op {
	from := op.Info()
	m := Meta{Kind: from.Kind, ID: from.ID, Parent: from.Parent, At: from.At, Rewritten: from.Rewritten}
	switch o := op.(type) {
	case *Connect:
		return &Connect{Meta: m, Target: o.Target, Params: o.Params}
	case *Exec:
		return &Exec{Meta: m, Command: o.Command, Terminal: o.Terminal, Target: o.Target}
	case *Forward:
		return &Forward{Meta: m, Listen: o.Listen, Network: o.Network, Host: o.Host, Port: o.Port, Addrs: slices.Clone(o.Addrs), Opaque: o.Opaque}
	case *Request:
		return &Request{
			Meta: m, Method: o.Method, Host: o.Host, Path: o.Path, Query: o.Query, Action: o.Action, Also: slices.Clone(o.Also),
			Lasting: o.Lasting, Access: o.Access,
		}
	case *Call:
		c := &Call{Meta: m, Name: o.Name, Args: slices.Clone(o.Args)}
		for i, a := range c.Args {
			c.Args[i] = bytes.Clone(a)
		}
		return c
	}
	return &m // of which nobody knows more than its kind
}
