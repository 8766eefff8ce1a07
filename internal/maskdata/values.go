package maskdata

import (
	"fmt"
	"strconv"
	"strings"
)

// kind is one type of value: how values of it are written, and the words that
// stand beside them.
type kind struct {
	typ    string
	make   func(m *Maker) string
	labels []string // as a person writes them
	keys   []string // as a program does
	weak   bool     // nothing but what stands beside it tells what it is
}

// date is a calendar date with parts of two digits.
func (m *Maker) date() (y, mo, d string) {
	return strconv.Itoa(1940 + m.r.IntN(66)), fmt.Sprintf("%02d", 1+m.r.IntN(12)), fmt.Sprintf("%02d", 1+m.r.IntN(28))
}

var cardForms = []struct {
	prefix string
	length int
}{
	{"4", 16},
	{"4", 16},
	{"4", 19},
	{"4", 13},
	{"51", 16},
	{"52", 16},
	{"53", 16},
	{"54", 16},
	{"55", 16},
	{"2221", 16},
	{"2345", 16},
	{"2720", 16},
	{"34", 15},
	{"37", 15},
	{"37", 15},
	{"6011", 16},
	{"644", 16},
	{"65", 16},
	{"6011", 19},
	{"3528", 16},
	{"3589", 16},
	{"36", 14},
	{"300", 14},
	{"305", 14},
	{"38", 14},
	{"62", 16},
	{"62", 17},
	{"62", 19},
	{"6304", 16},
	{"5018", 16},
	{"6759", 16},
	{"6762", 18},
	{"2200", 16},
	{"2204", 19},
	{"60", 16},
	{"6521", 16},
	{"8100", 16},
	{"9792", 16},
}

func (m *Maker) card() string {
	f := pick(m, cardForms)
	d := withLuhn(f.prefix + m.digits(f.length-len(f.prefix)-1))
	sep := m.one("", "", " ", "-")
	switch {
	case sep == "":
		return d
	case f.length == 15:
		return group(d, sep, 4, 6, 5)
	case f.length == 14:
		return group(d, sep, 4, 6, 4)
	case f.length == 16:
		return group(d, sep, 4, 4, 4, 4)
	case f.length == 19:
		return group(d, sep, 4, 4, 4, 4, 3)
	}
	return d
}

// weakCard is a number that only a word tells from any other.
func weakCard(s string) bool { return len(s) == 13 || len(s) == 14 }

func (m *Maker) ibanText() string {
	country := pick(m, sortedKeys(ibanForms))
	s := m.iban(country, ibanForms[country])
	switch m.r.IntN(6) {
	case 0, 1:
		var parts []string
		for len(s) > 4 {
			parts, s = append(parts, s[:4]), s[4:]
		}
		return strings.Join(append(parts, s), m.one(" ", " ", " ", "-"))
	case 2:
		return strings.ToLower(s)
	}
	return s
}

