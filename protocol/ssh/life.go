package ssh

import (
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
	if s.ctx.Err() != nil || s.proxied.Err() != nil {
		return nil
	}
	s.lost.Store(true)
	s.closeIfIdle(false)
	return nil
}

// watchEnd ends the connections when the session is ended from outside, and,
// when the gateway shuts down, as soon as nothing is running.
func (s *session) watchEnd() error {
	select {
	case <-s.ctx.Done():
		return nil
	case <-s.proxied.Context().Done():
	case <-s.proxied.Draining().Done():
		s.closeIfIdle(false)
		select {
		case <-s.ctx.Done():
			return nil
		case <-s.proxied.Context().Done():
		}
	}
	// What is being moved has a moment to be told; a client that does not read is
	// not waited for.
	s.mu.Lock()
	var told sync.WaitGroup
	for ch := range s.channels {
		told.Add(1)
		s.goroutines.Add(1)
		go func() {
			defer s.goroutines.Done()
			defer told.Done()
			ch.abort(s.proxied.Err())
		}()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { told.Wait(); close(done) }()
	select {
	case <-done:
		s.linger()
	case <-time.After(time.Second):
	case <-s.ctx.Done():
	}
	s.upstream.Close()
	s.client.Close()
	return nil
}

// linger lets the client read what it was told before the connection is cut.
func (s *session) linger() {
	select {
	case <-s.ctx.Done():
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
