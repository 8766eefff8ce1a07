package ssh

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/sallyport/sallyport/proxy"
)

// Messages of the agent protocol (draft-ietf-sshm-ssh-agent). A resource may ask
// which keys there are and have them sign; it may not add, remove or lock keys.
const (
	agentFailure           = 5
	agentRequestIdentities = 11
	agentIdentitiesAnswer  = 12
	agentSignRequest       = 13
	agentSignResponse      = 14

	maxAgentMessage = 256 << 10 // OpenSSH's own limit
	maxSignData     = 64 << 10
)

var errAgentMessage = errors.New("malformed message to or from the key agent")

// relayAgent passes a resource's questions on to the client's agent, one at a
// time. out.Rows counts the signatures.
func (s *session) relayAgent(client, up side, out *proxy.Outcome) {
	s.spawn("ssh agent client requests", func() error { return s.refuseRequests(client) })
	s.spawn("ssh agent resource requests", func() error { return s.refuseRequests(up) })
	out.Err = s.agentDialogue(client, up, out)
	client.Close()
	up.Close()
}

func (s *session) refuseRequests(of side) error {
	for r := range of.requests {
		s.countRefusal()
		r.Reply(false, nil)
	}
	of.Close()
	return nil
}

// agentDialogue returns nil when either side has closed between two messages.
func (s *session) agentDialogue(client, up side, out *proxy.Outcome) error {
	var buf []byte
	for {
		question, err := readAgentMessage(up, buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		buf = question
		out.BytesOut += uint64(len(question))
		answer := []byte{0, 0, 0, 1, agentFailure}
		if harmlessQuestion(question[4:]) {
			signs := question[4] == agentSignRequest
			if _, err := client.Write(question); err != nil {
				return nil
			}
			if answer, err = readAgentMessage(client, buf); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			buf = answer
			out.BytesIn += uint64(len(answer))
			switch {
			case signs && answer[4] == agentSignResponse:
				out.Rows++
			case answer[4] != agentFailure && (signs || answer[4] != agentIdentitiesAnswer):
				return errAgentMessage
			}
		} else {
			s.refuseName("request to the key agent", agentMessageName(question[4]))
		}
		if _, err := up.Write(answer); err != nil {
			return nil
		}
	}
}

// readAgentMessage reads one message with its length, into buf when it fits.
func readAgentMessage(r io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errAgentMessage
		}
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxAgentMessage {
		return nil, errAgentMessage
	}
	if uint32(cap(buf)) < 4+n {
		buf = make([]byte, 4+n)
	}
	buf = buf[:4+n]
	copy(buf, head[:])
	if _, err := io.ReadFull(r, buf[4:]); err != nil {
		return nil, errAgentMessage
	}
	return buf, nil
}

// harmlessQuestion reports whether m is a well-formed question that a resource
// may ask.
func harmlessQuestion(m []byte) bool {
	p := payload{b: m[1:]}
	switch m[0] {
	case agentRequestIdentities:
		return p.done() == nil
	case agentSignRequest:
		p.text(maxAgentMessage) // the key
		p.text(maxSignData)     // what is to be signed
		p.uint32()              // flags
		return p.done() == nil
	}
	return false
}

func agentMessageName(kind byte) string {
	switch kind {
	case agentSignRequest, agentRequestIdentities:
		return "malformed"
	case 17, 25, 20, 26:
		return "add"
	case 18, 19, 21:
		return "remove"
	case 22, 23:
		return "lock"
	case 27:
		return "extension"
	}
	return "unknown"
}
