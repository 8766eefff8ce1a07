package masking

import (
	"encoding/hex"
	"slices"

	"github.com/sallyport/sallyport/detect"
)

// appendHash appends 16 hex digits of the keyed hash of v.
func (k *keys) appendHash(dst, v []byte, t detect.Type) []byte {
	h := k.hash.Get().(*keyedHash)
	h.of(v, t)
	dst = hex.AppendEncode(dst, h.sum[:8])
	k.hash.Put(h)
	return dst
}

// appendPseudonym appends a name for v: its type, the key's id, and 16 hex
// digits, as in US_SSN-3f2a-0123456789abcdef.
func (k *keys) appendPseudonym(dst, v []byte, t detect.Type) []byte {
	dst = append(append(append(append(dst, t...), '-'), k.id...), '-')
	return k.appendHash(dst, v, t)
}

// sameShape replaces the letters and digits of v in place by others of their
// kind, which the key and the value choose. It fails when v has letters that it
// does not know. A number does not begin with 0 unless it did.
func (k *keys) sameShape(v []byte, t detect.Type) bool {
	if slices.ContainsFunc(v, func(c byte) bool { return c >= 0x80 }) {
		return false
	}
	k.hashed(v, t, func(h *keyedHash) {
		n, first := 0, true
		for i, c := range v {
			if !isAlnum(c) {
				continue
			}
			if n == len(h.sum) {
				h.next()
				n = 0
			}
			r := h.sum[n]
			n++
			switch {
			case isDigit(c) && first && c != '0':
				v[i] = '1' + r%9
			case isDigit(c):
				v[i] = '0' + r%10
			case isUpper(c):
				v[i] = 'A' + r%26
			default:
				v[i] = 'a' + r%26
			}
			first = false
		}
	})
	return true
}
