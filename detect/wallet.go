package detect

import (
	"crypto/sha256"
	"strings"
)

// wallet finds the address of a crypto currency in the word src[start:end] and
// returns its end, or start.
func (s *scan) wallet(start, end int) int {
	w := s.src[start:end]
	switch {
	case len(w) == 42 && w[0] == '0' && w[1]|0x20 == 'x':
		for _, c := range w[2:] {
			if !isHex(c) {
				return start
			}
		}
	case len(w) >= 40 && len(w) <= 62 && w[0]|0x20 == 'b' && w[1]|0x20 == 'c' && w[2] == '1':
		// One that is mistyped is still somebody's, if a word says so.
		if !validBech32(w) && s.context(start).near&aboutWallet == 0 {
			return start
		}
	case len(w) >= 26 && len(w) <= 35 && (w[0] == '1' || w[0] == '3'):
		if !validBase58(w) && (!inBase58(w) || s.context(start).near&aboutWallet == 0) {
			return start
		}
	default:
		return start
	}
	s.emit(start, end, Crypto, 90)
	return end
}

const base58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

func inBase58(w []byte) bool {
	for _, c := range w {
		if strings.IndexByte(base58, c) < 0 {
			return false
		}
	}
	return mixedCase(w)
}

// validBase58 checks the four bytes of hash at the end of a Bitcoin address.
func validBase58(w []byte) bool {
	var n [25]byte
	for _, c := range w {
		carry := strings.IndexByte(base58, c)
		if carry < 0 {
			return false
		}
		for i := len(n) - 1; i >= 0; i-- {
			carry += int(n[i]) * 58
			n[i] = byte(carry)
			carry >>= 8
		}
		if carry != 0 {
			return false
		}
	}
	sum := sha256.Sum256(n[:21])
	sum = sha256.Sum256(sum[:])
	return string(sum[:4]) == string(n[21:])
}

// validBech32 checks the code of a segregated-witness address: BIP 173, BIP 350.
func validBech32(w []byte) bool {
	const set = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	chk := uint32(1)
	step := func(v byte) {
		top := chk >> 25
		chk = chk&0x1ffffff<<5 ^ uint32(v)
		for i, g := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				chk ^= g
			}
		}
	}
	for _, v := range [...]byte{3, 3, 0, 2, 3} { // "bc"
		step(v)
	}
	for _, c := range w[3:] {
		v := strings.IndexByte(set, c|0x20)
		if isDigit(c) {
			v = strings.IndexByte(set, c)
		}
		if v < 0 {
			return false
		}
		step(byte(v))
	}
	return chk == 1 || chk == 0x2bc830a3
}
