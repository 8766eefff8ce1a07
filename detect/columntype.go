package detect

import (
	"bytes"
	"strings"

	"github.com/sallyport/sallyport/detect/internal/prose"
)

// fewest is how many values a column must have for them to say what it holds.
const fewest = 3

// many is how many of them outweigh a name that says something else, when nearly all
// are alike.
const many = 10

// most bounds how many values are looked at.
const most = 1000

// ColumnVerdict returns what a column of that name and database type with these
// values holds, and false when nothing sensitive: because four in five of at
// least three values are one finding of one type, or are names of people, or
// because its name says so and its values may be that. Values that are empty do
// not count.
func (p *Detector) ColumnVerdict(name, dbType string, values [][]byte) (Type, bool) {
	hint, hinted := p.TypeOfName(name)
	kind := strings.ToLower(dbType)
	if strings.HasPrefix(kind, "bool") || kind == "bit" {
		return "", false
	}
	e := p.evidence(name, values)
	if t, ok := p.numbers(name, kind, values); ok && (!hinted || related(hint, t)) {
		return t, true
	}
	if e.typ != "" && !(hinted && specific(hint) && !specific(e.typ)) {
		if hinted && (related(hint, e.typ) || !surely(e.typ) && e.plausible(hint, kind)) {
			return hint, true
		}
		return e.typ, true
	}
	if hinted && (e.seen == 0 || e.plausible(hint, kind)) {
		return hint, true
	}
	if !hinted && e.ofPeople(name) {
		return Person, true
	}
	return "", false
}

// ofPeople reports whether so many values look like names of people that those of a
// column of that name are: half, where people are to be expected, and nearly all of
// many, where goods and places are.
func (e *evidence) ofPeople(name string) bool {
	least, share := fewest, 0.8
	switch last := lastWord(name); {
	case personKeys[last]:
		share = 0.5
	case within(thingNames, []byte(last)):
		least, share = 20, 0.95
	}
	if e.seen >= least && float64(e.people) >= share*float64(e.seen) {
		return true
	}
	// Of many peoples few names are in lists: some that are, and hardly a value that
	// cannot be a name.
	const enough = 8
	like := e.full + e.part + e.maybe
	return e.seen >= max(least, enough) && share <= 0.8 &&
		(e.full*5 >= e.seen*2 && like*20 >= e.seen*17 || (e.part+e.full)*5 >= e.seen*3 && like*20 >= e.seen*19)
}

// person takes in how much v is like the name of a person.
func (e *evidence) person(m *prose.Model, v []byte) {
	like := m.Judge(&e.tagger, v)
	switch {
	case uncasedName(v):
		like = prose.FullName
	case uncasedField(v):
		like = prose.MaybeName
	}
	switch like {
	case prose.FullName:
		e.full++
	case prose.PartName:
		e.part++
	case prose.MaybeName:
		e.maybe++
	}
	if m.Named(&e.tagger, v, false) || like == prose.FullName {
		e.people++
	}
}

// numbers returns of which medium type nearly all values are.
func (p *Detector) numbers(name, dbType string, values [][]byte) (Type, bool) {
	var t tallies
	for _, v := range values {
		if v = bytes.TrimSpace(v); !absent(v) {
			t.add(v)
		}
	}
	c := p.profileOf(Column{Name: name, Type: dbType})
	return t.mostly(c.prior())
}

// evidence is what the values of a column look like.
type evidence struct {
	seen    int
	typ     Type // of four in five, whole
	people  int  // names of people
	digits  int  // values with at least six digits
	long    int  // numbers of at least four digits
	letters int  // values that are mostly letters
	words   int  // values of two words at least
	dates   int
	ats     int
	full    int // full names of people by the lists
	part    int // given or family names
	maybe   int // what may be a name, and no list says so
	tagger  prose.Tagger
	small   int // numbers of fewer than six digits, and truth values
	hex     int // hashes and UUIDs
	signs   int // paths, addresses of pages
}

func (p *Detector) evidence(name string, values [][]byte) (e evidence) {
	topics := p.Topics(name)
	hits, spite := make(map[Type]int), make(map[Type]int)
	var found []Finding
	distinct := map[string]bool{}
	for _, v := range values {
		if v = bytes.TrimSpace(v); absent(v) || e.seen == most {
			continue
		}
		e.seen++
		distinct[string(v)] = true
		e.add(v)
		found = p.FindNamed(found[:0], v, topics)
		if len(found) == 0 && topics&notPeople != 0 { // in spite of the name
			if found = p.FindNamed(found, v, 0); len(found) == 1 && found[0].Start <= 1 && found[0].End >= len(v)-1 {
				spite[found[0].Type]++
			}
			found = found[:0]
		}
		if len(found) == 1 && found[0].Start <= 1 && found[0].End >= len(v)-1 {
			hits[found[0].Type]++
		}
		if p.prose != nil && p.wants(Person) {
			e.person(p.prose, v)
		}
	}
	for t, n := range hits {
		if e.seen >= fewest && n*5 >= e.seen*4 {
			e.typ = t
		}
	}
	for t, n := range spite {
		if n >= many && n*20 >= e.seen*19 {
			e.typ = t
		}
	}
	if e.typ == Location || e.typ == Company || e.typ.Wider() != "" {
		e.typ = "" // of no person
	}
	if e.seen > 8 && len(distinct) < 3 {
		e.people, e.full, e.part, e.maybe = 0, 0, 0, 0 // a status rather than names
	}
	return e
}

