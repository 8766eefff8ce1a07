package detect

import "bytes"

// wordRecognizers are values that mix letters and digits. Their validators get
// the text as it stands and its digits' values.
func wordRecognizers() []Recognizer {
	return []Recognizer{
		{Type: UKNINO, Score: 80, Context: aboutNational | aboutSIN, Words: []string{"AA999999A", "AA 99 99 99 A", "AA 999999 A"}, Word: validNINO},
		{Type: ESNIF, Score: 78, Context: aboutTax | aboutNational, Words: []string{"99999999A", "99999999-A", "99.999.999-A"}, Word: validDNI},
		{Type: ESNIE, Score: 80, Context: aboutTax | aboutNational, Words: []string{"A9999999A", "A-9999999-A", "A-9999999A", "A9999999-A"}, Word: validNIE},
		{Type: ITFiscal, Score: 90, Context: aboutTax, Words: []string{"AAAAAAXXAXXAXXXA"}, Word: validCodiceFiscale},
		{Type: INPAN, Score: 75, Context: aboutTax | aboutNational, Words: []string{"AAAAA9999A"}, Word: validPAN},
		{Type: INGSTIN, Score: 85, Context: aboutTax, Words: []string{"99AAAAA9999AXAX"}, Word: validGSTIN},
		{Type: SGNRIC, Score: 78, Context: aboutNational, Words: []string{"A9999999A"}, Word: validNRIC},
		{Type: HKID, Score: 80, Context: aboutNational, Words: []string{"A999999(X)"}, Word: validHKID},
		{Type: TWID, Score: 72, Context: aboutNational, Words: []string{"A999999999"}, Word: validTaiwanID},
		{Type: FIHetu, Score: 85, Context: aboutPersonnr | aboutNational, Words: []string{"999999-999X", "999999+999X", "999999A999X"}, Word: validHetu},
		{Type: CLRUT, Score: 76, Context: aboutTax | aboutNational, Words: []string{"99.999.999-A", "9.999.999-A"}, Word: validRUTK},
		{Type: CLRUT, Score: 62, Context: aboutTax | aboutNational, WeakWords: []string{"99999999-A", "9999999-A"}, Word: validRUTK},
		{Type: MXCURP, Score: 88, Context: aboutNational, Words: []string{"AAAA999999AAAAAAX9"}, Word: validCURP},
		{Type: IEPPS, Score: 72, Context: aboutTax | aboutNational, Words: []string{"9999999A", "9999999AA"}, Word: validPPS},
		{Type: CNID, Score: 90, Context: aboutNational, Words: []string{"99999999999999999A"}, Word: func(w, d []byte) bool {
			return w[17]|0x20 == 'x' && validChineseID(d, 10)
		}},
		{Type: USMBI, Score: 74, Context: aboutMedicare | aboutHealth, Words: []string{"9AX9AX9AA99", "9AX9-AX9-AA99"}, Word: validMBI},
		{Type: Medical, Score: 66, Context: aboutMedical | aboutHealth, WeakWords: []string{"AA9999999", "A99999999"}, Word: validDEA},
		{Type: Passport, Score: 60, Context: aboutPassport, WeakWords: []string{
			"A99999999", "AA9999999", "A9999999", "AA999999", "99AA99999", "AAA999999", "CXXXXXXXX", "A9999999A",
		}},
		{Type: License, Score: 55, Context: aboutLicense, WeakWords: []string{"A9999999", "A99999999", "A999999999999", "AA999999", "A999-9999-9999", "AAAAA999999AA9AA", "A99-999-999", "A99-999-9999", "A999-999-99-999-9", "99AAA9999", "AAA-99-9999", "A9999-99999-99999", "A9999 99999 99999"}},
	}
}

// validDEA checks the number of the US Drug Enforcement Administration.
func validDEA(_, d []byte) bool {
	d = d[len(d)-7:]
	return (int(d[0])+int(d[2])+int(d[4])+2*(int(d[1])+int(d[3])+int(d[5])))%10 == int(d[6]) && !uniform(d)
}

func upper(c byte) byte {
	if isLower(c) {
		return c &^ 0x20
	}
	return c
}

