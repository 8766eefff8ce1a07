package masking

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/detect"
	"github.com/sallyport/sallyport/internal/maskdata"
	"github.com/sallyport/sallyport/proxy"
)

// newRows returns the filter of a statement's rows.
func newRows(t testing.TB, c Config, sql string, columns ...proxy.ShapeColumn) func(values ...[]byte) [][]byte {
	t.Helper()
	m, err := New(c)
	require.NoError(t, err)
	hooks, err := m.Intercept(context.Background(), &proxy.Session{
		Protocol: "postgres", Identity: &proxy.Identity{Subject: "alice"}, Target: proxy.Target{Resource: &proxy.Resource{}},
	})
	require.NoError(t, err)
	op := &proxy.Statement{Meta: proxy.Meta{Kind: proxy.KindStatement}, Text: []byte(sql), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
	f, err := hooks.Flow(context.Background(), op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columns})
	require.NoError(t, err)
	var r proxy.Row
	return func(values ...[]byte) [][]byte {
		r.Reset(values)
		require.NoError(t, f.Row(&r))
		return values
	}
}

func plainColumn(name string, oid uint32, isBinary bool) proxy.ShapeColumn {
	return proxy.ShapeColumn{Name: name, Table: 16400, Attr: 1, Type: oid, Binary: isBinary}
}

func b(s string) []byte { return []byte(s) }

