package postgres

import (
	"strings"
	"sync/atomic"

	"github.com/sallyport/sallyport/proxy"
)

// encoding follows whether the server takes the client's text for UTF-8. In
// others, a part of a character can be a backslash, so that a literal ends
// elsewhere.
type encoding struct {
	foreign  atomic.Bool // the server has reported another one
	changing bool        // something was sent that may change it, and is not answered yet; up's
}

var foreignText = proxy.UnknownFacts("the text is not ASCII, and may be in another encoding than UTF-8")

// readsUTF8 reports whether the server takes bytes for UTF-8 under a
// client_encoding, or as they are.
func readsUTF8(name string) bool {
	switch strings.ToUpper(name) {
	case "UTF8", "UTF-8", "UNICODE", "SQL_ASCII":
		return true
	}
	return false
}

// sent notes a statement that goes to the server.
func (e *encoding) sent(f *proxy.Facts) { e.changing = e.changing || changesEncoding(f) }

// mayHide reports whether the server may read text as other characters than
// UTF-8's. ASCII is the same in all encodings.
func (e *encoding) mayHide(p *pending, text []byte) bool {
	if e.changing {
		p.mu.Lock()
		e.changing = p.n > 0 // the report comes before the answer's end
		p.mu.Unlock()
	}
	if !e.changing && !e.foreign.Load() {
		return false
	}
	for _, c := range text {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
