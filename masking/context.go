package masking

import "strings"

// Topics is a set of things that words near a value, or the name of its column
// or field, speak of. The zero value is none.
type Topics uint64

// Topics. Each is a bit; the words that raise it are in topicWords.
const (
	aboutPhone Topics = 1 << iota
	aboutSSN
	aboutTax
	aboutPassport
	aboutLicense
	aboutBirth
	aboutCard
	aboutBank
	aboutNHS
	aboutNational // a national or personal identity number, of any country
	aboutAadhaar
	aboutSIN
	aboutTFN
	aboutABN
	aboutMedicare
	aboutBSN
	aboutPESEL
	aboutCPF
	aboutNIR
	aboutPersonnr
	aboutMyNumber
	aboutHealth
	aboutTeudat
	aboutCPR
	aboutIP
	aboutVersion
	aboutIssued // numbers that are not about people: orders, invoices, parts
	aboutPassword
	aboutSecret
)

const notPeople = aboutIssued | aboutVersion

// topicWords are in lower case. Names such as card_number and cardNumber are
// taken apart before they are looked up, and looked up whole, without what
// parts them.
var topicWords = map[Topics]string{
	aboutPhone: "phone phones telephone telephones tel mobile mobil cellphone cellular fax sms whatsapp phoneno phonenumber msisdn handy telefon " +
		"telefonnummer telefono teléfono téléphone portable móvil movil celular telefone telemóvel telefoon mobiel telefonu komórka телефон тел " +
		"電話 电话 手机 携帯 전화 휴대 rufnummer landline dial cell",
	aboutSSN: "ssn social ssns socialsecurity",
	aboutTax: "tax steuer steueridentifikationsnummer steuernummer steuerid tin itin taxid taxpayer fiscal fiscale vat partita piva nif nie dni cif oib " +
		"cuit cuil rut rfc curp contribuinte codicefiscale pan pancard gstin pps ppsn",
	aboutPassport: "passport passports passeport pasaporte reisepass passaporto paspoort passnummer paszport паспорт 护照 旅券 여권 passportnumber passportno",
	aboutLicense:  "license licence driver drivers driving dl dmv führerschein permis licencia rijbewijs 免許 driverslicense driverlicense",
	aboutBirth: "birth birthday birthdate born dob bday geboren geburtsdatum geburtstag naissance né née nacimiento nacido nacida nascita nascimento " +
		"geboorte geboortedatum urodzenia urodzony född født dateofbirth 出生 生年 生日 誕生 생년",
	aboutCard: "card cards credit debit visa mastercard amex discover cc ccnum ccnumber kreditkarte tarjeta cartão creditcard cardnumber cardno 信用",
	aboutBank: "account accounts acct bank banking checking savings konto kontonummer cuenta compte conto conta rekening accountnumber bankaccount " +
		"routing aba accountno acctno",
	aboutNHS: "nhs",
	aboutNational: "nationalid nationalidnumber identitycard idcard ausweis personalausweis cédula cedula 身份 身分 公民 주민 주민등록 rrn nric hkid mykad kimlik " +
		"teudat zehut cnp egn idnumber nin nino insee resident citizenid personnummer hetu ahv avs pesel cpf bsn aadhaar curp tckn identity national",
	aboutAadhaar:  "aadhaar aadhar uidai आधार",
	aboutSIN:      "sin nino insurance",
	aboutTFN:      "tfn",
	aboutABN:      "abn acn",
	aboutMedicare: "medicare mbi",
	aboutBSN:      "bsn burgerservicenummer sofinummer",
	aboutPESEL:    "pesel",
	aboutCPF:      "cpf cnpj",
	aboutNIR:      "nir insee sécurité securite vitale",
	aboutPersonnr: "personnummer fødselsnummer fodselsnummer fnr personnr samordningsnummer henkilötunnus hetu rodné rodne číslo",
	aboutMyNumber: "マイ 個人 mynumber",
	aboutHealth:   "patient mrn medical health beneficiary mbi",
	aboutTeudat:   "teudat zehut israeli",
	aboutCPR:      "cpr",
	aboutIP:       "ip ipv4 ipv6 host client remote",
	aboutVersion:  "version versions ver v release released build firmware kernel upgrade upgraded update semver rev revision library package chapter section driver oid",
	aboutIssued: "order orders invoice tracking shipment parcel sku part serial ticket case reference ref transaction txn batch lot item product catalog isbn " +
		"issn doi upc ean gtin commit hash checksum sha md5 uuid guid timestamp epoch ts bytes size seq sequence offset duration latency request " +
		"trace span job pid port event message build row bestellung rechnung po rma quote record document file unix counter count total session object " +
		"key etag bug issue pr run task node stock warehouse claim booking amount price quantity",
	aboutPassword: "password passwd pwd passphrase passwort kennwort motdepasse contraseña contrasena senha пароль 密码 パスワード pass pgpassword dbpassword userpassword",
	aboutSecret: "secret apikey apitoken accesskey secretkey clientsecret privatekey accesstoken authtoken refreshtoken secretaccesskey encryptionkey " +
		"signingkey sessiontoken bearer credential credentials apisecret authorization accountkey sharedaccesskey token",
}

