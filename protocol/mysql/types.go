package mysql

import "github.com/sallyport/sallyport/protocol/mysql/wire"

// Numbers of types as interceptors know them, which are those of PostgreSQL's types with
// the same values.
const (
	numberBytes     = 17
	numberInt8      = 20
	numberInt2      = 21
	numberInt4      = 23
	numberText      = 25
	numberJSON      = 114
	numberFloat4    = 700
	numberFloat8    = 701
	numberDate      = 1082
	numberTime      = 1083
	numberTimestamp = 1114
	numberBit       = 1560
	numberNumeric   = 1700
)

// typeOf returns the number by which interceptors know a type.
func typeOf(t wire.Type, charset uint16, unsigned bool) uint32 {
	switch t {
	case wire.TypeTiny, wire.TypeYear:
		return numberInt2
	case wire.TypeShort:
		if unsigned {
			return numberInt4
		}
		return numberInt2
	case wire.TypeInt24:
		return numberInt4
	case wire.TypeLong:
		if unsigned {
			return numberInt8
		}
		return numberInt4
	case wire.TypeLongLong:
		if unsigned {
			return numberNumeric
		}
		return numberInt8
	case wire.TypeFloat:
		return numberFloat4
	case wire.TypeDouble:
		return numberFloat8
	case wire.TypeDecimal, wire.TypeNewDecimal:
		return numberNumeric
	case wire.TypeDate, wire.TypeNewDate:
		return numberDate
	case wire.TypeDatetime, wire.TypeTimestamp:
		return numberTimestamp
	case wire.TypeTime:
		return numberTime
	case wire.TypeBit:
		return numberBytes // whatever its bits say
	case wire.TypeJSON:
		return numberJSON
	case wire.TypeGeometry, wire.TypeVector:
		return numberBytes
	}
	// Text and bytes have the same types, and so has text that was made of bytes: what
	// looks like text in them is looked into.
	return numberText
}
