package audit

import (
	"bytes"
	"encoding/base64"
	"hash/maphash"
	"iter"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/audit/internal/screen"
)

// What a session is found by: terms, each a letter that says what it is, and its
// value.
const (
	termUser        = 'u' // the human that an agent acts for among them
	termGroup       = 'g'
	termResource    = 'r'
	termAccount     = 'a'
	termDatabase    = 'd'
	termProtocol    = 'p'
	termKind        = 'k' // of an operation
	termVerdict     = 'v'
	termRule        = 'l'
	termEffect      = 'e'
	termRelation    = 't' // with and without its schema, in lower case
	termMasked      = 'm' // a type, in upper case
	termFingerprint = 'f'
	termWord        = 'w'
	termMore        = '!' // not all terms of a class are there: see facts.add
)

// Classes of terms of which a session may have so many that not all are indexed.
const (
	moreWords    = "!w"
	moreNumerals = "!n"
	moreOthers   = "!o"

	maxWords    = 8192
	maxNumerals = 1024
	maxOthers   = 4096
)

// walker reads a session's events for what the session is found by.
type walker struct {
	term func(field byte, value []byte)
	// text gets what was asked or shown; pieces of one stream are one text, and what
	// is of no stream is one by itself. Nil, once no more of it is needed, lets
	// what was recorded go unread.
	text func(stream string, b []byte)

	screens map[string]*screen.Plain
	content []byte
	plain   []byte
	lower   []byte
	event   walked
	before  [fieldsRemembered][]byte
}

// Fields whose value mostly is that of the event before, and then tells nothing new.
const (
	fieldKind = iota
	fieldVerdict
	fieldRule
	fieldFingerprint
	fieldEffects
	fieldRelations
	fieldsRemembered
)

// changed reports whether a field says something else than it did last, and remembers
// it.
func (w *walker) changed(field int, v []byte) bool {
	if bytes.Equal(w.before[field], v) {
		return false
	}
	w.before[field] = append(w.before[field][:0], v...)
	return true
}

// walked is what one event says.
type walked struct {
	typ, op, stream []byte
	data, base64    []byte // as they are written
	values, args    []byte
	texts           [4][]byte
}

// walk reads one event.
func (w *walker) walk(raw []byte) {
	e := &w.event
	*e = walked{}
	fields(raw, func(key, v []byte) {
		switch string(key) {
		case "type":
			e.typ = unquote(v)
		case "op":
			e.op = v
		case "kind":
			if w.changed(fieldKind, v) {
				w.term(termKind, unquote(v))
			}
		case "user", "for":
			w.term(termUser, unquote(v))
		case "resource":
			w.term(termResource, unquote(v))
		case "account":
			w.term(termAccount, unquote(v))
		case "database":
			w.term(termDatabase, unquote(v))
		case "protocol":
			w.term(termProtocol, unquote(v))
		case "groups":
			eachString(v, func(s []byte) { w.term(termGroup, s) })
		case "masked":
			eachString(v, func(s []byte) { w.term(termMasked, bytes.ToUpper(s)) })
		case "verdict":
			if w.changed(fieldVerdict, v) {
				w.term(termVerdict, unquote(v))
			}
		case "rule":
			if w.changed(fieldRule, v) {
				w.term(termRule, unquote(v))
			}
		case "fingerprint":
			if w.changed(fieldFingerprint, v) {
				w.term(termFingerprint, unquote(v))
			}
		case "effects":
			if w.changed(fieldEffects, v) {
				for effect := range bytes.SplitSeq(unquote(v), []byte{','}) {
					w.term(termEffect, effect)
				}
			}
		case "relations":
			if w.changed(fieldRelations, v) {
				w.relations(unquote(v))
			}
		case "text":
			e.texts[0] = unquote(v)
		case "target":
			e.texts[1] = unquote(v)
		case "name":
			e.texts[2] = unquote(v)
		case "query":
			e.texts[3] = unquote(v)
		case "args":
			e.args = v
		case "values":
			e.values = v
		case "stream":
			e.stream = unquote(v)
		case "data":
			e.data = v
		case "base64":
			e.base64 = v
		}
	})
	for _, t := range e.texts {
		w.said("", t)
	}
	for _, list := range [...][]byte{e.args, e.values} {
		if w.text != nil {
			eachString(list, func(s []byte) { w.said("", s) })
		}
	}
	if w.text != nil && (len(e.data) > 0 || len(e.base64) > 0) {
		w.flowed()
	}
}

