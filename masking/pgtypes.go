package masking

import (
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/pgvalue"
	"github.com/sallyport/sallyport/proxy"
)

// Numbers of PostgreSQL's types, from pg_type.dat.
const (
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidCIDR        = 650
	oidFloat8      = 701
	oidInet        = 869
	oidDate        = 1082
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802
	oidXML         = 142
	oidRecord      = 2249
	oidRecords     = 2287
	firstUser      = 16384 // of types that the server was not built with
)

// A pgType is one of PostgreSQL's types: how the binary format of its values is
// read as the text format, so that both are scanned as the same text.
type pgType struct {
	oid   uint32
	array uint32 // of arrays of it; 0 when there are none
	name  string // as rules have it, with others after a space
	kind  kind
	// text appends the text of a value in binary format, and is false when the value
	// is malformed. Nil: the binary format is the text, or the kind is not scanned.
	text func(dst, v []byte) ([]byte, bool)
	of   uint32 // the type of the bounds of a range, or of the ranges of a multirange
}

// pgTypes are the types that the server is built with. A type that is missing here
// is scanned in text format as it is, and in binary format in every way that
// it can be read.
var pgTypes = []pgType{
	{oid: 16, array: 1000, name: "bool", kind: kindBool},
	{oid: oidBytea, array: 1001, name: "bytea", kind: kindBytes},
	{oid: 18, array: 1002, kind: kindPlain},
	{oid: 19, array: 1003, name: "name", kind: kindText},
	{oid: oidInt8, array: 1016, name: "int8 bigint", kind: kindNumber, text: pgvalue.Integer},
	{oid: oidInt2, array: 1005, name: "int2 smallint", kind: kindPlain, text: pgvalue.Integer},
	{oid: 22, array: 1006, kind: kindPlain}, // int2vector
	{oid: oidInt4, array: 1007, name: "int4 integer", kind: kindNumber, text: pgvalue.Integer},
	{oid: 24, array: 1008, kind: kindPlain}, // regproc; of what reg types name only a number goes out in binary
	{oid: oidText, array: 1009, name: "text", kind: kindText},
	{oid: 26, array: 1028, kind: kindPlain}, // oid
	{oid: 27, array: 1010, kind: kindPlain}, // tid
	{oid: 28, array: 1011, kind: kindPlain}, // xid
	{oid: 29, array: 1012, kind: kindPlain}, // cid
	{oid: 30, array: 1013, kind: kindPlain}, // oidvector
	{oid: 114, array: 199, name: "json", kind: kindJSON},
	{oid: 142, array: 143, name: "xml", kind: kindText},
	{oid: 194, kind: kindText}, // pg_node_tree
	{oid: 600, array: 1017, name: "point", kind: kindOther, text: pointsText},
	{oid: 601, array: 1018, kind: kindOther, text: pointsText},
	{oid: 602, array: 1019, kind: kindOther, text: pathText},
	{oid: 603, array: 1020, kind: kindOther, text: pointsText},
	{oid: 604, array: 1027, kind: kindOther, text: polygonText},
	{oid: 628, array: 629, kind: kindOther, text: pointsText},
	{oid: oidCIDR, array: 651, name: "cidr", kind: kindOther, text: addressText},
	{oid: 700, array: 1021, name: "float4", kind: kindPlain},
	{oid: oidFloat8, array: 1022, name: "float8", kind: kindNumber, text: pgvalue.Float},
	{oid: 705, kind: kindText}, // unknown
	{oid: 718, array: 719, kind: kindOther, text: pointsText},
	{oid: 774, array: 775, name: "macaddr8", kind: kindOther, text: hardwareText},
	{oid: 790, array: 791, name: "money", kind: kindPlain},
	{oid: 829, array: 1040, name: "macaddr", kind: kindOther, text: hardwareText},
	{oid: oidInet, array: 1041, name: "inet", kind: kindOther, text: addressText},
	{oid: 1033, array: 1034, kind: kindText}, // aclitem, which has no binary format
	{oid: 1042, array: 1014, name: "bpchar char", kind: kindText},
	{oid: 1043, array: 1015, name: "varchar", kind: kindText},
	{oid: oidDate, array: 1182, name: "date", kind: kindTime, text: pgvalue.Date},
	{oid: 1083, array: 1183, name: "time", kind: kindPlain},
	{oid: oidTimestamp, array: 1115, name: "timestamp", kind: kindTime, text: pgvalue.Timestamp},
	{oid: oidTimestampTZ, array: 1185, name: "timestamptz", kind: kindTime, text: pgvalue.Timestamp},
	{oid: 1186, array: 1187, name: "interval", kind: kindPlain},
	{oid: 1266, array: 1270, kind: kindPlain}, // timetz
	{oid: 1560, array: 1561, kind: kindPlain}, // bit
	{oid: 1562, array: 1563, kind: kindPlain}, // varbit
	{oid: oidNumeric, array: 1231, name: "numeric", kind: kindNumber, text: pgvalue.Numeric},
	{oid: 1790, array: 2201, kind: kindText}, // refcursor
	{oid: 2202, array: 2207, kind: kindPlain},
	{oid: 2203, array: 2208, kind: kindPlain},
	{oid: 2204, array: 2209, kind: kindPlain},
	{oid: 2205, array: 2210, kind: kindPlain},
	{oid: 2206, array: 2211, kind: kindPlain},
	{oid: oidRecord, array: oidRecords, kind: kindNested},
	{oid: 2275, array: 1263, kind: kindText}, // cstring
	{oid: 2277, kind: kindNested},            // anyarray
	{oid: 2278, kind: kindPlain},             // void
	{oid: oidUUID, array: 2951, name: "uuid", kind: kindPlain},
	{oid: 2970, array: 2949, kind: kindPlain}, // txid_snapshot
	{oid: 3220, array: 3221, kind: kindPlain}, // pg_lsn
	{oid: 3361, kind: kindBytes},              // pg_ndistinct and the other statistics
	{oid: 3402, kind: kindBytes},
	{oid: 5017, kind: kindBytes},
	{oid: 3614, array: 3643, kind: kindText, text: vectorText},
	{oid: 3615, array: 3645, kind: kindText, text: queryText},
	{oid: 3642, array: 3644, kind: kindPlain}, // gtsvector
	{oid: 3734, array: 3735, kind: kindPlain},
	{oid: 3769, array: 3770, kind: kindPlain},
	{oid: oidJSONB, array: 3807, name: "jsonb", kind: kindJSON, text: versionedText},
	{oid: 3904, array: 3905, kind: kindRange, of: oidInt4},
	{oid: 3906, array: 3907, kind: kindRange, of: oidNumeric},
	{oid: 3908, array: 3909, kind: kindRange, of: oidTimestamp},
	{oid: 3910, array: 3911, kind: kindRange, of: oidTimestampTZ},
	{oid: 3912, array: 3913, kind: kindRange, of: oidDate},
	{oid: 3926, array: 3927, kind: kindRange, of: oidInt8},
	{oid: 4072, array: 4073, kind: kindText, text: versionedText}, // jsonpath
	{oid: 4089, array: 4090, kind: kindPlain},
	{oid: 4096, array: 4097, kind: kindPlain},
	{oid: 4191, array: 4192, kind: kindPlain},
	{oid: 4451, array: 6150, kind: kindRanges, of: 3904},
	{oid: 4532, array: 6151, kind: kindRanges, of: 3906},
	{oid: 4533, array: 6152, kind: kindRanges, of: 3908},
	{oid: 4534, array: 6153, kind: kindRanges, of: 3910},
	{oid: 4535, array: 6155, kind: kindRanges, of: 3912},
	{oid: 4536, array: 6157, kind: kindRanges, of: 3926},
	{oid: 5038, array: 5039, kind: kindPlain}, // pg_snapshot
	{oid: 5069, array: 271, kind: kindPlain},  // xid8
}

