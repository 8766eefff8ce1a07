package detect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestColumnType(t *testing.T) {
	p := Default()
	values := func(list ...string) (out [][]byte) {
		for _, v := range list {
			out = append(out, []byte(v))
		}
		return out
	}
	for _, c := range []struct {
		name   string
		values [][]byte
		want   Type
	}{
		{"customer_email", nil, Email},
		{"a", values("ann@example.com", "bob@example.com", "", "eve@example.com"), Email},
		{"a", values("ann@example.com", "bob@example.com"), ""},
		{"a", values("ann@example.com", "one", "two", "three"), ""},
		{"order_id", values("1001", "1002", "1003"), ""},
		{"note", values("call ann@example.com", "call bob@example.com", "call eve@example.com"), ""},
	} {
		got, ok := p.ColumnVerdict(c.name, "", c.values)
		require.Equal(t, c.want, got, "%s %q", c.name, c.values)
		require.Equal(t, c.want != "", ok)
	}
}