func int8Of(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// numericOf is 4111111111111111.00 in numeric's binary format.
var numericOf = []byte{0, 4, 0, 3, 0, 0, 0, 2, 0x10, 0x0f, 4, 87, 4, 87, 4, 87}

func TestCells(t *testing.T) {
	array := func(oid uint32, elements ...[]byte) []byte {
		v := binary.BigEndian.AppendUint32(nil, 1)
		v = binary.BigEndian.AppendUint32(v, 0)
		v = binary.BigEndian.AppendUint32(v, oid)
		v = binary.BigEndian.AppendUint32(v, uint32(len(elements)))
		v = binary.BigEndian.AppendUint32(v, 1)
		for _, e := range elements {
			v = append(binary.BigEndian.AppendUint32(v, uint32(len(e))), e...)
		}
		return v
	}
	for _, c := range []struct {
		name   string
		column proxy.ShapeColumn
		in     []byte
		want   []byte // nil is NULL
	}{
		{"text", plainColumn("note", 25, false), b("a@example.com, 4111111111111111"), b("*@*******.com, ************1111")},
		{"binary text", plainColumn("note", 25, true), b("call +1 415 555 2671"), b("call +* *** *** **71")},
		{"empty", plainColumn("ssn", 25, false), b(""), b("")},
		{"named", plainColumn("ssn", 25, false), b("not a number"), b("*** * ******")},
		{"named number", plainColumn("ssn", 20, false), b("123456789"), nil},
		{"named binary number", plainColumn("ssn", 20, true), int8Of(123456789), nil},
		{"named date", plainColumn("birth_date", 1082, false), b("1980-01-02"), nil},
		{"truth value", plainColumn("email", 16, false), b("t"), b("t")},
		{"number of an address", plainColumn("address", 23, false), b("17"), b("17")},
		{"number", plainColumn("n", 20, false), b("4111111111111111"), nil},
		{"binary number", plainColumn("n", 20, true), int8Of(4111111111111111), nil},
		{"binary numeric", plainColumn("n", 1700, true), numericOf, nil},
		{"innocent number", plainColumn("n", 20, true), int8Of(12345), int8Of(12345)},
		{"bytea", plainColumn("raw", 17, false), b(`\x3132332d34352d36373839`), nil},
		{"innocent bytea", plainColumn("raw", 17, false), b(`\x3132`), b(`\x3132`)},
		{"json", plainColumn("doc", 114, false), b(`{"a":4111111111111111,"b":"x@y.org"}`), b(`{"a":null,"b":"*@*.org"}`)},
		{"json by key", plainColumn("doc", 114, false), b(`{"user":{"firstName":"Ann","x":1},"password":"\u0041b"}`), b(`{"user":{"firstName":"A**","x":1},"password":"********"}`)},
		{"jsonb", plainColumn("doc", 3802, true), b("\x01{\"ssn\": \"123-45-6789\"}"), b("\x01{\"ssn\": \"***-**-****\"}")},
		{"json in text", plainColumn("doc", 25, false), b(`{"card": 4111111111111111}`), b(`{"card": null}`)},
		{"text array", plainColumn("list", 1009, false), b("{a@example.com,x}"), b("{*@*******.com,x}")},
		{"binary text array", plainColumn("list", 1009, true), array(25, b("x"), b("a@example.com")), array(25, b("x"), b("*@*******.com"))},
		{"binary array of two texts with it", plainColumn("list", 1009, true), array(25, b(`say "a@example.com"`), b("b@example.org")), array(25, b("********"), b("*@*******.org"))},
		{"binary addresses", plainColumn("list", 1041, true), array(oidInet, []byte{2, 32, 0, 4, 8, 8, 4, 4}), nil},
		{"binary hardware addresses", plainColumn("list", 1040, true), array(829, []byte{0, 0x1b, 0x21, 0x3a, 0x4d, 0x5e}), nil},
		{"binary address", plainColumn("host", oidInet, true), []byte{2, 32, 0, 4, 8, 8, 4, 4}, nil},
		{"binary network", plainColumn("net", oidCIDR, true), []byte{2, 24, 1, 4, 8, 8, 4, 0}, nil},
		{"binary hardware address", plainColumn("m", 774, true), []byte{0, 0x1b, 0x21, 0xff, 0xfe, 0x3a, 0x4d, 0x5e}, nil},
		{"copy of an address", proxy.ShapeColumn{Name: "h", Binary: true}, []byte{2, 32, 0, 4, 8, 8, 4, 4}, nil},
		{"copy of addresses", proxy.ShapeColumn{Name: "h", Binary: true}, array(oidInet, []byte{2, 32, 0, 4, 8, 8, 4, 4}), nil},
		{"copy of a hardware address", proxy.ShapeColumn{Name: "h", Binary: true}, []byte{0, 0x1b, 0x21, 0x3a, 0x4d, 0x5e}, nil},
		{"copy of a numeric", proxy.ShapeColumn{Name: "h", Binary: true}, numericOf, nil},
		{"copy of a text", proxy.ShapeColumn{Name: "h", Binary: true}, b("to a@example.com"), b("to *@*******.com")},
		{"number with an exponent", plainColumn("n", oidFloat8, false), b("4.111111111111111e+15"), nil},
		{"number with a fraction", plainColumn("n", oidNumeric, false), b("4111111111111111.00"), nil},
		{"binary number array", plainColumn("list", 1016, true), array(20, int8Of(1), int8Of(4111111111111111)), nil},
		{"innocent array", plainColumn("list", 1016, true), array(20, int8Of(1)), array(20, int8Of(1))},
		{"broken array", plainColumn("list", 1016, true), b("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00"), nil},
		{"address", plainColumn("host", 869, false), b("8.8.4.4"), nil},
		{"uuid", plainColumn("id", 2950, false), b("12345678-1234-1234-1234-123456789012"), b("12345678-1234-1234-1234-123456789012")},
		{"timestamp in words", plainColumn("d", oidTimestamp, false), b("Thu Jan 01 00:00:00 1970"), b("Thu Jan 01 00:00:00 1970")},
		{"timestamp in words with its zone", plainColumn("d", oidTimestampTZ, false), b("Thu Jun 01 00:00:00 2000 PDT"), b("Thu Jun 01 00:00:00 2000 PDT")},
		{"array of timestamps in words", plainColumn("d", 1115, false), b(`{"Thu Jan 01 00:00:00 1970"}`), b(`{"Thu Jan 01 00:00:00 1970"}`)},
		{"range of timestamps in words", plainColumn("d", 3908, false), b(`["Thu Jan 01 00:00:00 1970","Sun Jan 01 00:00:00 2006")`), b(`["Thu Jan 01 00:00:00 1970","Sun Jan 01 00:00:00 2006")`)},
		{"ranges of timestamps in words", plainColumn("d", 4533, false), b(`{["Thu Jan 01 00:00:00 1970","Sun Jan 01 00:00:00 2006")}`), b(`{["Thu Jan 01 00:00:00 1970","Sun Jan 01 00:00:00 2006")}`)},
		{"named timestamp in words", plainColumn("birth_date", oidTimestamp, false), b("Thu Jan 01 00:00:00 1970"), nil},
		{"array of names", plainColumn("d", 1009, false), b(`{"Jan Kowalski"}`), b(`{"J** ********"}`)},
		{"whole row", proxy.ShapeColumn{Name: "p", Table: 16400, Type: 16390}, b("(1,x)"), nil},
		{"statistics", plainColumn("most_common_vals", 2277, false), b("{a}"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newRows(t, Config{}, "SELECT 1", c.column)(c.in)
			require.Equal(t, string(c.want), string(got[0]))
			require.Equal(t, c.want == nil, got[0] == nil)
		})
	}
}

func TestColumnsAreDecidedByTheirValues(t *testing.T) {
	row := newRows(t, Config{}, "SELECT x FROM t", plainColumn("x", 25, false))
	for range promoteAfter {
		require.Equal(t, "b**@*******.com", string(row(b("bob@example.com"))[0]))
	}
	require.Equal(t, "*** ** *******", string(row(b("bob at example"))[0]))
}

func TestRowsOfAnotherWidthAreRefused(t *testing.T) {
	f := &rows{columns: make([]column, 2)}
	require.ErrorIs(t, f.row(proxy.NewRow([][]byte{b("x")})), errColumns)
}

func TestColumnRules(t *testing.T) {
	base := func(schema, relation, column string) proxy.ShapeColumn {
		c := plainColumn("shown", 25, false)
		c.Schema, c.Relation, c.Column = schema, relation, column
		return c
	}
	for _, c := range []struct {
		name    string
		pattern string
		column  proxy.ShapeColumn
		masked  bool
	}{
		{"column", "salary", base("hr", "staff", "salary"), true},
		{"any case", "SALARY", base("hr", "staff", "Salary"), true},
		{"table", "staff.salary", base("hr", "staff", "salary"), true},
		{"other table", "staff.salary", base("hr", "jobs", "salary"), false},
		{"schema", "hr.*.sal*", base("hr", "staff", "salary"), true},
		{"other schema", "hr.*.sal*", base("public", "staff", "salary"), false},
		{"label only", "*.staff.salary", plainColumn("salary", 25, false), true},
		{"other label", "staff.salary", plainColumn("wage", 25, false), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newRows(t, Config{Rules: []Rule{{Columns: []string{c.pattern}, With: Redact}}}, "SELECT 1", c.column)(b("secretive"))
			require.Equal(t, map[bool]string{true: "[COLUMN]", false: "secretive"}[c.masked], string(got[0]))
		})
	}
}

