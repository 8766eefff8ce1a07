package proxytest

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Notes is an interceptor that keeps the notes of others, for tests of what they
// leave. The zero value is ready. It is safe for concurrent use.
type Notes struct {
	// Err is what keeping a note returns.
	Err error

	mu   sync.Mutex
	list []proxy.Note
}

// Name is "notes".
func (*Notes) Name() string { return "notes" }

// Intercept returns the one hook.
func (n *Notes) Intercept(context.Context, *proxy.Session) (proxy.Hooks, error) {
	return proxy.Hooks{Noted: func(ctx context.Context, _ proxy.Op, note *proxy.Note) error { return n.Record(ctx, note) }}, nil
}

// Record keeps a note.
func (n *Notes) Record(_ context.Context, note *proxy.Note) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, *note)
	return n.Err
}

// All returns the notes of a kind, in order.
func (n *Notes) All(kind proxy.NoteKind) []proxy.Note {
	n.mu.Lock()
	defer n.mu.Unlock()
	var list []proxy.Note
	for _, note := range n.list {
		if note.Kind == kind {
			list = append(list, note)
		}
	}
	return list
}
