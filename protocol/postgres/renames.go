package postgres

import (
	"bytes"

	"github.com/sallyport/sallyport/proxy"
)

// renaming is what a statement does to the names of statements and portals, which
// the protocol and SQL share. What only takes names away, such as DEALLOCATE, is
// none of it: a name that means nothing is refused by the server.
type renaming struct {
	all     bool   // any name may mean something else
	name    string // of a statement, which a PREPARE gives
	portals bool   // a DECLARE gives one
}

// renames tells what text does, by what is known of it.
func renames(text []byte, f *proxy.Facts) (r renaming) {
	switch {
	case f.Effects.Has(proxy.EffectExecute | proxy.EffectDo):
		const names = proxy.EffectPrepare | proxy.EffectExecute | proxy.EffectCall | proxy.EffectUnknown
		r.all = f.Block == nil || f.Block.Effects.Has(names)
	case f.Unknown == "" && f.Statements > 1:
		r.all = f.Effects.Has(proxy.EffectPrepare)
		r.portals = containsFold(text, []byte("declare"))
	case f.Unknown != "" || f.Statements != 1:
		for _, word := range renamingWords {
			r.all = r.all || containsFold(text, word)
		}
	case f.Prepares != nil:
		r.name = f.Prepares.Name
	default:
		r.portals = bytes.EqualFold(firstWord(text), []byte("declare"))
	}
	return r
}

var renamingWords = [][]byte{[]byte("prepare"), []byte("deallocate"), []byte("discard"), []byte("declare"), []byte("close")}

// follow keeps up with what a statement that may run changes in the session:
// what names mean to the server.
func (u *up) follow(text []byte, f *proxy.Facts) {
	u.sent(text, f)
	r := renames(text, f)
	if r == (renaming{}) {
		return
	}
	p := u.pending
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.all {
		p.statements.doubt(unknownStatement)
	} else if r.name != "" {
		p.statements.doubtOne(r.name, unknownStatement)
	}
	if r.all || r.portals {
		p.portals.doubt(unknownPortal)
	}
}

// firstWord returns the word with which a statement begins, after comments.
func firstWord(text []byte) []byte {
	for len(text) > 0 {
		switch {
		case bytes.HasPrefix(text, []byte("--")):
			end := bytes.IndexAny(text, "\r\n")
			if end < 0 {
				return nil
			}
			text = text[end:]
		case bytes.HasPrefix(text, []byte("/*")):
			text = text[2:]
			for depth := 1; depth > 0; {
				switch {
				case len(text) < 2:
					return nil
				case bytes.HasPrefix(text, []byte("/*")):
					depth++
					text = text[2:]
				case bytes.HasPrefix(text, []byte("*/")):
					depth--
					text = text[2:]
				default:
					text = text[1:]
				}
			}
		case bytes.IndexByte([]byte(" \t\r\n\f\v;"), text[0]) >= 0:
			text = text[1:]
		default:
			for i, c := range text {
				if c |= 0x20; c < 'a' || c > 'z' {
					return text[:i]
				}
			}
			return text
		}
	}
	return nil
}