var phoneForms = []string{
	"+1 (NN#) NN#-####", "+1-NN#-NN#-####", "+1 NN# NN# ####", "+1NN#NN#####", "(NN#) NN#-####", "(NN#)NN#-####", "NN#-NN#-####", "NN#.NN#.####", "NN# NN# ####", "1-NN#-NN#-####", "1 (NN#) NN#-####",
	"+1.NN#.NN#.####", "001-NN#-NN#-####", "(NN#) NN#-#### x###", "NN#-NN#-#### ext. ####", "NN#.NN#.#### ext ###", "+1-NN#-NN#-####x####", "001-NN#-NN#-####x###",
	"+44 20 7### ####", "+44 7### ######", "+4477########", "020 7### ####", "07### ######", "(020) 7### ####", "+44 (0)20 7### ####", "0161 4## ####", "+44(0)1632 960###", "01632 960 ###", "+44 161 496 0###",
	"+49 30 ########", "+49 (0)30 #######", "+49 151 ########", "030 ########", "0151 ########", "+49 (0) 89 #######", "0049 30 #######", "(030) ########", "030/########", "+49-171-#######", "08041 ####-##", "(0221) ######",
	"+33 1 ## ## ## ##", "01 ## ## ## ##", "06 ## ## ## ##", "+33 6 ## ## ## ##", "06.##.##.##.##", "+33 (0)6 ## ## ## ##", "06########", "+33(0)1 ########",
	"+39 06 ########", "+39 3## #######", "+39 3## ### ####", "+34 6## ### ###", "+34 9## ## ## ##", "+34 6########", "+31 6 ########", "06-########", "+31 20 ### ####", "020-#######", "+31(0)20 #######",
	"+32 2 ### ## ##", "+32 4## ## ## ##", "+41 44 ### ## ##", "044 ### ## ##", "+41 79 ### ## ##", "+43 1 #######", "+46 70 ### ## ##", "070-### ## ##", "+47 9## ## ###", "+45 ## ## ## ##", "+358 40 #######",
	"+48 5## ### ###", "+48 22 ### ## ##", "+420 7## ### ###", "+36 20 ### ####", "+40 7## ### ###", "+30 69# ### ####", "+351 9## ### ###", "+353 8# ### ####",
	"+7 9## ###-##-##", "8 (9##) ###-##-##", "+7 (495) ###-##-##", "+380 ## ### ## ##", "+90 5## ### ## ##", "0(5##) ### ## ##", "+972 5#-###-####", "+971 5# ### ####", "+966 5# ### ####", "+20 10 ########",
	"+91 9#### #####", "+91-9#########", "+91 9#########", "0##-########", "+86 13# #### ####", "+86 138########", "13########8", "+81 3-####-####", "03-####-####", "090-####-####", "+81-90-####-####", "+82 10-####-####",
	"010-####-####", "02-###-####", "+852 #### ####", "+65 9### ####", "+60 1#-### ####", "+66 8# ### ####", "+63 9## ### ####", "+62 8##-####-####", "+84 9# ### ## ##", "+61 4## ### ###", "04## ### ###", "(02) #### ####", "+61 2 #### ####",
	"+64 21 ### ####", "+27 82 ### ####", "082 ### ####", "+234 80# ### ####", "+254 7## ######", "+55 11 9####-####", "(11) 9####-####", "(21) 3###-####", "+55 (11) 9####-####", "+52 55 #### ####", "+52 1 55 #### ####", "+54 11 ####-####", "+54 9 11 ####-####", "+57 3## ### ####", "+56 9 #### ####", "+51 9## ### ###",
}

// weakPhones are forms that only a word tells from other numbers.
var weakPhones = []string{"NN#NN#####", "1NN#NN#####", "0##########", "NN#-####", "9#########", "07#########", "+1NN#NN#####", "### ### ###", "9## ### ###", "5## ### ## ##", "## ## ## ##", "#### ####"}

func (m *Maker) email() string {
	first, last := strings.ToLower(plain(pick(m, m.v.Given))), strings.ToLower(plain(pick(m, m.v.Family)))
	local := m.one(first, first+"."+last, first[:1]+last, last+m.digits(2), first+"_"+last, first+"-"+last, first+"+"+m.one("news", "shop", "spam")+m.digits(1), strings.ToUpper(first), strings.ToUpper(first[:1])+first[1:]+"."+strings.ToUpper(last[:1])+last[1:], m.of(lowerAlnum, 8), last+"."+first+m.digits(4), "o'"+last)
	host := m.one("gmail.com", "yahoo.co.uk", "example.com", "hotmail.fr", "mail.example.org", "corp.acme.io", "outlook.com", "web.de", "uni-bonn.de", "qq.com", "proton.me", "sub.dept.univ.edu", "firma.com.pl", "xn--mller-kva.de", "company.museum", "a.co", "mx1.host-9.net", last+".com", "EXAMPLE.COM")
	return local + "@" + host
}

func (m *Maker) ipv4() string {
	for {
		a := 1 + m.r.IntN(223)
		b, c := m.r.IntN(256), m.r.IntN(256)
		if a == 127 || a == 192 && b == 0 || a == 198 && b == 51 || a == 203 && b == 0 {
			continue
		}
		return fmt.Sprintf("%d.%d.%d.%d", a, b, c, 1+m.r.IntN(254))
	}
}

