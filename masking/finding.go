package masking

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/detect"
)

// finding is all that was found in a column, by every sample of it. A sample adds to it
// and takes nothing back: rows that somebody inserts would unmask the rows of others
// otherwise. It is not changed once it is made.
type finding struct {
	// claims are since when samples have disagreed; the zero time is not at all.
	claims map[claim]time.Time

	whole  []detect.Type // of every value
	some   []detect.Type // of at least one in five values
	inside []detect.Type // of parts of values, as in arrays and documents
	// members are the keys of JSON under which something was found, in lower case; nil
	// of what is not JSON.
	members map[string][]detect.Type
	weighed *detect.Contents // numbers, by the values that speak most for them
}

// claim is one thing that was found.
type claim struct {
	typ detect.Type
	of  share
	key string // of JSON
}

type share uint8

const (
	shareWhole share = iota
	shareSome
	shareInside
)

const (
	// A type is taken back when samples of so many values have disagreed for so long.
	enoughToDoubt = 50
	doubtTime     = 30 * 24 * time.Hour
	maxClaims     = 1024 // of one column; of further keys all count
	anyKey        = "*"
	// maxFindings bounds the columns of a database of which findings are remembered. Of
	// further ones it is remembered only that something was found.
	maxFindings = 1 << 14
)

// nothing is found in a column that has no values.
var nothing = &finding{weighed: &detect.Contents{}}

// beyondMemory is found in a column of which it is not remembered what was found.
var beyondMemory = newFinding(map[claim]time.Time{{typ: Column}: {}, {typ: Column, of: shareSome}: {}}, nil, &detect.Contents{})

// newFinding makes one of claims; members is not nil of JSON.
func newFinding(claims map[claim]time.Time, members map[string][]detect.Type, weighed *detect.Contents) *finding {
	f := &finding{claims: claims, members: members, weighed: weighed}
	for c := range claims {
		switch {
		case c.key != "":
			if f.members == nil {
				f.members = map[string][]detect.Type{}
			}
			f.members[c.key] = append(f.members[c.key], c.typ)
		case c.of == shareWhole:
			f.whole = append(f.whole, c.typ)
		case c.of == shareSome:
			f.some = append(f.some, c.typ)
		default:
			f.inside = append(f.inside, c.typ)
		}
	}
	slices.Sort(f.whole)
	slices.Sort(f.some)
	slices.Sort(f.inside)
	return f
}

// claimsOf are the claims of one sample.
func claimsOf(c *detect.Contents) map[claim]time.Time {
	claims := map[claim]time.Time{}
	if c.Whole != "" {
		claims[claim{typ: c.Whole}] = time.Time{}
	}
	if c.Some != "" {
		of := shareSome
		if c.Parts {
			of = shareInside
		}
		claims[claim{typ: c.Some, of: of}] = time.Time{}
	}
	for key, t := range c.Members {
		claims[claim{t, shareInside, strings.ToLower(key)}] = time.Time{}
	}
	return claims
}

// with is f and a sample of n values of its column, which was taken at now.
func (f *finding) with(c *detect.Contents, n int, now time.Time) *finding {
	claims, weighed := claimsOf(c), c
	for k, doubted := range f.claims {
		if _, agrees := claims[k]; agrees {
			continue
		}
		switch {
		case n < enoughToDoubt:
		case doubted.IsZero():
			doubted = now
		case now.Sub(doubted) > doubtTime:
			continue
		}
		if len(claims) >= maxClaims && k.key != "" {
			k.key = anyKey
		}
		claims[k] = doubted
	}
	if len(f.claims) > 0 && len(claims) > 0 {
		weighed = c.Join(f.weighed)
	}
	var members map[string][]detect.Type
	if c.Members != nil {
		members = map[string][]detect.Type{}
	}
	return newFinding(claims, members, weighed)
}

// and is what is found in a column that has the values of both; a nil f has none.
func (f *finding) and(o *finding) *finding {
	if f == nil {
		return o
	}
	claims := make(map[claim]time.Time, len(f.claims)+len(o.claims))
	maps.Copy(claims, f.claims)
	maps.Copy(claims, o.claims)
	members := f.members
	if members == nil {
		members = o.members
	}
	if members != nil {
		members = map[string][]detect.Type{}
	}
	return newFinding(claims, members, f.weighed.Join(o.weighed))
}

// findings are those of the columns of one database. It is safe for concurrent use.
type findings struct {
	mu sync.RWMutex
	of map[string]*finding // by the column's ID
	// named are the IDs by the names under which the columns were read last: for
	// relations that cannot be read at the moment.
	named  map[columnName][]string
	beyond *nameBits // the IDs of columns of which the finding did not fit
}

type columnName struct{ schema, relation, column string }

// add takes in a sample of n values of the column of ids[0], and returns all that was
// found in it and in those of the other IDs.
func (s *findings) add(name columnName, ids []string, c *detect.Contents, n int, now time.Time) sampledColumn {
	id := ids[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	old, known := s.of[id]
	if !known {
		old = nothing
	}
	f := old.with(c, n, now)
	switch {
	case len(f.claims) == 0:
		delete(s.of, id)
	case !known && len(s.of) >= maxFindings:
		if s.beyond == nil {
			s.beyond = newNameBits()
		}
		s.beyond.add(id)
	default:
		if s.of == nil {
			s.of, s.named = map[string]*finding{}, map[columnName][]string{}
		}
		s.of[id] = f
	}
	if _, named := s.named[name]; named || s.of[id] != nil && len(s.named) < maxFindings {
		s.named[name] = ids
	}
	return sampledColumn{f, ids}
}

// recall takes in what was found in a column earlier, by this process or others.
func (s *findings) recall(id string, f *finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.of[id]
	switch {
	case len(f.claims) == 0:
	case old != nil:
		s.of[id] = f.and(old)
	case len(s.of) < maxFindings:
		if s.of == nil {
			s.of, s.named = map[string]*finding{}, map[columnName][]string{}
		}
		s.of[id] = f
	}
}

// remembered returns what is remembered of a column, nil when that is nothing.
func (s *findings) remembered(id string) *finding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.of[id]
}

// get returns f, a finding of the first ID's column, with all that was found since in
// the columns of those IDs.
func (s *findings) get(f *finding, ids []string) *finding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.join(f, ids)
}

func (s *findings) join(f *finding, ids []string) *finding {
	for i, id := range ids {
		switch found := s.of[id]; {
		case s.beyond.has(id):
			f = f.and(beyondMemory)
		case found == nil:
		case i == 0: // which holds f
			f = found
		default:
			f = f.and(found)
		}
	}
	return f
}

// last returns what was found in a column when it was last read under its name, nil
// when that was nothing.
func (s *findings) last(name columnName) *finding {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if ids, ok := s.named[name]; ok {
		return s.join(nil, ids)
	}
	if len(s.named) >= maxFindings {
		return beyondMemory
	}
	return nil
}
