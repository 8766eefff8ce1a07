package masking

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendMasked(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	out := string(m.AppendMasked([]byte("> "), []byte("write to ann.lee@example.com or pay with 4111 1111 1111 1111, order 12345")))
	require.Contains(t, out, "> write to ")
	require.Contains(t, out, "order 12345")
	require.NotContains(t, out, "ann.lee")
	require.NotContains(t, out, "4111 1111")
	require.Equal(t, "nothing here", string(m.AppendMasked(nil, []byte("nothing here"))))
}
