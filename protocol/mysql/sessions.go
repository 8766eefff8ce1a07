package mysql

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
)

// sessions are those that are open, by the numbers of their connections: the one that the
// client was told first, before the server was known, and the server's own. It is safe for
// concurrent use.
type sessions struct {
	mu   sync.Mutex
	told map[uint32]*session // nil while the client is not logged in
	own  map[*session]struct{}
}

// take returns a number that no client has. It is far from those that servers give, which
// count from 1.
func (s *sessions) take() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told == nil {
		s.told, s.own = make(map[uint32]*session), make(map[*session]struct{})
	}
	for {
		var b [4]byte
		rand.Read(b[:])
		id := binary.LittleEndian.Uint32(b[:])&0x3fffffff | 0x40000000
		if _, taken := s.told[id]; !taken {
			s.told[id] = nil
			return id
		}
	}
}

func (s *sessions) release(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, id)
}

func (s *sessions) register(id uint32, x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told[id] = x
	s.own[x] = struct{}{}
}

func (s *sessions) unregister(id uint32, x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.told, id)
	delete(s.own, x)
}

// find returns the session that x's user calls id: hers, at the same account of the same
// resource. It is nil when there is none.
func (s *sessions) find(id uint32, x *session) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if y := s.told[id]; y != nil && y.sameOwner(x) {
		return y
	}
	for y := range s.own {
		if y.upstream.greeting.ID == id && y.sameOwner(x) {
			return y
		}
	}
	return nil
}

// sameOwner reports whether two sessions are the same user's, at the same server as the
// same account.
func (s *session) sameOwner(x *session) bool {
	a, b := s.session, x.session
	return a.Identity.Subject == b.Identity.Subject && a.Target.Resource.Name == b.Target.Resource.Name && a.Target.Account.Username == b.Target.Account.Username
}
