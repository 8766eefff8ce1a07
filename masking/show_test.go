package masking

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What others than the session's user are shown is masked as for anybody: by all rules that mask it for somebody, and
// without the exceptions that she has.
func TestShownToOthers(t *testing.T) {
	salary := plainColumn("salary", 25, false)
	rule := Rule{Columns: []string{"salary"}, With: Redact}
	for _, c := range []struct {
		name   string
		config Config
		groups []string
		hidden bool
	}{
		{"of everybody", Config{Rules: []Rule{rule}}, nil, true},
		{"nothing", Config{}, nil, false},
		{"to an unmasked user", Config{Rules: []Rule{rule}, Unmasked: []string{"hr"}}, []string{"hr"}, true},
		{"to an exception", Config{Rules: []Rule{{Columns: rule.Columns, With: Redact, Except: []string{"hr"}}}}, []string{"hr"}, true},
		{"of other groups", Config{Rules: []Rule{{Columns: rule.Columns, With: Redact, Groups: []string{"interns"}}}}, []string{"hr"}, true},
		{"to whom masking is off", Config{Rules: []Rule{rule, {Off: true, Groups: []string{"hr"}}}}, []string{"hr"}, true},
		{"of another profile", Config{Rules: []Rule{{Columns: rule.Columns, With: Redact, Profile: "strict", Adds: true}}}, nil, true},
		{"of another resource", Config{Rules: []Rule{{Columns: rule.Columns, With: Redact, Resources: func(*proxy.Resource) bool { return false }}}}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := hooksFor(t, c.config, c.groups...)
			op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT 1"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
			f, err := h.Show(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{salary}})
			require.NoError(t, err)
			r := proxy.NewRow([][]byte{[]byte("much")})
			if f.Row != nil {
				require.NoError(t, f.Row(r))
			}
			require.Equal(t, c.hidden, string(r.Value(0)) != "much", string(r.Value(0)))
		})
	}
}