func validNINO(w, _ []byte) bool {
	a, b := upper(w[0]), upper(w[1])
	if bytes.IndexByte([]byte("DFIQUV"), a) >= 0 || bytes.IndexByte([]byte("DFIQUVO"), b) >= 0 {
		return false
	}
	switch string([]byte{a, b}) {
	case "BG", "GB", "KN", "NK", "NT", "TN", "ZZ":
		return false
	}
	last := upper(w[len(w)-1])
	return last >= 'A' && last <= 'D'
}

const dniLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

func validDNI(w, d []byte) bool {
	return dniLetters[number(d)%23] == upper(w[len(w)-1]) && !uniform(d)
}

func validNIE(w, d []byte) bool {
	first := upper(w[0])
	if first < 'X' || first > 'Z' {
		return false
	}
	n := int(first-'X')*10000000 + number(d)
	return dniLetters[n%23] == upper(w[len(w)-1])
}

func validCodiceFiscale(w, _ []byte) bool {
	if bytes.IndexByte([]byte("ABCDEHLMPRST"), upper(w[8])) < 0 {
		return false
	}
	odd := [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
	sum := 0
	for i, c := range w[:15] {
		v := int(upper(c) - 'A')
		if isDigit(c) {
			v = int(c - '0')
		}
		if i%2 == 0 {
			v = odd[v]
		}
		sum += v
	}
	return byte('A'+sum%26) == upper(w[15])
}

func validPAN(w, d []byte) bool {
	// In lower case it looks like the beginning of a hash.
	return isUpper(w[0]) && bytes.IndexByte([]byte("ABCFGHLJPT"), upper(w[3])) >= 0 && !uniform(d)
}

func validGSTIN(w, d []byte) bool {
	const set = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	sum := 0
	for i, c := range w[:14] {
		v := bytes.IndexByte([]byte(set), upper(c)) * (1 + i%2)
		sum += v/36 + v%36
	}
	state := number(d[:2])
	return state >= 1 && state <= 38 && set[(36-sum%36)%36] == upper(w[14])
}

func validNRIC(w, d []byte) bool {
	sum := weighted(d, 2, 7, 6, 5, 4, 3, 2)
	var letters string
	switch upper(w[0]) {
	case 'S', 'T':
		letters = "JZIHGFEDCBA"
	case 'F', 'G':
		letters = "XWUTRQPNMLK"
	default:
		return false
	}
	if c := upper(w[0]); c == 'T' || c == 'G' {
		sum += 4
	}
	return letters[sum%11] == upper(w[8])
}

func validHKID(w, d []byte) bool {
	sum := 36*9 + (int(upper(w[0])-'A')+10)*8 + weighted(d, 7, 6, 5, 4, 3, 2)
	switch r := (11 - sum%11) % 11; r {
	case 10:
		return upper(w[8]) == 'A'
	default:
		return int(w[8]) == r+'0'
	}
}

func validTaiwanID(w, d []byte) bool {
	code := bytes.IndexByte([]byte("ABCDEFGHJKLMNPQRSTUVXYWZIO"), upper(w[0])) + 10
	return isUpper(w[0]) && (d[0] == 1 || d[0] == 2) && (code/10+code%10*9+weighted(d, 8, 7, 6, 5, 4, 3, 2, 1, 1))%10 == 0
}

func validHetu(w, d []byte) bool {
	return dayMonth(d[:2], d[2:4]) && "0123456789ABCDEFHJKLMNPRSTUVWXY"[number(d[:9])%31] == upper(w[10])
}

func validRUTK(w, d []byte) bool { return upper(w[len(w)-1]) == 'K' && rutCheck(d) == 10 }

func validCURP(w, d []byte) bool {
	sex := upper(w[10])
	return validDate(0, number(d[2:4]), number(d[4:6])) && (sex == 'H' || sex == 'M' || sex == 'X')
}

func validPPS(w, d []byte) bool {
	sum := weighted(d, 8, 7, 6, 5, 4, 3, 2)
	if len(w) == 9 {
		sum += int(upper(w[8])-'A'+1) * 9
	}
	return "WABCDEFGHIJKLMNOPQRSTUV"[sum%23] == upper(w[7])
}

// validMBI checks the letters, of which six are not used.
func validMBI(w, _ []byte) bool {
	for _, c := range w {
		if bytes.IndexByte([]byte("SLOIBZ"), upper(c)) >= 0 {
			return false
		}
	}
	return w[0] != '0'
}
