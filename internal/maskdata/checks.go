package maskdata

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strconv"
	"strings"
)

// withLuhn appends the check digit of Luhn's formula.
func withLuhn(d string) string {
	sum := 0
	for i := range len(d) {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return d + strconv.Itoa((10-sum%10)%10)
}

// sumOf is the sum of the first digits of d times the weights.
func sumOf(d string, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += int(d[i]-'0') * w
	}
	return sum
}

// until returns the first value that make makes and that is not empty.
func until(make func() string) string {
	for {
		if s := make(); s != "" {
			return s
		}
	}
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// mod97 is the remainder of a number whose letters stand for 10 to 35.
func mod97(s string) int {
	var b strings.Builder
	for _, c := range strings.ToUpper(s) {
		if c >= 'A' {
			b.WriteString(strconv.Itoa(int(c-'A') + 10))
		} else {
			b.WriteRune(c)
		}
	}
	n, _ := new(big.Int).SetString(b.String(), 10)
	return int(n.Mod(n, big.NewInt(97)).Int64())
}

// iban returns a number with right check digits; form is of the country's basic
// number in the letters of fill.
func (m *Maker) iban(country, form string) string {
	body := m.fill(form)
	check := 98 - mod97(body+country+"00")
	return country + strconv.Itoa(check/10) + strconv.Itoa(check%10) + body
}

var ibanForms = map[string]string{
	"AD": "########%%%%%%%%%%%%", "AE": "###################", "AT": "################", "BE": "############", "BG": "????######%%%%%%%%", "CH": "#####%%%%%%%%%%%%",
	"CY": "########%%%%%%%%%%%%%%%%", "CZ": "####################", "DE": "##################", "DK": "##############", "EE": "################", "ES": "####################",
	"FI": "##############", "FR": "##########%%%%%%%%%%%##", "GB": "????##############", "GI": "????%%%%%%%%%%%%%%%", "GR": "#######%%%%%%%%%%%%%%%%", "HR": "#################",
	"HU": "########################", "IE": "????##############", "IL": "###################", "IS": "######################", "IT": "?##########%%%%%%%%%%%%", "LI": "#####%%%%%%%%%%%%",
	"LT": "################", "LU": "###%%%%%%%%%%%%%", "LV": "????%%%%%%%%%%%%%", "MC": "##########%%%%%%%%%%%##", "MT": "????#####%%%%%%%%%%%%%%%%%%", "NL": "????##########",
	"NO": "###########", "PL": "########################", "PT": "#####################", "RO": "????%%%%%%%%%%%%%%%%", "SE": "####################", "SI": "###############",
	"SK": "####################", "SA": "##%%%%%%%%%%%%%%%%%%", "TR": "#####%%%%%%%%%%%%%%%%%", "UA": "######%%%%%%%%%%%%%%%%%%%", "BR": "#######################?%", "KZ": "###%%%%%%%%%%%%%",
	"QA": "????%%%%%%%%%%%%%%%%%%%%%", "RS": "##################", "GE": "??################", "PK": "????%%%%%%%%%%%%%%%%", "JO": "????####%%%%%%%%%%%%%%%%%%", "KW": "????%%%%%%%%%%%%%%%%%%%%%%",
	"LB": "####%%%%%%%%%%%%%%%%%%%%", "AZ": "????%%%%%%%%%%%%%%%%%%%%", "BA": "################", "DO": "%%%%####################", "FO": "##############", "GL": "##############", "AL": "########%%%%%%%%%%%%%%%%",
}

const base58Set = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58Address is a Bitcoin address of the given version.
func (m *Maker) base58Address(version byte) string {
	var n [25]byte
	n[0] = version
	for i := 1; i < 21; i += 4 {
		binary.BigEndian.PutUint32(n[i:], m.r.Uint32())
	}
	one := sha256.Sum256(n[:21])
	two := sha256.Sum256(one[:])
	copy(n[21:], two[:4])
	x, mod, base := new(big.Int).SetBytes(n[:]), new(big.Int), big.NewInt(58)
	var out []byte
	for x.Sign() > 0 {
		x.DivMod(x, base, mod)
		out = append([]byte{base58Set[mod.Int64()]}, out...)
	}
	for i := 0; i < len(n) && n[i] == 0; i++ {
		out = append([]byte{'1'}, out...)
	}
	return string(out)
}

// segwitAddress is a Bitcoin address of a witness version and program length, by
// BIP 173 and BIP 350.
func (m *Maker) segwitAddress(version, words int) string {
	const set = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	data := []byte{byte(version)}
	for range words {
		data = append(data, byte(m.r.IntN(32)))
	}
	if version == 0 || words == 52 { // padding bits are zero
		data[len(data)-1] &= 0x10
	}
	polymod := func(values []byte) uint32 {
		chk := uint32(1)
		for _, v := range values {
			b := chk >> 25
			chk = (chk&0x1ffffff)<<5 ^ uint32(v)
			for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
				if b>>i&1 == 1 {
					chk ^= g
				}
			}
		}
		return chk
	}
	final := uint32(1)
	if version > 0 {
		final = 0x2bc830a3
	}
	p := polymod(append(append([]byte{3, 3, 0, 2, 3}, data...), 0, 0, 0, 0, 0, 0)) ^ final
	for i := range 6 {
		data = append(data, byte(p>>(5*(5-i)))&31)
	}
	out := []byte("bc1")
	for _, v := range data {
		out = append(out, set[v])
	}
	return string(out)
}

// verhoeffDigit is the check digit of a number by Verhoeff's scheme, from the
// dihedral group itself.
func verhoeffDigit(d string) int {
	mul := func(a, b int) int { // of D5: rotations 0–4, reflections 5–9
		switch {
		case a < 5 && b < 5:
			return (a + b) % 5
		case a < 5:
			return 5 + (a+b-5)%5
		case b < 5:
			return 5 + (a-5-b+5)%5
		}
		return (a - b + 10) % 5
	}
	perm := [10]int{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
	apply := func(v, times int) int {
		for range times % 8 {
			v = perm[v]
		}
		return v
	}
	c := 0
	for i := range len(d) {
		c = mul(c, apply(int(d[len(d)-1-i]-'0'), i+1))
	}
	for x := range 10 {
		if mul(c, x) == 0 {
			return x
		}
	}
	return -1
}

// pureMod11by10 is the check digit of ISO 7064 MOD 11,10.
func hybrid11by10(d string) int {
	p := 10
	for i := range len(d) {
		s := (int(d[i]-'0') + p) % 10
		if s == 0 {
			s = 10
		}
		p = 2 * s % 11
	}
	return (11 - p) % 10
}
