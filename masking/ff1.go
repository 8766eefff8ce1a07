package masking

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/big"
)

// ff1 is the format-preserving encryption FF1 of NIST SP 800-38G: it turns a
// string of numerals into another of the same length and radix. It is immutable
// and safe for concurrent use.
type ff1 struct {
	block cipher.Block // AES
	tweak []byte
}

// leastDomain is the smallest number of values that FF1 may be used for: with
// fewer, all of them can be tried. SP 800-38G, revision 1, asks for as many.
const leastDomain = 1000000

const maxNumerals = 128

var errDomain = errors.New("the value has too few digits, or too many, for format-preserving encryption")

// wideEnough reports whether there are enough values of n numerals.
func wideEnough(radix, n int) bool {
	domain := 1
	for range n {
		if domain *= radix; domain >= leastDomain {
			return n <= maxNumerals
		}
	}
	return false
}

func (f *ff1) encrypt(x []byte, radix int) error { return f.rounds(x, radix, false) }
func (f *ff1) decrypt(x []byte, radix int) error { return f.rounds(x, radix, true) }

// rounds does the ten rounds over the numerals x in place. The names are the
// standard's.
func (f *ff1) rounds(x []byte, radix int, backward bool) error {
	n := len(x)
	if !wideEnough(radix, n) {
		return errDomain
	}
	u := n / 2
	v := n - u
	base := big.NewInt(int64(radix))
	modU, modV := new(big.Int).Exp(base, big.NewInt(int64(u)), nil), new(big.Int).Exp(base, big.NewInt(int64(v)), nil)
	b := (new(big.Int).Sub(modV, big.NewInt(1)).BitLen() + 7) / 8
	d := 4*((b+3)/4) + 4

	// P and Q, one behind the other.
	t := len(f.tweak)
	pad := (16 - (t+b+1)%16) % 16
	pq := make([]byte, 16, 16+t+pad+1+b)
	copy(pq, []byte{1, 2, 1, byte(radix >> 16), byte(radix >> 8), byte(radix), 10, byte(u)})
	binary.BigEndian.PutUint32(pq[8:], uint32(n))
	binary.BigEndian.PutUint32(pq[12:], uint32(t))
	pq = append(pq, f.tweak...)
	pq = pq[:cap(pq)]
	round, number := &pq[16+t+pad], pq[16+t+pad+1:]

	numA, numB, y := numeral(x[:u], base), numeral(x[u:], base), new(big.Int)
	s := make([]byte, (d+15)/16*16)
	for k := range 10 {
		i := k
		if backward {
			i = 9 - k
			numA, numB = numB, numA
		}
		*round = byte(i)
		numB.FillBytes(number)
		f.prf(s[:16], pq)
		for j := 16; j < len(s); j += 16 {
			copy(s[j:], s[:16])
			binary.BigEndian.PutUint64(s[j+8:], binary.BigEndian.Uint64(s[8:])^uint64(j/16))
			f.block.Encrypt(s[j:], s[j:j+16])
		}
		y.SetBytes(s[:d])
		mod := modV
		if i%2 == 0 {
			mod = modU
		}
		if backward {
			numA.Mod(numA.Sub(numA, y), mod)
			continue
		}
		numA.Mod(numA.Add(numA, y), mod)
		numA, numB = numB, numA
	}
	numerals(x[:u], numA, base)
	numerals(x[u:], numB, base)
	return nil
}

// prf is the CBC-MAC of whole blocks, into out.
func (f *ff1) prf(out, in []byte) {
	clear(out)
	for ; len(in) > 0; in = in[16:] {
		for i := range out {
			out[i] ^= in[i]
		}
		f.block.Encrypt(out, out)
	}
}

func numeral(x []byte, base *big.Int) *big.Int {
	n, d := new(big.Int), new(big.Int)
	for _, c := range x {
		n.Add(n.Mul(n, base), d.SetInt64(int64(c)))
	}
	return n
}

func numerals(x []byte, n, base *big.Int) {
	rest := new(big.Int)
	for i := len(x) - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		x[i] = byte(rest.Int64())
	}
}

// format encrypts the letters and digits of v in place and leaves what stands
// between them: digits become digits; where there are letters too, letters and
// digits become either, in one case. It reports whether v could be encrypted.
func (f *ff1) format(v []byte, backward bool) bool {
	var room [maxNumerals]byte
	x, radix, upper := room[:0], 10, false
	for _, c := range v {
		switch {
		case len(x) == maxNumerals, c >= 0x80:
			return false
		case isDigit(c):
			x = append(x, c-'0')
		case isAlnum(c):
			radix = 36
			upper = upper || isUpper(c)
			x = append(x, (c|0x20)-'a'+10)
		}
	}
	if f.rounds(x, radix, backward) != nil {
		return false
	}
	for i, k := 0, 0; i < len(v); i++ {
		if !isAlnum(v[i]) {
			continue
		}
		switch d := x[k]; {
		case d < 10:
			v[i] = '0' + d
		case upper:
			v[i] = 'A' + d - 10
		default:
			v[i] = 'a' + d - 10
		}
		k++
	}
	return true
}
