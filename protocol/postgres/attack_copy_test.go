package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgembed"
	"github.com/sallyport/sallyport/protocol/postgres/wire"
	sqlpostgres "github.com/sallyport/sallyport/protocol/sql/postgres"
	"github.com/sallyport/sallyport/proxy"
)

const veil = "veiled"

// veiling replaces the values of one column, in results and in COPY.
func veiling(column int) *hooks {
	return &hooks{Hooks: proxy.Hooks{Flow: func(context.Context, proxy.Op, *proxy.Shape) (proxy.Filter, error) {
		return proxy.Filter{Row: func(r *proxy.Row) error {
			if r.Len() > column && r.Value(column) != nil {
				r.Set(column, []byte(veil))
			}
			return nil
		}}, nil
	}}}
}

func (g *gate) pgconn(t testing.TB) *pgconn.PgConn { return g.connect(t, "sslmode=disable").PgConn() }

// A COPY that is refused leaves the session as it was, also when the client
// sends the rows without waiting.
func TestAttack23RefusedCopyIn(t *testing.T) {
	g := reader(t, gateConfig{})
	c := g.raw(t)
	c.send(wire.AppendQuery(nil, []byte("COPY t FROM STDIN")), msg(wire.CopyData, []byte("7\n")...), msg(wire.CopyDone))
	types, failed := c.until(wire.ReadyForQuery)
	require.Equal(t, "EZ", types)
	require.Contains(t, failed, "42501")
	c.works()
	c.send(wire.AppendParse(nil, nil, []byte("COPY t FROM STDIN"), &wire.ParseMessage{}), msg(wire.Bind, make([]byte, 8)...),
		wire.AppendExecute(nil, "", 0), msg(wire.CopyData, []byte("7\n")...), msg(wire.CopyDone), msg(wire.Sync))
	types, failed = c.until(wire.ReadyForQuery)
	require.Equal(t, "EZ", types)
	require.Contains(t, failed, "42501")
	c.works()
	g.untouched(t)
}

// nasty values hold whatever the formats use for themselves.
var nasty = []string{
	"", `\N`, `\`, `\\`, `a\`, "\t", "a\tb", "\n", "a\nb\n", "\r\n", "\b\f\v", `"`, `""`, `a"b`, ",", "a,b", `\.`, "NULL", " ", "é\\", "日本語", "|", "~", "~!~!!", "'", `x"y,z\`,
}

// Rows that were changed are written as the server would have, in every format:
// what was copied out is copied in again, and is the same but for the veil.
func TestAttack23CopyOutFormats(t *testing.T) {
	rows := make([]string, 0, len(nasty))
	for i, s := range nasty {
		rows = append(rows, fmt.Sprintf("(%d, 'secret-%d', '%s')", i, i, strings.ReplaceAll(s, "'", "''")))
	}
	sql := "CREATE TABLE n (id int, hidden text, v text); INSERT INTO n VALUES " + strings.Join(rows, ",") + ", (100, 'secret', NULL), (101, NULL, 'x');"
	g := startGate(t, gateConfig{sql: sql + "CREATE TABLE back (LIKE n)", chain: []proxy.Interceptor{veiling(1)}, handler: func(h *Handler) {
		h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
	}})
	ctx := context.Background()
	for _, options := range []string{
		"", "(FORMAT text)", "(DELIMITER '|')", "(DELIMITER '~', NULL 'none')", "(FORMAT csv)", "(FORMAT csv, HEADER)",
		"(FORMAT csv, QUOTE '''')", "(FORMAT csv, QUOTE '~', ESCAPE '!')", "(FORMAT csv, DELIMITER '|', NULL '\\N')", "(FORMAT csv, FORCE_QUOTE *)", "(FORMAT binary)",
	} {
		t.Run(options, func(t *testing.T) {
			c := g.pgconn(t)
			var out bytes.Buffer
			_, err := c.CopyTo(ctx, &out, "COPY n TO STDOUT "+options)
			require.NoError(t, err)
			require.NotContains(t, out.String(), "secret")
			require.Equal(t, len(nasty)+1, strings.Count(out.String(), veil))
			_, err = g.pg.Exec(ctx, g.db, "TRUNCATE back")
			require.NoError(t, err)
			_, err = c.CopyFrom(ctx, &out, "COPY back FROM STDIN "+strings.Replace(options, ", FORCE_QUOTE *", "", 1))
			require.NoError(t, err)
			same, err := g.pg.Exec(ctx, g.db, "SELECT count(*) FROM n JOIN back b USING (id) WHERE n.v IS NOT DISTINCT FROM b.v AND (b.hidden = '"+veil+"') IS NOT DISTINCT FROM (n.hidden IS NOT NULL OR NULL)")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(len(nasty)+2), same)
		})
	}
}