func (m *Maker) ipv6() string {
	h := func() string { return strconv.FormatInt(int64(m.r.IntN(1<<16)), 16) }
	pre := m.one("2a00", "2607", "2a02", "2400", "fe80", "fd12", "2620")
	switch m.r.IntN(8) {
	case 0:
		return fmt.Sprintf("%s:%04x:%04x:%04x:%04x:%04x:%04x:%04x", pre, m.r.IntN(1<<16), m.r.IntN(1<<16), m.r.IntN(1<<16), m.r.IntN(1<<16), m.r.IntN(1<<16), m.r.IntN(1<<16), m.r.IntN(1<<16))
	case 1:
		return strings.ToUpper(fmt.Sprintf("%s:%s:%s:%s:%s:%s:%s:%s", pre, h(), h(), h(), h(), h(), h(), h()))
	case 2:
		return pre + ":" + h() + ":" + h() + "::" + h()
	case 3:
		return pre + "::" + h() + ":" + h() + ":" + h()
	case 4:
		return "fe80::" + h() + ":" + m.of(lowerHex, 2) + "ff:fe" + m.of(lowerHex, 2) + ":" + h()
	case 5:
		return pre + ":" + h() + "::1"
	case 6:
		return "::ffff:" + m.ipv4()
	}
	return pre + ":" + h() + ":" + h() + ":" + h() + "::" + h() + ":" + h()
}

func (m *Maker) mac() string {
	set := m.one("0123456789abcdef", "0123456789ABCDEF")
	p := func() string { return m.of(set, 2) }
	switch m.r.IntN(5) {
	case 0, 1:
		return strings.Join([]string{p(), p(), p(), p(), p(), p()}, ":")
	case 2, 3:
		return strings.Join([]string{p(), p(), p(), p(), p(), p()}, "-")
	}
	return m.of(set, 4) + "." + m.of(set, 4) + "." + m.of(set, 4)
}

func (m *Maker) birth() string {
	y, mo, d := m.date()
	month := []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}[atoi(mo)-1]
	return m.one(y+"-"+mo+"-"+d, mo+"/"+d+"/"+y, d+"/"+mo+"/"+y, d+"."+mo+"."+y, d+"-"+mo+"-"+y, strconv.Itoa(atoi(mo))+"/"+strconv.Itoa(atoi(d))+"/"+y, month+" "+strconv.Itoa(atoi(d))+", "+y,
		strconv.Itoa(atoi(d))+" "+month+" "+y, month[:3]+" "+strconv.Itoa(atoi(d))+" "+y, d+" "+month[:3]+" "+y, d+"-"+month[:3]+"-"+y, y+"/"+mo+"/"+d, y+"."+mo+"."+d, mo+"/"+d+"/"+y[2:])
}

func (m *Maker) password() string {
	return m.one("hunter"+m.digits(2), m.of(alnum, 10)+"!", "S3cr3t"+m.digits(3), "P@ssw0rd"+m.digits(2), m.of(alnum+"!#%^*_-", 14)+"x", "correct-horse-"+m.digits(4), "Winter20"+m.digits(2)+"!", "qwerty"+m.digits(3), "letmein"+m.digits(2))
}

