package proxytest

import (
	"context"
	"errors"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Failure is a way to fail.
type Failure uint8

// Ways to fail.
const (
	FailError Failure = iota + 1 // an error, a refusal
	FailPanic                    // a panic whose value must not be shown
	FailZero                     // a zero verdict; for other hooks as FailError
	FailHang                     // nothing until the context ends
)

// Secret is in the panics and errors of Fault. Nobody outside may see it.
const Secret = "hunter2-proxytest"

// Fault is an interceptor that allows everything and fails at one place.
type Fault struct {
	At  string // "Intercept", "Ask", "Start", "Flow", "Tell", "Noted", "Done", "Close"
	How Failure
	// Only limits Ask, Start, Flow and Done to operations of this kind; zero is all
	// but Connect.
	Only proxy.Kind
}

// Name is "fault".
func (Fault) Name() string { return "fault" }

var errFault = errors.New("fault " + Secret)

func (f Fault) fail(ctx context.Context) error {
	switch f.How {
	case FailPanic:
		panic(Secret)
	case FailHang:
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
	}
	return errFault
}

func (f Fault) meets(at string, op proxy.Op) bool {
	if f.At != at {
		return false
	}
	kind := proxy.KindUnknown
	if op != nil {
		kind = op.Info().Kind
	}
	return f.Only == kind || f.Only == proxy.KindUnknown && kind != proxy.KindConnect
}

// Intercept returns all hooks.
func (f Fault) Intercept(ctx context.Context, _ *proxy.Session) (proxy.Hooks, error) {
	if f.At == "Intercept" {
		return proxy.Hooks{}, f.fail(ctx)
	}
	return proxy.Hooks{
		Ask: func(ctx context.Context, op proxy.Op) proxy.Verdict {
			if f.meets("Ask", op) {
				f.fail(ctx)
				if f.How == FailError {
					return proxy.Deny(proxy.CauseInternal, "fault", "it fails", "")
				}
				return proxy.Verdict{}
			}
			return proxy.Allow("fault")
		},
		Start: func(ctx context.Context, op proxy.Op) error {
			if f.meets("Start", op) {
				return f.fail(ctx)
			}
			return nil
		},
		Noted: func(ctx context.Context, _ proxy.Op, _ *proxy.Note) error {
			if f.At == "Noted" {
				return f.fail(ctx)
			}
			return nil
		},
		Flow: func(ctx context.Context, op proxy.Op, _ *proxy.Shape) (proxy.Filter, error) {
			if f.meets("Flow", op) {
				return proxy.Filter{}, f.fail(ctx)
			}
			return proxy.Filter{}, nil
		},
		Tell: func(ctx context.Context, op proxy.Op, _ *proxy.Message) error {
			if f.At == "Tell" {
				return f.fail(ctx)
			}
			return nil
		},
		Done: func(ctx context.Context, op proxy.Op, _ *proxy.Outcome) {
			if f.meets("Done", op) {
				f.fail(ctx)
			}
		},
		Close: func(error) {
			if f.At == "Close" {
				f.fail(context.Background())
			}
		},
	}, nil
}
