package detect

import (
	"bytes"
	"strings"
)

// personKeys are the last words of the names of fields in which people stand, and
// other things too: a value counts only when it looks like a person's name. What
// holds names of people only is among nameHints.
var personKeys, personEnds = func() (keys map[string]bool, ends [1 << 15 / 64]uint64) {
	keys = map[string]bool{}
	words := "name user author owner manager patient customer employee contact assignee reporter applicant tenant client member recipient sender guest student teacher doctor " +
		"displayname username realname holder beneficiary signatory approver reviewer creator editor attendee candidate supervisor kunde kundin patientin mieter vermieter mitarbeiter " +
		"ansprechpartner nom nombre nome naam namn navn cliente paciente paziente client klant kund pacjent klient autor auteur autore " +
		"person resident passenger shipto billto payee payer display given first last surname host speaker invitee attendee organizer organiser committer maintainer insured caller operator"
	for _, w := range strings.Fields(words) {
		keys[w] = true
	}
	enter := func(w string) {
		n := endOf(w[len(w)-3], w[len(w)-2], w[len(w)-1])
		ends[n/64] |= 1 << (n % 64)
	}
	for w := range keys {
		enter(w)
	}
	for w, t := range nameHints {
		if t == Person {
			enter(w)
		}
	}
	for w := range placeKeys {
		enter(w)
	}
	return keys, ends
}()

// placeKeys are names of fields in which towns are, or streets with their numbers.
var placeKeys = func() map[string]Type {
	m := map[string]Type{}
	for t, words := range map[Type]string{
		Location: "city town ort wohnort stadt ville ciudad cidade città citta plaats woonplaats miasto miejscowość kommun by şehir город 城市 都市 市",
		Address:  "street address addressline strasse straße adresse calle dirección direccion rua endereço endereco indirizzo straat adres ulica gata adress gatuadress улица адрес 地址 住所",
	} {
		for _, w := range strings.Fields(words) {
			if len(w) > 2 {
				m[w] = t
			}
		}
	}
	m["line1"] = Address
	return m
}()

// placeIn looks at the value at i of the field src[from:to] of a town or a street, after
// sign, and returns where to go on, at least i.
func (s *scan) placeIn(from, to, i int, sign byte) int {
	var flat [maxPersonKey]byte
	if to-from > len(flat) {
		return i
	}
	n := copy(flat[:], s.src[from:to])
	t := placeKeys[string(flat[lastPart(flat[:n]):n])]
	if t == "" {
		if t = placeKeys[string(flat[:n])]; t == "" {
			return i
		}
	}
	start, end, quoted := s.value(i, sign)
	if !quoted && sign == ':' || sign == '>' { // to the end of the line or the element
		for end < len(s.src) && s.src[end] != '\n' && s.src[end] != '\r' && s.src[end] != '<' && s.src[end] != '|' && end-start < 80 {
			end++
		}
	} else if !quoted {
		return i
	}
	v := s.src[start:end]
	letters, digits := 0, 0
	for _, c := range v {
		switch {
		case letterByte[c]:
			letters++
		case isDigit(c):
			digits++
		case c != ' ' && c != '-' && c != '.' && c != ',' && c != '\'' && c != '/' && c != '(' && c != ')':
			return i
		}
	}
	const longest = 80
	if letters < 2 || len(v) > longest || (t == Location) == (digits > 0) || !isUpper(v[0]) && v[0] < 0x80 && !isDigit(v[0]) && t == Location || start < s.floor {
		return i
	}
	s.emit(start, end, t, 65)
	return max(end, i)
}

// personEnd reports whether a key that ends before src[i] may be of a field in
// which people stand.
func personEnd(src []byte, i int) bool {
	if i < 3 {
		return false
	}
	n := endOf(src[i-3], src[i-2], src[i-1])
	return personEnds[n/64]&(1<<(n%64)) != 0
}

// maxPersonKey bounds the names of fields that are looked up, in bytes.
const maxPersonKey = 32

// personKey says whether a field of that name holds names of people, or may.
func (s *scan) personKey(key []byte) (holds, may bool) {
	if len(key) < 3 || len(key) > maxPersonKey || !personEnd(key, len(key)) {
		return false, false
	}
	if t, ok := s.plan.TypeOfName(string(key)); ok && t == Person {
		return true, true
	}
	var flat [maxPersonKey]byte
	n := copy(flat[:], key)
	from := lastPart(flat[:n])
	return false, personKeys[string(flat[from:n])] && !thingBefore(flat[:from])
}

