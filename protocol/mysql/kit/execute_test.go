package kit

import (
	"bufio"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
	"github.com/sallyport/sallyport/protocol/mysql/wire"
)

// told is what was told of the results of a statement.
type told struct {
	tags   []string
	failed []string
}

func (t *told) Begin([]protocol.ResultColumn) error { return nil }
func (t *told) Row([]protocol.Cell) error           { return nil }
func (t *told) End(tag string) error                { t.tags = append(t.tags, tag); return nil }
func (t *told) Fail(n protocol.ServerNotice) error {
	t.failed = append(t.failed, n.Code+" "+n.Message)
	return nil
}

// TestUnprepared: what a server does not prepare is sent as a text where it has no values, and nothing else that it refuses to prepare is.
func TestUnprepared(t *testing.T) {
	refusal := func(code uint16) []byte {
		return wire.AppendError(nil, &wire.Error{Code: code, State: []byte("HY000"), Message: []byte("not so")})
	}
	ok := wire.AppendOK(nil, &wire.OK{Header: wire.OKHeader, Status: wire.StatusInTransaction}, wire.Protocol41)
	for name, c := range map[string]struct {
		code   uint16
		args   []protocol.Argument
		sent   []wire.Command
		failed []string
	}{
		"not prepared":              {1295, nil, []wire.Command{wire.StmtPrepare, wire.Query}, nil},
		"not prepared, with values": {1295, []protocol.Argument{{Text: []byte("x")}}, []wire.Command{wire.StmtPrepare}, []string{"1295 (HY000) not so"}},
		"wrong":                     {1064, nil, []wire.Command{wire.StmtPrepare}, []string{"1064 (HY000) not so"}},
	} {
		near, far := net.Pipe()
		d := &database{conn: near, agreed: wire.Protocol41, in: payloads{conn: bufio.NewReader(near)}}
		sent := make(chan []wire.Command, 1)
		go func() {
			defer far.Close()
			var list []wire.Command
			for in := bufio.NewReader(far); ; {
				p := payloads{conn: in}
				b, err := p.whole()
				if err != nil {
					sent <- list
					return
				}
				answer := ok
				if list = append(list, wire.Command(b[0])); b[0] == byte(wire.StmtPrepare) {
					answer = refusal(c.code)
				}
				packet, _ := wire.AppendPacket(nil, 1, answer)
				if _, err := far.Write(packet); err != nil {
					t.Error(err)
				}
			}
		}()
		var to told
		require.NoError(t, d.Execute(t.Context(), "START TRANSACTION", c.args, &to), name)
		near.Close()
		require.Equal(t, c.sent, <-sent, name)
		require.Equal(t, c.failed, to.failed, name)
		if c.failed == nil {
			require.Equal(t, []string{"OK 0"}, to.tags, name)
			require.Equal(t, protocol.InTransaction, d.Transaction(), name)
		}
	}
}
