package gateway

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/audit"
)

// TestRequestsOnRecord: what a rule finds in requests is in no record, by whatever rule the
// operation is refused, and what is only observed is on record without it.
func TestRequestsOnRecord(t *testing.T) {
	const card, mail = "5500 0000 0000 0004", "carla@example.org"
	h := openCorpus(t, "masking: [{use: default}, {name: cards, entities: [CREDIT_CARD], requests: refuse}, {name: mails, entities: [EMAIL_ADDRESS], requests: observe}]\n")
	want := map[string]string{
		"INSERT INTO customers (id, name) VALUES (3, '" + card + "')":             "deny",
		"SELECT * FROM customers WHERE name = 'about " + card + "'":               "deny",
		"INSERT INTO customers (id, name) VALUES (4, 'it''s " + mail + ", a\\b')": "allow",
		"SELECT 1 /* " + mail + " */":                                             "allow",
		"DROP TABLE customers; SELECT '" + card + "'":                             "deny",
		"SELECT lower('" + mail + "'), E'\\x63arla@example.org'":                  "allow",
	}
	var texts []string
	for text := range want {
		texts = append(texts, text)
	}
	list := h.askStatements(t, "admin", "shop", texts)
	for text, outcome := range want {
		got, _ := explained(t, h.Explainer, "admin", "shop", text)
		require.Equal(t, outcome, got.outcome, text)
	}
	for _, command := range []string{"echo " + card, "echo " + mail} {
		session, err := h.ssh(t, "admin", "vm1").NewSession()
		require.NoError(t, err)
		err = session.Run(command)
		require.Equal(t, command == "echo "+card, err != nil, "%s: %v", command, err)
	}
	require.NoError(t, h.stop())
	records := h.records(t)
	for _, a := range list {
		require.Equal(t, want[a.text], verdictOf(t, records, a).outcome, a.text)
	}
	observed, redacted := 0, 0
	for _, events := range records {
		for _, e := range events {
			b, err := json.Marshal(e)
			require.NoError(t, err)
			require.NotContains(t, string(b), card)
			require.NotContains(t, string(b), mail)
			require.NotContains(t, string(b), "x63arla")
			if e.Type == audit.OperationObserved {
				observed++
				require.Equal(t, "mails", e.Rule)
				require.Contains(t, e.Reason, "a value of type EMAIL_ADDRESS was sent ")
			}
			switch e.Text {
			case "echo [CREDIT_CARD]", "echo [EMAIL_ADDRESS]", "INSERT INTO customers (id, name) VALUES (4, E'it''s [EMAIL_ADDRESS], a\\\\b')", "INSERT INTO customers (id, name) VALUES (3, '[CREDIT_CARD]')", "SELECT * FROM customers WHERE name = 'about [CREDIT_CARD]'":
				redacted++
			}
		}
	}
	require.Equal(t, 4, observed)
	require.Equal(t, 5, redacted)
}
