package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// pgproto3 is the oracle: what it encodes is read here as it was meant, and what
// is accepted here it reads in the same way.

type encoder interface {
	Encode(dst []byte) ([]byte, error)
}

// body encodes m and cuts the header off.
func body(t testing.TB, m encoder) (typ byte, b []byte) {
	t.Helper()
	out, err := m.Encode(nil)
	require.NoError(t, err)
	typ, total, err := Header(out)
	require.NoError(t, err)
	require.Equal(t, len(out), total)
	return typ, out[HeaderLen:]
}

// random makes small values of all sorts.
type random struct{ *rand.Rand }

func (r random) bytes() []byte {
	b := make([]byte, r.IntN(12))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}

func (r random) text() string { return string(bytes.ReplaceAll(r.bytes(), []byte{0}, []byte("0"))) }

func (r random) values() [][]byte {
	list := make([][]byte, r.IntN(5))
	for i := range list {
		if r.IntN(4) > 0 {
			list[i] = r.bytes()
		}
	}
	return list
}

func (r random) formats(n int) []int16 {
	list := make([]int16, []int{0, 1, n}[r.IntN(3)])
	for i := range list {
		list[i] = int16(r.IntN(2))
	}
	return list
}

func binaryAt(codes []int16, i int) bool {
	switch len(codes) {
	case 0:
		return false
	case 1:
		return codes[0] == 1
	}
	return codes[i] == 1
}

func TestOracleEncodes(t *testing.T) {
	r := random{rand.New(rand.NewPCG(1, 2))}
	for range 5000 {
		q := &pgproto3.Query{String: r.text()}
		_, b := body(t, q)
		text, err := ParseQuery(b)
		require.NoError(t, err)
		require.Equal(t, q.String, string(text))
		require.Equal(t, append([]byte{Query}, frame(b)...), AppendQuery(nil, text))

		p := &pgproto3.Parse{Name: r.text(), Query: r.text(), ParameterOIDs: []uint32{r.Uint32(), r.Uint32()}[:r.IntN(3)]}
		_, b = body(t, p)
		pm, err := ParseParse(b)
		require.NoError(t, err)
		require.Equal(t, []string{p.Name, p.Query}, []string{string(pm.Name), string(pm.Text)})
		require.Equal(t, p.ParameterOIDs, pm.AppendTypes([]uint32{}))
		require.Equal(t, append([]byte{Parse}, frame(b)...), AppendParse(nil, pm.Name, pm.Text, &pm))

		params := r.values()
		bind := &pgproto3.Bind{
			DestinationPortal: r.text(), PreparedStatement: r.text(), Parameters: params,
			ParameterFormatCodes: r.formats(len(params)), ResultFormatCodes: r.formats(3),
		}
		_, b = body(t, bind)
		bm, err := ParseBind(b)
		require.NoError(t, err)
		require.Equal(t, []string{bind.DestinationPortal, bind.PreparedStatement}, []string{string(bm.Portal), string(bm.Statement)})
		require.Equal(t, len(params), bm.Params)
		n := 0
		bm.EachParam(func(i int, v []byte, binary bool) {
			require.Equal(t, params[i] == nil, v == nil)
			require.Equal(t, string(params[i]), string(v))
			require.Equal(t, binaryAt(bind.ParameterFormatCodes, i), binary)
			n++
		})
		require.Equal(t, len(params), n)
		for i := range 3 {
			require.Equal(t, binaryAt(bind.ResultFormatCodes, i), bm.ResultBinary(i))
			require.Equal(t, bm.ResultBinary(i), FormatBinary(bm.AppendResultFormats(nil), i))
		}

		e := &pgproto3.Execute{Portal: r.text(), MaxRows: uint32(r.IntN(1 << 31))}
		_, b = body(t, e)
		portal, limit, err := ParseExecute(b)
		require.NoError(t, err)
		require.Equal(t, e.Portal, string(portal))
		require.Equal(t, e.MaxRows, uint32(limit))

		d := &pgproto3.Describe{ObjectType: "SP"[r.IntN(2)], Name: r.text()}
		_, b = body(t, d)
		kind, name, err := ParseTarget(b)
		require.NoError(t, err)
		require.Equal(t, []any{d.ObjectType, d.Name}, []any{kind, string(name)})

		args := r.values()
		f := &pgproto3.FunctionCall{Function: r.Uint32(), Arguments: args, ArgFormatCodes: nil, ResultFormatCode: uint16(r.IntN(2))}
		_, b = body(t, f)
		oid, got, err := ParseFunctionCall(b, nil)
		require.NoError(t, err)
		require.Equal(t, f.Function, oid)
		require.Equal(t, len(args), len(got))

		row := &pgproto3.DataRow{Values: r.values()}
		_, b = body(t, row)
		cells, err := RowValues(b, nil)
		require.NoError(t, err)
		require.Equal(t, len(row.Values), len(cells))
		for i := range cells {
			require.Equal(t, row.Values[i] == nil, cells[i] == nil)
			require.Equal(t, string(row.Values[i]), string(cells[i]))
		}
		require.Equal(t, append([]byte{DataRow}, frame(b)...), AppendRow(nil, cells))

		failed := &pgproto3.ErrorResponse{Severity: "ERROR", Code: "42501", Message: r.text(), Hint: r.text(), Detail: r.text()}
		_, b = body(t, failed)
		require.Equal(t, "42501", string(ErrorField(b, 'C')))
		require.Equal(t, failed.Message, string(ErrorField(b, 'M')))
		_, err = ParseFields(b, nil)
		require.NoError(t, err)

		status := &pgproto3.ParameterStatus{Name: r.text(), Value: r.text()}
		_, b = body(t, status)
		key, value, err := ParseStatus(b)
		require.NoError(t, err)
		require.Equal(t, []string{status.Name, status.Value}, []string{string(key), string(value)})

		note := &pgproto3.NotificationResponse{PID: r.Uint32(), Channel: r.text(), Payload: r.text()}
		_, b = body(t, note)
		pid, channel, payload, err := ParseNotification(b)
		require.NoError(t, err)
		require.Equal(t, []any{note.PID, note.Channel, note.Payload}, []any{pid, string(channel), string(payload)})

		columns := &pgproto3.RowDescription{}
		for range r.IntN(4) {
			columns.Fields = append(columns.Fields, pgproto3.FieldDescription{
				Name: []byte(r.text()), TableOID: r.Uint32(), TableAttributeNumber: uint16(r.IntN(1 << 16)), DataTypeOID: r.Uint32(), Format: int16(r.IntN(2)),
			})
		}
		_, b = body(t, columns)
		fields, err := ParseRowDescription(b)
		require.NoError(t, err)
		require.Equal(t, len(columns.Fields), len(fields))
		for i, c := range columns.Fields {
			require.Equal(t, FieldDescription{string(c.Name), c.TableOID, c.TableAttributeNumber, c.DataTypeOID, c.Format == 1}, fields[i])
		}
	}
}

