package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/proxy"
)

func TestCheck(t *testing.T) {
	open := func(Assembly) (*Service, error) { return nil, nil }
	for _, c := range []struct {
		name string
		list []Protocol
		want string // empty: nothing is wrong
	}{
		{"none", nil, ""},
		{"two", []Protocol{{Name: "a", Open: open}, {Name: "b-2", Open: open, DefaultPort: 65535}}, ""},
		{"without a name", []Protocol{{Open: open}}, `protocol 1: the name "" is not lower-case letters, digits and "-"`},
		{"a name that YAML or a path could read in another way", []Protocol{{Name: "../a", Open: open}}, `protocol 1: the name "../a" is not lower-case letters, digits and "-"`},
		{"twice", []Protocol{{Name: "a", Open: open}, {Name: "a", Open: open}}, "protocol a is in the list twice"},
		{"without Open", []Protocol{{Name: "a"}}, "protocol a has no Open"},
		{"a port", []Protocol{{Name: "a", Open: open, DefaultPort: 70000}}, "protocol a: the default port 70000 is not a port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check(c.list)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestAsks(t *testing.T) {
	p := &Protocol{Kinds: []proxy.Kind{proxy.KindExec, proxy.KindFile}}
	require.True(t, p.Asks(proxy.KindStatement, proxy.KindFile))
	require.False(t, p.Asks(proxy.KindStatement))
	require.False(t, p.Asks())
}