// TestOrigins uses what an analyser knows about columns.
func TestOrigins(t *testing.T) {
	m, err := New(Config{})
	require.NoError(t, err)
	v := m.view(&proxy.Identity{}, &proxy.Resource{})
	of := func(how proxy.Derivation) *proxy.Facts {
		return &proxy.Facts{ColumnsKnown: true, Columns: []proxy.Column{{Name: "x", Origins: []proxy.Origin{{Relation: "p", Column: "ssn", How: how}}}}}
	}
	shape := &proxy.Shape{Kind: proxy.ShapeRows, Columns: []proxy.ShapeColumn{{Name: "x", Type: 25}}}
	decide := func(f *proxy.Facts) column {
		return v.decide(&proxy.Statement{Facts: f}, shape, &mentions{any: true}, &memory{})[0]
	}
	require.True(t, decide(of(proxy.DerivedPlain)).whole)
	require.Equal(t, detect.USSSN, decide(of(proxy.DerivedPlain)).typ)
	require.True(t, decide(of(proxy.DerivedTransformed)).tainted)
	clear := of(proxy.DerivedPlain)
	clear.Columns[0].Origins[0].Column = "city"
	require.False(t, decide(clear).whole || decide(clear).tainted, "the analyser knows better than the text")
	clear.Columns[0].Opaque = true
	require.True(t, decide(clear).tainted)
}

