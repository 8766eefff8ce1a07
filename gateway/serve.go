package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/control"
	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
)

// Socket returns where a running gateway of f is talked to; see package control/client.
func Socket(f *config.File) string { return filepath.Join(f.Data(), "control.sock") }

// Listen opens every listener, or none and closes the gateway. Run calls it when it
// was not called before.
func (g *Gateway) Listen() error {
	authority := g.Authority()
	g.mu.Lock()
	err := g.listen(authority)
	g.mu.Unlock()
	if err != nil {
		return errors.Join(err, g.Close())
	}
	return nil
}

// listen opens every listener. g.mu is held.
func (g *Gateway) listen(authority string) error {
	if g.closed {
		return ErrClosed
	}
	if g.socket != nil {
		return nil
	}
	f := g.parts().config
	var err error
	for l, e := range g.listeners {
		if e.ln, err = g.open(nil, l); err != nil {
			return err
		}
	}
	socket, err := control.Listen(Socket(f))
	if err != nil {
		return err
	}
	g.socket = socket
	if err := g.share(f); err != nil {
		return err
	}
	if f.Metrics != "" {
		if g.scraped, err = g.listenAt("metrics", f.Metrics); err != nil {
			return err
		}
	}
	if f.API.Listen != "" {
		ln, err := g.listenAt("api", f.API.Listen)
		if err != nil {
			return err
		}
		g.api = tls.NewListener(control.Bound(ln, control.MaxConnections, control.MaxPerAddress), g.apiTLS())
	}
	if g.agents != nil {
		if g.tunnel, err = g.listenAt("tunnel", f.Tunnel.Listen); err != nil {
			return err
		}
	}
	g.announce(authority)
	return nil
}

// share opens the control socket to the users that f's rules name, or to nobody else.
func (g *Gateway) share(f *config.File) error {
	if err := control.Share(Socket(f), len(f.ControlUsers()) > 0); err != nil {
		return fmt.Errorf("letting the users of control rules open %s: %w", Socket(f), err)
	}
	return nil
}

// announce logs where the gateway listens, and the files that clients know it by.
func (g *Gateway) announce(authority string) {
	for l, e := range g.listeners {
		g.log.Info("listening", "protocol", l.Protocol, "address", e.ln.Addr(), "resource", l.Resource)
	}
	if g.scraped != nil {
		g.log.Info("metrics", "url", "http://"+g.scraped.Addr().String()+"/metrics")
	}
	if g.api != nil {
		g.log.Info("the API is served", "address", g.api.Addr(), "url", g.parts().config.API.URL)
	}
	if g.tunnel != nil {
		g.log.Info("agents that dial out come in", "address", g.tunnel.Addr())
	}
	for _, s := range g.opened() {
		for _, file := range s.Files {
			g.log.Info("clients can know the gateway by this file", "protocol", s.Name, "file", file)
		}
	}
	if authority != "" {
		g.log.Info("clients can trust the gateway by this file", "sslrootcert", authority)
	}
}

// Addr returns the address of the listener of a protocol, for one resource or, when
// resource is empty, for those that clients name; nil when nothing listens
// for it, or Listen was not called.
func (g *Gateway) Addr(protocol, resource string) net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l, e := range g.listeners {
		if l.Protocol == protocol && l.Resource == resource && e.ln != nil {
			return e.ln.Addr()
		}
	}
	return nil
}

// APIAddr returns the address of the API's listener; nil when there is none, or Listen was not
// called.
func (g *Gateway) APIAddr() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.api == nil {
		return nil
	}
	return g.api.Addr()
}