var idKinds = []kind{
	{typ: "US_SSN", labels: []string{"SSN", "social security number", "Social Security No."}, keys: []string{"ssn", "social_security_number"}, make: func(m *Maker) string {
		area := 1 + m.r.IntN(898)
		if area == 666 {
			area = 665
		}
		return fmt.Sprintf("%03d", area) + m.one("-", "-", "-", " ", ".") + fmt.Sprintf("%02d", 1+m.r.IntN(99)) + "~" + fmt.Sprintf("%04d", 1+m.r.IntN(9999))
	}},
	{typ: "US_ITIN", labels: []string{"ITIN", "taxpayer id"}, keys: []string{"itin", "tax_id"}, make: func(m *Maker) string {
		return "9" + m.digits(2) + m.one("-", "-", " ") + strconv.Itoa(70+m.r.IntN(19)) + "~" + m.digits(4)
	}},
	{typ: "UK_NHS", labels: []string{"NHS number", "NHS no", "patient NHS"}, keys: []string{"nhs_number"}, make: func(m *Maker) string {
		return until(func() string {
			d := m.fill("!########")
			c := (11 - sumOf(d, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11) % 11
			if c == 10 {
				return ""
			}
			return group(d+strconv.Itoa(c), m.one(" ", " ", "", "-"), 3, 3, 4)
		})
	}, weak: true},
	{typ: "UK_NINO", labels: []string{"National Insurance number", "NINO", "NI number"}, keys: []string{"nino", "national_insurance"}, make: func(m *Maker) string {
		return group(m.of("ABCEHJLMPRSW", 1)+m.of("ABCEHJLMPRSX", 1)+m.digits(6)+m.of("ABCD", 1), m.one("", "", " "), 2, 2, 2, 2, 1)
	}},
	{typ: "DE_TAX_ID", labels: []string{"Steuer-ID", "Steueridentifikationsnummer", "tax ID"}, keys: []string{"steuer_id", "tax_id"}, make: func(m *Maker) string {
		p := m.r.Perm(10)
		for p[0] == 0 {
			p = m.r.Perm(10)
		}
		p[9] = p[m.r.IntN(9)]
		d := ""
		for _, v := range p {
			d += strconv.Itoa(v)
		}
		return group(d+strconv.Itoa(hybrid11by10(d)), m.one("", " "), 2, 3, 3, 3)
	}, weak: true},
	{typ: "FR_NIR", labels: []string{"numéro de sécurité sociale", "NIR", "INSEE"}, keys: []string{"nir", "insee"}, make: func(m *Maker) string {
		d := m.one("1", "2") + m.digits(2) + fmt.Sprintf("%02d", 1+m.r.IntN(12)) + fmt.Sprintf("%02d", 1+m.r.IntN(95)) + m.digits(6)
		return group(d+fmt.Sprintf("%02d", 97-atoi(d)%97), m.one("", " "), 1, 2, 2, 2, 3, 3, 2)
	}},
	{typ: "ES_NIF", labels: []string{"DNI", "NIF"}, keys: []string{"dni", "nif"}, make: func(m *Maker) string {
		d := m.digits(8)
		return d + m.one("", "", "-") + string("TRWAGMYFPDXBNJZSQVHLCKE"[atoi(d)%23])
	}},
	{typ: "ES_NIE", labels: []string{"NIE"}, keys: []string{"nie"}, make: func(m *Maker) string {
		d, x := m.digits(7), m.r.IntN(3)
		return "XYZ"[x:x+1] + m.one("", "", "-") + d + m.one("", "-") + string("TRWAGMYFPDXBNJZSQVHLCKE"[(x*10000000+atoi(d))%23])
	}},
	{typ: "IT_FISCAL_CODE", labels: []string{"codice fiscale", "CF"}, keys: []string{"codice_fiscale"}, make: func(m *Maker) string {
		w := m.of("BCDFGLMNPRSTVZ", 6) + m.digits(2) + m.of("ABCDEHLMPRST", 1) + m.one("01", "15", "23", "41", "65") + m.of("ABCDEFGHL", 1) + m.digits(3)
		odd := []int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}
		sum := 0
		for i, c := range w {
			v := int(c - 'A')
			if c <= '9' {
				v = int(c - '0')
			}
			if i%2 == 0 {
				v = odd[v]
			}
			sum += v
		}
		return w + string(rune('A'+sum%26))
	}},
	{typ: "IT_VAT_CODE", labels: []string{"partita IVA", "P.IVA"}, keys: []string{"partita_iva"}, weak: true, make: func(m *Maker) string { return withLuhn(m.fill("0!########")) }},
	{typ: "NL_BSN", labels: []string{"BSN", "burgerservicenummer"}, keys: []string{"bsn"}, weak: true, make: func(m *Maker) string {
		return until(func() string {
			d := m.fill("!#######")
			c := sumOf(d, 9, 8, 7, 6, 5, 4, 3, 2) % 11
			if c == 10 {
				return ""
			}
			return d + strconv.Itoa(c)
		})
	}},
	{typ: "PL_PESEL", labels: []string{"PESEL", "numer PESEL"}, keys: []string{"pesel"}, weak: true, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := y[2:] + mo + d + m.digits(4)
		if y >= "2000" {
			s = y[2:] + strconv.Itoa(atoi(mo)+20) + d + m.digits(4)
		}
		return s + strconv.Itoa((10-sumOf(s, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3)%10)%10)
	}},
	{typ: "BR_CPF", labels: []string{"CPF", "CPF do cliente"}, keys: []string{"cpf"}, make: func(m *Maker) string {
		d := m.digits(9)
		d += mod11(sumOf(d, 10, 9, 8, 7, 6, 5, 4, 3, 2))
		d += mod11(sumOf(d, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2))
		return d[:3] + "." + d[3:6] + "." + d[6:9] + "-" + d[9:]
	}},
	{typ: "BR_CNPJ", labels: []string{"CNPJ"}, keys: []string{"cnpj"}, make: func(m *Maker) string {
		d := m.digits(8) + "0001"
		d += mod11(sumOf(d, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
		d += mod11(sumOf(d, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2))
		return d[:2] + "." + d[2:5] + "." + d[5:8] + "/" + d[8:12] + "-" + d[12:]
	}},
	{typ: "IN_AADHAAR", labels: []string{"Aadhaar", "Aadhaar number", "UIDAI no"}, keys: []string{"aadhaar", "aadhaar_number"}, make: func(m *Maker) string {
		d := m.fill("N##########")
		return group(d+strconv.Itoa(verhoeffDigit(d)), m.one(" ", " ", "-"), 4, 4, 4)
	}},
	{typ: "IN_PAN", labels: []string{"PAN", "permanent account number"}, keys: []string{"pan", "pan_number"}, make: func(m *Maker) string {
		return m.of(upperAlnum[:26], 3) + m.of("PCHFATBL", 1) + m.fill("?####?")
	}},
	{typ: "CA_SIN", labels: []string{"SIN", "social insurance number"}, keys: []string{"sin", "social_insurance_number"}, make: func(m *Maker) string {
		return group(withLuhn(m.one("1", "2", "4", "5", "6", "7", "9")+m.digits(7)), m.one(" ", "-"), 3, 3, 3)
	}},
	{typ: "AU_TFN", labels: []string{"TFN", "tax file number"}, keys: []string{"tfn", "tax_file_number"}, weak: true, make: func(m *Maker) string {
		return until(func() string {
			d := m.fill("!########")
			if sumOf(d, 1, 4, 3, 7, 5, 8, 6, 9, 10)%11 != 0 {
				return ""
			}
			return group(d, m.one(" ", " ", ""), 3, 3, 3)
		})
	}},
	{typ: "AU_ABN", labels: []string{"ABN"}, keys: []string{"abn"}, make: func(m *Maker) string {
		return until(func() string {
			d := m.fill("!##########")
			if (sumOf(d, 10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)-10)%89 != 0 {
				return ""
			}
			return group(d, " ", 2, 3, 3, 3)
		})
	}},
	{typ: "AU_MEDICARE", labels: []string{"Medicare", "Medicare number"}, keys: []string{"medicare_number"}, make: func(m *Maker) string {
		d := m.one("2", "3", "4", "5", "6") + m.digits(7)
		return group(d+strconv.Itoa(sumOf(d, 1, 3, 7, 9, 1, 3, 7, 9)%10)+m.fill("!"), " ", 4, 5, 1)
	}},
	{typ: "KR_RRN", labels: []string{"주민등록번호", "RRN", "resident registration number"}, keys: []string{"rrn"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := m.one("1", "2")
		if y >= "2000" {
			s = m.one("3", "4")
		}
		s = y[2:] + mo + d + s + m.digits(5)
		return s[:6] + "-" + s[6:] + strconv.Itoa((11-sumOf(s, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)%11)%10)
	}},
	{typ: "CN_ID", labels: []string{"身份证号", "ID card"}, keys: []string{"id_card", "idcard_no"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := m.one("110101", "310104", "440305", "510107", "330106") + y + mo + d + m.digits(3)
		return s + string("10X98765432"[sumOf(s, 7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)%11])
	}},
	{typ: "SE_PERSONNUMMER", labels: []string{"personnummer"}, keys: []string{"personnummer"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := withLuhn(y[2:] + mo + d + m.digits(3))
		return m.one(s[:6]+"-"+s[6:], y[:2]+s[:6]+"-"+s[6:])
	}},
	{typ: "FI_PERSONAL_IDENTITY_CODE", labels: []string{"henkilötunnus", "HETU"}, keys: []string{"hetu"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		s, sign := d+mo+y[2:]+m.digits(3), "-"
		if y >= "2000" {
			sign = "A"
		}
		return s[:6] + sign + s[6:] + string("0123456789ABCDEFHJKLMNPRSTUVWXY"[atoi(s)%31])
	}},
	{typ: "CH_AHV", labels: []string{"AHV-Nummer", "AVS"}, keys: []string{"ahv_nr"}, make: func(m *Maker) string {
		d := "756" + m.digits(9)
		return group(d+strconv.Itoa((10-sumOf(d, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3)%10)%10), ".", 3, 4, 4, 2)
	}},
	{typ: "BE_NRN", labels: []string{"rijksregisternummer", "numéro national"}, keys: []string{"national_number"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := y[2:] + mo + d + m.digits(3)
		n := atoi(s)
		if y >= "2000" {
			n += 2000000000
		}
		s += fmt.Sprintf("%02d", 97-n%97)
		return s[:2] + "." + s[2:4] + "." + s[4:6] + "-" + s[6:9] + "." + s[9:]
	}},
	{typ: "NO_FODSELSNUMMER", labels: []string{"fødselsnummer"}, keys: []string{"fodselsnummer"}, weak: true, make: func(m *Maker) string {
		return until(func() string {
			y, mo, d := m.date()
			s := d + mo + y[2:] + m.digits(3)
			a := (11 - sumOf(s, 3, 7, 6, 1, 8, 9, 4, 5, 2)%11) % 11
			if a == 10 {
				return ""
			}
			s += strconv.Itoa(a)
			b := (11 - sumOf(s, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11) % 11
			if b == 10 {
				return ""
			}
			return group(s+strconv.Itoa(b), m.one("", " "), 6, 5)
		})
	}},
	{typ: "DK_CPR", labels: []string{"CPR", "CPR-nummer"}, keys: []string{"cpr"}, weak: true, make: func(m *Maker) string {
		y, mo, d := m.date()
		return d + mo + y[2:] + "-" + m.digits(4)
	}},
	{typ: "CZ_BIRTH_NUMBER", labels: []string{"rodné číslo"}, keys: []string{"rodne_cislo"}, make: func(m *Maker) string {
		return until(func() string {
			y, mo, d := m.date()
			s := y[2:] + mo + d + m.digits(3)
			if c := atoi(s) % 11; c < 10 {
				return s[:6] + "/" + s[6:] + strconv.Itoa(c)
			}
			return ""
		})
	}},
	{typ: "ZA_ID", labels: []string{"ID number", "identity number"}, keys: []string{"id_number"}, weak: true, make: func(m *Maker) string {
		y, mo, d := m.date()
		return withLuhn(y[2:] + mo + d + m.digits(4) + m.one("0", "1") + "8")
	}},
	{typ: "TR_TCKN", labels: []string{"TC kimlik no", "kimlik numarası"}, keys: []string{"tckn"}, weak: true, make: func(m *Maker) string {
		d := m.fill("!########")
		odd, even := sumOf(d, 1, 0, 1, 0, 1, 0, 1, 0, 1), sumOf(d, 0, 1, 0, 1, 0, 1, 0, 1, 0)
		ten := ((odd*7-even)%10 + 10) % 10
		return d + strconv.Itoa(ten) + strconv.Itoa((odd+even+ten)%10)
	}},
	{typ: "TH_TNIN", labels: []string{"Thai ID", "เลขประจำตัวประชาชน"}, keys: []string{"thai_id"}, make: func(m *Maker) string {
		d := m.fill("########")
		d = m.one("1", "2", "3", "5") + d + m.digits(3)
		return group(d+strconv.Itoa((11-sumOf(d, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2)%11)%10), "-", 1, 4, 5, 2, 1)
	}},
	{typ: "MX_CURP", labels: []string{"CURP"}, keys: []string{"curp"}, make: func(m *Maker) string {
		y, mo, d := m.date()
		return m.of("BCDFGHLMNPRST", 1) + m.of("AEIOU", 1) + m.of("BCDFGHLMNPRST", 2) + y[2:] + mo + d + m.one("H", "M") + m.one("DF", "JC", "NL", "VZ") + m.of("BCDFGHLMNPRST", 3) + m.of("0123456789", 2)
	}},
	{typ: "AR_CUIT", labels: []string{"CUIT", "CUIL"}, keys: []string{"cuit"}, make: func(m *Maker) string {
		return until(func() string {
			d := m.one("20", "27", "23", "30") + m.digits(8)
			c := (11 - sumOf(d, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11) % 11
			if c == 10 {
				return ""
			}
			return d[:2] + "-" + d[2:] + "-" + strconv.Itoa(c)
		})
	}},
	{typ: "CL_RUT", labels: []string{"RUT"}, keys: []string{"rut"}, make: func(m *Maker) string {
		d := m.fill("!#######")
		c := (11 - sumOf(d, 3, 2, 7, 6, 5, 4, 3, 2)%11) % 11
		return d[:2] + "." + d[2:5] + "." + d[5:] + "-" + "0123456789K"[c:c+1]
	}},
	{typ: "SG_NRIC_FIN", labels: []string{"NRIC", "FIN"}, keys: []string{"nric"}, make: func(m *Maker) string {
		d, p := m.digits(7), m.one("S", "T", "F", "G")
		sum := sumOf(d, 2, 7, 6, 5, 4, 3, 2)
		if p == "T" || p == "G" {
			sum += 4
		}
		if p == "S" || p == "T" {
			return p + d + string("JZIHGFEDCBA"[sum%11])
		}
		return p + d + string("XWUTRQPNMLK"[sum%11])
	}},
	{typ: "RO_CNP", labels: []string{"CNP", "cod numeric personal"}, keys: []string{"cnp"}, weak: true, make: func(m *Maker) string {
		y, mo, d := m.date()
		s := m.one("1", "2")
		if y >= "2000" {
			s = m.one("5", "6")
		}
		s += y[2:] + mo + d + "12" + m.digits(3)
		c := sumOf(s, 2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9) % 11
		if c == 10 {
			c = 1
		}
		return s + strconv.Itoa(c)
	}},
	{typ: "HR_OIB", labels: []string{"OIB"}, keys: []string{"oib"}, weak: true, make: func(m *Maker) string {
		d := m.digits(10)
		return d + strconv.Itoa(hybrid11by10(d))
	}},
	{typ: "IE_PPS", labels: []string{"PPS number", "PPSN"}, keys: []string{"ppsn"}, make: func(m *Maker) string {
		d := m.digits(7)
		return d + string("WABCDEFGHIJKLMNOPQRSTUV"[sumOf(d, 8, 7, 6, 5, 4, 3, 2)%23])
	}},
	{typ: "PT_NIF", labels: []string{"NIF", "contribuinte"}, keys: []string{"nif"}, weak: true, make: func(m *Maker) string {
		d := m.one("1", "2", "3") + m.digits(7)
		return d + mod11(sumOf(d, 9, 8, 7, 6, 5, 4, 3, 2))
	}},
	{typ: "JP_MY_NUMBER", labels: []string{"マイナンバー", "My Number"}, keys: []string{"my_number"}, weak: true, make: func(m *Maker) string {
		d := m.digits(11)
		c := 11 - sumOf(d, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)%11
		if c > 9 {
			c = 0
		}
		return group(d+strconv.Itoa(c), m.one("", " ", "-"), 4, 4, 4)
	}},
	{typ: "US_MBI", labels: []string{"Medicare beneficiary ID", "MBI"}, keys: []string{"mbi", "medicare_id"}, make: func(m *Maker) string {
		const l = "ACDEFGHJKMNPQRTUVWXY"
		return m.fill("!") + m.of(l, 1) + m.digits(2) + m.of(l, 1) + m.digits(2) + m.of(l, 2) + m.digits(2)
	}},
}

// mod11 is 11 less the rest, or 0 for rests below 2.
func mod11(sum int) string {
	if r := sum % 11; r >= 2 {
		return strconv.Itoa(11 - r)
	}
	return "0"
}

var otherKinds = []kind{
	{typ: "EMAIL_ADDRESS", make: (*Maker).email, labels: []string{"email", "e-mail", "contact", "Reply-To"}, keys: []string{"email", "user_email", "contact"}},
	{typ: "EMAIL_ADDRESS", make: (*Maker).email, labels: []string{"email", "mail"}, keys: []string{"email", "to", "from"}},
	{typ: "PHONE_NUMBER", make: func(m *Maker) string { return m.fill(pick(m, phoneForms)) }, labels: []string{"phone", "Tel", "mobile", "call me at", "fax"}, keys: []string{"phone", "phone_number", "mobile", "tel"}},
	{typ: "PHONE_NUMBER", make: func(m *Maker) string { return m.fill(pick(m, phoneForms)) }, labels: []string{"phone", "telephone", "cell"}, keys: []string{"phone", "cell_phone"}},
	{typ: "PHONE_NUMBER", make: func(m *Maker) string { return m.fill(pick(m, weakPhones)) }, labels: []string{"phone", "Tel.", "mobile", "cell"}, keys: []string{"phone", "phone_number", "mobile"}, weak: true},
	{typ: "CREDIT_CARD", make: (*Maker).card, labels: []string{"card", "credit card", "card number", "Visa"}, keys: []string{"card_number", "cc_number", "pan"}},
	{typ: "CREDIT_CARD", make: (*Maker).card, labels: []string{"card no.", "payment card"}, keys: []string{"card", "credit_card"}},
	{typ: "IBAN_CODE", make: (*Maker).ibanText, labels: []string{"IBAN", "account"}, keys: []string{"iban", "account"}},
	{typ: "IP_ADDRESS", make: (*Maker).ipv4, labels: []string{"IP", "client", "from"}, keys: []string{"ip", "client_ip", "remote_addr"}},
	{typ: "IP_ADDRESS", make: (*Maker).ipv6, labels: []string{"IP", "IPv6 address"}, keys: []string{"ip", "addr"}},
	{typ: "MAC_ADDRESS", make: (*Maker).mac, labels: []string{"MAC", "hardware address"}, keys: []string{"mac", "hwaddr"}},
	{typ: "DATE_OF_BIRTH", make: (*Maker).birth, labels: []string{"DOB", "date of birth", "born", "Birth date", "birthday"}, keys: []string{"dob", "date_of_birth", "birth_date"}, weak: true},
	{typ: "CRYPTO", labels: []string{"wallet", "BTC address", "send to"}, keys: []string{"wallet", "btc_address"}, make: func(m *Maker) string {
		switch m.r.IntN(5) {
		case 0:
			return m.base58Address(0)
		case 1:
			return m.base58Address(5)
		case 2:
			return m.segwitAddress(0, 32)
		case 3:
			return m.segwitAddress(1, 52)
		}
		return "0x" + m.of("0123456789abcdefABCDEF", 40)
	}},
	{typ: "PASSPORT", labels: []string{"passport", "passport number", "Passport No"}, keys: []string{"passport", "passport_number"}, weak: true, make: func(m *Maker) string {
		return m.fill(m.one("#########", "?########", "??#######", "?#######", "##??#####", "C#"+m.of("FGHJKLMNPRTVWXYZ0123456789", 7)))
	}},
	{typ: "DRIVER_LICENSE", labels: []string{"driver's license", "driver license number", "DL", "license no"}, keys: []string{"drivers_license", "driver_license"}, weak: true, make: func(m *Maker) string {
		return m.fill(m.one("?#######", "?########", "?############", "########", "#########", "?###-####-####", "??######", "?##-###-###"))
	}},
	{typ: "BANK_ACCOUNT", labels: []string{"account number", "bank account", "acct no", "routing number"}, keys: []string{"account_number", "bank_account"}, weak: true, make: func(m *Maker) string { return m.digits(8 + m.r.IntN(9)) }},
	{typ: "MEDICAL_LICENSE", labels: []string{"DEA", "DEA number", "medical license"}, keys: []string{"dea", "dea_number"}, make: func(m *Maker) string {
		d := m.digits(6)
		sum := sumOf(d, 1, 0, 1, 0, 1, 0) + 2*sumOf(d, 0, 1, 0, 1, 0, 1)
		return m.one("A", "B", "F", "M") + m.fill("?") + d + strconv.Itoa(sum%10)
	}, weak: true},
}

// Structured returns a text with one value that its form, or a word beside it,
// tells to be sensitive.
func (m *Maker) Structured() Sample {
	k := &otherKinds[m.r.IntN(len(otherKinds))]
	if m.chance(50) {
		k = &idKinds[m.r.IntN(len(idKinds))]
	}
	return m.structured(k)
}

func (m *Maker) structured(k *kind) Sample {
	v := k.make(m)
	if i := strings.IndexByte(v, '~'); i >= 0 { // the separator that came before
		for _, c := range []string{"-", " ", "."} {
			if strings.Contains(v, c) {
				v = strings.Replace(v, "~", c, 1)
				break
			}
		}
	}
	return within(m.place(k, k.weak || k.typ == "CREDIT_CARD" && weakCard(v)), v, k.typ)
}