// lastPart writes the last word of a name in lower case, and returns where it
// begins.
func lastPart(name []byte) int {
	from := len(name)
	for from > 0 && letterByte[name[from-1]] {
		from--
		c := name[from]
		name[from] |= lowerBit(c)
		if isUpper(c) && from > 0 && isLower(name[from-1]) {
			break
		}
	}
	return from
}

// lastWord is the last word of the name of a column that says something: "product" of
// product_name.
func lastWord(name string) string {
	flat := []byte(name)
	if len(flat) > maxPersonKey {
		return ""
	}
	from := lastPart(flat)
	if word := string(flat[from:]); word != "name" && word != "title" || !thingBefore(flat[:from]) {
		return word
	}
	before := bytes.TrimRight(flat[:from], "_- .")
	return string(before[lastPart(before):])
}

// thingBefore reports whether the word that name ends with is that of a thing, of
// which what follows is a name.
func thingBefore(name []byte) bool {
	name = bytes.TrimRight(name, "_- .")
	var flat [maxPersonKey]byte
	n := copy(flat[:], name)
	return within(thingNames, flat[lastPart(flat[:n]):n])
}

// thingNames are words for what has a name of its own, and is not a person.
var thingNames = wordSet("product brand team title station venue model item article album song track movie film book game show series publisher company organisation organization org vendor manufacturer " +
	"maker supplier merchant store shop club league stadium arena hotel restaurant bar cafe airport airline port city town village region county country state province district street place location " +
	"school university college hospital church museum park river mountain island planet project campaign event category genre label channel network department division unit role job position " +
	"status plan feature service app application package plugin module server host file folder table schema database queue topic currency language species breed color colour size material " +
	"produkt marke artikel firma unternehmen ort stadt verein hersteller producto marca empresa ciudad equipo produit marque entreprise ville équipe prodotto azienda città squadra")

// personIn looks at the value at i of the field src[from:to], behind sign, and
// returns where to go on, at least i.
func (s *scan) personIn(from, to, i int, sign byte) int {
	if s.plain || s.plan.prose == nil || from < s.floor || !s.plan.wants(Person) {
		return i
	}
	holds, may := s.personKey(s.src[from:to])
	if !may {
		return i
	}
	start, end := s.nameAt(i, sign)
	if end == start {
		return i
	}
	holds = holds || s.besideName(from)
	if v := s.src[start:end]; !s.plan.prose.Named(&s.tagger, v, holds) && !(holds && uncasedField(v)) && !uncasedName(v) {
		return i
	}
	s.emit(start, end, Person, 70)
	return max(end, i)
}

// besideName reports whether the field that begins at i follows one in which a name was
// found, as a family name follows a given one.
func (s *scan) besideName(i int) bool {
	const most = 8 // signs and spaces between the two
	if len(s.out) == s.first {
		return false
	}
	last := s.out[len(s.out)-1]
	return last.Type == Person && i >= last.End && i-last.End <= most && bytes.IndexByte(s.src[last.End:i], '\n') < 0
}

// nameAt returns the bounds of what may be a name behind sign at i: what a quote,
// a tag, a separator or the line ends.
func (s *scan) nameAt(i int, sign byte) (start, end int) {
	src := s.src
	for n := 0; i < len(src) && n < 4 && (src[i] == ' ' || src[i] == '=' || src[i] == '>' && sign != '>' || src[i] == '\\'); n++ {
		i++
	}
	if c := s.at(i); (c == '"' || c == '\'') && sign != '>' {
		i++
	}
	const longest = 60
	for start, end = i, i; end < len(src) && end-start <= longest; end++ {
		if c := src[end]; !letterByte[c] && c != ' ' && c != '.' && c != '-' && (c != '\'' || !letterByte[s.at(end+1)]) {
			break
		}
	}
	if sign == '=' && s.at(end) == '=' { // the name of the next field
		for end > start && src[end-1] != ' ' {
			end--
		}
		for end > start && src[end-1] == ' ' {
			end--
		}
	}
	switch c := s.at(end); {
	case end-start > longest, c == '(' || c == '[' || c == '_' || c == '@' || c == '/' || c == '=' || c == ':' || isDigit(c):
		return i, i
	}
	for end > start && (src[end-1] == ' ' || src[end-1] == '.' || src[end-1] == '-') {
		end--
	}
	return start, end
}

