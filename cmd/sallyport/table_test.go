package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// A terminal that nobody has made wider shows a session in a line.
func TestSessionTable(t *testing.T) {
	const id = "01KXY8N2V5G6W7C8D9E0F1A2B3"
	var b bytes.Buffer
	require.NoError(t, printSessions(&b, &output{format: "table"}, []*summary{
		{ID: id, Start: "2026-01-31T09:30:00.123456Z", User: "alice", Resource: "shop", Database: "orders", Operations: 12, Seconds: 8.04, End: "ended"},
		{ID: id, Start: "2026-01-31T09:31:00.123456Z", User: "bob", Resource: "vm1", Operations: 140, End: "open"},
		{ID: id, Start: "2026-01-31T09:32:00.5Z", User: "b\x1bb", Resource: "vm1", Operations: 3, Refused: 1, Seconds: 61, End: "killed"},
		{ID: id, End: "unreadable"},
	}))
	require.Equal(t, `SESSION                     START             USER   RESOURCE     ASKED         LASTED
`+id+`  2026-01-31 09:30  alice  shop/orders  12            8s
`+id+`  2026-01-31 09:31  bob    vm1          140           open
`+id+`  2026-01-31 09:32  b␛b    vm1          3, 1 refused  1m1s, killed
`+id+`                                        0             unreadable
`, b.String())
	b.Reset()
	require.NoError(t, printSessions(&b, &output{format: "table"}, []*summary{{ID: id, Start: "2026-01-31T09:30:00.1Z", User: "alice", Resource: "orders", Operations: 99999, Seconds: 1234, End: "ended"}}))
	for line := range strings.Lines(b.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), columns, line)
	}
}
