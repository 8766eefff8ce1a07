package detect

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
	aboutCall    // a telephone number, if it looks like one
	aboutMedical // a physician's number
	aboutSort    // a British bank's code
	aboutKey     // a credential, if it looks like one
	aboutWallet  // an address of a crypto currency
	filler       // belongs to a label, but says nothing: number
	linking      // stands between a label and its value: is
	aboutThing   // of columns only: names of goods, places and the like
	firstFree    // and those that follow are of patterns in the configuration
)

const notPeople = aboutIssued | aboutVersion

// topicWords are in lower case. Names such as card_number and cardNumber are
// taken apart before they are looked up, and looked up whole, without what
// parts them.
var topicWords = map[Topics]string{
	aboutPhone: "phone phones telephone telephones tel mobile mobil cellphone cellular fax sms whatsapp phoneno phonenumber msisdn handy telefon " +
		"telefonnummer telefono teléfono téléphone portable móvil movil celular telefone telemóvel telefoon mobiel telefonu komórka телефон тел " +
		"電話 电话 手机 携帯 전화 휴대 rufnummer landline cell hp handphone mobilenumber cellno telno mob teléfonos telefone",
	aboutCall:    "call calls called calling dial reach ring text contact callback",
	aboutMedical: "dea npi prescriber medicallicense medicallicence deanumber physician",
	aboutSort:    "sortcode",
	aboutKey:     "key keys auth credential creds access api pat sid session sessionid sessid phpsessid jsessionid private cert license base dsn webhook appkey masterkey",
	aboutWallet:  "wallet wallets btc bitcoin crypto address xbt",
	filler:       "number numbers no nr num id",
	linking:      "is the value val to on at as was are has for use used using with file please now",
	aboutSSN:     "ssn social ssns socialsecurity",
	aboutTax: "tax steuer steueridentifikationsnummer steuernummer steuerid tin itin taxid taxpayer fiscal fiscale vat partita piva partitaiva taxid taxnumber nif nie dni cif oib " +
		"cuit cuil rut rfc curp contribuinte codicefiscale pan pancard gstin pps ppsn",
	aboutPassport: "passport passports passeport pasaporte reisepass passaporto paspoort passnummer paszport паспорт 护照 旅券 여권 passportnumber passportno",
	aboutLicense:  "license licence driver drivers driving dl dmv führerschein permis licencia rijbewijs 免許 driverslicense driverlicense",
	aboutBirth: "birth birthday birthdate born dob bday geboren geburtsdatum geburtstag naissance né née nacimiento nacido nacida nascita nascimento " +
		"geboorte geboortedatum urodzenia urodzony född født dateofbirth 出生 生年 生日 誕生 생년",
	aboutCard: "pan card cards credit debit visa mastercard amex discover cc ccnum ccnumber kreditkarte tarjeta cartão creditcard cardnumber cardno 信用",
	aboutBank: "account accounts acct bank banking checking savings konto kontonummer cuenta compte conto conta rekening accountnumber bankaccount " +
		"routing aba accountno acctno",
	aboutNHS: "nhs",
	aboutNational: "nationalid nationalidnumber identitycard idcard ausweis personalausweis cédula cedula 身份 身分 公民 주민 주민등록 rrn nric hkid mykad kimlik " +
		"teudat zehut cnp egn idnumber nin nino insee resident citizenid personnummer hetu ahv avs pesel cpf bsn aadhaar curp tckn identity national idnumber idno personalnumber numericpersonal identificationnumber tcno cccd dui nik ktp egn umcn jmbg",
	aboutAadhaar:  "aadhaar aadhar uidai आधार",
	aboutSIN:      "sin nino insurance ninumber socialinsurance socialinsurancenumber nationalinsurance",
	aboutTFN:      "tfn taxfilenumber taxfile",
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
		"trace span job pid port event message build row bestellung rechnung po rma record document unix counter count total session object " +
		"key etag bug issue pr run task node stock warehouse claim booking amount price quantity",
	aboutPassword: "password passwd pwd passphrase passwort kennwort motdepasse contraseña contrasena senha clave wachtwoord lösenord lösenordet passord adgangskode salasana hasło heslo jelszó parola şifre пароль 密码 密碼 パスワード 비밀번호 pass pgpassword dbpassword userpassword sshpass smtppass rootpassword",
	aboutSecret: "secret apikey apitoken accesskey secretkey clientsecret privatekey accesstoken authtoken refreshtoken privatetoken apitoken apikey xapikey appsecret secretkeybase masterkey licensekey storagekey secretaccesskey encryptionkey " +
		"signingkey sessiontoken bearer credential credentials apisecret authorization accountkey sharedaccesskey token",
}

// secretEnds are the last three bytes of the words about passwords and secrets,
// so that most keys need not be looked up.
var secretEnds = func() (t [1 << 15 / 64]uint64) {
	for set, words := range topicWords {
		if set&(aboutPassword|aboutSecret|aboutKey) == 0 {
			continue
		}
		for _, w := range strings.Fields(words) {
			n := endOf(w[len(w)-3], w[len(w)-2], w[len(w)-1])
			t[n/64] |= 1 << (n % 64)
		}
	}
	return t
}()

func endOf(a, b, c byte) int { return int(a&31)<<10 | int(b&31)<<5 | int(c&31) }

