package audit

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Name is "audit".
func (l *Log) Name() string { return "audit" }

// Intercept begins the session's record. Its hooks write every operation before
// it goes to the resource, what interceptors note of it, and how it ended. A dry
// session has no record.
func (l *Log) Intercept(_ context.Context, s *proxy.Session) (proxy.Hooks, error) {
	if s.Dry {
		return proxy.Hooks{}, nil
	}
	recording := l.recordings(s).of()
	rec, err := l.create(s.ID)
	if err == nil {
		err = rec.event(s.Started, SessionStart, synced, func(b []byte) []byte {
			b = recording.append(session(b, s))
			if v := l.version.Load(); v != nil {
				b = v.append(b)
			}
			return b
		})
		if err != nil {
			err = errors.Join(err, rec.discard())
		}
	}
	if err != nil {
		l.failed(&WriteError{Session: s.ID, Err: err})
		if l.bestEffort {
			// The gateway's own record says that this session has none.
			_ = l.own.event(time.Now(), Degraded, synced, func(b []byte) []byte {
				return str(str(b, "session", s.ID), "error", err.Error())
			})
			return proxy.Hooks{Noted: func(context.Context, proxy.Op, *proxy.Note) error { return nil }}, nil
		}
		return proxy.Hooks{}, &WriteError{Session: s.ID, Err: err}
	}
	r := &recorder{session: s, stream: rec, strict: !l.bestEffort, recording: recording}
	l.recorders.Store(s.ID, r)
	hooks := proxy.Hooks{Start: r.start, Noted: r.note, Done: r.done, Close: r.close}
	if r.recording.wantsFlow() {
		hooks.Show = proxy.HidesNothing
		hooks.Flow = func(_ context.Context, op proxy.Op, shape *proxy.Shape) (proxy.Filter, error) {
			return r.flow(op, shape)
		}
	}
	return hooks, nil
}

// recorder is a session's hooks.
type recorder struct {
	session   *proxy.Session
	stream    *stream
	strict    bool
	recording Recording
	approvals atomic.Uint64 // operations that ran by approvals

	noted  atomic.Bool // something was ever put below
	mu     sync.Mutex
	masked map[uint64]map[string]uint64 // by operation, until it ends
	tapes  map[uint64][]tape            // by operation, until it ends
}

// note records what an interceptor notes of an operation: at once, or with the end
// of the operation.
func (r *recorder) note(ctx context.Context, op proxy.Op, n *proxy.Note) error {
	switch n.Kind {
	case proxy.NoteMasked:
		r.addMasked(idOf(op), n)
		return nil
	case proxy.NoteObserved:
		return r.event(OperationObserved, func(b []byte) []byte { return str(str(num(b, "op", idOf(op)), "rule", n.Rule), "reason", n.Text) })
	case proxy.NoteExempted:
		return r.event(SessionUnmasked, func(b []byte) []byte { return str(num(b, "op", idOf(op)), "rule", n.Rule) })
	case proxy.NoteRevised:
		return r.event(SessionRevised, func(b []byte) []byte { return str(identity(b, n.Identity), "policy", n.Text) })
	}
	return r.stream.log.Record(ctx, n)
}

// idOf returns the number of the operation that a note is about, 0 when it is about
// the session.
func idOf(op proxy.Op) uint64 {
	if op == nil {
		return 0
	}
	return op.Info().ID
}

// event records something between the session's operations. Where records may be
// incomplete, an error is not one.
func (r *recorder) event(typ string, fields func(b []byte) []byte) error {
	err := r.stream.event(time.Now(), typ, soon, fields)
	if !r.strict {
		return nil
	}
	return err
}

// addMasked keeps how many values of a type were masked, for the event of the
// operation's end.
func (r *recorder) addMasked(op uint64, n *proxy.Note) {
	if n.Count == 0 {
		return
	}
	r.noted.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.masked[op] == nil {
		if r.masked == nil {
			r.masked = make(map[uint64]map[string]uint64)
		}
		r.masked[op] = make(map[string]uint64)
	}
	r.masked[op][n.Type] += n.Count
}

// takeMasked returns what was masked in an operation, and forgets it.
func (r *recorder) takeMasked(op uint64) map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.masked[op]
	if m != nil {
		delete(r.masked, op)
	}
	return m
}