func TestRowsDoNotAllocate(t *testing.T) {
	row := newRows(t, Config{}, "SELECT * FROM t", plainColumn("id", 23, false), plainColumn("email", 25, false), plainColumn("note", 25, false), plainColumn("doc", oidJSONB, false))
	values := make([][]byte, 4)
	id, mail, note, doc := b("1"), b("alice@example.com"), b("call 415-555-2671 about order 12345"), b(`{"ssn": "123-45-6789", "a": ["x\n", 1], "b": "\u0031"}`)
	one := func() {
		values[0], values[1], values[2], values[3] = id, mail, note, doc
		row(values...)
	}
	one()
	require.Zero(t, testing.AllocsPerRun(200, one))
}

func BenchmarkRows(bench *testing.B) {
	columns := []proxy.ShapeColumn{
		plainColumn("id", 23, false), plainColumn("full_name", 25, false), plainColumn("email", 25, false), plainColumn("status", 25, false),
		plainColumn("note", 25, false), plainColumn("created_at", 1184, false),
	}
	in := [][]byte{b("123456"), b("Alice Example"), b("alice@example.com"), b("active"), b("customer asked about the shipment of order 12345"), b("2024-05-06 12:34:56.789+00")}
	clear := []proxy.ShapeColumn{
		plainColumn("id", 23, false), plainColumn("title", 25, false), plainColumn("sku", 25, false), plainColumn("status", 25, false),
		plainColumn("note", 25, false), plainColumn("created_at", 1184, false),
	}
	harmless := [][]byte{b("123456"), b("Blue umbrella"), b("AB-1234"), b("active"), in[4], in[5]}
	numbers := []proxy.ShapeColumn{
		plainColumn("id", oidInt8, false), plainColumn("amount", oidNumeric, false), plainColumn("total", oidNumeric, false), plainColumn("ratio", 701, false),
		plainColumn("quantity", oidInt4, false), plainColumn("parent", oidInt8, false),
	}
	plain := [][]byte{b("10234567"), b("1234.56"), b("-99871.05"), b("0.73492817"), b("12"), b("9182736450")}
	for name, c := range map[string]struct {
		columns []proxy.ShapeColumn
		in      [][]byte
	}{"masked": {columns, in}, "clean": {clear, harmless}, "numbers": {numbers, plain}} {
		bench.Run(name, func(bench *testing.B) {
			row := newRows(bench, Config{}, "SELECT * FROM t", c.columns...)
			values := make([][]byte, len(c.in))
			bench.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := cpuTime()
			for bench.Loop() {
				copy(values, c.in)
				row(values...)
			}
			bench.ReportMetric(float64(cpuTime()-began)/float64(bench.N), "cpu-ns/row")
		})
	}
}

