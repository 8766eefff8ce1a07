package sql

import (
	"slices"
	"strings"
	"sync"
)

// paths are a snapshot's variants, by the search_path that a session has set.
type paths struct {
	resolve func(*Snapshot) // as in CatalogCache

	mu   sync.RWMutex
	seen map[string]*variant
}

// variant is one of them: it is made when it is first asked for.
type variant struct {
	number   uint64
	once     sync.Once
	snapshot *Snapshot // nil when it could not be made
}

// Of one snapshot there are at most maxPaths variants, and no more than fit in
// about maxPathBytes. Their numbers stand above those of snapshots, which stay
// below 1<<pathShift.
const (
	maxPaths     = 255
	maxPathBytes = 64 << 20
	pathShift    = 48
)

// On returns s as a session sees it that has set its search_path to a plain one:
// see [PlainPath]. What views, rules and functions do is worked out again, as
// their functions' texts are read by the caller's path. An empty path, and the one that
// its role begins with, is s itself. It is nil when s is, and when too many paths are in use.
func (s *Snapshot) On(path string) *Snapshot {
	if s == nil || path == "" || path == s.Setting {
		return s
	}
	p := s.paths
	p.mu.RLock()
	v := p.seen[path]
	p.mu.RUnlock()
	if v == nil {
		if v = p.add(path, s.varies); v == nil {
			return nil
		}
	}
	v.once.Do(func() { v.snapshot = s.variant(path, v.number) })
	return v.snapshot
}

func (p *paths) add(path string, size int) *variant {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.seen)
	if v := p.seen[path]; v != nil || n == maxPaths || n*size > maxPathBytes {
		return v
	}
	if p.seen == nil {
		p.seen = make(map[string]*variant)
	}
	v := &variant{number: uint64(n + 1)}
	p.seen[strings.Clone(path)] = v
	return v
}

func (p *paths) count() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return len(p.seen)
}

func (s *Snapshot) variant(path string, number uint64) (v *Snapshot) {
	defer func() {
		if recover() != nil { // of the parser's: as when the catalog is read
			v = nil
		}
	}()
	c := s.Contents
	c.Path = s.path(path)
	v = NewSnapshot(c)
	v.base = s
	if s.paths.resolve != nil {
		s.paths.resolve(v)
	}
	v.ID = s.ID | number<<pathShift
	return v
}

// path are the schemas in which names are looked up: PostgreSQL leaves out those
// that are not there and that the role may not use, and looks into its own first
// unless the list says when.
func (s *Snapshot) path(list string) []string {
	var path []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name == "$user" {
			name = s.Role
		}
		if (name == serverSchema || slices.Contains(s.Schemas, name)) && !slices.Contains(path, name) {
			path = append(path, name)
		}
	}
	if !slices.Contains(path, serverSchema) {
		path = slices.Insert(path, 0, serverSchema)
	}
	return path
}

const serverSchema = "pg_catalog"

// PlainPath reports whether list is a search_path that means the same however it
// was given: names in lower case that need no quotes, or $user, separated by
// commas, and no temporary schema.
func PlainPath(list string) bool {
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name == "$user" {
			continue
		}
		if name == "" || strings.HasPrefix(name, "pg_temp") || strings.HasPrefix(name, "pg_toast") {
			return false
		}
		for i := range len(name) {
			switch c := name[i]; {
			case c >= 'a' && c <= 'z', c == '_':
			case c >= '0' && c <= '9', c == '$':
				if i == 0 {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}
