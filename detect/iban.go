package detect

// ibanLengths are the lengths of the account numbers by country, of the IBAN
// registry (SWIFT, release 99).
var ibanLengths = func() (lengths [26 * 26]uint8) {
	const table = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23" +
		"GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18" +
		"NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30" +
		// countries that use the form without being in the registry
		"AO25BF28BJ28CF27CG27CI28CM27CV25DZ26GA27GQ27GW25IR26KM27MA28MG27ML28MZ25NE28SN28TD27TG28"
	for e := table; e != ""; e = e[4:] {
		lengths[int(e[0]-'A')*26+int(e[1]-'A')] = (e[2]-'0')*10 + e[3] - '0'
	}
	return
}()

// iban finds an account number that begins at start, written in one piece or in
// groups parted by single spaces or dashes, and returns its end, or start.
func (s *scan) iban(start int) int {
	src := s.src
	if start+15 > len(src) || !isDigit(src[start+2]) || !isDigit(src[start+3]) {
		return start
	}
	a, b := upper(src[start])-'A', upper(src[start+1])-'A'
	if a >= 26 || b >= 26 {
		return start
	}
	want := int(ibanLengths[int(a)*26+int(b)])
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
