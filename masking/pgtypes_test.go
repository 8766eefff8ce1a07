package masking

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/testserver"
)

// typesOfOurs are types that a database adds.
const typesOfOurs = `
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore; CREATE EXTENSION IF NOT EXISTS ltree;
CREATE DOMAIN own_text AS text; CREATE DOMAIN own_number AS bigint; CREATE DOMAIN own_address AS inet;
CREATE TYPE own_row AS (a int, b text, c bigint, d inet, e own_number);
CREATE TYPE own_rows AS (r own_row, l text[], m macaddr[]);
CREATE TYPE own_range AS RANGE (subtype = text); CREATE TYPE own_enum AS ENUM ('ann@example.com', 'other');
CREATE TYPE own_inets AS RANGE (subtype = inet)`

// literals are values that are looked for, in the forms of all types.
var literals = []string{
	"4111111111111111", "ann@example.com", "8.8.4.4", "8.8.4.0/24", "2a00:1450:4001:81b::200e", "00:1b:21:3a:4d:5e", "00:1b:21:ff:fe:3a:4d:5e",
	"1980-05-06", "1980-05-06 00:00", "[1980-05-06,1980-06-06)", "[4111111111111111,4111111111111119)", "{[4111111111111111,4111111111111119)}",
	`{"mail": "ann@example.com", "n": 4111111111111111}`, `$."ann@example.com"`, "'ann@example.com'", "<a>ann@example.com</a>", `mail=>ann@example.com, b=>NULL`,
	"{ann@example.com,x}", `{"say \"ann@example.com\"",NULL}`, "{4111111111111111,1}", "{{8.8.4.4,8.8.8.8},{1.1.1.1,1.0.0.1}}", "{00:1b:21:3a:4d:5e}",
	"[ann@example.com,zoe@example.com]", "[8.8.4.4,8.8.8.8)", `(1,"say ""ann@example.com""",2,10.0.0.1,3)`, "(1,x,4111111111111111,10.0.0.1,3)", "(1,x,2,8.8.4.4,3)", "(1,x,2,10.0.0.1,4111111111111111)",
	`("(1,x,2,8.8.4.4,3)","{a,b}",{})`, `("(1,x,2,10.0.0.1,3)","{a,ann@example.com}","{00:1b:21:3a:4d:5e}")`, "(1,2)", "((1,2),(3,4))", "{1,2,3}", "10101", "12:00", "1 day", "other", "mail.example", "x", "1", "12.5", "{x,y}", "abcdef", "lampshade",
	"550e8400-e29b-41d4-a716-446655440000", "empty", "{}", "1:2:", "0/1", "<(1,2),3>",
}

// TestBothFormatsAreOneAnswer reads values of every type of a server that has a text
// form, and arrays of them, in text and in binary: what is masked in one is masked
// in the other, and what takes its place in binary is a value of the type.
func TestBothFormatsAreOneAnswer(t *testing.T) {
	server, database := testserver.Database(t, typesOfOurs)
	ctx := t.Context()
	c, err := pgconn.Connect(ctx, testserver.URL("postgres", server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close(context.Background()) })
	query := func(sql string, format int16, params ...[]byte) (value []byte, oid uint32, err error) {
		r := c.ExecParams(ctx, sql, params, nil, []int16{1}, []int16{format}).Read()
		if r.Err != nil {
			return nil, 0, r.Err
		}
		return r.Rows[0][0], r.FieldDescriptions[0].DataTypeOID, nil
	}
	names := c.ExecParams(ctx, `SELECT format_type(oid, NULL) FROM pg_type WHERE typtype IN ('b', 'd', 'e', 'r', 'm') OR typname LIKE 'own_row%' ORDER BY oid`, nil, nil, nil, nil).Read()
	require.NoError(t, names.Err)
	masked, tried := map[string]int{}, 0
	for _, row := range names.Rows {
		name := string(row[0])
		for _, literal := range literals {
			value := fmt.Sprintf("'%s'::%s", strings.ReplaceAll(literal, "'", "''"), name)
			for _, expression := range []string{value, "ARRAY[" + value + "]", "ARRAY[[" + value + "," + value + "],[" + value + "," + value + "]]"} {
				text, oid, err := query("SELECT "+expression, 0)
				if err != nil {
					break // no value of this type
				}
				raw, _, err := query("SELECT "+expression, 1)
				if err != nil || len(text) == 0 || slices.Contains([]uint32{2205, 2206, 4089, 4096}, oid) {
					continue // of these names only a number goes out
				}
				tried++
				for _, label := range []string{"x", "born"} {
					if label == "born" && strings.Contains(name, "_number") {
						continue // in an array, bytes of a domain may be a date
					}
					inText := newRows(t, Config{}, "SELECT x FROM t", plainColumn(label, oid, false))(bytes.Clone(text))[0]
					inBinary := newRows(t, Config{}, "SELECT x FROM t", plainColumn(label, oid, true))(bytes.Clone(raw))[0]
					copied := plainColumn(label, 0, true)
					copied.Table, copied.Attr = 0, 0
					inCopy := newRows(t, Config{}, "COPY t (v) TO STDOUT (FORMAT binary)", copied)(bytes.Clone(raw))[0]
					hidden := !bytes.Equal(inText, text)
					require.Equal(t, hidden, !bytes.Equal(inBinary, raw), "%s of %s: %q is %q, and in binary %q", label, name, text, inText, inBinary)
					if hidden && (!strings.HasPrefix(name, "macaddr8") || strings.Contains(literal, "ff:fe")) { // eight bytes that nothing tells from a number
						require.NotEqual(t, raw, inCopy, "%s in a copy", expression)
					}
					if hidden {
						masked[name]++
					}
					if hidden && inBinary != nil && !strings.HasPrefix(name, "own_enum") { // which goes out as text that no server knows
						of := name
						if expression[0] == 'A' && !strings.HasSuffix(of, "[]") {
							of += "[]"
						}
						_, _, err := query("SELECT $1::"+of, 1, inBinary)
						require.NoError(t, err, "%s: %q", expression, inBinary)
					}
				}
			}
		}
	}
	t.Logf("%d values, %d types with masked ones", tried, len(masked))
	for _, name := range strings.Split("text,name,character varying,citext,json,jsonb,jsonpath,xml,tsvector,tsquery,hstore,bigint,numeric,double precision,inet,cidr,macaddr,macaddr8,date,"+
		"timestamp without time zone,timestamp with time zone,numrange,int8range,daterange,nummultirange,int8multirange,own_text,own_number,own_address,own_row,own_rows,own_range,own_inets,own_enum,text[],inet[],bigint[],macaddr[]", ",") {
		require.Positive(t, masked[name], "%s is never masked", name)
	}
}