// Rows may be cut anywhere.
func TestAttack23CutCopyOut(t *testing.T) {
	begin := func(isBinary byte, formats ...byte) []byte {
		return msg(wire.CopyOutResponse, append([]byte{isBinary, 0, 2}, formats...)...)
	}
	end := bytes.Join([][]byte{msg(wire.CopyDone), msg(wire.CommandComplete, []byte("COPY 2\x00")...), msg(wire.ReadyForQuery, 'I')}, nil)
	value := func(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }
	tuple := func(a, b string) []byte { return bytes.Join([][]byte{{0, 2}, value(a), value(b)}, nil) }
	binaryRows := bytes.Join([][]byte{copySignature, make([]byte, 8), tuple("one", "secret"), tuple("two", "secret"), {0xff, 0xff}}, nil)
	for _, c := range []struct {
		name, query string
		begin, data []byte
		want        []byte
	}{
		{"text", "COPY x TO STDOUT", begin(0, 0, 0, 0, 0), []byte("one\tsecret\ntw\\\\o\tsecret\n"), []byte("one\tveiled\ntw\\\\o\tveiled\n")},
		{"csv", "COPY x TO STDOUT CSV", begin(0, 0, 0, 0, 0), []byte("\"o\nne\",secret\ntwo,\"sec\"\"\nret\"\n"), []byte("\"o\nne\",veiled\ntwo,veiled\n")},
		{"binary", "COPY x TO STDOUT (FORMAT binary)", begin(1, 0, 1, 0, 1), binaryRows, bytes.ReplaceAll(binaryRows, value("secret"), value(veil))},
	} {
		for _, size := range []int{1, 2, 3, 7, 1000} {
			t.Run(fmt.Sprintf("%s, %d bytes", c.name, size), func(t *testing.T) {
				answer := append([]byte(nil), c.begin...)
				for at := 0; at < len(c.data); at += size {
					answer = append(answer, msg(wire.CopyData, c.data[at:min(at+size, len(c.data))]...)...)
				}
				g := hostile(t, gateConfig{chain: []proxy.Interceptor{veiling(1)}, handler: func(h *Handler) {
					h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
				}}, answering(append(answer, end...)))
				conn := g.raw(t)
				conn.send(wire.AppendQuery(nil, []byte(c.query)))
				var got []byte
				for {
					typ, body := conn.message()
					require.NotZero(t, typ)
					require.NotEqual(t, byte(wire.ErrorResponse), typ, "%q", body)
					if typ == wire.CopyData {
						got = append(got, body...)
					}
					if typ == wire.ReadyForQuery {
						break
					}
				}
				require.Equal(t, string(c.want), string(got))
			})
		}
	}
}