// secretEnds are the last two bytes of the words about passwords and secrets,
// so that most keys need not be looked up.
var secretEnds = func() (t [1 << 16 / 64]uint64) {
	for set, words := range topicWords {
		if set&(aboutPassword|aboutSecret) == 0 {
			continue
		}
		for _, w := range strings.Fields(words) {
			n := pairOf(w[len(w)-2], w[len(w)-1])
			t[n/64] |= 1 << (n % 64)
		}
	}
	return t
}()

func pairOf(a, b byte) int { return int(a|lowerBit(a))<<8 | int(b|lowerBit(b)) }

// wordTable maps the hashes of words to topics. A false hit of a hash can only
// raise a topic that nobody spoke of.
type wordTable [wordSlots]wordSlot

type wordSlot struct {
	hash uint32
	set  Topics
}

const (
	wordSlots = 2048 // a power of two, several times the number of words
	hashSeed  = 2166136261
	hashPrime = 16777619
)

func newWordTable() *wordTable {
	t := &wordTable{}
	for set, words := range topicWords {
		for _, w := range strings.Fields(words) {
			t.add(w, set)
		}
	}
	return t
}

func (t *wordTable) add(word string, set Topics) {
	h := uint32(hashSeed)
	for i := len(word) - 1; i >= 0; i-- { // words are read backwards
		h = hashByte(h, word[i])
	}
	i := (h ^ h>>15) % wordSlots
	for t[i].hash != 0 && t[i].hash != h {
		i = (i + 1) % wordSlots
	}
	t[i].hash = h
	t[i].set |= set
}

func hashByte(h uint32, c byte) uint32 {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return (h ^ uint32(c)) * hashPrime
}

func (t *wordTable) find(h uint32) Topics {
	for i := (h ^ h>>15) % wordSlots; t[i].hash != 0; i = (i + 1) % wordSlots {
		if t[i].hash == h {
			return t[i].set
		}
	}
	return 0
}

// surroundings are the topics that text before a value speaks of.
type surroundings struct {
	near   Topics // of the nearest three words
	all    Topics // of all words of the field
	issued bool   // the nearest word with a topic says that the number is a thing's
}

// reach is how far back words are looked for, in bytes.
const reach = 72

// before looks back from src[pos], no farther than floor, over words of the
// same line and field.
func (t *wordTable) before(src []byte, pos, floor int) (s surroundings) {
	floor = max(floor, pos-reach)
	words, quotes, decided := 0, 0, false
	joined := uint32(hashSeed) // parts of one name, such as card_number, joined
	parts := 0
	note := func(set Topics) {
		if set == 0 {
			return
		}
		if !decided {
			decided, s.issued = true, set&notPeople != 0 && set&^notPeople == 0 && words <= 3
		}
		s.all |= set
		if words <= 3 {
			s.near |= set
		}
	}
	for i := pos - 1; i >= floor; {
		c := src[i]
		switch {
		case c == '"':
			// In JSON the key before a value is its context; the value before that is
			// not.
			if quotes++; quotes > 3 {
				return s
			}
		case (c == '>' || c == '<') && i+1 < len(src) && src[i+1] == ' ':
			return s // a comparison, as in a constraint, rather than an assignment
		case c == '\n', c == '\t', c == ';', c == '|', c == '{', c == '}', c == '&':
			return s
		case c == ',' && (quotes > 0 || i+1 < len(src) && src[i+1] != ' '):
			return s
		}
		if n := wideRune(src, i); n > 0 {
			// Scripts written without spaces: two characters are a word.
			if i-3 >= floor && wideRune(src, i-3) > 0 {
				h := uint32(hashSeed)
				for k := i; k > i-6; k-- {
					h = hashByte(h, src[k])
				}
				note(t.find(h))
			}
			i -= 3
			continue
		}
		if !letterByte[c] {
			if c != '_' && c != '-' {
				joined, parts = hashSeed, 0
			}
			i--
			continue
		}
		h, n, hump := uint32(hashSeed), 0, false
		for i >= floor && letterByte[src[i]] && !hump {
			h, joined = hashByte(h, src[i]), hashByte(joined, src[i])
			hump = isUpper(src[i]) && i > floor && isLower(src[i-1])
			i--
			if n++; n > 40 {
				return s
			}
		}
		words++
		if parts++; parts > 1 {
			note(t.find(joined))
		}
		note(t.find(h))
	}
	return s
}

// wideRune returns 3 when src[i] ends a three-byte character of a script written
// without spaces, else 0.
func wideRune(src []byte, i int) int {
	if i >= 2 && src[i] >= 0x80 && src[i] < 0xC0 && src[i-2] >= 0xE3 && src[i-2] <= 0xED {
		return 3
	}
	return 0
}

// topics returns what the name of a column or field speaks of.
func (t *wordTable) topics(name string) Topics {
	src := []byte(name)
	return t.before(src, len(src), 0).all
}

// letterByte are the bytes of words: ASCII letters and all that UTF-8 uses for
// others.
var letterByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
	}
	return t
}()
