package audit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit/internal/segment"
)

// Query says which sessions are looked for: those of which everything holds that is
// set here. Several things that hold of a session need not hold of one of its
// operations. The zero Query is all sessions.
type Query struct {
	User     string // or the human that an agent acted for
	Group    string
	Resource string
	Account  string
	Database string
	Protocol string
	// Since and Until bound when it began; zero times do not.
	Since, Until time.Time

	Kind        string // an operation of this kind: "shell", "statement" …
	Verdict     string // with this verdict: "deny", "hold" …
	Rule        string // decided by this rule
	Effect      string // with this effect: "write", "drop" …
	Relation    string // on this table or view, with its schema or without, in either case
	Fingerprint string // of this normalised statement
	Masked      string // values of this type were masked; in either case
	// Texts are what was asked or shown somewhere, in either case.
	Texts []string

	Limit int // the newest so many; 0 is all
}

// Result is what a search found.
type Result struct {
	Sessions []*Summary // oldest first
	// Unread are sessions of which it is not known whether they are what was looked for,
	// or that are and cannot be read whole: their records were removed or altered.
	Unread []Unread
	// Read is how many records were read, because the index did not have them, or did
	// not say enough.
	Read int
	// Damaged is how many segments of the index were not whole. They were made anew,
	// or could not be and were not used.
	Damaged int
}

// Unread is a session whose record cannot be read, or not to its end.
type Unread struct {
	ID  string
	Err error
}

// Search finds sessions. Those that are open, and those that were erased, of which
// only their identifiers are left, are among them. Where the index lacks many, it is
// filled first; then progress is called, which may be nil.
func (a *Archive) Search(ctx context.Context, q Query, progress func(done, all int)) (*Result, error) {
	m := q.compile()
	r := &Result{}
	var there map[string]byte
	listed := make(chan error, 1)
	go func() { // it takes as long as reading the index
		var err error
		there, err = a.cabinet.list()
		listed <- err
	}()
	leaves, segments, err := a.segments(ctx, r, progress)
	if err = errors.Join(err, <-listed); err != nil {
		return nil, err
	}
	for i := range leaves.lines {
		if id := leaves.id(leaves.first + i); there[id]&recordThere == 0 {
			r.unread(id, errMissing)
		}
	}
	lost, err := a.lostKeys(there)
	if err != nil {
		return nil, err
	}
	for id, err := range lost {
		r.unread(id, err)
	}
	var hits []hit
	for _, f := range segments {
		list, err := f.hits(m, leaves, there)
		if err != nil {
			return nil, err
		}
		hits = append(hits, list...)
	}
	for id, has := range there { // what the index does not have
		if has&recordThere == 0 {
			continue
		}
		h := hit{id: id}
		if has&keyThere == 0 {
			h.summary = &Summary{ID: id, End: "erased"}
			if !m.all {
				continue
			}
		}
		hits = append(hits, h)
	}
	slices.SortFunc(hits, func(a, b hit) int { return strings.Compare(b.id, a.id) })
	for _, h := range hits { // newest first
		if q.Limit > 0 && len(r.Sessions) >= q.Limit {
			break
		}
		s, err := a.confirm(ctx, m, h, r)
		if err != nil {
			return nil, err
		}
		if s == nil {
			continue
		}
		r.Sessions = append(r.Sessions, s)
		if lost[h.id] != nil {
			s.End = "unreadable"
		}
		if s.End == "erased" || s.End == "unreadable" {
			continue
		}
		if err := a.Whole(h.id); err != nil {
			s.End = "damaged"
			r.unread(h.id, err)
		}
	}
	slices.Reverse(r.Sessions)
	slices.SortFunc(r.Unread, func(a, b Unread) int { return strings.Compare(a.ID, b.ID) })
	return r, nil
}

func (r *Result) unread(id string, err error) { r.Unread = append(r.Unread, Unread{id, err}) }

// hit is a session that may be what is looked for.
type hit struct {
	id      string
	summary *Summary // nil when only its record tells
	sure    bool     // it is
}