// COPY data that is not what the format says is withheld from where it begins.
func TestAttack23BrokenCopyOut(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		head  []byte
		data  string
	}{
		"a column too few":       {"COPY x TO STDOUT", []byte{0, 0, 2, 0, 0, 0, 0}, "secret\n"},
		"a column too many":      {"COPY x TO STDOUT", []byte{0, 0, 2, 0, 0, 0, 0}, "a\tb\tsecret\n"},
		"csv, a column too few":  {"COPY x TO STDOUT CSV", []byte{0, 0, 2, 0, 0, 0, 0}, "secret\n"},
		"the end of half a row":  {"COPY x TO STDOUT", []byte{0, 0, 2, 0, 0, 0, 0}, "a\tsecret"},
		"an open quote":          {"COPY x TO STDOUT CSV", []byte{0, 0, 2, 0, 0, 0, 0}, "a,\"secret\n"},
		"no signature":           {"COPY x TO STDOUT (FORMAT binary)", []byte{1, 0, 2, 0, 1, 0, 1}, "secret secret secret secret"},
		"other columns":          {"COPY x TO STDOUT (FORMAT binary)", []byte{1, 0, 2, 0, 1, 0, 1}, string(copySignature) + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x06secret"},
		"text announced, binary": {"COPY x TO STDOUT (FORMAT binary)", []byte{0, 0, 2, 0, 0, 0, 0}, "secret\n"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := bytes.Join([][]byte{
				msg(wire.CopyOutResponse, c.head...), msg(wire.CopyData, []byte(c.data)...), msg(wire.CopyDone),
				msg(wire.CommandComplete, []byte("COPY 1\x00")...), msg(wire.ReadyForQuery, 'I'),
			}, nil)
			g := hostile(t, gateConfig{chain: []proxy.Interceptor{veiling(1)}, handler: func(h *Handler) {
				h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
			}}, answering(answer))
			conn := g.raw(t)
			conn.send(wire.AppendQuery(nil, []byte(c.query)))
			types, failed := "", ""
			for {
				typ, body := conn.message()
				if typ == 0 || typ == wire.ReadyForQuery {
					break
				}
				types += string(typ)
				require.NotContains(t, string(body), "secret")
				if typ == wire.ErrorResponse {
					failed = string(body)
				}
			}
			require.NotEmpty(t, failed, types)
		})
	}
}

// In some encodings the second byte of a character can be a backslash or a
// delimiter: rows are not cut where such an encoding may be in use.
func TestAttack33CopyEncodings(t *testing.T) {
	g := startGate(t, gateConfig{
		sql:   "CREATE TABLE n (v text, hidden text); INSERT INTO n VALUES ('表', 'secret')", // 0x95 0x5c in SJIS
		chain: []proxy.Interceptor{veiling(1)}, handler: func(h *Handler) { h.Analyzer = sqlpostgres.New(sqlpostgres.Config{}) },
	})
	ctx := context.Background()
	copied := func(c *pgconn.PgConn, text string) (string, error) {
		var out bytes.Buffer
		_, err := c.CopyTo(ctx, &out, text)
		return out.String(), err
	}
	for _, c := range []struct {
		name, set, copy string
		want            bool
	}{
		{"UTF8", "SET client_encoding = 'UTF8'", "COPY n TO STDOUT", true},
		{"SJIS", "SET client_encoding = 'SJIS'", "COPY n TO STDOUT", false},
		{"SJIS by NAMES", "SET NAMES 'SJIS'", "COPY n TO STDOUT CSV", false},
		{"SJIS by set_config", "SELECT set_config('client_encoding', 'SJIS', false)", "COPY n TO STDOUT", false},
		{"SJIS by COPY", "SELECT 1", "COPY n TO STDOUT (ENCODING 'SJIS')", false},
		{"binary says where values end", "SET client_encoding = 'SJIS'", "COPY n TO STDOUT (FORMAT binary)", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := g.pgconn(t)
			require.NoError(t, conn.Exec(ctx, c.set).Close())
			out, err := copied(conn, c.copy)
			require.Equal(t, c.want, err == nil, "%v", err)
			require.NotContains(t, out, "secret")
			require.Equal(t, c.want, strings.Contains(out, veil))
		})
	}
	t.Run("SJIS in the same batch", func(t *testing.T) {
		conn := g.raw(t)
		for _, text := range []string{"SET client_encoding = 'SJIS'", "COPY n TO STDOUT"} {
			conn.send(wire.AppendParse(nil, nil, []byte(text), &wire.ParseMessage{}), msg(wire.Bind, make([]byte, 8)...), wire.AppendExecute(nil, "", 0))
		}
		conn.send(msg(wire.Sync))
		types, failed := "", ""
		for !strings.HasSuffix(types, "Z") {
			typ, body := conn.message()
			require.NotZero(t, typ)
			types += string(typ)
			require.NotContains(t, string(body), "secret")
			if typ == wire.ErrorResponse {
				failed = string(body)
			}
		}
		require.Contains(t, failed, "encoding", types)
		conn.works()
	})
}

