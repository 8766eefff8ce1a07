package kit

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// Bytes are shown as digits; numbers and JSON are not, whatever servers say of their characters.
func TestValuesOfBytes(t *testing.T) {
	for kind, want := range map[wire.Type]string{wire.TypeNewDecimal: "70.00", wire.TypeDecimal: "70.00", wire.TypeJSON: "70.00", wire.TypeBlob: "0x37302e3030", wire.TypeVarString: "0x37302e3030"} {
		for _, binary := range []bool{false, true} {
			payload := wire.AppendBytes(nil, []byte("70.00"))
			if binary {
				payload = append([]byte{0, 0}, payload...)
			}
			b, _ := wire.AppendPacket(nil, 0, payload)
			d := &database{in: payloads{conn: bufio.NewReader(bytes.NewReader(b))}, types: []wire.Column{{Type: kind, Charset: bytesOnly}}}
			_, _, err := d.in.next()
			require.NoError(t, err)
			if binary {
				require.NoError(t, d.binaryRow())
			} else {
				require.NoError(t, d.row())
			}
			require.Equal(t, want, string(d.cells[0].Text), kind)
		}
	}
	for name, b := range map[string][]byte{"a date of five bytes": {7, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4}, "cut off": {3, 0, 0, 0, 0, 0, 9}, "no length": {3, 0, 0, 0, 0, 0, 0xfb}, "too long": {5, 0, 0, 0, 0, 0, 0xfc, 0xff, 0xff}} {
		d := &database{in: payloads{conn: bufio.NewReader(bytes.NewReader(b))}, types: []wire.Column{{Type: wire.TypeDate}}}
		_, _, err := d.in.next()
		require.NoError(t, err)
		require.Error(t, d.binaryRow(), name)
	}
}

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