func (w *walker) said(stream string, b []byte) {
	if w.text != nil && len(b) > 0 {
		w.text(stream, b)
	}
}

// relations reads "public.orders:read,write other:read". A name may have spaces.
func (w *walker) relations(list []byte) {
	from := 0
	for from < len(list) {
		colon := bytes.IndexByte(list[from:], ':')
		if colon < 0 {
			return
		}
		w.lower = append(w.lower[:0], bytes.ToLower(list[from:from+colon])...)
		w.term(termRelation, w.lower)
		if dot := bytes.LastIndexByte(w.lower, '.'); dot >= 0 {
			w.term(termRelation, w.lower[dot+1:])
		}
		next := bytes.IndexByte(list[from+colon:], ' ')
		if next < 0 {
			return
		}
		from += colon + next + 1
	}
}

// flowed reads a piece of a recording.
func (w *walker) flowed() {
	e := &w.event
	if string(e.typ) == RecordingOriginal {
		return // sealed
	}
	w.content = appendUnquoted(w.content[:0], e.data)
	if len(e.base64) > 0 {
		w.content, _ = base64.StdEncoding.AppendDecode(w.content, unquote(e.base64))
	}
	if string(e.typ) != RecordingOutput {
		w.said("", w.content)
		return
	}
	stream := string(e.op) + "/" + string(e.stream)
	if w.screens == nil {
		w.screens = make(map[string]*screen.Plain)
	}
	if w.screens[stream] == nil {
		w.screens[stream] = &screen.Plain{}
	}
	w.plain = w.screens[stream].Append(w.plain[:0], w.content)
	w.said(stream, w.plain)
}

// Summary is what a list of sessions shows of one.
type Summary struct {
	ID         string  `json:"id"`
	Start      string  `json:"start"` // RFC 3339, UTC, microseconds
	User       string  `json:"user"`
	Resource   string  `json:"resource"`
	Account    string  `json:"account,omitempty"`
	Database   string  `json:"database,omitempty"`
	Protocol   string  `json:"protocol"`
	Remote     string  `json:"remote,omitempty"`
	Operations int     `json:"operations"`
	Refused    int     `json:"refused"`
	Seconds    float64 `json:"seconds"`
	End        string  `json:"end"` // "open", "ended", "recovered", "erased", "damaged", "unreadable", or why it ended
}

// Began is when the session began, the zero time when that is not known.
func (s *Summary) Began() time.Time {
	t, err := time.Parse(time.RFC3339Nano, s.Start)
	if err != nil {
		return time.Time{}
	}
	return t
}

// facts collect what a session is found by, and its summary.
type facts struct {
	Summary
	own  bool // the gateway's own record
	last string

	terms    map[string]string // by themselves
	words    words
	numerals class
	worded   class
	others   class
	recent   [512]string // terms that are words, by their hash: most words come again soon
	seed     maphash.Seed
	buf      []byte
	walker   walker
}

// class is a class of terms.
type class struct {
	terms, most int
	more        string // the term that says that there were more than the most
	spent       bool   // and that it was added
}

func newFacts(id string) *facts {
	f := &facts{
		Summary:  Summary{ID: id, End: "open"},
		terms:    make(map[string]string),
		worded:   class{most: maxWords, more: moreWords},
		numerals: class{most: maxNumerals, more: moreNumerals},
		others:   class{most: maxOthers, more: moreOthers},
		seed:     maphash.MakeSeed(),
	}
	f.words.found = f.word
	f.walker.term = func(field byte, value []byte) {
		if len(value) > 0 {
			f.add(&f.others, field, value)
		}
	}
	f.walker.text = f.words.add
	return f
}

// read reads a session's events.
func (f *facts) read(events iter.Seq2[[]byte, error]) error {
	for raw, err := range events {
		if err != nil {
			return err
		}
		f.event(raw)
	}
	f.words.finish()
	if begun := f.Began(); !begun.IsZero() {
		if last, err := time.Parse(time.RFC3339Nano, f.last); err == nil {
			f.Seconds = last.Sub(begun).Seconds()
		}
	}
	return nil
}

