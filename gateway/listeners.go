package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/gateway/config"
	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/proxy"
	"github.com/sallyport/sallyport/revision"
)

// entrance is a place where clients come in.
type entrance struct {
	handler  proxy.Handler
	ln       net.Listener            // nil: the gateway does not listen yet
	withdraw context.CancelCauseFunc // nil: it is not served yet
}

// entrances are those of a config file.
type entrances map[protocol.Listener]*entrance

// entrances returns those of f: of the current ones those that f has too, and new ones,
// which are open when the gateway listens. g.applying is held.
func (g *Gateway) entrances(f *config.File) (entrances, error) {
	g.mu.Lock()
	current, listening := g.listeners, g.accepts()
	g.mu.Unlock()
	next := make(entrances)
	for _, l := range f.Listeners() {
		if e := current[l]; e != nil {
			next[l] = e
			continue
		}
		s := g.service(l.Protocol)
		if s == nil {
			return next, fmt.Errorf("serving %s at %s: the protocol is not in the list", l.Protocol, l.Address)
		}
		h, err := s.Handler(l.Resource)
		if err != nil {
			return next, fmt.Errorf("%s: %w", l.Address, err)
		}
		next[l] = &entrance{handler: h}
		if !listening {
			continue
		}
		if next[l].ln, err = g.open(current, l); err != nil {
			return next, err
		}
	}
	return next, nil
}

// mayListen returns why the gateway cannot listen where f says for resources that are changed, if it listens at all.
// Where it cannot for others, they keep nothing else from being changed.
func (g *Gateway) mayListen(f *config.File, changes []revision.Change) error {
	g.mu.Lock()
	current, listening := g.listeners, g.accepts()
	g.mu.Unlock()
	for _, l := range f.Listeners() {
		changed := slices.ContainsFunc(changes, func(c revision.Change) bool { return c.Key == revision.Key{Kind: "resource", Name: l.Resource} })
		if !listening || current[l] != nil || !changed {
			continue
		}
		ln, err := g.open(current, l)
		if err != nil {
			return fmt.Errorf("resource %s: %w", l.Resource, err)
		}
		if err := ln.Close(); err != nil {
			return err
		}
	}
	return nil
}

// accepts reports whether clients come in, so that a new place is opened at once. g.mu is held.
func (g *Gateway) accepts() bool { return g.socket != nil && g.phase.Load() != phaseStopping }

// open listens at a place. Where one of the others listens at the same address, for
// another resource, both accept what comes until that one is withdrawn.
func (g *Gateway) open(others entrances, l protocol.Listener) (net.Listener, error) {
	for other, e := range others {
		ln, ok := e.ln.(*net.TCPListener)
		if !ok || other.Address != l.Address || strings.HasSuffix(l.Address, ":0") {
			continue
		}
		f, err := ln.File()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return net.FileListener(f)
	}
	name := l.Protocol
	if l.Resource != "" {
		name = "resource." + l.Resource
	}
	return g.listenAt(name, l.Address)
}

// listenAt opens a listener; see [Options.Listen].
func (g *Gateway) listenAt(name, address string) (net.Listener, error) {
	if g.options.Listen != nil {
		return g.options.Listen(name, address)
	}
	return net.Listen("tcp", address)
}

// closeBut closes the entrances that others have not, and are not served.
func (es entrances) closeBut(others entrances) {
	for l, e := range es {
		if others[l] != e && e.ln != nil {
			e.ln.Close()
		}
	}
}

// move makes next the places where clients come in. Clients that came in elsewhere stay.
// g.applying is held.
func (g *Gateway) move(next entrances) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.listeners
	g.listeners = next
	if g.closed {
		next.closeBut(nil)
		return
	}
	for l, e := range next {
		if before[l] == e || e.ln == nil {
			continue
		}
		g.log.Info("listening", "protocol", l.Protocol, "address", e.ln.Addr(), "resource", l.Resource)
		if g.serve != nil {
			g.serve(l, e)
		}
	}
	for l, e := range before {
		if next[l] == e || e.ln == nil {
			continue
		}
		g.log.Info("not listening any more: open sessions go on", "protocol", l.Protocol, "address", e.ln.Addr(), "resource", l.Resource)
		if e.withdraw != nil {
			e.withdraw(proxy.ErrWithdrawn)
		} else {
			e.ln.Close()
		}
	}
}

// revised tells the protocols that the current revision has other listeners or resources.
func (g *Gateway) revised() error {
	g.mu.Lock()
	handled := make(map[string]bool)
	for l := range g.listeners {
		handled[l.Protocol] = true
	}
	g.mu.Unlock()
	var errs []error
	for _, s := range g.opened() {
		if s.Revised == nil || !handled[s.Name] {
			continue
		}
		if err := s.Revised(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}
