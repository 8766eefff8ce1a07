package masking

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport/sallyport/detect"
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
	// foreign says that the session was open before its rules were these: what its
	// cursors return was judged by others, unless they are among since.
	foreign bool
	since   map[string]struct{} // that was certainly made since then
}

// judged reports whether a word of a FETCH says nothing of a cursor that other rules
// have judged.
func (k *memory) judged(name string) bool {
	return among(k.since, name) || slices.Contains(directions[:], strings.ToLower(name))
}

// directions are the words of a FETCH that are not names.
var directions = [...]string{"next", "prior", "first", "last", "absolute", "relative", "forward", "backward"}

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
	return m.foreign || k.any && (m.runs || facts == nil || facts.Unknown != "")
}

// spread holds what sessions of one database made of masked columns and is there
// for all: columns, where the analyser knows them, else the names of tables, views
// and functions.
type spread struct {
	some    atomic.Bool
	version atomic.Uint64 // of what is here
	mu      sync.RWMutex
	names   map[string]struct{}
	columns map[string]copied // by schema, relation and column, or "*"
	// relations are the names of those that have such columns, in lower case.
	relations map[string]struct{}
	// beyond are relations of which a column did not fit into columns.
	beyond *nameBits
}

// copied is what a column was filled with.
type copied struct {
	typ      detect.Type
	computed bool
}

// maxCopied bounds how many columns of a database are known to be copies. The
// relations of further ones are opaque: all that they return was computed.
const maxCopied = 1 << 14

// nameBits is a set of names in a fixed space. It never forgets
// one; of names that are not in it, it holds the more for members the fuller it is.
type nameBits struct {
	seed maphash.Seed
	bits [1 << 13]uint64
}

func newNameBits() *nameBits { return &nameBits{seed: maphash.MakeSeed()} }

func (b *nameBits) place(name string) (word uint64, bit uint64) {
	h := maphash.String(b.seed, strings.ToLower(name))
	return h >> 6 % uint64(len(b.bits)), 1 << (h & 63)
}

func (b *nameBits) add(name string) {
	word, bit := b.place(name)
	b.bits[word] |= bit
}

func (b *nameBits) has(name string) bool {
	if b == nil {
		return false
	}
	word, bit := b.place(name)
	return b.bits[word]&bit != 0
}

func (s *spread) now() uint64 {
	if s == nil {
		return 0
	}
	return s.version.Load()
}

func (s *spread) has(name string) bool {
	if s == nil || !s.some.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return among(s.names, name)
}

// column returns what the column was filled with.
func (s *spread) column(schema, relation, column string) (copied, bool) {
	if s == nil || relation == "" || !s.some.Load() {
		return copied{}, false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, sch := range []string{schema, ""} { // a table that was made is known without its schema
		for _, c := range []string{column, "*"} {
			if x, ok := s.columns[sch+"\x00"+relation+"\x00"+c]; ok {
				return x, true
			}
		}
	}
	if s.beyond.has(relation) {
		return copied{taintedValue, true}, true
	}
	return copied{}, false
}

func (s *spread) add(names map[string]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range names {
		s.names = with(s.names, name)
	}
	s.some.Store(true)
	s.version.Add(1)
}

// fill notes that a column was filled with x.
func (s *spread) fill(w *proxy.Write, x copied) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := w.Schema + "\x00" + w.Relation + "\x00" + w.Column.Name
	old, known := s.columns[key]
	switch {
	case known && !old.computed || !known && s.beyond.has(w.Relation):
		return // as strict as it can be
	case known || len(s.columns) < maxCopied:
		if s.columns == nil {
			s.columns, s.relations = map[string]copied{}, map[string]struct{}{}
		}
		s.columns[key] = x
		s.relations[strings.ToLower(w.Relation)] = struct{}{}
	default:
		if s.beyond == nil {
			s.beyond = newNameBits()
		}
		s.beyond.add(w.Relation)
	}
	s.some.Store(true)
	s.version.Add(1)
}

// filled reports whether a relation of that name has columns that were filled.
func (s *spread) filled(name string) bool {
	if s == nil || !s.some.Load() {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.relations[strings.ToLower(name)]
	return ok || s.beyond.has(name)
}

// writes notes what a statement that ran has filled with masked columns. ok is
// false when the analyser does not know.
func (v *view) writes(facts *proxy.Facts, m *mentions, kept *memory) (ok bool) {
	if facts == nil || facts.Unknown != "" || len(facts.Writes) == 0 && !facts.Resolved {
		return false
	}
	for i := range facts.Writes {
		w := &facts.Writes[i]
		if w.Schema == "pg_temp" {
			continue // the session's own, which is followed by its words
		}
		var c column
		if w.Column.Unsure || w.Column.Opaque && (m.any || m.rows || m.star) || slices.ContainsFunc(w.Column.Origins, func(o proxy.Origin) bool { return kept.made(o.Relation) }) {
			c.tainted = true
		} else if !v.derived(&c, facts, &w.Column, &mentions{opens: true}) && !v.held(&c, &w.Column) {
			continue
		}
		v.spread.fill(w, copied{cmp.Or(c.typ, taintedValue), c.tainted})
	}
	return true
}

// Memory is where sessions copied masked data to, and what was found in columns, by
// database. The zero value is empty. It is safe for concurrent use.
type Memory struct {
	// Keeper keeps what was found beyond the process. Nil: it lasts as long as the
	// memory. It is set before the memory is used.
	Keeper Keeper

	mu sync.Mutex
	of map[string]*database
}

// database is what is remembered of one.
type database struct {
	spread   spread
	findings findings
}

func (s *Memory) at(t *proxy.Target) *database {
	key := t.Resource.Name + "\x00" + t.Database
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[key] == nil {
		if s.of == nil {
			s.of = map[string]*database{}
		}
		s.of[key] = &database{}
	}
	return s.of[key]
}