// BenchmarkTextRows scans rows of which every column is text, also while values of
// masked columns are remembered.
func BenchmarkTextRows(bench *testing.B) {
	columns := make([]proxy.ShapeColumn, 6)
	for i := range columns {
		columns[i] = plainColumn(string(rune('a'+i)), 25, false)
	}
	text := maskdata.Clean()
	lines := bytes.Split(text, []byte("\n"))
	for _, name := range []string{"scanned", "remembering"} {
		bench.Run(name, func(bench *testing.B) {
			m, err := New(Config{})
			require.NoError(bench, err)
			v := m.view(&proxy.Identity{}, &proxy.Resource{})
			f := &rows{inspector: newInspector(v, &remembered{}), counts: &counts{}}
			if name == "remembering" {
				for i := range 1000 {
					f.seen.add(fmt.Appendf(nil, "%09d", i*7919))
				}
			}
			op := &proxy.Statement{Text: []byte("SELECT * FROM t"), Facts: &proxy.Facts{Effects: proxy.EffectRead, Rows: true}}
			f.columns = v.decide(op, &proxy.Shape{Kind: proxy.ShapeRows, Columns: columns}, &mentions{}, &memory{})
			var r proxy.Row
			values := make([][]byte, 6)
			bench.SetBytes(int64(len(text)))
			bench.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			began := cpuTime()
			for bench.Loop() {
				for i := 0; i+6 <= len(lines); i += 6 {
					copy(values, lines[i:])
					r.Reset(values)
					if err := f.row(&r); err != nil {
						bench.Fatal(err)
					}
				}
			}
			bench.ReportMetric(float64(len(text))*float64(bench.N)/1e6/(cpuTime()-began).Seconds(), "cpu-MB/s")
		})
	}
}

// BenchmarkMixedRows masks rows as applications have them: names, addresses, numbers, JSON,
// UUIDs, timestamps.
func BenchmarkMixedRows(bench *testing.B) {
	columns := []proxy.ShapeColumn{
		plainColumn("id", oidInt8, false), plainColumn("token_id", oidUUID, false), plainColumn("full_name", oidText, false), plainColumn("email", oidText, false),
		plainColumn("city", oidText, false), plainColumn("amount", oidNumeric, false), plainColumn("quantity", oidInt4, false), plainColumn("note", oidText, false),
		plainColumn("doc", oidJSONB, false), plainColumn("created_at", oidTimestampTZ, false), plainColumn("active", 16, false), plainColumn("status", oidText, false),
	}
	r := rand.New(rand.NewPCG(19, 1))
	names := maskdata.TestNames()
	notes := []string{
		"customer asked about the shipment of order %d, call back next week", "left at the door; the neighbour %s signed for parcel %d", "refund of %d.00 was approved after the review",
		"no answer", "please deliver after 18:00, second floor, the bell is broken", "Spoke with %s about invoice %d and the delivery in spring.",
	}
	rows, size := make([][][]byte, 2000), 0
	for i := range rows {
		name := names[r.IntN(len(names))] + " " + names[r.IntN(len(names))]
		note := notes[r.IntN(len(notes))]
		note = strings.ReplaceAll(strings.ReplaceAll(note, "%s", name), "%d", strconv.Itoa(r.IntN(1e6)))
		stamp := fmt.Sprintf("2025-%02d-%02d %02d:%02d:%02d.%06d+00", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), r.IntN(1e6))
		for _, v := range []string{
			strconv.Itoa(1000000 + i), fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Int64N(1<<48)), name,
			fmt.Sprintf("user%d@example.com", i), "London", fmt.Sprintf("%d.%02d", r.IntN(10000), r.IntN(100)), strconv.Itoa(r.IntN(100)), note,
			fmt.Sprintf(`{"sku": "AB-%04d", "tags": ["new", "sale"], "price": %d.%02d, "at": "%s", "city": "Paris", "qty": %d}`, r.IntN(10000), r.IntN(1000), r.IntN(100), stamp, r.IntN(9)),
			stamp, "t", []string{"open", "shipped", "returned"}[r.IntN(3)],
		} {
			rows[i] = append(rows[i], b(v))
			size += len(v) + 1
		}
	}
	row := newRows(bench, Config{}, "SELECT * FROM t", columns...)
	values := make([][]byte, len(columns))
	bench.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := cpuTime()
	for bench.Loop() {
		for _, in := range rows {
			copy(values, in)
			row(values...)
		}
	}
	bench.ReportMetric(0, "ns/op")
	bench.ReportMetric(float64(size)*float64(bench.N)/1e6/(cpuTime()-began).Seconds(), "cpu-MB/s")
	bench.ReportMetric(float64(cpuTime()-began)/float64(bench.N*len(rows)), "cpu-ns/row")
}