func frame(b []byte) []byte { return AppendMessage(nil, 0, b)[1:] }

// FuzzOracle reads a body as a message of a type, here and by the oracle. What is
// accepted here the oracle accepts too and reads in the same way; we may be
// stricter.
func FuzzOracle(f *testing.F) {
	for _, m := range []encoder{
		&pgproto3.Query{String: "SELECT 1"}, &pgproto3.Parse{Name: "a", Query: "b", ParameterOIDs: []uint32{1}},
		&pgproto3.Bind{Parameters: [][]byte{{1}, nil}, ParameterFormatCodes: []int16{1}}, &pgproto3.Execute{Portal: "p", MaxRows: 3},
		&pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.DataRow{Values: [][]byte{{1, 2}, nil}},
		&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a")}}}, &pgproto3.CommandComplete{CommandTag: []byte("SELECT 7")},
		&pgproto3.ErrorResponse{Code: "42501"}, &pgproto3.ParameterStatus{Name: "a", Value: "b"}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}},
	} {
		typ, b := body(f, m)
		f.Add(typ, b)
	}
	f.Fuzz(func(t *testing.T, typ byte, b []byte) {
		same := func(ok bool) {
			if !ok {
				t.Fatalf("%c %q is read in two ways", typ, b)
			}
		}
		switch typ {
		case Query:
			var m pgproto3.Query
			if text, err := ParseQuery(b); err == nil {
				same(m.Decode(b) == nil && m.String == string(text))
			}
		case Parse:
			var m pgproto3.Parse
			if p, err := ParseParse(b); err == nil {
				same(m.Decode(b) == nil && m.Name == string(p.Name) && m.Query == string(p.Text) && len(m.ParameterOIDs) == len(p.AppendTypes(nil)))
			}
		case Bind:
			var m pgproto3.Bind
			if p, err := ParseBind(b); err == nil {
				same(m.Decode(b) == nil && m.DestinationPortal == string(p.Portal) && m.PreparedStatement == string(p.Statement) && len(m.Parameters) == p.Params)
				p.EachParam(func(i int, v []byte, _ bool) { same(bytes.Equal(m.Parameters[i], v)) })
			}
		case Execute:
			var m pgproto3.Execute
			if portal, limit, err := ParseExecute(b); err == nil {
				same(m.Decode(b) == nil && m.Portal == string(portal) && m.MaxRows == uint32(limit))
			}
			if _, err := ParseFields(b, nil); err == nil { // an ErrorResponse has the same letter
				ErrorField(b, 'C')
			}
		case Describe: // DataRow is the server's of the same letter
			var m pgproto3.Describe
			if kind, name, err := ParseTarget(b); err == nil {
				same(m.Decode(b) == nil && m.ObjectType == kind && m.Name == string(name))
			}
			var row pgproto3.DataRow
			if cells, err := RowValues(b, nil); err == nil {
				same(row.Decode(b) == nil && len(row.Values) == len(cells))
				for i := range cells {
					same(bytes.Equal(cells[i], row.Values[i]) && (cells[i] == nil) == (row.Values[i] == nil))
				}
			}
		case RowDescription:
			var m pgproto3.RowDescription
			if fields, err := ParseRowDescription(b); err == nil {
				same(m.Decode(b) == nil && len(m.Fields) == len(fields))
				for i := range fields {
					same(fields[i].Name == string(m.Fields[i].Name) && fields[i].Type == m.Fields[i].DataTypeOID)
				}
			}
		case CommandComplete:
			var m pgproto3.CommandComplete
			if tag, _, err := ParseTag(b); err == nil {
				same(m.Decode(b) == nil && string(m.CommandTag) == string(tag))
			}
			var status pgproto3.ParameterStatus
			if name, value, err := ParseStatus(b); err == nil {
				same(status.Decode(b) == nil && status.Name == string(name) && status.Value == string(value))
			}
		case ReadyForQuery:
			var m pgproto3.ReadyForQuery
			if status, err := ParseReady(b); err == nil {
				same(m.Decode(b) == nil && m.TxStatus == status)
			}
		default:
			ParseFunctionCall(b, nil)
			ParseCopyResponse(b)
			ParseNotification(b)
			ParseKey(b)
			ParseAuth(b)
			ParseCopyFail(b)
		}
	})
}