// absent reports whether v says that there is no value.
func absent(v []byte) bool {
	if len(v) > 8 {
		return false
	}
	switch string(bytes.ToLower(v)) {
	case "", "-", "--", "?", "n/a", "na", "none", "null", "nil", "unknown", "tbd", "\\n":
		return true
	}
	return false
}

// add takes in what v looks like.
func (e *evidence) add(v []byte) {
	digits, letters, hex := 0, 0, 0
	for _, c := range v {
		switch {
		case isDigit(c):
			digits++
		case isAlnum(c) || c >= 0x80:
			letters++
		}
		if isHex(c) || c == '-' {
			hex++
		}
	}
	if digits >= 6 {
		e.digits++
	}
	if digits >= 4 {
		e.long++
	}
	if letters > 0 && digits*4 <= letters {
		e.letters++
	}
	if letters > 2 && bytes.IndexByte(v, ' ') > 0 {
		e.words++
	}
	if bytes.IndexByte(v, '@') >= 0 {
		e.ats++
	}
	if digits >= 4 && digits <= 14 && len(v) >= 6 && (bytes.ContainsAny(v, "-/. ") || digits == 8) || monthIn(v) {
		e.dates++
	}
	if digits < 6 && letters == 0 || len(v) <= 5 && (bytes.EqualFold(v, []byte("true")) || bytes.EqualFold(v, []byte("false")) || bytes.EqualFold(v, []byte("yes")) || bytes.EqualFold(v, []byte("no"))) {
		e.small++
	}
	if hex == len(v) && len(v) >= 24 {
		e.hex++
	}
	if bytes.Contains(v, []byte("://")) || v[0] == '/' || bytes.IndexByte(v, '{') >= 0 {
		e.signs++
	}
}

func monthIn(v []byte) bool {
	for i := range v {
		if (i == 0 || !isAlnum(v[i-1])) && monthEnd(v, i) > 0 {
			return true
		}
	}
	return false
}

// plausible reports whether most values may be of the type that the column's name
// speaks of.
func (e *evidence) plausible(t Type, dbType string) bool {
	half := func(n int) bool { return n*2 >= e.seen }
	number := isNumber(dbType)
	date := strings.HasPrefix(dbType, "date") || strings.HasPrefix(dbType, "time")
	switch t {
	case Email:
		return half(e.ats) || half(e.hex)
	case Phone:
		return half(e.digits) && !date
	case Card, IBAN, BankAccount, USSSN, NationalID:
		return half(e.long) && !date || half(e.hex)
	case Passport, License:
		return half(e.long) && !date
	case CardCode:
		return !half(e.letters) && !date
	case BirthDate:
		return date || half(e.dates)
	case Person:
		return half(e.letters) && !number && !date && !half(e.ats) && !half(e.hex) && !half(e.signs)
	case Address:
		return half(max(e.letters, e.words)) && !number && !date && !half(e.ats) && !half(e.hex) && !half(e.signs)
	case Password:
		return !date && !(number && half(e.small))
	case Secret:
		return !date && !number && !half(e.small)
	}
	return true
}

// specific reports whether t is a type by itself rather than a name for several.
func specific(t Type) bool { return t != NationalID }

// surely reports whether the form of a value proves its type.
func surely(t Type) bool {
	switch t {
	case Email, Card, IBAN, IP, MAC, Crypto, JWT, PrivateKey, CloudKey, APIToken, Address, CNID, ITFiscal, MXCURP, BRCPF, BRCNPJ, KRRRN, CHAHV:
		return true
	}
	return false
}

// related reports whether a name that speaks of hint fits values of type t, so
// that it says more than their form: card numbers are digits, and so are many
// other things.
func related(hint, t Type) bool {
	switch hint {
	case Password, Secret:
		return t == Password || t == Secret
	case NationalID:
		return false
	}
	return hint == t
}

// whole counts the values that are one finding as a whole, by its type, and those
// that are not empty.
func (p *Detector) whole(topics Topics, values [][]byte) (hits map[Type]int, seen int) {
	hits = make(map[Type]int)
	var found []Finding
	for _, v := range values {
		if len(v) == 0 {
			continue
		}
		seen++
		found = p.FindNamed(found[:0], v, topics)
		if len(found) == 1 && found[0].Start <= 1 && found[0].End >= len(v)-1 {
			hits[found[0].Type]++
		}
	}
	return hits, seen
}
