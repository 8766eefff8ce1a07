package tunnel

import (
	"slices"
	"strings"
	"time"
)

// Status is what a server knows of an agent.
type Status struct {
	Agent     string
	Connected bool
	Since     time.Time // when its control line opened, or when the last one ended
	Heard     time.Time // when it last said that it is there
	Remote    string
	Program   string
	Host      string
	Version   int // of the protocol
	Sessions  int // open connections to resources
	Warm      int // connections that wait for a dial
}

// Agents returns what the server knows of agents that have been connected, by name.
func (s *Server) Agents() []Status {
	s.start()
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Status, 0, len(s.agents))
	for name, a := range s.agents {
		st := Status{Agent: name, Since: a.lost, Sessions: len(a.conns), Warm: a.warm}
		if l := a.line; l != nil {
			st.Connected, st.Since, st.Heard, st.Remote = true, l.since, l.heard, l.conn.RemoteAddr().String()
			st.Program, st.Host, st.Version = clean(l.hello.Program), clean(l.hello.Host), min(version, l.hello.Version)
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b Status) int { return strings.Compare(a.Agent, b.Agent) })
	return list
}