// Whatever the bytes, a format cuts them in one way only, and what it writes
// reads as the same values.
func FuzzCopyFormats(f *testing.F) {
	for _, s := range nasty {
		f.Add([]byte("a\t" + s + "\n"))
		f.Add([]byte(`"` + s + "\",b\n"))
	}
	f.Add(append(append([]byte(nil), copySignature...), "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01x\xff\xff"...))
	facts := &proxy.CopyFacts{}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 300 {
			return
		}
		for name, create := range map[string]func() copyFormat{
			"text":   func() copyFormat { return newTextCopy(facts) },
			"pipes":  func() copyFormat { return newTextCopy(&proxy.CopyFacts{Delimiter: '|', Null: "none"}) },
			"csv":    func() copyFormat { return newCSV(facts) },
			"quotes": func() copyFormat { return newCSV(&proxy.CopyFacts{Quote: '\'', Escape: '\\', Delimiter: '\t'}) },
			"binary": func() copyFormat { return &binaryCopy{columns: 2} },
		} {
			format, rest := create(), b
			for {
				n, row, err := format.next(rest)
				if n == 0 || err != nil {
					break
				}
				require.LessOrEqual(t, n, len(rest), name)
				if !row {
					rest = rest[n:]
					continue
				}
				for k := range n {
					m, _, err := format.next(rest[:k])
					require.True(t, m == 0 || err != nil, "%s: cut at %d and at %d", name, k, n)
				}
				values, err := format.decode(nil, rest[:n])
				if err == nil {
					var kept [][]byte
					for _, v := range values {
						kept = append(kept, bytes.Clone(v))
					}
					written := format.encode(nil, kept)
					m, _, err := format.next(written)
					require.NoError(t, err, name)
					require.Equal(t, len(written), m, "%s: %q", name, written)
					again, err := format.decode(nil, written)
					require.NoError(t, err, name)
					require.Equal(t, kept, again, "%s: %q", name, written)
				}
				rest = rest[n:]
			}
		}
	})
}

// Rows that filters look at come in the messages in which the server sends them:
// clients read the header of the binary format together with the first row.
func TestCopyOutMessages(t *testing.T) {
	g := startGate(t, gateConfig{sql: "CREATE TABLE none (id int)", chain: []proxy.Interceptor{veiling(1)}, handler: func(h *Handler) {
		h.Analyzer = sqlpostgres.New(sqlpostgres.Config{})
	}})
	host, port, err := net.SplitHostPort(g.pg.Address())
	require.NoError(t, err)
	direct, err := loggedIn(fmt.Sprintf("sslmode=disable user=%s password=%s host=%s port=%s dbname=%s", pgembed.User, g.pg.Password, host, port, g.db))
	require.NoError(t, err)
	defer direct.Close()
	messages := func(c *rawClient, text string) (list []string) {
		c.send(query(text))
		for {
			typ, body := c.message()
			require.NotContains(t, []byte{0, wire.ErrorResponse}, typ, text)
			if typ == wire.CopyData {
				list = append(list, string(body))
			}
			if typ == wire.ReadyForQuery {
				return list
			}
		}
	}
	server, gateway := &rawClient{t, direct}, g.raw(t)
	for _, rows := range []string{"none", "(SELECT 1)", "(SELECT 1 FROM generate_series(1, 3))", "(SELECT 1, 'abc')", "(SELECT 1, repeat('x', 70000) FROM generate_series(1, 3))", "(SELECT 1, NULL)"} {
		for _, format := range []string{"text", "csv", "csv, HEADER", "binary"} {
			text := "COPY " + rows + " TO STDOUT (FORMAT " + format + ")"
			want, got := messages(server, text), messages(gateway, text)
			require.Len(t, got, len(want), text)
			for i := range want {
				value := []string{"abc", strings.Repeat("x", 70000)}
				if format == "binary" {
					want[i] = strings.ReplaceAll(want[i], "\x00\x00\x00\x03abc", "\x00\x00\x00\x06"+veil)
					want[i] = strings.ReplaceAll(want[i], "\x00\x01\x11\x70"+value[1], "\x00\x00\x00\x06"+veil)
				}
				want[i] = strings.NewReplacer(value[0], veil, value[1], veil).Replace(want[i])
			}
			require.Equal(t, want, got, text)
		}
	}
}