func (f *facts) event(raw []byte) {
	typ := typeOf(raw)
	f.own = f.own || isOwn(typ)
	switch typ {
	case SessionStart, SessionEnd:
		fields(raw, f.bound)
		if typ == SessionEnd && f.End == "open" {
			f.End = "ended"
		}
	case OperationStart:
		if !bytes.Contains(raw, []byte(`,"kind":"connect"`)) {
			f.Operations++
		}
	case OperationRefused:
		f.Refused++
	case SessionRecovered:
		f.End = "recovered"
	}
	f.last = timeOf(raw, f.last)
	f.walker.walk(raw)
}

// bound reads a field of a session's first or last event.
func (f *facts) bound(key, v []byte) {
	s := string(unquote(v))
	switch string(key) {
	case "t":
		if f.Start == "" {
			f.Start = s
		}
	case "user":
		f.User = s
	case "resource":
		f.Resource = s
	case "account":
		f.Account = s
	case "database":
		f.Database = s
	case "protocol":
		f.Protocol = s
	case "remote":
		f.Remote = s
	case "error":
		f.End = s
	}
}

// timeOf returns the time of an event that was written by object.
func timeOf(b []byte, before string) string {
	_, rest, ok := bytes.Cut(b, []byte(`,"t":"`))
	t, _, ok2 := bytes.Cut(rest, []byte{'"'})
	if !ok || !ok2 || string(t) == before {
		return before
	}
	return string(t)
}

func (f *facts) word(word []byte) {
	if word == nil {
		f.more(&f.worded)
		return
	}
	class := &f.worded
	if isNumeral(word) {
		class = &f.numerals
	}
	if class.spent {
		return
	}
	recent := &f.recent[maphash.Bytes(f.seed, word)%uint64(len(f.recent))]
	if *recent == "" || (*recent)[1:] != string(word) {
		*recent = f.add(class, termWord, word)
	}
	if f.worded.spent && f.numerals.spent {
		f.walker.text = nil
	}
}

// add adds a term of a class, which it returns, unless there are too many; then a term
// that says so is added once.
func (f *facts) add(c *class, field byte, value []byte) string {
	f.buf = append(append(f.buf[:0], field), value...)
	if term, ok := f.terms[string(f.buf)]; ok {
		return term
	}
	if c.spent = c.terms >= c.most; c.spent {
		f.more(c)
		return ""
	}
	c.terms++
	term := string(f.buf)
	f.terms[term] = term
	return term
}

func (f *facts) more(c *class) { f.terms[c.more] = c.more }

// all are the terms.
func (f *facts) all() iter.Seq[string] { return maps.Keys(f.terms) }

// document is the summary in the form in which an index holds it. An erased
// session's is empty.
func (f *facts) document() []byte {
	if f.own {
		return []byte{documentOwn}
	}
	b := []byte{documentSession}
	for _, s := range []string{
		f.Start, f.User, f.Resource, f.Account, f.Database, f.Protocol, f.Remote,
		strconv.Itoa(f.Operations), strconv.Itoa(f.Refused), strconv.FormatFloat(f.Seconds, 'g', -1, 64), f.End,
	} {
		b = append(append(b, strings.ReplaceAll(s, "\x00", " ")...), 0)
	}
	return b
}

const (
	documentSession    = 's'
	documentOwn        = 'g'
	documentUnreadable = 'x'
)

// summaryOf reads a session's document; nil when it is the gateway's own.
func summaryOf(id string, b []byte) *Summary {
	s := &Summary{ID: id}
	switch {
	case len(b) == 0:
		s.End = "erased"
		return s
	case b[0] == documentOwn:
		return nil
	}
	p := strings.Split(string(b[1:]), "\x00")
	if b[0] != documentSession || len(p) != 12 {
		s.End = "unreadable"
		return s
	}
	s.Start, s.User, s.Resource, s.Account, s.Database, s.Protocol, s.Remote, s.End = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[10]
	s.Operations, _ = strconv.Atoi(p[7])
	s.Refused, _ = strconv.Atoi(p[8])
	s.Seconds, _ = strconv.ParseFloat(p[9], 64)
	return s
}
