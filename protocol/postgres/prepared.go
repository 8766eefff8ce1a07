package postgres

import (
	"bytes"
	"sync"

	"github.com/sallyport/sallyport/proxy"
)

// prepared holds the texts of the PREPAREs that a session has sent, by the name
// that they give, so that what runs by name is judged by what it is. Whether the
// server took one does not matter: a name that it did not take runs nothing. A
// name that may mean something else is not known, and what it runs neither. It
// is up's.
//
// Once something may have prepared unseen, a PREPARE that was sent may fail, and leave
// the name what it is. Then a name is known again when the server has taken its PREPARE,
// as the latest that was sent, and nothing that may prepare unseen was sent since.
type prepared struct {
	texts map[string][]byte // of a whole PREPARE; parsed, or nil for a name that may be another's
	bytes int
	blind bool // something may have prepared unseen: what texts say is not known

	number uint64            // of the latest PREPARE that was sent while blind
	latest map[string]uint64 // by name, since what may have prepared unseen

	mu    sync.Mutex
	taken map[string]taken // told by down
	kept  int              // bytes of them
}

// taken is a PREPARE that the server has taken.
type taken struct {
	text   []byte
	number uint64
}

// parsed is in the place of the text for a name that messages of the protocol have
// given, and nothing else.
var parsed = []byte{}

// What a session prepares in SQL beyond this is not known.
const (
	maxPrepared      = 4096
	maxPreparedBytes = 1 << 20
)

// sent notes a statement that goes to the server.
func (p *prepared) sent(text []byte, f *proxy.Facts) {
	const hidden = proxy.EffectDo | proxy.EffectCall | proxy.EffectUnknown | proxy.EffectExecute
	switch {
	case f.Prepares != nil:
		if !p.blind {
			p.add(f.Prepares.Name, text)
		}
	case f.Effects.Has(hidden), f.Effects.Has(proxy.EffectPrepare) && containsFold(text, []byte("prepare")):
		p.texts, p.blind, p.latest = nil, true, nil
	}
}

// sends returns the number of a PREPARE that is about to go to the server, 0 when its
// answer says nothing new.
func (p *prepared) sends(f *proxy.Facts) uint64 {
	if !p.blind || f.Prepares == nil {
		return 0
	}
	if p.latest == nil || len(p.latest) >= maxPrepared {
		p.latest = make(map[string]uint64)
	}
	p.number++
	p.latest[f.Prepares.Name] = p.number
	return p.number
}

// took notes that the server has taken the PREPARE of that number. It is down's.
func (p *prepared) took(number uint64, name string, text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept += len(name) + len(text)
	if p.taken == nil || len(p.taken) >= maxPrepared || p.kept > maxPreparedBytes {
		p.taken, p.kept = make(map[string]taken), len(name)+len(text)
	}
	p.taken[name] = taken{bytes.Clone(text), number}
}

// given returns what has given a name: the text of a PREPARE, or parsed; nil when it is
// not certain.
func (p *prepared) given(name string) []byte {
	number, sent := p.latest[name]
	if !p.blind || !sent {
		return p.texts[name]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.taken[name]; t.number == number {
		return t.text
	}
	return nil
}

// take notes a name that a message of the protocol gives: SQL shares them.
func (p *prepared) take(name string) {
	switch {
	case p.blind:
		delete(p.latest, name)
	case name != "":
		p.add(name, parsed)
	}
}

// text returns the PREPARE that has given a name, nil when it is not certain which.
func (p *prepared) text(name string) []byte {
	if text := p.given(name); len(text) > 0 {
		return text
	}
	return nil
}

func (p *prepared) add(name string, text []byte) {
	old, known := p.texts[name]
	switch {
	case known && (old == nil || bytes.Equal(old, text)):
		return
	case known:
		p.bytes -= len(old)
		p.texts[name] = nil
		return
	}
	p.bytes += len(name) + len(text)
	if len(p.texts) == maxPrepared || p.bytes > maxPreparedBytes {
		p.texts, p.blind = nil, true
		return
	}
	if p.texts == nil {
		p.texts = make(map[string][]byte)
	}
	p.texts[name] = bytes.Clone(text)
}

// statementOf returns the statement that a message of the protocol means by name: one that
// such a message has prepared, or SQL.
func (u *up) statementOf(name []byte) (*statement, error) {
	st, err := resolve(u, &u.pending.statements, name, unknownStatement)
	if err != nil || st != unknownStatement {
		return st, err
	}
	text := u.prepared.text(string(name))
	if text == nil {
		return unknownStatement, nil
	}
	st = &statement{name: string(name), text: text, inSQL: true, facts: u.preparedFacts(text)}
	st.renames = renames(text, st.facts) != renaming{}
	return st, nil
}

// preparedFacts says what the statement of a PREPARE does when it runs now: the
// names in it may mean something else than when it was prepared.
func (u *up) preparedFacts(text []byte) *proxy.Facts {
	whole := u.read(text)
	if whole.Prepares == nil {
		return unknownStatement.facts
	}
	runs := *whole.Prepares.Facts
	runs.Path = whole.Path
	runs.Dialect, runs.Normalised, runs.Fingerprint = whole.Dialect, whole.Normalised, whole.Fingerprint
	return &runs
}

// executed says what an EXECUTE does now.
func (u *up) executed(f *proxy.Facts) *proxy.Facts {
	var runs proxy.Facts
	switch text := u.prepared.given(f.Executes); {
	case len(text) > 0:
		runs = *u.preparedFacts(text)
	case text != nil:
		st, err := resolve(u, &u.pending.statements, []byte(f.Executes), unknownStatement)
		if err != nil || st == unknownStatement {
			return f
		}
		runs = *u.read(st.text)
	default:
		return f
	}
	if runs.Executes != "" {
		return f
	}
	runs.Dialect, runs.Normalised, runs.Fingerprint = f.Dialect, f.Normalised, f.Fingerprint
	return &runs
}
