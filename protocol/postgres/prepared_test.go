package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What an EXECUTE may run is known as long as one PREPARE alone can have given
// the name.
func TestPrepared(t *testing.T) {
	prepare := func(name, text string) (string, *proxy.Facts) {
		return "PREPARE " + name + " AS " + text, &proxy.Facts{Effects: proxy.EffectPrepare | proxy.EffectRead, Prepares: &proxy.Prepared{Name: name}}
	}
	for _, c := range []struct {
		name  string
		do    func(*prepared)
		known bool
	}{
		{"one", func(*prepared) {}, true},
		{"the same again", func(p *prepared) { text, f := prepare("p", "SELECT 1"); p.sent([]byte(text), f) }, true},
		{"another name", func(p *prepared) { text, f := prepare("q", "SELECT 2"); p.sent([]byte(text), f) }, true},
		{"another statement", func(p *prepared) { text, f := prepare("p", "SELECT 2"); p.sent([]byte(text), f) }, false},
		{"a message of the protocol", func(p *prepared) { p.take("p") }, false},
		{"one without a name", func(p *prepared) { p.take("") }, true},
		{"DO", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectDo}) }, false},
		{"a function", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectRead | proxy.EffectCall}) }, false},
		{"what is not understood", func(p *prepared) { p.sent(nil, &proxy.Facts{Effects: proxy.EffectUnknown}) }, false},
		{"PREPARE among others", func(p *prepared) {
			p.sent([]byte("SELECT 1; PREPARE p AS SELECT 2"), &proxy.Facts{Effects: proxy.EffectPrepare})
		}, false},
		{"DEALLOCATE", func(p *prepared) { p.sent([]byte("DEALLOCATE p"), &proxy.Facts{Effects: proxy.EffectPrepare}) }, true},
		{"a query", func(p *prepared) { p.sent([]byte("SELECT 'prepare'"), &proxy.Facts{Effects: proxy.EffectRead}) }, true},
		{"too many", func(p *prepared) {
			for i := range maxPrepared {
				p.take(fmt.Sprint("s", i))
			}
		}, false},
		{"too long", func(p *prepared) {
			text, f := prepare("long", "SELECT "+strings.Repeat("1", maxPreparedBytes))
			p.sent([]byte(text), f)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p prepared
			text, f := prepare("p", "SELECT 1")
			p.sent([]byte(text), f)
			c.do(&p)
			require.Equal(t, c.known, p.texts["p"] != nil)
		})
	}
}