// segments reads the index, and makes anew what of it is not whole, and what is
// missing where that is much. What cannot be written is read from the records.
func (a *Archive) segments(ctx context.Context, r *Result, progress func(done, all int)) (leaves leafLines, list []found, err error) {
	x := &index{a}
	for repaired := false; ; repaired = true {
		if leaves, err = readLeafLines(a.dir); err != nil {
			return leaves, nil, err
		}
		list = list[:0]
		has := 0
		damaged, err := x.each(&leaves, func(from, first int, s *segment.Segment) error {
			list = append(list, found{from, first, s})
			has += max(0, from+s.Len()-first)
			return nil
		})
		if damaged == 0 && leaves.end()-has <= segmentSessions || err != nil || repaired {
			return leaves, list, err
		}
		r.Damaged = damaged
		err = x.purge(func(string) bool { return false })
		if err == nil {
			err = x.fill(ctx, progress)
		}
		if ctx.Err() != nil {
			return leaves, nil, ctx.Err()
		}
		if err != nil {
			return leaves, list, nil
		}
	}
}

// found is a segment, from whose first place on it counts.
type found struct {
	from, first int
	*segment.Segment
}

func (f *found) hits(m *match, leaves leafLines, there map[string]byte) ([]hit, error) {
	may, err := f.Find(m.may...)
	if err != nil {
		return nil, err
	}
	sure := may
	if len(m.sure) > 0 {
		if sure, err = f.Find(m.sure...); err != nil {
			return nil, err
		}
	}
	var hits []hit
	for _, i := range may {
		if f.from+i < f.first {
			continue
		}
		id := leaves.id(f.from + i)
		s := summaryOf(id, f.Doc(i))
		if s != nil && there[id]&keyThere == 0 { // whatever the index says of it
			s = &Summary{ID: id, End: "erased"}
		}
		if wasUnreadable(f.Doc(i)) && there[id] == recordThere|keyThere {
			continue // see below
		}
		if s == nil || there[id]&recordThere == 0 || !m.all && s.Start == "" || !m.began(s) {
			continue
		}
		_, certain := slices.BinarySearch(sure, i)
		hits = append(hits, hit{id, s, certain && !m.phrase})
	}
	for i := range f.Len() {
		if f.from+i < f.first {
			continue
		}
		id := leaves.id(f.from + i)
		if wasUnreadable(f.Doc(i)) && there[id] == recordThere|keyThere {
			continue // it is read as what the index does not have
		}
		delete(there, id)
	}
	return hits, nil
}

// wasUnreadable reports whether a session could not be read when it was indexed.
func wasUnreadable(doc []byte) bool { return len(doc) > 0 && doc[0] == documentUnreadable }

// confirm returns a hit's summary if it is what is looked for.
func (a *Archive) confirm(ctx context.Context, m *match, h hit, r *Result) (*Summary, error) {
	if h.sure || h.summary != nil && m.all {
		return h.summary, nil
	}
	c := newChecker(m)
	f := newFacts(h.id)
	f.walker.term = c.term
	f.walker.text = c.text
	err := f.read(func(yield func([]byte, error) bool) {
		for raw, err := range a.Raw(h.id) {
			if err == nil {
				err = ctx.Err()
			}
			if f.own || !yield(raw, err) { // the gateway's own record is not a session's
				return
			}
		}
	})
	if !f.own {
		r.Read++
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, ErrErased), errors.Is(err, os.ErrNotExist): // meanwhile
		return nil, nil
	case (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) && a.Whole(h.id) == nil: // it is only just being begun
		return nil, nil
	case err != nil:
		r.unread(h.id, err)
		if m.all {
			return &Summary{ID: h.id, End: "unreadable"}, nil
		}
		return nil, nil
	case f.own, !c.holds(), !m.began(&f.Summary):
		return nil, nil
	}
	return &f.Summary, nil
}

// match is a query, ready to be asked.
type match struct {
	// sure and may say of a term whether a session that has it, for each of them, is
	// what is looked for, and can be.
	sure, may []func(term []byte) bool
	fields    int // the first so many are of no words
	texts     [][]byte
	phrase    bool // a text has more than a word, so that only the record tells
	since     time.Time
	until     time.Time
	all       bool // nothing is asked
}

func (m *match) began(s *Summary) bool {
	if m.since.IsZero() && m.until.IsZero() {
		return true
	}
	at := s.Began()
	return !at.IsZero() && !at.Before(m.since) && (m.until.IsZero() || !at.After(m.until))
}

