package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLengths(t *testing.T) {
	for _, n := range []uint64{0, 1, 250, 251, 252, 1<<16 - 1, 1 << 16, 1<<24 - 1, 1 << 24, 1<<64 - 1} {
		b := AppendLength(nil, n)
		got, size := Length(append(b, 9))
		require.Equal(t, n, got)
		require.Equal(t, len(b), size)
		for i := range b {
			_, size := Length(b[:i])
			require.Zero(t, size, "%d in %d bytes", n, i)
		}
	}
	for _, b := range []byte{0xfb, 0xff} {
		_, size := Length([]byte{b, 1, 1, 1, 1, 1, 1, 1, 1})
		require.Zero(t, size)
	}
	got, size := Length([]byte{0xfc, 5, 0}) // longer than it needs to be
	require.EqualValues(t, 5, got)
	require.Equal(t, 3, size)
}

// A payload of as much as a packet holds is followed by an empty packet.
func TestPacketBorders(t *testing.T) {
	for _, n := range []int{0, 1, MaxPacket - 1, MaxPacket, MaxPacket + 1, 2 * MaxPacket} {
		payload := bytes.Repeat([]byte{3}, n) // which would be a command
		b, next := AppendPacket(nil, 250, payload)
		require.Equal(t, byte(250+n/MaxPacket+1), next)
		var back []byte
		seq, last := byte(250), MaxPacket
		for len(b) > 0 {
			require.Equal(t, MaxPacket, last)
			k, s := Header(b)
			require.Equal(t, seq, s)
			back, b, last = append(back, b[HeaderLen:HeaderLen+k]...), b[HeaderLen+k:], k
			seq++
		}
		require.Less(t, last, MaxPacket)
		require.True(t, bytes.Equal(payload, back))
		out := append([]byte("x"), 0, 0, 0, 0)
		out, same := EndPacket(append(out, payload...), 1, 250)
		require.Equal(t, next, same)
		again, _ := AppendPacket([]byte("x"), 250, payload)
		require.True(t, bytes.Equal(again, out))
	}
}