// secretEnd reports whether a key that ends before src[i] may be about a password
// or a secret.
func secretEnd(src []byte, i int) bool {
	if i < 3 {
		return false
	}
	n := endOf(src[i-3], src[i-2], src[i-1])
	return secretEnds[n/64]&(1<<(n%64)) != 0
}

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
	near   Topics // of the nearest three names
	all    Topics // of all names of the field
	issued bool   // one of the nearest two names says that the number is a thing's
	label  bool   // the very nearest does
}

// reach is how far back words are looked for, in bytes.
const reach = 72

// nearNames is how many names back a word still speaks of the value.
const nearNames = 3

// What signs do to the words around them.
const (
	signPlain   uint8 = iota // parts names and phrases
	signJoin                 // within a name, as in card_number
	signSpace                // within a phrase, as in tax file number
	signQuote                //
	signComma                //
	signCompare              // a comparison, as in a constraint, when a space follows
	signLine                 // ends a line
	signCell                 // ends a cell
	signEnd                  // ends a field
)

var signs = [256]uint8{
	'_': signJoin, '-': signJoin, ' ': signSpace, '.': signSpace, '"': signQuote, ',': signComma, '<': signCompare, '>': signCompare,
	'\n': signLine, '\t': signCell, '|': signCell, ';': signEnd, '{': signEnd, '}': signEnd, '&': signEnd,
}

// before looks back from src[pos], no farther than floor, over words of the same
// line and field. The cell before the value's, and a line that ends with a colon,
// may be its label.
func (t *wordTable) before(src []byte, pos, floor int) (s surroundings) {
	floor = max(floor, pos-reach)
	w := lookBack{table: t, joined: hashSeed}
	quotes, crossed := 0, false
	for i := pos - 1; i >= floor; {
		c := src[i]
		if letterByte[c] {
			n := 0
			if i, n = w.word(src, i, floor); n > maxName {
				break
			}
			continue
		}
		end := false
		switch signs[c] {
		case signPlain:
			w.joined, w.parts, w.inName = hashSeed, 0, false
		case signSpace:
			w.inName = false
		case signQuote:
			// In JSON the key before a value is its context; the value before that is
			// not.
			quotes++
			end = quotes > 3
			w.joined, w.parts, w.inName = hashSeed, 0, false
		case signCompare:
			w.joined, w.parts, w.inName = hashSeed, 0, false
			end = i+1 < len(src) && src[i+1] == ' '
		case signComma:
			w.joined, w.parts, w.inName = hashSeed, 0, false
			if quotes > 0 || i+1 < len(src) && src[i+1] != ' ' {
				end, quotes = w.names > 0 || crossed, 0
				crossed = true
			}
		case signCell:
			end = w.names > 0 || crossed
			crossed = true
		case signLine:
			k := i - 1
			for k >= floor && src[k] <= ' ' {
				k--
			}
			end = w.names > 0 || crossed || k < floor || src[k] != ':'
			crossed = true
		case signEnd:
			end = true
		}
		if end {
			break
		}
		i--
	}
	if crossed && w.names > nearNames { // a sentence rather than a label
		return surroundings{}
	}
	return w.found
}

// maxName bounds words that are looked up, in bytes.
const maxName = 40

// lookBack is the state of looking back over words.
type lookBack struct {
	table  *wordTable
	found  surroundings
	names  int    // seen so far, but for those that say nothing, such as number
	joined uint32 // the hash of a phrase, such as tax_file_number, without what parts it
	parts  int    // its words
	inName bool   // the next word belongs to the same name
}

// word looks at the word that ends with src[i] and returns where to go on, and
// its length.
func (w *lookBack) word(src []byte, i, floor int) (next, n int) {
	if k := wideRune(src, i); k > 0 {
		// Scripts written without spaces: two characters are a word.
		if i-3 >= floor && wideRune(src, i-3) > 0 {
			h := uint32(hashSeed)
			for k := i; k > i-6; k-- {
				h = hashByte(h, src[k])
			}
			w.note(w.table.find(h))
		}
		return i - 3, 0
	}
	h, hump := uint32(hashSeed), false
	for i >= floor && letterByte[src[i]] && !hump {
		h, w.joined = hashByte(h, src[i]), hashByte(w.joined, src[i])
		hump = isUpper(src[i]) && i > floor && isLower(src[i-1])
		i--
		if n++; n > maxName {
			return i, n
		}
	}
	set := w.table.find(h)
	if !w.inName && set&(filler|linking) == 0 {
		w.names++
	}
	if set&linking != 0 && !w.inName {
		w.joined, w.parts = hashSeed, 0
		return i, n
	}
	w.inName = true
	if w.parts++; w.parts > 1 {
		w.note(w.table.find(w.joined))
	}
	w.note(set)
	return i, n
}

// note takes in the topics of a name.
func (w *lookBack) note(set Topics) {
	set &^= filler | linking
	if set == 0 {
		return
	}
	s := &w.found
	if set&notPeople != 0 && set&^notPeople == 0 {
		s.issued = s.issued || s.all == 0 && w.names <= 2
		s.label = s.label || s.all == 0 && w.names <= 1
	}
	s.all |= set
	if w.names <= nearNames {
		s.near |= set
	}
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