// holds reports whether t is known and of kind k.
func (t *pgType) holds(k kind) bool { return t != nil && t.kind == k }

// typesByOID has the types and, with an element in the place of its array, the
// arrays of them.
var typesByOID, elementsOf = func() (types, elements map[uint32]*pgType) {
	types, elements = map[uint32]*pgType{}, map[uint32]*pgType{}
	for i := range pgTypes {
		t := &pgTypes[i]
		types[t.oid] = t
		if t.array != 0 {
			elements[t.array] = t
		}
	}
	return types, elements
}()

// typeNamed returns the number of the type that rules call name.
func typeNamed(name string) (oid uint32, ok bool) {
	for i := range pgTypes {
		if t := &pgTypes[i]; slices.Contains(strings.Fields(t.name), name) {
			return t.oid, true
		}
	}
	return 0, false
}

// kindOf returns how column c is read.
func kindOf(c *proxy.ShapeColumn) kind {
	if t := typesByOID[c.Type]; t != nil {
		switch {
		case t.kind == kindText && t.text != nil && c.Binary:
			return kindOther // whose form is not that of a text
		case t.kind == kindNested && t.oid == oidRecord && !c.Binary:
			return kindText
		}
		return t.kind
	}
	if e := elementsOf[c.Type]; e != nil {
		switch {
		case e.kind == kindPlain || e.kind == kindBool:
			return kindPlain
		case e.kind == kindText && e.text == nil && !c.Binary, e.oid == oidRecord && !c.Binary:
			return kindText
		}
		return kindNested
	}
	switch {
	case c.Binary:
		return kindUnknown
	case c.Type == 0 || c.Type >= firstUser:
		return kindText // a row, or an extension's type such as citext
	}
	return kindOther
}

// appendTextOf appends the text of v, a value of the type oid in binary format. It
// is false when v is malformed, or nested deeper than nobody's is.
func appendTextOf(dst []byte, oid uint32, v []byte, depth int) ([]byte, bool) {
	if depth > maxNesting {
		return dst, false
	}
	t := typesByOID[oid]
	if t == nil {
		if elementsOf[oid] != nil {
			return appendArray(dst, v, depth, nil)
		}
		return appendReadings(dst, v, depth)
	}
	switch t.kind {
	case kindNested:
		if oid == oidRecord {
			return appendRecord(dst, v, depth, nil)
		}
		return appendArray(dst, v, depth, nil)
	case kindRange:
		return appendRange(dst, v, t.of, depth)
	case kindRanges:
		return appendRanges(dst, v, t.of, depth)
	}
	if t.text != nil {
		return t.text(dst, v)
	}
	return append(dst, v...), true
}
