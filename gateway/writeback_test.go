package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWriteBackIsExplained: what masking says about writing a mask is what it does.
func TestWriteBackIsExplained(t *testing.T) {
	h := openCorpus(t, "masking: [{use: default}, {columns: [customers.name], with: partial, write_back: allow}]\n")
	apart, err := NewExplainer(h.parts().config, Options{Log: h.Gateway.log})
	require.NoError(t, err)
	defer func() { require.NoError(t, apart.Close()) }()
	want := map[string]string{
		"UPDATE customers SET email = 'a**@*******.com' WHERE id = 1":                 "deny",
		"UPDATE customers SET city = 'Oslo', email = 'ann@example.org' WHERE id = 1":  "allow",
		"UPDATE customers SET name = 'A**' WHERE id = 1":                              "allow",
		"INSERT INTO customers (id, email) VALUES (3, 'a**@*******.com')":             "deny",
		"INSERT INTO customers (id, city) VALUES (3, '**bold**')":                     "allow",
		"PREPARE p AS UPDATE customers SET email = 'a**@*******.com' WHERE id = 1":    "deny",
		"EXPLAIN ANALYZE UPDATE customers SET email = 'a**@*******.com' WHERE id = 1": "deny",
		"EXPLAIN UPDATE customers SET city = 'a**@example.com' WHERE email = '****'":  "allow",
	}
	var texts []string
	for text := range want {
		texts = append(texts, text)
	}
	list := h.askStatements(t, "admin", "shop", texts)
	explanations := make(map[string]judged)
	for text, outcome := range want {
		live, _ := explained(t, h.Explainer, "admin", "shop", text)
		other, _ := explained(t, apart, "admin", "shop", text)
		require.Equal(t, live, other, text)
		require.Equal(t, outcome, live.outcome, text)
		if outcome == "deny" {
			require.Equal(t, "masking", live.by, text)
		}
		explanations[text] = live
	}
	require.NoError(t, h.stop())
	records := h.records(t)
	for _, a := range list {
		require.Equal(t, explanations[a.text], verdictOf(t, records, a), a.text)
	}
}
