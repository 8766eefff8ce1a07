package detect

// Validators take the digits of a candidate as values 0–9, separators removed.

// luhn is the mod 10 check of payment cards and several national numbers.
func luhn(d []byte) bool {
	sum, double := 0, false
	for i := len(d) - 1; i >= 0; i-- {
		v := int(d[i])
		if double {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
		double = !double
	}
	return sum%10 == 0 && !uniform(d)
}

// uniform reports whether all digits are equal, which no issuer gives out.
func uniform(d []byte) bool {
	for _, v := range d[1:] {
		if v != d[0] {
			return false
		}
	}
	return true
}

// weighted is the sum of the digits times their weights.
func weighted(d []byte, weights ...int) int {
	sum := 0
	for i, w := range weights {
		sum += int(d[i]) * w
	}
	return sum
}

// number is the value of up to 18 digits.
func number(d []byte) int {
	n := 0
	for _, v := range d {
		n = n*10 + int(v)
	}
	return n
}

var verhoeffD = [10][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	{1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
	{2, 3, 4, 0, 1, 7, 8, 9, 5, 6},
	{3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
	{4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
	{5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
	{6, 5, 9, 8, 7, 1, 0, 4, 3, 2},
	{7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
	{8, 7, 6, 5, 9, 3, 2, 1, 0, 4},
	{9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
}

var verhoeffP = [8][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	{1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
	{5, 8, 0, 3, 7, 9, 6, 1, 4, 2},
	{8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
	{9, 4, 5, 3, 1, 2, 6, 8, 7, 0},
	{4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
	{2, 7, 9, 3, 8, 0, 6, 4, 1, 5},
	{7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
}

// verhoeff is the dihedral check of Aadhaar numbers.
func verhoeff(d []byte) bool {
	c := byte(0)
	for i := range d {
		c = verhoeffD[c][verhoeffP[i%8][d[len(d)-1-i]]]
	}
	return c == 0
}

// iso7064mod11and10 is the hybrid check of ISO 7064 used by the German tax
// number and the Croatian OIB.
func iso7064mod11and10(d []byte) bool {
	p := 10
	for _, v := range d[:len(d)-1] {
		s := (int(v) + p) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return (11-p)%10 == int(d[len(d)-1])
}

// validDate reports whether the parts are a calendar date; February has 29.
func validDate(year, month, day int) bool {
	if month < 1 || month > 12 || day < 1 || year < 0 {
		return false
	}
	last := 31
	switch month {
	case 4, 6, 9, 11:
		last = 30
	case 2:
		last = 29
	}
	return day <= last
}

// dayMonth reports whether a day and a month, two digits each, are possible.
func dayMonth(day, month []byte) bool { return validDate(0, number(month), number(day)) }

func validSSN(d []byte) bool {
	area := number(d[:3])
	return area != 0 && area != 666 && area < 900 && number(d[3:5]) != 0 && number(d[5:]) != 0 && !uniform(d)
}

func validITIN(d []byte) bool {
	g := number(d[3:5])
	return d[0] == 9 && (g >= 50 && g <= 65 || g >= 70 && g <= 88 || g >= 90 && g <= 92 || g >= 94) && !uniform(d)
}

func validNHS(d []byte) bool {
	c := 11 - weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11
	if c == 11 {
		c = 0
	}
	return c == int(d[9]) && !uniform(d)
}

// validSteuerID checks ISO 7064 and that among the first ten digits exactly one
// occurs two or three times, as the numbers are made.
func validSteuerID(d []byte) bool {
	if d[0] == 0 || !iso7064mod11and10(d) {
		return false
	}
	var count [10]int
	for _, v := range d[:10] {
		count[v]++
	}
	repeated := 0
	for _, c := range count {
		if c > 3 {
			return false
		}
		if c > 1 {
			repeated++
		}
	}
	return repeated == 1
}

// validNIR checks the French number with its key; Corsica's letters are the
// token path's part.
func validNIR(d []byte) bool { return nirForm(d) && 97-number(d[:13])%97 == number(d[13:]) }

func nirForm(d []byte) bool {
	month := number(d[3:5])
	return (d[0] >= 1 && d[0] <= 4 || d[0] == 7 || d[0] == 8) &&
		(month >= 1 && month <= 12 || month >= 20 && month <= 42 || month >= 50)
}

func validBSN(d []byte) bool {
	return weighted(d, 9, 8, 7, 6, 5, 4, 3, 2, -1)%11 == 0 && !uniform(d) && number(d) > 9999999
}

func validPESEL(d []byte) bool {
	month := number(d[2:4]) % 20
	return validDate(0, month, number(d[4:6])) && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)%10 == 0
}

func mod11Digit(sum int) int {
	if r := sum % 11; r >= 2 {
		return 11 - r
	}
	return 0
}

func validCPF(d []byte) bool {
	return !uniform(d) && mod11Digit(weighted(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == int(d[9]) &&
		mod11Digit(weighted(d, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)) == int(d[10])
}

func validCNPJ(d []byte) bool {
	return !uniform(d) && !timestamp14(d) && mod11Digit(weighted(d, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == int(d[12]) &&
		mod11Digit(weighted(d, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)) == int(d[13])
}

// timestamp14 recognises yyyymmddhhmmss.
func timestamp14(d []byte) bool {
	y := number(d[:4])
	return len(d) == 14 && y >= 1970 && y < 2100 && validDate(y, number(d[4:6]), number(d[6:8])) &&
		number(d[8:10]) < 24 && number(d[10:12]) < 60 && number(d[12:14]) < 61
}

func validAadhaar(d []byte) bool { return d[0] >= 2 && !uniform(d) && verhoeff(d) }

func validSIN(d []byte) bool { return d[0] != 0 && d[0] != 8 && luhn(d) }

func validTFN(d []byte) bool {
	return !uniform(d) && d[0] != 0 && weighted(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 == 0
}

func validABN(d []byte) bool {
	return d[0] != 0 && (weighted(d, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 == 0
}

func validMedicareAU(d []byte) bool {
	return d[0] >= 2 && d[0] <= 6 && weighted(d, 1, 3, 7, 9, 1, 3, 7, 9)%10 == int(d[8])
}

// validRRN checks the date and the century digit of the Korean number; numbers
// given out since October 2020 have no check digit.
func validRRN(d []byte) bool {
	return validDate(0, number(d[2:4]), number(d[4:6])) && d[6] >= 1 && d[6] <= 8
}

func validRRNChecked(d []byte) bool {
	return validRRN(d) && (11-weighted(d, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10 == int(d[12])
}

// validChineseID checks 17 digits; check is the eighteenth: 0–9, or 10 for X.
func validChineseID(d []byte, check int) bool {
	if !chineseForm(d) {
		return false
	}
	r := weighted(d, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2) % 11
	return (12-r)%11 == check
}

// chineseForm checks a region and a date of birth.
func chineseForm(d []byte) bool {
	y := number(d[6:10])
	return d[0] != 0 && d[0] != 9 && y >= 1880 && y <= 2100 && validDate(y, number(d[10:12]), number(d[12:14]))
}

func validPersonnummer(d []byte) bool {
	if len(d) == 12 {
		if c := number(d[:2]); c < 18 || c > 20 {
			return false
		}
		d = d[2:]
	}
	day := number(d[4:6])
	if day > 60 { // coordination number
		day -= 60
	}
	return validDate(0, number(d[2:4]), day) && luhn(d)
}

func validCPR(d []byte) bool { return dayMonth(d[:2], d[2:4]) && !uniform(d) }

func validFodselsnummer(d []byte) bool {
	day := number(d[:2])
	if day > 40 { // D number
		day -= 40
	}
	return validDate(0, number(d[2:4])%40, day) &&
		(11-weighted(d, 3, 7, 6, 1, 8, 9, 4, 5, 2)%11)%11 == int(d[9]) &&
		(11-weighted(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11 == int(d[10])
}

// validHetuDigits checks the Finnish number whose check happens to be a digit;
// letters are a word's part.
func validHetuDigits(d []byte) bool { return dayMonth(d[:2], d[2:4]) && number(d[:9])%31 == int(d[9]) }

func validAHV(d []byte) bool {
	return ahvForm(d) && weighted(d, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1)%10 == 0
}

func ahvForm(d []byte) bool { return number(d[:3]) == 756 }

func validNRN(d []byte) bool {
	m := number(d[2:4]) % 20
	if m > 12 || number(d[4:6]) > 31 {
		return false
	}
	n, key := number(d[:9]), number(d[9:])
	return 97-n%97 == key || 97-(2000000000+n)%97 == key
}

func validPTNIF(d []byte) bool {
	if d[0] == 0 || d[0] == 4 {
		return false
	}
	return mod11Digit(weighted(d, 9, 8, 7, 6, 5, 4, 3, 2)) == int(d[8]) && !uniform(d)
}

func validRodneCislo(d []byte) bool {
	m := number(d[2:4])
	if m > 70 {
		m -= 70
	} else if m > 50 {
		m -= 50
	} else if m > 20 {
		m -= 20
	}
	return validDate(0, m, number(d[4:6])) && (number(d)%11 == 0 || number(d[:9])%11 == 10 && d[9] == 0)
}

func validZAID(d []byte) bool {
	return validDate(0, number(d[2:4]), number(d[4:6])) && d[10] <= 2 && luhn(d)
}

func validTCKN(d []byte) bool {
	if d[0] == 0 {
		return false
	}
	odd := int(d[0]) + int(d[2]) + int(d[4]) + int(d[6]) + int(d[8])
	even := int(d[1]) + int(d[3]) + int(d[5]) + int(d[7])
	sum := 0
	for _, v := range d[:10] {
		sum += int(v)
	}
	return ((odd*7-even)%10+10)%10 == int(d[9]) && sum%10 == int(d[10])
}

func validILID(d []byte) bool { return luhn(d) }

func validMyNumber(d []byte) bool {
	sum := weighted(d, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11
	c := 0
	if sum > 1 {
		c = 11 - sum
	}
	return c == int(d[11]) && !uniform(d)
}

func validThaiID(d []byte) bool {
	return d[0] != 0 && d[0] != 9 && (11-weighted(d, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%10 == int(d[12])
}

func validCUIT(d []byte) bool {
	switch number(d[:2]) {
	case 20, 23, 24, 25, 26, 27, 30, 33, 34:
	default:
		return false
	}
	return (11-weighted(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11)%11%10 == int(d[10])
}

func validCNP(d []byte) bool {
	if d[0] == 0 || !validDate(0, number(d[3:5]), number(d[5:7])) {
		return false
	}
	r := weighted(d, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9) % 11
	if r == 10 {
		r = 1
	}
	return r == int(d[12])
}

func validOIB(d []byte) bool { return iso7064mod11and10(d) && !uniform(d) }

// validPartitaIVA is the Italian VAT number's check, Luhn over eleven digits.
func validPartitaIVA(d []byte) bool { return luhn(d) && number(d[:7]) != 0 }

// validRUT checks the Chilean number whose check is a digit; K is a word's part.
func validRUT(d []byte) bool {
	last := len(d) - 1
	return rutCheck(d[:last]) == int(d[last])
}

// rutCheck returns the check of a Chilean number, 10 for K.
func rutCheck(d []byte) int {
	sum, m := 0, 2
	for i := len(d) - 1; i >= 0; i-- {
		sum += int(d[i]) * m
		if m++; m > 7 {
			m = 2
		}
	}
	return (11 - sum%11) % 11
}

// validCard checks the issuer's range, the length it uses, and Luhn.
func validCard(d []byte) bool {
	return cardRange(d) && !(len(d) == 14 && timestamp14(d)) && luhn(d)
}

// cardRange checks the issuer's range and the length it uses.
func cardRange(d []byte) bool {
	n := len(d)
	p2, p3, p4 := number(d[:2]), number(d[:3]), number(d[:4])
	ok := false
	switch {
	case d[0] == 4: // Visa
		ok = n == 13 || n == 16 || n == 19
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720: // Mastercard
		ok = n == 16
	case p2 == 34, p2 == 37: // American Express
		ok = n == 15
	case p4 == 6011, p2 == 64 && d[2] >= 4, p2 == 65: // Discover, RuPay, Elo
		ok = n == 16 || n == 19
	case p2 == 62, p2 == 81: // UnionPay
		ok = n >= 16
	case p4 >= 3528 && p4 <= 3589: // JCB
		ok = n == 16 || n == 19
	case p4 == 2131, p4 == 1800: // JCB, old
		ok = n == 15
	case p3 >= 300 && p3 <= 305, p2 == 36, p2 == 38, p2 == 39, p3 == 309: // Diners Club
		ok = n == 14 || p2 == 36 && n >= 14 || p2 != 36 && n == 16
	case p2 == 60, p2 == 50, p2 >= 56 && p2 <= 58, p2 == 63, p2 == 67, p2 == 68, p2 == 69: // Maestro, Verve, RuPay, Dankort
		ok = n == 16 || n == 19 || p2 != 60 && (n == 13 || n == 18)
	case p4 >= 2200 && p4 <= 2204: // Mir
		ok = n >= 16
	case p4 >= 9792 && p4 <= 9792: // Troy
		ok = n == 16
	}
	return ok
}