func FuzzStartup(f *testing.F) {
	f.Add(AppendStartup(nil, Version30, []Parameter{{"user", "alice"}, {"database", "shop"}}))
	f.Add(AppendSSLRequest(nil))
	f.Add(AppendCancel(nil, 1, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ReadStartup(bytes.NewReader(b), nil)
		if err != nil || s.Kind != StartupSession || s.Version != Version30 { // the one both know
			return
		}
		if len(s.Params) == 0 {
			return // the server complains of the missing user, the other of the form
		}
		var m pgproto3.StartupMessage
		if err := m.Decode(b[4:len(AppendStartup(nil, s.Version, s.Params))]); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if len(m.Parameters) != len(s.Params) {
			t.Fatalf("%q: %v and %v", b, m.Parameters, s.Params)
		}
	})
}

// chunks is a reader that gives a few bytes at a time.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, bytes.ErrTooLarge // any error
	}
	n := copy(p, c.b[:min(len(c.b), c.n)])
	c.b = c.b[n:]
	return n, nil
}

// FuzzReader cuts a stream into messages however its bytes arrive.
func FuzzReader(f *testing.F) {
	f.Add(AppendQuery(AppendQuery(nil, []byte("SELECT 1")), bytes.Repeat([]byte("x"), 9000)), 3)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if n < 1 || n > 1<<16 || len(b) > 1<<20 {
			return
		}
		r, all := NewReader(&chunks{b, n}), NewReader(&chunks{b, len(b)})
		defer r.Close()
		defer all.Close()
		for {
			typ, body, err := r.ReadMessage(1 << 16)
			typ2, body2, err2 := all.ReadMessage(1 << 16)
			if (err == nil) != (err2 == nil) || err == nil && (typ != typ2 || !bytes.Equal(body, body2)) {
				t.Fatalf("chunks of %d: %c %q %v, whole: %c %q %v", n, typ, body, err, typ2, body2, err2)
			}
			if err != nil {
				return
			}
		}
	})
}

func TestReaderAllocatesNothing(t *testing.T) {
	src := &repeat{b: AppendQuery(nil, []byte("SELECT 1"))}
	r := NewReader(src)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, body, err := r.ReadMessage(1 << 10); err != nil || len(body) != 9 {
			t.Fatal(err)
		}
	}))
}

type repeat struct{ b []byte }

func (r *repeat) Read(p []byte) (int, error) { return copy(p, r.b), nil }
