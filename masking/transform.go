package masking

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/detect"
)

// Transform says what replaces a value.
type Transform uint8

// Transforms. Where two rules meet, the more restrictive is used; see
// docs/masking.md for the order.
const (
	Partial      Transform = iota // the same form, with at most half of it readable
	Hash                          // a keyed hash: equal values stay equal
	Redact                        // the type's name
	Null                          // no value: the whole cell becomes NULL
	Visible                       // as it is; only for types that a rule names
	Fixed                         // Options.Text
	Pseudonym                     // a keyed hash that names its type and its key
	Tokenise                      // a token that [Masker.Detokenise] turns back
	Encrypt                       // format-preserving encryption: as many digits, which can be turned back
	SameShape                     // other digits and letters at the same places, chosen by the key
	Shift                         // a date moved by up to Options.Days, by the key and the date
	Truncate                      // a date cut down to its Options.Unit
	Bucket                        // a number's multiple of Options.Size
	KeepDomain                    // an e-mail address without the part before its @
	KeepNetwork                   // an IP address without its host
	transformEnd                  // how many there are
)

var transformNames = [transformEnd]string{
	"partial", "hash", "redact", "null", "visible", "fixed", "pseudonym", "tokenise", "encrypt", "same-shape", "shift", "truncate", "bucket",
	"keep-domain", "keep-network",
}

// String returns the transform's name in configuration.
func (t Transform) String() string {
	if t < transformEnd {
		return transformNames[t]
	}
	return "null"
}

// ParseTransform returns the transform of that name; "" is Partial.
func ParseTransform(name string) (Transform, error) {
	if name == "" {
		return Partial, nil
	}
	if i := slices.Index(transformNames[:], name); i >= 0 {
		return Transform(i), nil
	}
	return Null, fmt.Errorf("unknown transform %q: want one of %s", name, strings.Join(transformNames[:], ", "))
}

// Options are what some transforms need to be told. The zero value is each
// transform's default.
type Options struct {
	// KeepFirst and KeepLast are how many letters and digits Partial leaves
	// readable; both 0 is the type's default. Of shorter values, of which that
	// would be more than half, nothing is readable.
	KeepFirst, KeepLast int
	Text                string // of Fixed
	Days                int    // of Shift, 1–3650; 0 is 30
	Unit                string // of Truncate: "year" (also for ""), "decade", "month" or "day"
	Size                int64  // of Bucket, at least 2; 0 is 10
	// Bits are how many KeepNetwork keeps of an IPv4 address, 1–24; 0 is 16. Of
	// an IPv6 address it keeps twice as many.
	Bits int
}

// treatment is a transform with its options.
type treatment struct {
	Transform
	Options
}

// restriction orders transforms, the less restrictive first.
var restriction = func() (rank [transformEnd]int) {
	for i, t := range []Transform{
		Visible, KeepNetwork, KeepDomain, Bucket, Shift, Truncate, Partial, Encrypt, Tokenise, SameShape, Pseudonym, Hash, Fixed, Redact, Null,
	} {
		rank[t] = i
	}
	return rank
}()

// stricter returns the more restrictive of two treatments.
func stricter(a, b treatment) treatment {
	order := cmp.Compare(restriction[a.Transform], restriction[b.Transform])
	if order == 0 {
		order = cmp.Or(
			cmp.Compare(b.KeepFirst+b.KeepLast, a.KeepFirst+a.KeepLast), cmp.Compare(a.Days, b.Days),
			cmp.Compare(slices.Index(units, a.Unit), slices.Index(units, b.Unit)), cmp.Compare(a.Size, b.Size), cmp.Compare(b.Bits, a.Bits),
		)
	}
	if order > 0 {
		return a
	}
	return b
}

// units are those of Truncate, the finer first.
var units = []string{"day", "month", "year", "decade"}

// withDefaults fills in what the options leave open.
func (t treatment) withDefaults() treatment {
	switch t.Transform {
	case Shift:
		t.Days = cmp.Or(t.Days, 30)
	case Truncate:
		t.Unit = cmp.Or(t.Unit, "year")
	case Bucket:
		t.Size = cmp.Or(t.Size, 10)
	case KeepNetwork:
		t.Bits = cmp.Or(t.Bits, 16)
	}
	return t
}

// hidden stands for a value of which nothing may be told, its length neither.
const hidden = "********"

// appendMasked appends what stands for v, a value of type t, in a text. With
// Null it appends what stands for it where there is no NULL.
func (m *Masker) appendMasked(dst, v []byte, t detect.Type, how treatment) []byte {
	switch how.Transform {
	case Visible:
		return append(dst, v...)
	case Partial:
		return appendPartial(dst, v, t, how.KeepFirst, how.KeepLast)
	case Hash:
		return m.keys.appendHash(dst, v, t)
	case Pseudonym:
		return m.keys.appendPseudonym(dst, v, t)
	case Tokenise:
		return m.keys.appendToken(dst, v, t)
	case Fixed:
		return append(dst, how.Text...)
	}
	at := len(dst)
	if isSecret(t) && (how.Transform == Encrypt || how.Transform == SameShape) {
		return append(dst, hidden...)
	}
	ok := false
	switch how.Transform {
	case Encrypt:
		dst = append(dst, v...)
		ok = (&ff1{m.keys.format, []byte(t)}).format(dst[at:], false)
	case SameShape:
		dst = append(dst, v...)
		ok = m.keys.sameShape(dst[at:], t)
	case Shift, Truncate:
		dst, ok = m.keys.appendDate(dst, v, how)
	case Bucket:
		dst, ok = appendBucket(dst, v, how.Size)
	case KeepDomain:
		dst, ok = appendDomain(dst, v)
	case KeepNetwork:
		dst, ok = appendNetwork(dst, v, how.Bits)
	default: // Redact, Null
		return append(append(append(dst, '['), t...), ']')
	}
	if !ok { // not what the transform is for
		return appendStars(dst[:at], v, t)
	}
	return dst
}

// appendStars appends v with all its letters and digits hidden.
func appendStars(dst, v []byte, t detect.Type) []byte {
	if isSecret(t) {
		return append(dst, hidden...)
	}
	return appendKept(dst, v, 0, 0)
}
