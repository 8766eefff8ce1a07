package masking

import "strings"

// ibanLengths are the lengths of the account numbers by country, of the IBAN
// registry (SWIFT, release 99).
var ibanLengths = func() map[[2]byte]int {
	const table = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23" +
		"GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18" +
		"NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30" +
		// countries that use the form without being in the registry
		"AO25BF28BJ28CF27CG27CI28CM27CV25DZ26GA27GQ27GW25IR26KM27MA28MG27ML28MZ25NE28SN28TD27TG28"
	m := make(map[[2]byte]int)
	for r := strings.NewReader(table); r.Len() > 0; {
		var b [4]byte
		if _, err := r.Read(b[:]); err != nil {
			panic(err)
		}
		m[[2]byte{b[0], b[1]}] = int(b[2]-'0')*10 + int(b[3]-'0')
	}
	return m
}()

// iban finds an account number that begins at start, written in one piece or in
// groups parted by single spaces or dashes, and returns its end, or start.
func (s *scan) iban(start int) int {
	src := s.src
	if start+15 > len(src) || !isDigit(src[start+2]) || !isDigit(src[start+3]) {
		return start
	}
	want := ibanLengths[[2]byte{upper(src[start]), upper(src[start+1])}]
	if want == 0 {
		return start
	}
	n, i, rest := 0, start, 0
	for i < len(src) && n < want {
		c := src[i]
		if !isAlnum(c) {
			if (c == ' ' || c == '-') && n >= 4 && i+1 < len(src) && isAlnum(src[i+1]) {
				i++
				continue
			}
			return start
		}
		v := int(c - '0')
		if !isDigit(c) {
			v = int(upper(c)-'A') + 10
		}
		if n >= 4 {
			rest = appendMod97(rest, v)
		}
		n++
		i++
	}
	if n < want || i < len(src) && isAlnum(src[i]) {
		return start
	}
	// Country and check digits count as if they stood at the end.
	rest = appendMod97(rest, int(upper(src[start])-'A')+10)
	rest = appendMod97(rest, int(upper(src[start+1])-'A')+10)
	rest = appendMod97(rest, int(src[start+2]-'0'))
	if appendMod97(rest, int(src[start+3]-'0')) != 1 {
		return start
	}
	return i
}

func appendMod97(n, v int) int {
	if v > 9 {
		return (n*100 + v) % 97
	}
	return (n*10 + v) % 97
}