func BenchmarkStatement(bench *testing.B) {
	m, err := New(Config{})
	require.NoError(bench, err)
	v := m.view(&proxy.Identity{}, &proxy.Resource{})
	sql := []byte(`SELECT o.id, o.total, u.full_name AS name, count(l.id) AS lines FROM orders o JOIN users u ON u.id = o.user_id LEFT JOIN lines l ON l.order_id = o.id WHERE o.created_at > now() - interval '1 day' AND o.state = 'open' GROUP BY 1, 2, 3 ORDER BY o.id LIMIT 50`)
	bench.Run("first", func(bench *testing.B) {
		bench.SetBytes(int64(len(sql)))
		bench.ReportAllocs()
		for bench.Loop() {
			read(sql, v.sensitive)
		}
	})
	bench.Run("again", func(bench *testing.B) {
		x := &session{view: v, read: map[string]*mentions{}}
		bench.ReportAllocs()
		for bench.Loop() {
			x.mentions(sql)
		}
	})
}

// TestExternalFails: a row whose text could not be analyzed is not passed on, nor is
// one about which an analyzer says what cannot be.
func TestExternalFails(t *testing.T) {
	for name, find := range map[string]func(context.Context, []detect.Finding, []byte) ([]detect.Finding, error){
		"an error": func(_ context.Context, dst []detect.Finding, _ []byte) ([]detect.Finding, error) {
			return dst, errors.New("down")
		},
		"outside": func(_ context.Context, dst []detect.Finding, text []byte) ([]detect.Finding, error) {
			return append(dst, detect.Finding{Start: 0, End: len(text) + 1, Type: detect.Person}), nil
		},
	} {
		m, err := New(Config{External: []External{{Columns: []string{"p.note"}, Find: find}}})
		require.NoError(t, err)
		v := m.view(&proxy.Identity{}, &proxy.Resource{})
		f := &rows{inspector: newInspector(v, &remembered{}), counts: &counts{}}
		shape := &proxy.Shape{Columns: []proxy.ShapeColumn{{Name: "note", Relation: "p", Type: 25, Table: 1}}}
		f.columns = v.decide(nil, shape, &mentions{}, &memory{})
		f.text(nil, 0, &f.columns[0], []byte("some text"))
		require.Error(t, f.failed, name)
	}
	_, err := New(Config{External: []External{{Find: func(context.Context, []detect.Finding, []byte) ([]detect.Finding, error) { return nil, nil }}}})
	require.ErrorContains(t, err, "columns")
}

// TestEncodedCells: a cell that is one word of base64 or hex is looked into.
func TestEncodedCells(t *testing.T) {
	row := newRows(t, Config{}, "SELECT x FROM t", proxy.ShapeColumn{Name: "x", Type: 25, Table: 1, Attr: 1})
	const value = "ssn 123-45-6789, ann@example.com"
	for _, in := range []string{
		base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte("ann@example.com.")), hex.EncodeToString([]byte(value)),
	} {
		got := row([]byte(in))
		require.Regexp(t, `^\*+$`, string(got[0]), in)
	}
	for _, in := range []string{"0b12a0e7ec1a68e44912e68a489f0b12a0e7ec1a", "c29tZSBvcmRpbmFyeSB0ZXh0", "InternationalAirport", "550e8400e29b41d4a716446655440000", "=============="} {
		require.Equal(t, in, string(row([]byte(in))[0]))
	}
}

// cpuTime is how long this thread has computed, so that what else runs on the
// machine does not count.
func cpuTime() time.Duration {
	const thread = 1 // RUSAGE_THREAD
	var u syscall.Rusage
	if err := syscall.Getrusage(thread, &u); err != nil {
		if err = syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
