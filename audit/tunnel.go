package audit

import "time"

// AgentEvent is something that happened to an agent that dials out. It holds nothing of its token or key.
type AgentEvent struct {
	Type   string // TunnelEnrolled …
	Agent  string
	By     string // who has made its token, or revoked it
	Reason string // as given
	Remote string
	Err    error
}

// Agent records what happened to an agent that dials out, in the gateway's own record.
func (l *Log) Agent(e AgentEvent) {
	until := soon
	if e.Type == TunnelEnrolled || e.Type == TunnelRevoked {
		until = synced
	}
	// What is not there cannot be told; a failure was logged.
	_ = l.own.event(time.Now(), e.Type, until, func(b []byte) []byte {
		b = str(b, "name", e.Agent)
		b = str(b, "user", e.By)
		b = str(b, "reason", e.Reason)
		b = str(b, "remote", e.Remote)
		if e.Err != nil {
			b = str(b, "error", e.Err.Error())
		}
		return b
	})
}