func (q *Query) compile() *match {
	m := &match{since: q.Since, until: q.Until}
	for _, w := range []struct {
		field byte
		value string
	}{
		{termUser, q.User},
		{termGroup, q.Group},
		{termResource, q.Resource},
		{termAccount, q.Account},
		{termDatabase, q.Database},
		{termProtocol, q.Protocol},
		{termKind, q.Kind},
		{termVerdict, q.Verdict},
		{termRule, q.Rule},
		{termEffect, q.Effect},
		{termRelation, strings.ToLower(q.Relation)},
		{termFingerprint, q.Fingerprint},
		{termMasked, strings.ToUpper(q.Masked)},
	} {
		if w.value == "" {
			continue
		}
		term := append([]byte{w.field}, w.value...)
		m.want(func(t []byte) bool { return bytes.Equal(t, term) }, moreOthers)
	}
	m.fields = len(m.sure)
	for _, text := range q.Texts {
		if text != "" {
			m.text(bytes.ToLower([]byte(text)))
		}
	}
	m.all = len(m.may) == 0 && len(m.texts) == 0 && q.Since.IsZero() && q.Until.IsZero()
	return m
}

// want adds a wish, which a session may fulfil that has more of these classes.
func (m *match) want(is func(term []byte) bool, classes ...string) {
	m.sure = append(m.sure, is)
	m.may = append(m.may, func(t []byte) bool {
		return is(t) || len(t) > 0 && t[0] == termMore && slices.Contains(classes, string(t))
	})
}

// text adds a text that is looked for: words that are whole inside of it, and at its
// edges the end and the beginning of one.
func (m *match) text(text []byte) {
	m.texts = append(m.texts, text)
	var list []string
	w := words{found: func(b []byte) { list = append(list, string(b)) }}
	w.add("", text)
	if len(list) != 1 || list[0] != string(text) {
		m.phrase = true
	}
	for i, word := range list {
		b := []byte(word)
		if len(b) == 0 || len(b) > maxWord { // only the record tells
			m.phrase = true
			continue
		}
		open := i == 0 && strings.HasPrefix(string(text), word)
		goesOn := i == len(list)-1 && strings.HasSuffix(string(text), word)
		classes := []string{moreWords}
		if inNumeral(b) {
			classes = append(classes, moreNumerals)
		}
		m.want(func(t []byte) bool {
			if len(t) == 0 || t[0] != termWord {
				return false
			}
			switch t = t[1:]; {
			case open && goesOn:
				return bytes.Contains(t, b)
			case open:
				return bytes.HasSuffix(t, b)
			case goesOn:
				return bytes.HasPrefix(t, b)
			}
			return bytes.Equal(t, b)
		}, classes...)
	}
}

// checker finds out from a session's record whether it is what is looked for.
type checker struct {
	match *match
	terms []bool // of match.sure, but for words
	texts []bool
	tails map[string][]byte // of streams, what a text may begin in
	buf   []byte
}

func newChecker(m *match) *checker {
	return &checker{match: m, terms: make([]bool, m.fields), texts: make([]bool, len(m.texts)), tails: make(map[string][]byte)}
}

func (c *checker) term(field byte, value []byte) {
	if len(value) == 0 {
		return
	}
	c.buf = append(append(c.buf[:0], field), value...)
	for i := range c.terms {
		c.terms[i] = c.terms[i] || c.match.sure[i](c.buf)
	}
}

func (c *checker) text(stream string, b []byte) {
	if len(c.texts) == 0 {
		return
	}
	longest := 0
	lower := bytes.ToLower(b)
	if stream != "" {
		lower = append(c.tails[stream], lower...)
	}
	for i, text := range c.match.texts {
		longest = max(longest, len(text))
		c.texts[i] = c.texts[i] || bytes.Contains(lower, text)
	}
	if stream != "" {
		c.tails[stream] = bytes.Clone(lower[max(0, len(lower)-longest):])
	}
}

// holds reports whether everything was found.
func (c *checker) holds() bool {
	return !slices.Contains(c.terms, false) && !slices.Contains(c.texts, false)
}
