package postgres

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// TestEveryServerMessageHasAnAction compares channels with the protocol's list of
// backend messages, and with what another implementation of it knows.
func TestEveryServerMessageHasAnAction(t *testing.T) {
	// https://www.postgresql.org/docs/current/protocol-message-formats.html, those
	// with (B) and (F & B).
	const documented = "R K 2 3 C d c G H W D I E V v n N A t S 1 s Z T"
	want := map[byte]bool{}
	for _, letter := range strings.Fields(documented) {
		want[letter[0]] = true
	}
	for typ := range 256 {
		_, has := channels[byte(typ)]
		require.Equal(t, want[byte(typ)], has, "message %q", typ)
		message := append([]byte{byte(typ), 0, 0, 1, 0}, bytes.Repeat([]byte{0}, 252)...)
		_, err := pgproto3.NewFrontend(bytes.NewReader(message), io.Discard).Receive()
		known := err == nil || !strings.Contains(err.Error(), "unknown message type")
		require.Equal(t, known, has, "message %q, which pgproto3 knows", typ)
	}
}

func TestNamesThatAreLikeData(t *testing.T) {
	for name, want := range map[string]bool{"": false, "id": false, "col_123": false, "?column?": false, "123-45-6789": true, "a@b": true, "2024": true} {
		require.Equal(t, want, likeData(name), name)
	}
}
