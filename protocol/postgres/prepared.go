package postgres

import (
	"bytes"

	"github.com/sallyport/sallyport/proxy"
)

// prepared holds the texts of the PREPAREs that a session has sent, by the name
// that they give, so that an EXECUTE is judged by what it runs. Whether the
// server took one does not matter: EXECUTE of a name that it did not take runs
// nothing. A name that may mean something else is not known, and what it
// runs neither. It is up's.
type prepared struct {
	texts map[string][]byte // of a whole PREPARE; nil for a name that may be another's
	bytes int
	blind bool // something may have prepared unseen: no name is known
}

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
		p.add(name, nil)
	}
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

// executed says what an EXECUTE does now: the names in what was prepared may
// mean something else than when it was.
func (u *up) executed(f *proxy.Facts) *proxy.Facts {
	text := u.prepared.texts[f.Executes]
	if text == nil {
		return f
	}
	whole := u.analyze(text)
	if whole.Prepares == nil {
		return f
	}
	runs := *whole.Prepares.Facts
	runs.Path = whole.Path
	runs.Dialect, runs.Normalised, runs.Fingerprint = f.Dialect, f.Normalised, f.Fingerprint
	return &runs
}