// Run serves until ctx ends or something of it fails, lets sessions end, and
// closes the gateway. It returns nil when ctx ended and everything was closed well.
//
// When ctx ends the gateway is not ready any more; see [Gateway.Health]. It goes on as it was for the
// time that shutdown.delay of the config file says, so that load balancers can notice. Then it takes no new
// sessions, and those that are open have the time of shutdown.drain to end by themselves. What can end a
// session, decide about its operations or show it goes on until they have.
func (g *Gateway) Run(ctx context.Context) error {
	if err := g.Listen(); err != nil {
		return err
	}
	g.mu.Lock()
	scraped, socket, api, tunnel := g.scraped, g.socket, g.api, g.tunnel
	g.mu.Unlock()
	if socket == nil { // it was closed meanwhile
		return ErrClosed
	}
	outer, begun := ctx, time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx)) // sessions
	defer stopServing()
	working, stopWorking := context.WithCancel(context.WithoutCancel(ctx)) // what sessions need
	defer stopWorking()
	var sessions, work sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	start := func(wg *sync.WaitGroup, what string, serve func() error) {
		wg.Go(func() {
			if err := serve(); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", what, err))
				mu.Unlock()
				cancel() // one listener less is not what was asked for
			}
		})
	}
	g.work(working, &work)
	if scraped != nil {
		start(&work, "metrics", func() error {
			return g.serveHTTP(working, scraped, &http.Server{Handler: g.operations(), WriteTimeout: 30 * time.Second})
		})
	}
	start(&work, "control", func() error {
		return g.serveHTTP(working, socket, &http.Server{Handler: g.control, ConnContext: control.PeerContext})
	})
	if api != nil {
		start(&work, "api", func() error {
			return g.serveHTTP(working, api, &http.Server{Handler: g.API(), ConnContext: control.BoundContext})
		})
	}
	if tunnel != nil { // open sessions may need more connections until they have ended
		start(&work, "tunnel", func() error { return g.agents.server.Serve(working, tunnel) })
		work.Go(func() { g.agents.keepPlaces(working) })
	}
	leave := g.inside.begin(func(serve func()) { sessions.Go(serve) }, g.gateway.DrainTimeout+insideExtra)
	g.mu.Lock()
	g.serve = func(l protocol.Listener, e *entrance) {
		ctx, withdraw := context.WithCancelCause(serving)
		e.withdraw = withdraw
		start(&sessions, l.Address, func() error {
			defer withdraw(nil)
			return g.gateway.Serve(ctx, e.ln, e.handler)
		})
	}
	for l, e := range g.listeners {
		g.serve(l, e)
	}
	g.mu.Unlock()
	g.phase.Store(phaseReady)
	sessions.Go(func() {
		<-ctx.Done()
		g.phase.Store(phaseStopping)
		cause := "one of its listeners failed"
		if outer.Err() != nil {
			cause = context.Cause(outer).Error()
			g.stayOpen(g.parts().config.Shutdown.Delay)
		}
		g.agents.drain()
		leave() // sessions has ended once this has
		g.mu.Lock()
		g.serve = nil // the same
		g.mu.Unlock()
		g.log.Info("stopping: no new sessions, and open ones end when they are idle", "cause", cause, "open_sessions", len(g.gateway.Sessions()))
		stopServing()
	})
	sessions.Wait()
	stopWorking()
	work.Wait()
	err := errors.Join(append(errs, g.Close())...)
	args := []any{
		"uptime", time.Since(begun).Round(time.Second).String(), "sessions", g.operator.opened.Load(), "refused_sessions", g.operator.denied.Load(),
		"failed_logins", g.operator.logins.Load(),
	}
	if err != nil {
		g.log.Error("stopped", append(args, "err", err)...)
	} else {
		g.log.Info("stopped", args...)
	}
	return err
}

// work begins what goes on besides sessions, until ctx ends.
func (g *Gateway) work(ctx context.Context, wg *sync.WaitGroup) {
	all := []func(context.Context){
		g.expire, g.keepCertificate, g.follow, g.followStore, g.askAgain, g.keepPeople, g.sweep, g.desk.Run, g.reseal, g.cutStale, g.outbox.Run, g.watchChannels,
		g.runbooks.run,
	}
	if g.places != nil {
		all = append(all, g.places.run)
	}
	for _, do := range all {
		wg.Go(func() { do(ctx) })
	}
}

// stayOpen waits for d, or until sessions are to end at once.
func (g *Gateway) stayOpen(d time.Duration) {
	if d <= 0 {
		return
	}
	g.log.Info("stopping: new sessions are still taken for a while, and the gateway says that it is not ready", "delay", d.String())
	pause(g.hurried, d)
}

// Hurry has a gateway that stops wait no longer: it takes no new sessions, and those that are open
// end at once. Without a stop it ends the sessions that are open.
func (g *Gateway) Hurry() {
	g.hurry()
	for _, s := range g.gateway.Sessions() {
		s.Kill(proxy.ErrShutdown)
	}
}

// serveHTTP serves s until ctx ends. Requests that are open then are cut: what is
// watched ends with its session.
func (g *Gateway) serveHTTP(ctx context.Context, ln net.Listener, s *http.Server) error {
	s.ReadHeaderTimeout, s.ReadTimeout, s.IdleTimeout, s.MaxHeaderBytes = 10*time.Second, 30*time.Second, time.Minute, 64<<10
	s.ErrorLog = slog.NewLogLogger(g.log.Handler(), slog.LevelDebug)
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// expireEvery is how often rules of retention are looked at.
const expireEvery = 6 * time.Hour

// expire erases what rules of retention say, until ctx ends.
func (g *Gateway) expire(ctx context.Context) {
	t := time.NewTicker(expireEvery)
	defer t.Stop()
	for {
		if keep := g.parts().retention; keep != nil {
			n, err := g.records.Expire(time.Now(), keep)
			if err != nil {
				g.log.Error("audit: retention", "err", err)
			}
			if n > 0 {
				g.log.Info("audit: sessions were erased by rules of retention", "sessions", n)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
