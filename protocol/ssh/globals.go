package ssh

import (
	gossh "golang.org/x/crypto/ssh"
)

// globalRequests acts on the requests that the client makes of the connection
// as a whole, in order.
func (s *session) globalRequests(requests <-chan *gossh.Request) error {
	queue := make(chan *gossh.Request, queued)
	s.spawn("ssh request queue", func() error {
		for r := range queue {
			s.globalRequest(r)
		}
		return nil
	})
	defer close(queue)
	overflow := false
	for r := range requests {
		if overflow {
			continue
		}
		select {
		case queue <- r:
		default:
			overflow = true
			s.client.Close()
		}
	}
	return nil
}

func (s *session) globalRequest(r *gossh.Request) {
	switch r.Type {
	case "keepalive@openssh.com":
		// A refusal is the answer that OpenSSH gives, and a sign of life.
		r.Reply(false, nil)
		return
	case "no-more-sessions@openssh.com":
		select {
		case s.noMore <- struct{}{}:
		default: // it said so before
		}
		r.Reply(true, nil)
		return
	}
	if !s.awaitReady() {
		r.Reply(false, nil)
		return
	}
	switch r.Type {
	case "tcpip-forward":
		s.listenTCP(r)
	case "cancel-tcpip-forward":
		s.cancelTCP(r)
	case "streamlocal-forward@openssh.com":
		s.listenSocket(r)
	case "cancel-streamlocal-forward@openssh.com":
		s.cancelSocket(r)
	default:
		s.refuseName("request", r.Type)
		r.Reply(false, nil)
	}
}

// upstreamRequests acts on the resource's requests of the connection as a whole.
func (s *session) upstreamRequests(requests <-chan *gossh.Request) error {
	for r := range requests {
		switch r.Type {
		case "keepalive@openssh.com":
		case "hostkeys-00@openssh.com":
			// The resource's keys are the gateway's business; clients know the
			// gateway's.
		default:
			s.refuseName("request of the resource's", r.Type)
		}
		r.Reply(false, nil)
	}
	return nil
}

// upstreamChannels serves the channels that the resource opens.
func (s *session) upstreamChannels(channels <-chan gossh.NewChannel) error {
	for nc := range channels {
		if !s.admit() {
			nc.Reject(gossh.ResourceShortage, "too many channels are open")
			s.countRefusal()
			continue
		}
		s.spawn("ssh resource channel", func() error {
			defer s.leave()
			return s.serveUpstreamChannel(nc)
		})
	}
	return nil
}