func TestConversation(t *testing.T) {
	var b bytes.Buffer
	c := &Conversation{Conn: &b}
	require.NoError(t, c.Write([]byte("hello")))
	b.WriteString("not read")
	r := &Conversation{Conn: &b}
	got, err := r.Read(5)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
	require.Equal(t, "not read", b.String())
	_, err = (&Conversation{Conn: bytes.NewBuffer([]byte{1, 0, 0, 1, 'x'})}).Read(5)
	require.ErrorIs(t, err, ErrSequence)
	_, err = (&Conversation{Conn: bytes.NewBuffer([]byte{6, 0, 0, 0})}).Read(5)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = (&Conversation{Conn: bytes.NewBuffer([]byte{5, 0, 0, 0, 'x'})}).Read(5)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func greeting() *Greeting {
	g := &Greeting{Version: "10.11.6-MariaDB", ID: 7, Capabilities: Protocol41 | SecureConnection | PluginAuth | Progress, Charset: 45, Status: 2, Plugin: "x"}
	copy(g.Nonce[:], "12345678901234567890")
	return g
}

func TestHandshake(t *testing.T) {
	g := greeting()
	back, err := ParseGreeting(AppendGreeting(nil, g))
	require.NoError(t, err)
	require.Equal(t, g, back)
	r := &Response{
		Capabilities: Protocol41 | SecureConnection | PluginAuth | PluginAuthLength | ConnectWithDB | ConnectAttrs | Progress, MaxPacket: 5, Charset: 45,
		User: []byte("alice"), Auth: []byte("proof"), Database: []byte("shop"), Plugin: []byte("x"), Attrs: []Attr{{[]byte("a"), []byte("b")}},
	}
	got, tls, err := ParseResponse(AppendResponse(nil, r))
	require.NoError(t, err)
	require.False(t, tls)
	require.Equal(t, r, got)
	_, _, err = ParseResponse(AppendTLSRequest(nil, r))
	require.ErrorIs(t, err, ErrProtocol, "it ends before the user, and does not ask for TLS")
	r.Capabilities |= TLS
	_, tls, err = ParseResponse(AppendTLSRequest(nil, r))
	require.NoError(t, err)
	require.True(t, tls)
	for i := range AppendResponse(nil, r)[:40] {
		_, tls, err := ParseResponse(AppendResponse(nil, r)[:i])
		require.True(t, err != nil || tls && i == responseHead, "%d bytes", i)
	}
	_, _, err = ParseResponse([]byte{0, 0, 0, 0})
	require.ErrorContains(t, err, "before version 4.1")
	s, err := ParseSwitch([]byte{EOFHeader})
	require.NoError(t, err)
	require.Equal(t, "mysql_old_password", s.Plugin)
}

func TestBinaryRow(t *testing.T) {
	types := []Type{TypeTiny, TypeShort, TypeLong, TypeLongLong, TypeFloat, TypeDouble, TypeVarString, TypeDatetime, TypeTime, TypeBlob, TypeDate}
	texts := []string{"-1", "-300", "70000", "-5000000000", "1.5", "0.1", "Ann", "2024-05-06 07:08:09", "", "", "1980-02-03"}
	var values [][]byte
	for i, text := range texts {
		v, ok := types[i].AppendBinary(nil, []byte(text), false)
		if !ok {
			v = []byte{} // midnight; no bytes
		}
		if types[i] == TypeBlob {
			v = nil
		}
		values = append(values, v)
	}
	row := AppendBinaryRow(nil, values, types)
	back, err := BinaryRow(nil, row, types)
	require.NoError(t, err)
	require.Equal(t, len(values), len(back))
	for i, v := range back {
		if v == nil {
			require.Equal(t, TypeBlob, types[i])
			continue
		}
		want := texts[i]
		if types[i] == TypeTime {
			want = "00:00:00"
		}
		require.Equal(t, want, string(types[i].AppendText(nil, v, false, notFixed)))
	}
	for i := range row {
		_, err := BinaryRow(nil, row[:i], types)
		require.ErrorIs(t, err, ErrProtocol)
	}
	_, err = BinaryRow(nil, append(row, 0), types)
	require.ErrorIs(t, err, ErrProtocol)
}

func TestColumnCountsAndOverlongValues(t *testing.T) {
	for _, b := range [][]byte{{5, 'a'}, {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0xff}, {0xfc, 1}} {
		_, err := TextRow(nil, b)
		require.ErrorIs(t, err, ErrProtocol)
	}
	values, err := TextRow(nil, []byte{0xfb, 0, 0xfc, 1, 0, 'x'})
	require.NoError(t, err)
	require.Equal(t, [][]byte{nil, {}, []byte("x")}, values)
}

func FuzzServer(f *testing.F) {
	f.Add(AppendGreeting(nil, greeting()))
	f.Add(AppendOK(nil, &OK{Status: StatusStateChanged, Info: []byte("i"), State: AppendVariable(nil, []byte("a"), []byte("b"))}, SessionTrack))
	f.Add(AppendError(nil, &Error{Code: 5, State: []byte("HY000"), Message: []byte("m")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := ParseGreeting(b); err == nil {
			if back, err := ParseGreeting(AppendGreeting(nil, g)); err == nil && back.ID != g.ID {
				t.Fatal("a greeting is another one when it was written again")
			}
		}
		for _, agreed := range []Capabilities{0, SessionTrack, SessionTrack | DeprecateEOF} {
			if ok, err := ParseOK(b, agreed); err == nil {
				EachChange(ok.State, func(c Change) error { return nil })
			}
			ParseColumn(b, agreed)
		}
		ParseError(b)
		ParsePrepared(b)
		ParseEOF(b)
		if len(b) > 0 {
			ParseSwitch(b)
		}
		TextRow(nil, b)
		if len(b) > 4 {
			types := []Type{Type(b[0]), Type(b[1]), Type(b[2])}
			if values, err := BinaryRow(nil, b[3:], types); err == nil {
				for i, v := range values {
					if v != nil {
						types[i].AppendText(nil, v, b[0]&1 == 0, b[1])
					}
				}
				if back, err := BinaryRow(nil, AppendBinaryRow(nil, values, types), types); err != nil || len(back) != len(values) {
					t.Fatalf("a row is none when it was written again: %v", err)
				}
			}
		}
	})
}

func FuzzClient(f *testing.F) {
	f.Add(AppendResponse(nil, &Response{Capabilities: Protocol41 | SecureConnection | PluginAuth, User: []byte("u")}))
	f.Add(AppendExecution(nil, &Execution{ID: 1, Types: []ParamType{ParamType(TypeVarString), ParamType(TypeLong)}, Values: [][]byte{[]byte("x"), {1, 2, 3, 4}}}, func(int) bool { return false }))
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseResponse(b)
		ParseUserChange(b, PluginAuth|ConnectAttrs)
		ParseLongData(b)
		if len(b) == 0 {
			return
		}
		var x Execution
		none := func(int) bool { return false }
		if ParseExecution(&x, b[1:], int(b[0]), nil, none) != nil || len(x.Types) == 0 {
			return
		}
		var y Execution
		if err := ParseExecution(&y, AppendExecution(nil, &x, none)[1:], int(b[0]), nil, none); err != nil {
			t.Fatal(err)
		}
		for i := range x.Values {
			if !bytes.Equal(x.Values[i], y.Values[i]) {
				t.Fatalf("parameter %d: %q, want %q", i, y.Values[i], x.Values[i])
			}
		}
	})
}

// mysql2 of Node.js sends a byte too many after values of more than 65535 bytes, which servers do not
// look at.
func TestExecutionWithMoreThanItsValues(t *testing.T) {
	none := func(int) bool { return false }
	in := &Execution{ID: 7, Types: []ParamType{ParamType(TypeVarString)}, Values: [][]byte{[]byte("x")}}
	var out Execution
	require.NoError(t, ParseExecution(&out, append(AppendExecution(nil, in, none)[1:], 0xaa), 1, nil, none))
	require.Equal(t, in.Values, out.Values)
}
