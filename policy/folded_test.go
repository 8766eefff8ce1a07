package policy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// Where names are in lower case, as of MySQL, a pattern with capitals means the same relation as one without: a rule that forbids
// it would otherwise forbid nothing.
func TestRelationsInLowerCase(t *testing.T) {
	r := proxy.Relation{Schema: "shop", Name: "people"}
	for glob, want := range map[string]struct{ folded, exact bool }{
		"Shop.People": {true, false}, "SHOP.*": {true, false}, "shop.people": {true, true}, "[P]eople": {true, false}, "Shop.Orders": {false, false},
	} {
		g, err := parseRelation(glob)
		require.NoError(t, err)
		c := &compiled{relations: []relation{g}}
		require.Equal(t, want.folded, c.about(&proxy.Facts{Folded: true}, &r, false), glob)
		require.Equal(t, want.exact, c.about(&proxy.Facts{}, &r, false), glob)
	}
}
