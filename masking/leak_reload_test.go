package masking_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/masking"
	"github.com/sallyport/sallyport/proxy"
)

// latest is an interceptor whose rules are replaced while sessions run: each
// session has those of its beginning.
type latest struct{ atomic.Pointer[masking.Masker] }

func (*latest) Name() string { return "masking" }

func (l *latest) Intercept(ctx context.Context, s *proxy.Session) (proxy.Hooks, error) {
	return l.Load().Intercept(ctx, s)
}

// TestLeakX7ReloadInMidResult: rules that are replaced while a result streams, or
// between two statements of a session, change nothing for that session.
func TestLeakX7ReloadInMidResult(t *testing.T) {
	strict, err := masking.New(masking.Config{})
	require.NoError(t, err)
	off, err := masking.New(masking.Config{Rules: []masking.Rule{{Off: true}}})
	require.NoError(t, err)
	rules := &latest{}
	rules.Store(strict)
	g := startRigWith(t, schema, masking.Config{}, rules)
	const query = "SELECT ssn FROM p, generate_series(1, 50000) WHERE ssn IS NOT NULL ORDER BY 1"
	c := g.connect(t, "alice")
	rows, err := c.Query(t.Context(), query)
	require.NoError(t, err)
	var v string
	n := 0
	for rows.Next() {
		require.NoError(t, rows.Scan(&v))
		require.Equal(t, "***-**-****", v)
		if n++; n == 10 {
			rules.Store(off)
		}
	}
	require.NoError(t, rows.Err())
	require.Greater(t, n, 50000)
	require.NoError(t, c.QueryRow(t.Context(), "SELECT ssn FROM p WHERE ssn IS NOT NULL LIMIT 1").Scan(&v))
	require.Equal(t, "***-**-****", v)

	require.NoError(t, g.connect(t, "alice").QueryRow(t.Context(), "SELECT ssn FROM p WHERE id = 1").Scan(&v))
	require.Equal(t, "123-45-6789", v, "the next session has the new ones")
}
