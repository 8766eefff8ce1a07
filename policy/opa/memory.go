package opa

import (
	"encoding/json"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// Bounds of what is remembered. What is more makes room by forgetting everything.
const (
	maxAlike = 1 << 12 // sets of sessions that are alike
	maxMade  = 1 << 16 // decisions
)

// memory is what a policy has decided. It is safe for concurrent use.
type memory struct {
	mu    sync.RWMutex
	last  uint64
	alike map[string]uint64 // sets of sessions that are alike, by what they are alike in
	made  map[question]proxy.Verdict
}

// question is what statements of one decision are alike in.
type question struct {
	alike  uint64
	facts  *proxy.Facts // immutable, and shared by statements of one shape
	kind   proxy.Kind
	second int64 // for a policy that reads the time
}

// of returns the number of the sessions that are like in, in all that the policy reads.
func (m *memory) of(in Input, r Reads) (uint64, error) {
	if !r.Login {
		in.Identity.LoginNS = 0
	}
	if !r.Source {
		in.Source = Source{}
	}
	b, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	key := string(b)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, has := m.alike[key]; has {
		return n, nil
	}
	if m.alike == nil || len(m.alike) >= maxAlike {
		m.alike = make(map[string]uint64)
	}
	m.last++ // a number is never given twice
	m.alike[key] = m.last
	return m.last, nil
}

func (m *memory) get(q question) (v proxy.Verdict, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok = m.made[q]
	return v, ok
}

func (m *memory) put(q question, v proxy.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil || len(m.made) >= maxMade {
		m.made = make(map[question]proxy.Verdict)
	}
	m.made[q] = v
}