// start records an operation before it goes to the resource.
func (r *recorder) start(ctx context.Context, op proxy.Op) error {
	redacted := r.session.Redacted(ctx, op)
	if len(op.Info().Grants()) > 0 && op.Info().Kind != proxy.KindConnect {
		r.approvals.Add(1)
	}
	approved := r.stream.log.approved(op, redacted)
	err := r.stream.event(op.Info().At, OperationStart, synced, func(b []byte) []byte { return approved.append(operation(b, op, redacted)) })
	if err == nil || !r.strict {
		return nil
	}
	r.session.Kill(err)
	return err
}

func (r *recorder) done(ctx context.Context, op proxy.Op, out *proxy.Outcome) {
	var redacted *proxy.Redacted
	var masked map[string]uint64
	if r.noted.Load() {
		r.finishTapes(op.Info().ID)
		masked = r.takeMasked(op.Info().ID)
	}
	typ, until := OperationEnd, soon
	refused := out.Verdict != nil && out.Verdict.Refuses()
	if refused {
		// What ended is on its way to the disk with the next operation, or soon; what
		// was refused may be an attack, and is written now.
		typ, until = OperationRefused, synced
		redacted = r.session.Redacted(ctx, op)
	}
	err := r.stream.event(time.Now(), typ, until, func(b []byte) []byte {
		if refused {
			b = operation(b, op, redacted)
		} else {
			b = num(b, "op", op.Info().ID)
		}
		return counts(outcome(b, out), masked)
	})
	if err != nil && r.strict {
		r.session.Kill(err)
	}
}

func (r *recorder) close(cause error) {
	err := r.stream.end(time.Now(), SessionEnd, func(b []byte) []byte {
		b = num(b, "approvals", r.approvals.Load())
		if cause != nil {
			b = str(b, "error", cause.Error())
		}
		return b
	})
	if err != nil {
		r.stream.log.failed(err)
	}
	r.stream.log.recorders.Delete(r.session.ID)
}

func session(b []byte, s *proxy.Session) []byte {
	b = str(b, "session", s.ID)
	b = identity(b, s.Identity)
	b = target(b, s.Target)
	b = str(b, "protocol", s.Protocol)
	if s.Remote != nil {
		b = str(b, "remote", s.Remote.String())
	}
	b = str(b, "via", s.Via)
	if !s.Deadline.IsZero() {
		b = str(b, "deadline", s.Deadline.UTC().Format(time.RFC3339))
	}
	return b
}

func identity(b []byte, id *proxy.Identity) []byte {
	if id == nil {
		return b
	}
	b = str(b, "user", id.Subject)
	if len(id.Groups) > 0 {
		b = append(name(b, "groups"), '[')
		for i, g := range id.Groups {
			b = quote(comma(b, i), g)
		}
		b = append(b, ']')
	}
	if id.Kind != proxy.Human {
		b = str(b, "identity", id.Kind.String())
	}
	b = str(b, "method", id.Method.String())
	b = str(b, "methods", id.Claims["amr"])
	return str(b, "for", id.OnBehalfOf)
}

func target(b []byte, t proxy.Target) []byte {
	if t.Resource == nil {
		return b
	}
	b = str(b, "resource", t.Resource.Name)
	b = str(b, "account", t.Account.Name)
	return str(b, "database", t.Database)
}

// Event records what happens at the gateway outside of sessions: logins, refused
// ones, failures. The gateway calls it; see [proxy.Observer].
func (l *Log) Event(e proxy.Event) {
	switch e.Kind {
	case proxy.EventSessionStart, proxy.EventSessionEnd:
		return // the session's own record tells
	}
	// What is not there cannot be told; a failure was logged.
	_ = l.own.event(e.At, GatewayPrefix+e.Kind.String(), soon, func(b []byte) []byte {
		if e.Session != nil {
			b = str(b, "session", e.Session.ID)
		}
		if e.Identity != nil {
			b = identity(b, e.Identity)
		} else {
			b = str(b, "user", strings.ToValidUTF8(e.User, "\ufffd"))
		}
		b = target(b, e.Target)
		b = str(b, "protocol", e.Protocol)
		if e.Remote != nil {
			b = str(b, "remote", e.Remote.String())
		}
		if e.Err != nil {
			b = str(b, "error", e.Err.Error())
		}
		return num(b, "count", e.Count)
	})
}
