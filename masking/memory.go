package masking

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/proxy"
)

// memory is what a session's earlier statements left that later ones may read
// without naming a masked column: prepared statements, cursors, tables.
type memory struct {
	any      bool
	computed bool // with a masked column
	aside    bool // masked values may have gone into settings and notifications
	labels   labels
	names    map[string]struct{} // of what was made of masked columns
	own      map[string]struct{} // of all that was made
	shared   *spread             // what all sessions made in the same database
}

// made reports whether name may be that of something that was made.
func (k *memory) made(name string) bool {
	if name == "" {
		return false
	}
	if k.shared != nil && k.shared.has(name) {
		return true
	}
	return among(k.names, name)
}

// makes reports whether name may be that of something that the session made.
func (k *memory) makes(name string) bool {
	return among(k.own, name)
}

// add takes in what a statement with mentions m makes.
func (k *memory) add(m *mentions) {
	for name := range m.makes {
		k.own = with(k.own, name)
	}
	k.aside = k.aside || m.aside && (m.any || m.rows)
	if m.star { // all columns, by other names
		k.fill(m)
	}
	if !m.any || !m.keeps {
		return
	}
	k.any = true
	k.computed = k.computed || m.computed
	for label, source := range m.labels {
		k.labels = k.labels.give(label, source)
	}
	for name := range m.makes {
		k.names = with(k.names, name)
	}
	k.fill(m)
}

// fill takes in the tables that a statement fills. One that was there before the
// session is what its columns say.
func (k *memory) fill(m *mentions) {
	for name := range m.fills {
		if _, own := k.own[name]; own {
			k.names = with(k.names, name)
		}
	}
}

func (k *memory) gives(label string, v *view) bool {
	if _, given := k.labels[strings.ToLower(label)]; !k.any || !given && len(k.labels) <= maxLabels {
		return false
	}
	source, known := k.labels.origin(label)
	if !known {
		return true
	}
	_, masked := v.sensitive(source)
	return masked
}

// reads reports whether a statement returns what an earlier one prepared.
func (k *memory) reads(facts *proxy.Facts, m *mentions) bool {
	return k.any && (m.runs || facts == nil || facts.Unknown != "")
}

// spread holds the names of tables, views and functions that sessions of one
// database made of masked columns and that are there for all.
type spread struct {
	some  atomic.Bool
	mu    sync.RWMutex
	names map[string]struct{}
}

func (s *spread) has(name string) bool {
	if !s.some.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return among(s.names, name)
}

func (s *spread) add(names map[string]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range names {
		s.names = with(s.names, name)
	}
	s.some.Store(len(s.names) > 0)
}

// spreads are the spread names by database.
type spreads struct {
	mu sync.Mutex
	of map[string]*spread
}

func (s *spreads) at(t *proxy.Target) *spread {
	key := t.Resource.Name + "\x00" + t.Database
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[key] == nil {
		if s.of == nil {
			s.of = map[string]*spread{}
		}
		s.of[key] = &spread{}
	}
	return s.of[key]
}
