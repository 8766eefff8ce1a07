package guardrail

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Where names are in lower case, as of MySQL, a pattern with capitals means the same relation and function as one without.
func TestPatternsInLowerCase(t *testing.T) {
	f := proxy.Facts{
		Relations: []proxy.Relation{{Schema: "shop", Name: "people", Effects: proxy.EffectRead}}, Functions: []proxy.Function{{Schema: "shop", Name: "pay"}},
	}
	r := Rule{Relations: []string{"Shop.People"}, Functions: []string{"Shop.Pay"}}
	require.False(t, r.touches(&f))
	require.False(t, r.calls(&f))
	f.Folded = true
	require.True(t, r.touches(&f))
	require.True(t, r.calls(&f))
}
