package pgvalue_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/internal/pgvalue"
	"github.com/sallyport/sallyport/internal/testserver"
)

func TestMain(m *testing.M) { testserver.Main(m) }

// TestText: the server's own values in both formats read the same.
func TestText(t *testing.T) {
	server, database := testserver.Database(t, "SELECT 1")
	c, err := pgconn.Connect(t.Context(), testserver.URL("postgres", server.Password, server.Address(), database, "sslmode=disable"))
	require.NoError(t, err)
	defer c.Close(t.Context())
	_, err = c.Exec(t.Context(), "SET timezone = 'UTC'; SET datestyle = 'ISO'").ReadAll()
	require.NoError(t, err)
	for _, value := range []string{
		"7::int2", "-7::int2", "123456::int4", "'-2147483648'::int4", "9223372036854775807::int8", "4294967295::oid",
		"1.5::float4", "-0.1::float4", "3.25::float8", "1e100::float8", "0::float8", "'NaN'::float8",
		"0::numeric", "12345.6789::numeric", "-0.00012::numeric", "1e20::numeric", "'NaN'::numeric", "10000::numeric", "99990000.10::numeric",
		"'2024-02-29'::date", "'1969-12-31'::date", "'2024-05-06 07:08:09.12'::timestamp", "'1999-12-31 23:59:59'::timestamp",
		"'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid", "'größe'::text", "''::text", "'ann'::varchar(9)", `'{"a": 1}'::json`, "'ab'::char(4)", "'n'::name",
	} {
		read := func(format int16) (pgconn.FieldDescription, []byte) {
			r := c.ExecParams(t.Context(), "SELECT "+value, nil, nil, nil, []int16{format}).Read()
			require.NoError(t, r.Err, value)
			return r.FieldDescriptions[0], r.Rows[0][0]
		}
		field, binary := read(1)
		_, want := read(0)
		got, ok := pgvalue.Text([]byte("before "), binary, field.DataTypeOID)
		require.True(t, ok, value)
		require.Equal(t, "before "+string(want), string(got), value)
		if len(binary) > 0 && field.DataTypeOID != 25 && field.DataTypeOID != 1043 && field.DataTypeOID != 114 && field.DataTypeOID != 1042 && field.DataTypeOID != 19 {
			_, ok = pgvalue.Text(nil, append(binary, 0, 0, 0), field.DataTypeOID)
			require.False(t, ok, "%s is of no such length", value)
		}
	}
	for _, b := range []byte{0, 1} {
		got, ok := pgvalue.Text(nil, []byte{b}, 16)
		require.True(t, ok)
		require.Equal(t, []string{"false", "true"}[b], string(got))
	}
	got, ok := pgvalue.Text(nil, []byte{0, 1, 2, 3, 4, 5, 6, 7}, 1184) // its text is in the session's time zone
	require.True(t, ok)
	require.Equal(t, "2008-12-27 09:55:52.306183+00", string(got))
	for _, infinity := range []string{"\x7f\xff\xff\xff", "\x80\x00\x00\x00", "\xff\xf4\x00\x00"} { // and a day before our era
		_, ok := pgvalue.Text(nil, []byte(infinity), 1082)
		require.False(t, ok, "%x", infinity)
	}
	for _, oid := range []uint32{0, 17, 3802, 1007, 99999} {
		_, ok := pgvalue.Text(nil, []byte{0, 7}, oid)
		require.False(t, ok, "%d", oid)
	}
	_, ok = pgvalue.Text(nil, []byte("\xff"), 25)
	require.False(t, ok)
}
