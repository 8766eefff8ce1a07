package masking

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"
)

// What cannot be masked in its type becomes NULL. Programs that read a column which is
// declared NOT NULL do not expect that, so such a column shows a neutral value where its
// type has one: a valid value, the same for all rows, that real ones do not look like where
// the type allows it. Truth values and values of enumerations are all real, so they
// have none.

// neutralDay is the neutral date. Drivers and data frames that know no early dates know
// this one, and nobody who lives was born then.
var neutralDay = time.Date(1700, time.January, 1, 0, 0, 0, 0, time.UTC)

// neutrals are the neutral values of PostgreSQL's types, in text and in binary format.
var neutrals = func() map[uint32][2]string {
	zeros := func(n int) string { return string(make([]byte, n)) }
	day := neutralDay.Format(time.DateOnly)
	moment := func(oid uint32) string {
		b, _ := appendBinaryTime(nil, neutralDay, oid)
		return string(b)
	}
	address := func(network byte) string { return string([]byte{2, 32, network, 4, 0, 0, 0, 0}) }
	all := map[uint32][2]string{
		oidInt2: {"0", zeros(2)}, oidInt4: {"0", zeros(4)}, oidInt8: {"0", zeros(8)}, oidNumeric: {"0", zeros(8)}, 700: {"0", zeros(4)}, oidFloat8: {"0", zeros(8)},
		oidDate: {day, moment(oidDate)}, oidTimestamp: {day + " 00:00:00", moment(oidTimestamp)}, oidTimestampTZ: {day + " 00:00:00+00", moment(oidTimestampTZ)},
		1083: {"00:00:00", zeros(8)}, 1266: {"00:00:00+00", zeros(12)}, 1186: {"00:00:00", zeros(16)},
		oidUUID: {"00000000-0000-0000-0000-000000000000", zeros(16)},
		oidInet: {"0.0.0.0", address(0)}, oidCIDR: {"0.0.0.0/32", address(1)},
		829: {"00:00:00:00:00:00", zeros(6)}, 774: {"00:00:00:00:00:00:00:00", zeros(8)},
		oidBytea: {`\x`, ""}, 114: {"{}", "{}"}, oidJSONB: {"{}", "\x01{}"},
	}
	for i := range pgTypes {
		t := &pgTypes[i]
		switch t.kind {
		case kindRange:
			all[t.oid] = [2]string{"empty", "\x01"}
		case kindRanges:
			all[t.oid] = [2]string{"{}", zeros(4)}
		}
		if t.array != 0 { // no dimensions, no NULLs, the type of the elements
			all[t.array] = [2]string{"{}", string(binary.BigEndian.AppendUint32(make([]byte, 8), t.oid))}
		}
	}
	return all
}()

// neutralOf returns the neutral value of type oid in its format, nil when it has none.
func neutralOf(oid uint32, inBinary bool) []byte {
	n, ok := neutrals[oid]
	switch {
	case !ok:
		return nil
	case inBinary:
		return []byte(n[1])
	}
	return []byte(n[0])
}

// isNeutral reports whether v, text, is the neutral value of the column in any of its
// spellings.
func (c *column) isNeutral(v []byte) bool {
	if c.neutral == nil {
		return false
	}
	v = bytes.TrimSpace(v)
	switch {
	case numberBytes[c.oid] != 0 || c.oid == oidNumeric || c.oid == 700 || c.oid == oidFloat8:
		x, err := strconv.ParseFloat(string(v), 64)
		return err == nil && x == 0
	case c.kind == kindTime:
		// A time zone moves it by less than a day.
		t, err := time.Parse(time.DateOnly, string(v[:min(len(v), len(time.DateOnly))]))
		return err == nil && t.Sub(neutralDay).Abs() <= 24*time.Hour
	case c.oid == oidInet || c.oid == oidCIDR:
		v = bytes.TrimSuffix(v, []byte("/32"))
		return string(v) == "0.0.0.0"
	}
	return bytes.Equal(v, c.neutral)
}
