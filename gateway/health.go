package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Phases of a gateway.
const (
	phaseStarting = iota // it does not serve yet
	phaseReady
	phaseStopping
)

var (
	errStarting = errors.New("the gateway is starting")
	errStopping = errors.New("the gateway is stopping")
)

// Ready returns why the gateway should be sent no new sessions; nil when it should. It does not depend on
// the store or the identity provider: all gateways share these, and what a gateway can do without them goes on.
func (g *Gateway) Ready() error {
	switch g.phase.Load() {
	case phaseStarting:
		return errStarting
	case phaseStopping:
		return errStopping
	}
	if err := g.records.Err(); err != nil {
		return fmt.Errorf("records cannot be written: %w", err)
	}
	return nil
}

// pulse finds out whether a gateway gets on, once at a time for all who ask.
type pulse struct {
	mu      sync.Mutex
	beating chan struct{} // closed when the beat that was begun has ended; nil: none was
}

// beat returns what is closed once do has ended, which is called now unless it has not ended yet.
func (p *pulse) beat(do func()) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beating == nil {
		beating := make(chan struct{})
		p.beating = beating
		go func() {
			do()
			p.mu.Lock()
			p.beating = nil
			p.mu.Unlock()
			close(beating)
		}()
	}
	return p.beating
}

// Live returns whether the gateway gets on, which it finds out by doing what every connection needs. The error
// wraps that of ctx, when it does not by then: only a new process helps.
func (g *Gateway) Live(ctx context.Context) error {
	select {
	case <-g.pulse.beat(func() { g.gateway.Sessions(); g.isClosed() }):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the gateway does not get on: %w", ctx.Err())
	}
}

// liveWithin is how long a gateway may take to show that it gets on.
const liveWithin = 5 * time.Second

// Health answers /livez and /readyz as Kubernetes' probes and load balancers ask: 200 with "ok", or 503. Anybody may
// ask; why it is not ready is said by [Gateway.Ready] alone.
func (g *Gateway) Health() http.Handler { return health(g, false) }

// health is [Gateway.Health]; with why set the answer has the reason.
func health(g *Gateway, why bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), liveWithin)
		defer cancel()
		err := g.Live(ctx)
		if err == nil && r.URL.Path == "/readyz" {
			err = g.Ready()
		}
		var text bytes.Buffer
		switch {
		case err == nil:
			text.WriteString("ok\n")
		case why:
			fmt.Fprintf(&text, "%v\n", err)
		default:
			text.WriteString("not ready\n")
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(text.Bytes()) // a reader that left is not a failure of ours
	})
}

// operations is what is served at the address of metrics.
func (g *Gateway) operations() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", g.metrics)
	mux.Handle("/livez", health(g, true))
	mux.Handle("/readyz", health(g, true))
	return mux
}
