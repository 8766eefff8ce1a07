package relay

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/proxy"
)

// Bind returns the context in which a request of the visit runs, which w answers. It ends with the request, and with the session, which ends
// reads and writes too: nothing else would wake them. The caller calls stop when the request has run.
func (v *Visit) Bind(w http.ResponseWriter, r *http.Request) (ctx context.Context, stop func()) {
	s, rc := v.session, http.NewResponseController(w)
	ctx, cancel := context.WithCancelCause(r.Context())
	loose := context.AfterFunc(s.Context(), func() {
		cancel(context.Cause(s.Context()))
		now := time.Now()
		_ = rc.SetReadDeadline(now) // what has ended already has no deadline, and a connection that is taken over is closed by its copy
		_ = rc.SetWriteDeadline(now)
	})
	return ctx, func() {
		loose()
		cancel(nil)
	}
}

// Done says how a request that has run ended, with what the meters of its body and of its answer's have seen. Where both are nil, out says that
// already.
func (v *Visit) Done(op proxy.Op, out *proxy.Outcome, in, answer *Meter) {
	if in != nil || answer != nil {
		out.BytesIn, out.BytesOut = in.Count(), answer.Count()
		out.Tag = summary(in, answer)
	}
	if cause := v.session.Err(); cause != nil && out.Err == nil {
		out.Err = cause
	}
	v.session.Done(op, out)
}
