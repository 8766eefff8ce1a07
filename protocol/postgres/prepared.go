package postgres

import (
	"bytes"

	"github.com/sallyport/sallyport/proxy"
)

// prepared holds the texts of the PREPAREs that a session has sent, by the name
// that they give, so that what runs by name is judged by what it is. Whether the
// server took one does not matter: a name that it did not take runs nothing. A
// name that may mean something else is not known, and what it runs neither. It
// is up's.
type prepared struct {
	texts map[string][]byte // of a whole PREPARE; parsed, or nil for a name that may be another's
	bytes int
	blind bool // something may have prepared unseen: no name is known
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
	case p.blind:
	case f.Prepares != nil:
		p.add(f.Prepares.Name, text)
	case f.Effects.Has(hidden), f.Effects.Has(proxy.EffectPrepare) && containsFold(text, []byte("prepare")):
		p.texts, p.blind = nil, true
	}
}

// take notes a name that a message of the protocol gives: SQL shares them.
func (p *prepared) take(name string) {
	if name != "" && !p.blind {
		p.add(name, parsed)
	}
}

// text returns the PREPARE that has given a name, nil when it is not certain which.
func (p *prepared) text(name string) []byte {
	if text := p.texts[name]; len(text) > 0 {
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
	switch text, known := u.prepared.texts[f.Executes]; {
	case len(text) > 0:
		runs = *u.preparedFacts(text)
	case known && text != nil:
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
