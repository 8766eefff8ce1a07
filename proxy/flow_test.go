package proxy

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every filter that wants to know is told of a terminal's new size, in order,
// until one fails.
func TestFlowResize(t *testing.T) {
	var told []string
	filter := func(name string, err error) Filter {
		return Filter{Resize: func(width, height int) error {
			told = append(told, fmt.Sprintf("%s %d×%d", name, width, height))
			return err
		}}
	}
	f := &Flow{}
	f.add(filter("first", nil))
	f.add(Filter{Bytes: func(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }})
	f.add(filter("second", nil))
	require.NoError(t, f.Resize(100, 30))
	require.Equal(t, []string{"first 100×30", "second 100×30"}, told)
	out, err := f.Bytes(nil, []byte("passes"))
	require.NoError(t, err)
	require.Equal(t, "passes", string(out))

	failed := errors.New("no")
	f = &Flow{}
	f.add(filter("first", failed))
	f.add(filter("second", nil))
	told = nil
	require.ErrorIs(t, f.Resize(1, 1), failed)
	require.Len(t, told, 1)
	require.NoError(t, (*Flow)(nil).Resize(1, 1))
}
