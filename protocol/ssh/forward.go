package ssh

import gossh "golang.org/x/crypto/ssh"

type forwards struct{}

func newForwards() *forwards { return &forwards{} }

type lines struct{}

func (s *session) serveForward(nc gossh.NewChannel) error {
	if !s.awaitReady() {
		nc.Reject(gossh.ConnectionFailed, s.failure())
		return nil
	}
	s.refuseName("channel", nc.ChannelType())
	return nc.Reject(gossh.Prohibited, "no")
}

func (s *session) serveUpstreamChannel(nc gossh.NewChannel) error {
	s.refuseName("channel of the resource's", nc.ChannelType())
	nc.Reject(gossh.UnknownChannelType, "no")
	return nil
}
func (s *session) listenTCP(r *gossh.Request) { s.refuseName("request", r.Type); r.Reply(false, nil) }
func (s *session) cancelTCP(r *gossh.Request) { s.refuseName("request", r.Type); r.Reply(false, nil) }
func (s *session) listenSocket(r *gossh.Request) {
	s.refuseName("request", r.Type)
	r.Reply(false, nil)
}

func (s *session) cancelSocket(r *gossh.Request) {
	s.refuseName("request", r.Type)
	r.Reply(false, nil)
}

func (ch *channel) requestAgent(r *gossh.Request) (bool, error) {
	ch.session.refuseName("channel request", r.Type)
	return false, nil
}

func (ch *channel) requestX11(r *gossh.Request) (bool, error) {
	ch.session.refuseName("channel request", r.Type)
	return false, nil
}

func (ch *channel) startFiles() {
	ch.op = nil
}

type Menu interface{}
