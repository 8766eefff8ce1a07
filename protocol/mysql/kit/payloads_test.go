package kit

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// Values are what they are over the borders of packets, and a server that breaks them is told apart.
func TestPayloads(t *testing.T) {
	for _, size := range []int{wire.MaxPacket - 10, wire.MaxPacket - 5, wire.MaxPacket - 4, wire.MaxPacket, 2*wire.MaxPacket + 7} {
		value := bytes.Repeat([]byte("x"), size)
		payload := append(wire.AppendBytes(nil, value), 0xfb)
		payload = wire.AppendBytes(payload, []byte("end"))
		b, _ := wire.AppendPacket(nil, 3, payload)
		d := &database{in: payloads{conn: bufio.NewReader(bytes.NewReader(b)), seq: 3}, types: make([]wire.Column, 3)}
		_, first, err := d.in.next()
		require.NoError(t, err)
		require.Equal(t, payload[0], first)
		require.NoError(t, d.row())
		require.EqualValues(t, size, d.cells[0].Size)
		require.Len(t, d.cells[0].Text, 64<<10)
		require.Nil(t, d.cells[1].Text)
		require.Equal(t, "end", string(d.cells[2].Text))
	}
	for name, b := range map[string][]byte{
		"longer than its values":  {2, 0, 0, 0, 1, 'x', 1, 'y'},
		"shorter than its values": {2, 0, 0, 0, 5, 'x'},
		"a length of nothing":     {1, 0, 0, 0, 0xff},
		"out of order":            {2, 0, 0, 9, 1, 'x'},
		"empty":                   {0, 0, 0, 0},
		"cut off":                 {9, 0, 0, 0, 8, 'x'},
	} {
		if name == "longer than its values" {
			b[0] = 4
		}
		d := &database{in: payloads{conn: bufio.NewReader(bytes.NewReader(b))}, types: make([]wire.Column, 1)}
		_, _, err := d.in.next()
		if err == nil {
			err = d.row()
		}
		require.Error(t, err, name)
	}
}