// table finds the names in a text whose first line names the columns of the others,
// parted by commas, semicolons or tabs.
func (s *scan) table() (found bool) {
	line := bytes.IndexByte(s.src, '\n')
	if line < 0 || line > 512 || len(s.src) < line+4 {
		return false
	}
	head := bytes.TrimRight(s.src[:line], "\r")
	sep := byte(0)
	for _, c := range head {
		switch {
		case c == ',' || c == ';' || c == '\t':
			if sep != 0 && sep != c {
				return false
			}
			sep = c
		case !keyByte[c] && c != '"' && c != ' ':
			return false
		}
	}
	if sep == 0 {
		return false
	}
	var holds, may uint64
	for n := 0; n < 64 && head != nil; n++ {
		var cell []byte
		cell, head, _ = bytes.Cut(head, []byte{sep})
		key := bytes.Trim(cell, "\" ")
		if len(cell) > 0 && cell[0] == ' ' || bytes.Count(key, []byte(" ")) > 1 { // a sentence
			return false
		}
		if k := bytes.LastIndexByte(key, ' '); k >= 0 {
			key = key[k+1:]
		}
		h, m := s.personKey(key)
		if h {
			holds |= 1 << n
		}
		if m {
			may |= 1 << n
		}
	}
	if may == 0 {
		return false
	}
	n, quoted := 0, false
	for from, i := line+1, line+1; i <= len(s.src); i++ {
		c := byte('\n')
		if i < len(s.src) {
			c = s.src[i]
		}
		if c == '"' {
			quoted = !quoted
		}
		if c != '\n' && (c != sep || quoted) {
			continue
		}
		if n < 64 && may&(1<<n) != 0 {
			start, end := from, i
			for start < end && (s.src[start] == '"' || s.src[start] == ' ') {
				start++
			}
			for end > start && (s.src[end-1] == '"' || s.src[end-1] == ' ' || s.src[end-1] == '\r') {
				end--
			}
			if end-start > 1 && s.plan.prose.Named(&s.tagger, s.src[start:end], holds&(1<<n) != 0) {
				s.out = append(s.out, Finding{start, end, Person, 70})
				found = true
			}
		}
		from = i + 1
		if n++; c == '\n' {
			n, quoted = 0, false
		}
	}
	return found
}

// farewells end the line above a signature.
var farewells = wordSet("regards best wishes thanks cheers sincerely faithfully truly grüße grüßen gruß gruss grüssen cordialement salutations amicalement saludo saludos saluti groet groeten " +
	"pozdrawiam pozdrowienia abraço abraços cumprimentos hälsningar hilsen")

// signed finds names that stand alone on the line below a farewell, or behind it.
func (s *scan) signed() (found bool) {
	const longest = 48 // of a line with a farewell, in bytes
	line := 0
	for line < len(s.src) {
		end := len(s.src)
		if n := bytes.IndexByte(s.src[line:], '\n'); n >= 0 {
			end = line + n
		}
		if end-line > longest {
			line = end + 1
			continue
		}
		from := bytes.IndexByte(s.src[line:end], ',')
		switch said := bytes.TrimRight(s.src[line:end], " ,\r"); {
		case from > 0 && from+2 < len(said) && farewell(said[:from]):
			found = s.sign(line+from+1, end) || found
		case farewell(said) && end+1 < len(s.src):
			next := end + 1
			if s.src[next] == '\n' || s.src[next] == '\r' {
				next = min(next+1, len(s.src))
			}
			last := len(s.src)
			if n := bytes.IndexByte(s.src[next:], '\n'); n >= 0 {
				last = next + n
			}
			found = s.sign(next, last) || found
		}
		line = end + 1
	}
	return found
}

// farewell reports whether line ends with a word of farewell.
func farewell(line []byte) bool {
	from := len(line)
	for from > 0 && letterByte[line[from-1]] {
		from--
	}
	return within(farewells, line[from:])
}

// sign adds s.src[start:end] when it is a person's name.
func (s *scan) sign(start, end int) bool {
	for start < end && s.src[start] <= ' ' {
		start++
	}
	for end > start && (s.src[end-1] <= ' ' || s.src[end-1] == '.' || s.src[end-1] == '!') {
		end--
	}
	if end-start < 2 || !s.plan.prose.Named(&s.tagger, s.src[start:end], false) {
		return false
	}
	s.out = append(s.out, Finding{start, end, Person, 65})
	return true
}
