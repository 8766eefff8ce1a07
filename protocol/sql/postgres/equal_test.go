package postgres

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

// What is compared with generated values is given out by them.
func TestComparedWithGeneratedValues(t *testing.T) {
	a := New(Config{Catalog: &fixedCatalog{snapshot: namesSnapshot()}})
	for text, want := range map[string]string{
		"SELECT string_agg(d.n::text, '' ORDER BY pos) FROM generate_series(1, 11) pos, generate_series(0, 9) d(n), t WHERE substr(t.x, pos, 1) = d.n::text GROUP BY t.id": "string_agg=t.x#",
		"SELECT d.n FROM t, generate_series(0, 9) d(n) WHERE t.x = d.n::text":                                                                                              "n=t.x~",
		"SELECT d.n FROM t JOIN generate_series(0, 9) d(n) ON left(t.x, 1) = d.n::text":                                                                                    "n=t.x~",
		"SELECT * FROM generate_series(0, 9) d(n) JOIN t ON left(t.x, 1) = d.n::text":                                                                                      "n=t.x~ id=t.id x=t.x n=t.n,t.x~",
		"SELECT v.c FROM t, (VALUES ('a'), ('b')) v(c) WHERE t.x LIKE v.c || '%'":                                                                                          "c=t.x~",
		"WITH d AS (SELECT generate_series(0, 9) AS n) SELECT d.n FROM d, t WHERE t.x ~ d.n::text":                                                                         "n=t.x~",
		"SELECT d.n FROM generate_series(0, 9) d(n) WHERE EXISTS (SELECT 1 FROM t WHERE t.id = 1 AND left(t.x, 1) = d.n::text)":                                            "n=t.x~",
		"SELECT u.id FROM u, t WHERE left(t.x, 1) = u.id::text":                                                                                                            "id=u.id,t.x~",
		"SELECT u.x FROM u JOIN t ON u.x = t.x":                                                                                                                            "x=u.x",
		"SELECT u.n FROM u JOIN t ON u.id = t.id WHERE t.x = 'a'":                                                                                                          "n=u.n",
		"SELECT g FROM generate_series(1, 3) g, t WHERE t.id > 5":                                                                                                          "g=",
		"SELECT upper(u.n) FROM u, t WHERE u.id = t.id AND t.x LIKE '%a%'":                                                                                                 "upper=u.n~",
	} {
		f := a.Analyze(context.Background(), []byte(text), &proxy.Reading{})
		require.Equal(t, want, columnsOf(f), text)
	}
}
