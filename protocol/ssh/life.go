package ssh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/proxy"
)

// patience is how long a client that was refused may take to open a channel on
// which it can be told why.
const patience = 3 * time.Second

func (s *session) keepAlive() time.Duration {
	if s.settings.KeepAlive == 0 {
		return defaultKeepAlive
	}
	return s.settings.KeepAlive
}

// keepalives asks peer for signs of life. Any answer is one, also a refusal.
func (s *session) keepalives(peer gossh.Conn, every time.Duration, who string) error {
	for {
		select {
		case <-s.ctx.Done():
			return nil
		case <-time.After(every):
		}
		silent := time.AfterFunc(3*every, func() {
			s.proxied.Kill(fmt.Errorf("the %s does not answer", who))
			peer.Close()
		})
		_, _, err := peer.SendRequest("keepalive@openssh.com", true, nil)
		silent.Stop()
		if err != nil {
			return nil // the connection ended, which others notice
		}
	}
}

// watchUpstream notices that the resource's connection ended.
func (s *session) watchUpstream() error {
	defer close(s.upstream.ended)
	s.upstream.Wait()
	if s.over() {
		return nil
	}
	s.lost.Store(true)
	s.closeIfIdle(false)
	return nil
}

// over reports whether the session has ended. Its own context and the proxy's end one
// after the other, in either order.
func (s *session) over() bool { return s.ctx.Err() != nil || s.proxied.Err() != nil }

// watchDrain ends the session at its next idle moment once the gateway shuts down.
func (s *session) watchDrain() error {
	select {
	case <-s.ctx.Done():
	case <-s.proxied.Draining().Done():
		s.closeIfIdle(false)
	}
	return nil
}

// tellTime is how long the clients of a session that has ended may take to read why.
const tellTime = time.Second

// watchEnd ends both connections when the session has ended: the resource's at once, so
// that nothing reaches it any more, and the client's when it was told, or does not read.
// Everything that waits for either side ends with these.
func (s *session) watchEnd() error {
	<-s.ctx.Done()
	cause := context.Cause(s.ctx)
	if errors.Is(cause, errClientGone) {
		return nil // serve ends the rest
	}
	defer s.client.Close()
	late := time.NewTimer(tellTime)
	defer late.Stop()
	select {
	case <-s.ready:
	case <-s.gone:
		return nil
	case <-late.C:
		return nil
	}
	if s.upstream != nil {
		s.proxied.Kill(cause)
		s.upstream.Close()
	}
	s.mu.Lock()
	var told sync.WaitGroup
	for ch := range s.channels {
		told.Add(1)
		s.spawn("ssh channel end", func() error {
			defer told.Done()
			ch.abort()
			return nil
		})
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { told.Wait(); close(done) }()
	select {
	case <-done:
		s.linger()
	case <-late.C:
	case <-s.gone:
	}
	return nil
}

// linger lets the client read what it was told before the connection is cut.
func (s *session) linger() {
	select {
	case <-s.gone:
	case <-time.After(100 * time.Millisecond):
	}
}

// admit counts one channel more, if there may be one.
func (s *session) admit() bool {
	limit := defaultMaxChannels
	if s.live() != nil && s.settings != nil && s.settings.MaxChannels > 0 {
		limit = s.settings.MaxChannels
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open_ >= limit {
		return false
	}
	s.open_++
	return true
}

func (s *session) leave() {
	s.mu.Lock()
	s.open_--
	s.mu.Unlock()
	s.closeIfIdle(false)
}

// closeIfIdle ends the client's connection when no channel is open and none can
// come: the resource is lost or was never reached, or the gateway shuts down.
// late says that the client has had its time to open one.
func (s *session) closeIfIdle(late bool) {
	select {
	case <-s.ready:
	default:
		return
	}
	s.mu.Lock()
	idle := s.open_ == 0
	s.mu.Unlock()
	if !idle {
		return
	}
	switch {
	case s.upstream == nil:
		if late || s.wasTold() {
			s.linger()
			s.client.Close()
		}
	case s.lost.Load():
		s.linger()
		s.client.Close()
	case s.proxied.Draining().Err() != nil:
		s.proxied.Kill(proxy.ErrShutdown)
	}
}

func (s *session) wasTold() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bannerOut
}
