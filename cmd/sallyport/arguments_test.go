package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Arguments that a driver sends in binary format are recorded as what they say, where the
// client or the server has told their type.
func TestBinaryArgumentsAreShown(t *testing.T) {
	o := openOffice(t, "")
	c, err := pgx.Connect(t.Context(), o.conn("alice"))
	require.NoError(t, err)
	defer c.Close(context.Background())
	moment := time.Date(2024, 5, 6, 7, 8, 9, 120_000_000, time.UTC)
	_, err = c.Exec(t.Context(), "SELECT $1::int2, $2::int8, $3::bool, $4::float8, $5::uuid, $6::timestamptz, $7::date, $8::numeric, $9::bytea, $10::int4",
		int16(7), int64(-9000000000), true, 2.5, [16]byte{0xf8, 0x1d, 0x4f, 0xae, 15: 1}, moment, moment, "12.50", []byte{0, 7}, nil)
	require.NoError(t, err)
	require.NoError(t, c.Close(t.Context()))
	var list []summary
	require.Eventually(t, func() bool {
		list = decode[listed[summary]](t, must(t, "sessions", "ls", "-c", o.config, "-o", "json")).Items
		return len(list) == 1 && list[0].End != ""
	}, 20*time.Second, 50*time.Millisecond)
	require.Contains(t, must(t, "sessions", "show", "-c", o.config, list[0].ID),
		`  '7'  '-9000000000'  'true'  '2.5'  'f81d4fae-0000-0000-0000-000000000001'  '2024-05-06 07:08:09.12+00'  '2024-05-06'  '12.50'  '\x0007'  NULL`)
}
