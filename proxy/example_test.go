package proxy_test

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/proxy"
)

// readOnly allows everybody to connect and refuses writes. It leaves a note of what
// it saw.
type readOnly struct{ version int }

func (readOnly) Name() string { return "read-only" }

func (readOnly) Notes() []proxy.NoteKind { return []proxy.NoteKind{proxy.NoteObserved} }

func (r readOnly) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
		st, ok := op.(*proxy.Statement)
		switch {
		case !ok:
			return proxy.Allow("everybody")
		case st.Facts.Effects.Has(proxy.EffectsWrite) && r.version > 1:
			return proxy.Deny(proxy.CausePolicy, "read-only", "this is for reading", "")
		case st.Facts.Effects.Has(proxy.EffectsWrite):
			// An error ends the session: nothing more is to be done here.
			_ = s.Note(ctx, op, &proxy.Note{Kind: proxy.NoteObserved, By: "read-only", Rule: "read-only"})
		}
		return proxy.Pass()
	}}, nil
}

// journal records the notes that others leave.
type journal struct{}

func (journal) Name() string { return "journal" }

func (j journal) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Noted: func(ctx context.Context, _ proxy.Op, n *proxy.Note) error { return j.Record(ctx, n) }}, nil
}

func (journal) Record(_ context.Context, n *proxy.Note) error {
	fmt.Printf("noted: %s %q\n", n.Kind, n.By)
	return nil
}

func connect(g *proxy.Gateway) (*proxy.Session, error) {
	s, connected, err := g.Open(context.Background(), proxy.OpenRequest{
		Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders"}}, Protocol: "example",
	})
	if err == nil {
		s.Done(connected, &proxy.Outcome{})
	}
	return s, err
}

func insert() *proxy.Statement {
	return &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Facts: &proxy.Facts{Effects: proxy.EffectInsert, Statements: 1}}
}

// New rules take the place of the old ones while a session is open: it meets them
// at its next operation.
func ExampleGateway_Use() {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{readOnly{1}, journal{}}}
	s, err := connect(g)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	for version := 1; version <= 2; version++ {
		if err := g.Use(&proxy.Revision{Name: fmt.Sprint("v", version), Interceptors: []proxy.Interceptor{readOnly{version}, journal{}}}); err != nil {
			fmt.Println(err)
			return
		}
		op := insert()
		v := s.Ask(context.Background(), op)
		fmt.Println(v.Action)
		s.Done(op, &proxy.Outcome{})
	}
	// Output:
	// noted: revised ""
	// noted: observed "read-only"
	// pass
	// noted: revised ""
	// deny
}

// A gateway whose interceptors leave notes that nobody records does not start.
func ExampleRecorder() {
	g := &proxy.Gateway{}
	err := g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{readOnly{1}}})
	fmt.Println(err)
	fmt.Println(g.Use(&proxy.Revision{Interceptors: []proxy.Interceptor{readOnly{1}, journal{}}}))
	// Output:
	// the gateway has no interceptor that records what others do: interceptor read-only leaves notes (observed); add a Recorder, such as an audit log, or set Gateway.Unrecorded
	// <nil>
}

// Evidence of what an interceptor did besides answering.
func ExampleSession_Note() {
	g := &proxy.Gateway{Interceptors: []proxy.Interceptor{readOnly{1}, journal{}}}
	s, err := connect(g)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(nil)
	op := insert()
	fmt.Println(s.Ask(context.Background(), op).Action)
	err = s.Note(context.Background(), op, &proxy.Note{Kind: proxy.NoteMasked, By: "read-only", Type: "card", Count: 2})
	fmt.Println(err)
	// Output:
	// noted: observed "read-only"
	// pass
	// noted: masked "read-only"
	// <nil>
}
