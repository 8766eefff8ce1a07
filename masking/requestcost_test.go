package masking

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Where no rule is about requests, nothing is looked at, and no hook is there to be asked.
func TestRequestsCostNothing(t *testing.T) {
	m, err := New(Config{Rules: []Rule{{Columns: []string{"ssn"}, Requests: RequestsRefuse, Groups: []string{"dev"}}, {}}})
	require.NoError(t, err)
	other := &proxy.Session{Identity: &proxy.Identity{Groups: []string{"ops"}}, Target: proxy.Target{Resource: &proxy.Resource{Name: "orders"}}}
	h, err := m.Intercept(t.Context(), other)
	require.NoError(t, err)
	require.Nil(t, h.Bind)
	require.Nil(t, h.Redact)
	h, err = m.Intercept(t.Context(), &proxy.Session{Identity: &proxy.Identity{Groups: []string{"dev"}}, Target: other.Target})
	require.NoError(t, err)
	require.NotNil(t, h.Bind)
	require.NotNil(t, h.Redact)
	x := &session{session: other, view: m.view(other.Identity, other.Target.Resource), past: &past{}}
	st := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte("SELECT name FROM users WHERE id = '5'"), Facts: &proxy.Facts{Effects: proxy.EffectRead}}
	call := &proxy.Call{Meta: proxy.Meta{Kind: proxy.KindEnv}, Name: "LANG", Args: [][]byte{[]byte("C")}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		v, w := x.sent(context.Background(), st), x.sends(context.Background(), call)
		if v.Refuses() || w.Refuses() {
			t.Fail()
		}
	}))
}
