package detect

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/sallyport/sallyport/detect/internal/prose"
)

// proseTypes are what is found in prose, by kind of name.
var proseTypes = [...]Type{prose.Person: Person, prose.Place: Location, prose.Company: Company, prose.Street: Address}

// Prose reports whether values of type t are words of prose: names and places.
func (t Type) Prose() bool { return slices.Contains(proseTypes[:], t) }

// proseScores are how certain they are.
var proseScores = [...]uint8{prose.Person: 60, prose.Place: 50, prose.Company: 55, prose.Street: 75}

// prose adds the names in prose that stand apart from what was found already.
// What has not three words is none.
func (s *scan) prose() {
	people := s.plan.wants(Person)
	if people && s.table() {
		s.settle()
	}
	i := bytes.IndexByte(s.src, ' ')
	cells := bytes.IndexByte(s.src, '\t') >= 0 || bytes.IndexByte(s.src, '|') >= 0 || bytes.IndexByte(s.src, ';') >= 0
	if i < 0 && !cells && bytes.IndexByte(s.src, ',') < 0 {
		return
	}
	wide := cells && hasWide(s.src)
	if !wide && !s.plan.prose.Candidate(s.src) {
		return
	}
	if people && !s.things {
		if found := s.rows(wide); s.addressed() || found {
			s.settle()
		}
	}
	if i < 0 {
		return
	}
	if people && s.signed() {
		s.settle()
	}
	before := s.out[s.first:]
	k := 0
	taken := func(start, end int) bool {
		for k < len(before) && before[k].End <= start {
			k++
		}
		return k < len(before) && before[k].Start < end
	}
	added := false
	if people && !s.things {
		added = s.named(taken)
		before, k = s.out[s.first:], 0
	}
	if bytes.IndexByte(s.src[i+1:], ' ') >= 0 {
		added = s.tagged(taken) || added
	}
	if added {
		slices.SortFunc(s.out[s.first:], func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	}
}

// tagged adds the names that the tagger finds in lines of prose.
func (s *scan) tagged(taken func(start, end int) bool) (added bool) {
	s.names = s.plan.prose.Find(s.names[:0], &s.tagger, s.src, taken)
	for _, n := range s.names {
		if n.Kind == prose.Person {
			if n.Start, n.End = bareName(s.src, n.Start, n.End); n.Start == n.End || s.catalogue(n) || s.symbol(n) {
				continue
			}
		}
		if (n.Kind == prose.Place || n.Kind == prose.Company) && !s.plan.prose.Listed(&s.tagger, s.src[n.Start:n.End]) && s.terse(n) {
			continue
		}
		if t := proseTypes[n.Kind]; s.plan.wants(t) && !isKey(s.src, n.Start, n.End) {
			s.out = append(s.out, Finding{n.Start, n.End, t, proseScores[n.Kind]})
			added = true
		}
	}
	return added
}

// symbol reports whether n ends with the symbol of a thing, as in "Hafnium Nh, joule", in
// a line that is not a sentence, and in which neither a label nor a greeting comes before n.
func (s *scan) symbol(n prose.Name) bool {
	last := bytes.LastIndexByte(s.src[:n.End], ' ') + 1
	if n.End-last > 2 || last < 2 {
		return false
	}
	first := min(last-1, n.Start)
	for first > 0 && letterByte[s.src[first-1]] {
		first--
	}
	line := s.src[bytes.LastIndexByte(s.src[:first], '\n')+1 : first]
	return bytes.IndexByte(line, ':') < 0 && !within(greetings, wordBefore(line, len(line))) &&
		s.plan.prose.Symbol(&s.tagger, s.src[first:n.End]) && s.terse(n)
}

// terse reports whether n is in a short line that has no word of a sentence.
func (s *scan) terse(n prose.Name) bool {
	from := bytes.LastIndexByte(s.src[:n.Start], '\n') + 1
	to := len(s.src)
	if k := bytes.IndexByte(s.src[n.End:], '\n'); k >= 0 {
		to = n.End + k
	}
	line := s.src[from:to]
	const few, longest = 8, 120
	if len(line) > longest {
		return false
	}
	words := 0
	for i := 0; i < len(line); {
		k := i
		for k < len(line) && letterByte[line[k]] {
			k++
		}
		if k == i {
			i++
			continue
		}
		if within(sentence, line[i:k]) {
			return false
		}
		words++
		i = k
	}
	return words <= few
}

// wordBefore returns the word before line[i], without what parts the two.
func wordBefore(line []byte, i int) []byte {
	line = bytes.TrimRight(line[:i], " .")
	from := len(line)
	for from > 0 && letterByte[line[from-1]] {
		from--
	}
	return line[from:]
}

// isKey reports whether a name stands in a key of JSON, such as "Actual Startup
// Time": it names a field, and nobody.
func isKey(src []byte, start, end int) bool {
	const most = 64 // bytes of a key beside the name
	before, after := src[max(0, start-most):start], src[end:min(len(src), end+most)]
	open, shut := bytes.LastIndexByte(before, '"'), bytes.IndexByte(after, '"')
	if open < 0 || shut < 0 || bytes.IndexByte(after[:shut], '\n') >= 0 {
		return false
	}
	before, after = bytes.TrimRight(before[:open], " \t\r\n"), bytes.TrimLeft(after[shut+1:], " \t")
	return len(after) > 0 && after[0] == ':' && (len(before) == 0 || before[len(before)-1] == '{' || before[len(before)-1] == ',')
}

// settle puts the findings in order; of those that meet the first stays.
func (s *scan) settle() {
	found := s.out[s.first:]
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Start, b.Start) })
	n := 0
	for _, f := range found {
		if n > 0 && found[n-1].End > f.Start {
			continue
		}
		found[n] = f
		n++
	}
	s.out = s.out[:s.first+n]
}

// greetings stand before a name, and are no part of it.
var greetings = wordSet("hej hei hallo hola ciao olá ola cześć czesc salut bonjour bonsoir buongiorno liebe lieber beste geachte kära käre kjære chère cher chers caro cara querido querida " +
	"estimado estimada prezado prezada szanowna szanowny drogi droga pani pan fru herr herrn frau mevrouw meneer dhr mevr signor signora señor señora senhor senhora patient patientin pt dear hi hello " +
	"monsieur madame mademoiselle mr mrs ms paciente pacjent pacjentka patiënt paziente witam panie secondo enligt volgens według selon según nach angaben guten morgen tag abend bom dia " +
	"signor dottor dottoressa thanks danke merci bitte im am")

// nobody are words that name a day, a paper or the like where they stand alone.
var nobody = wordSet("montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar märz april mai juni juli august september oktober november dezember " +
	"janvier février mars avril juin juillet août octobre novembre décembre lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miércoles jueves viernes sábado domingo " +
	"enero febrero marzo abril mayo junio julio agosto octubre noviembre diciembre lunedì martedì mercoledì giovedì venerdì sabato gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre " +
	"monday tuesday wednesday thursday friday saturday sunday january february march july september october december tue thu fri feb sep oct nov dec " +
	"maandag dinsdag woensdag donderdag vrijdag zaterdag zondag måndag tisdag onsdag torsdag fredag lördag söndag nr tag tage tagen woche monat jahr angebot betreff anlage konto betrag vertrag " +
	"fattura factura facture fatura faktura factuur preis menge datum seite kunde ware firma bestell not in progress eins zwei drei herren damen directeur directrice général ministero ministerio ministère junta boletín oficial della salute de von van le getränke besteck " +
	"world everyone everybody team folks friends guys all there universe colleagues welt alle zusammen kollegen leute monde tous mundo todos mondo tutti wereld allemaal")

// makers are names of goods and of software, of which a person has none.
var makers = wordSet("microsoft oracle linux ubuntu debian fedora apache kafka jenkins grafana prometheus amazon google adobe cisco intel docker kubernetes redis nginx postgresql mysql mongodb windows android unicode " +
	"makita hilti dewalt gardena karcher kärcher adidas nike puma samsung sony panasonic toshiba tefal lavazza victorinox nikon dyson ikea lenovo asus logitech huawei xiaomi kitchenaid sonicare")

// served are words of a server's plans and messages, of which a person has none.
var served = wordSet("seq cond recheck presorted boolean xmltable")

// nounEndings end nouns of German and of the Romance languages that name no person.
var nounEndings = []string{"heit", "keit", "schaft", "tion", "tionen", "ungen", "nummer", "zeit", "tät", "ismus", "ción", "ciones", "zione", "zioni", "ção", "ções", "schrauber", "maschine", "gerät"}

func wordSet(list string) map[string]bool {
	m := map[string]bool{}
	for _, w := range bytes.Fields([]byte(list)) {
		m[string(w)] = true
	}
	return m
}

// bareName returns the bounds of a name without the greeting before it; they are
// equal when nothing but common nouns is left.
func bareName(src []byte, start, end int) (int, int) {
	for {
		to := start
		for to < end && letterByte[src[to]] {
			to++
		}
		if !within(greetings, src[start:to]) {
			break
		}
		for to < end && (src[to] == ' ' || src[to] == '.') {
			to++
		}
		if start = to; start == end {
			return start, start
		}
	}
	first := src[start:end]
	if to := bytes.IndexByte(first, ' '); to > 0 {
		first = first[:to]
	}
	if within(makers, first) || within(served, first) {
		return start, start
	}
	for at := start; at < end; {
		to := at
		for to < end && letterByte[src[to]] {
			to++
		}
		if to > at {
			if w := src[at:to]; !within(nobody, w) && !noun(w) {
				return start, end
			}
		}
		at = to + 1
	}
	return start, start
}

// noun reports whether w is formed like a noun.
func noun(w []byte) bool {
	const shortest = 8 // Hartung is a name
	if len(w) >= shortest && string(w[len(w)-3:]) == "ung" {
		return true
	}
	for _, e := range nounEndings {
		if len(w) > len(e)+2 && string(w[len(w)-len(e):]) == e {
			return true
		}
	}
	return false
}

// within reports whether the set has w, in whatever case.
func within(set map[string]bool, w []byte) bool {
	var b [24]byte
	if len(w) > len(b) {
		return false
	}
	for i, c := range w {
		b[i] = c | lowerBit(c)
	}
	return set[string(b[:len(w)])]
}

// sentence are words of sentences, of which the names of goods have none.
var sentence = wordSet("the a an is was are were be been has have had i you he she it we they my your his her our their me him us them to at from in on of will would can " +
	"der die das ist war hat sie er ich wir ihr mein dem den am im von zu le la les est a je il elle nous vous el los es un una por il lo è ha de het een ik que si jest w z na do som är jag att")

// saying are those of them that say something of somebody, which the names of books and
// teams have not.
var saying = wordSet("is are was were been has have had i he she we they my your his her our their me him us them will would can ist war hat sie er ich wir ihr mein est je il elle nous vous è ha het heeft jest är har")

// goods are labels of things.
var goods = wordSet("product title item article artikel produkt produit producto prodotto brand status model subject betreff description beschreibung category kategorie marke")

// catalogue reports whether n stands in a line that reads like the name of goods:
// without a word of a sentence, with a measure, a model's number, a label of things, or
// common words in capitals for the most part. There a brand
// is likelier than a person; a full name stays one, but in a column of things.
func (s *scan) catalogue(n prose.Name) bool {
	from := bytes.LastIndexByte(s.src[:n.Start], '\n') + 1
	to := len(s.src)
	if k := bytes.IndexByte(s.src[n.End:], '\n'); k >= 0 {
		to = n.End + k
	}
	line := s.src[from:to]
	const longest = 160
	if len(line) > longest {
		return false
	}
	switch s.at(n.End) { // a list, or a note about somebody
	case ',', ':', ';', ')':
		if !s.things {
			return false
		}
	}
	model, words := false, 0
	for i := 0; i < len(line); {
		k := i
		letters, digits := false, false
		for k < len(line) && (letterByte[line[k]] || isDigit(line[k])) {
			letters, digits = letters || letterByte[line[k]], digits || isDigit(line[k])
			k++
		}
		if k == i {
			i++
			continue
		}
		switch {
		case letters && digits:
			model = true
		case digits:
			for _, unit := range [...]string{" m", " cm", " mm", " ml", " GB", " TB", " kg", " V", " W", " litre", " inch", " pcs", " Zoll", " Stück"} {
				model = model || bytes.HasPrefix(line[k:], []byte(unit)) && !isAlnum(s.at(from+k+len(unit)))
			}
		case within(saying, line[i:k]), !s.things && within(sentence, line[i:k]):
			return false
		default:
			words++
		}
		i = k
	}
	if s.things {
		return true
	}
	// A few words that say nothing of anybody: what has no known name in it is a thing.
	const few = 8
	if bytes.IndexByte(line[:n.Start-from], ':') < 0 && words <= few && !within(greetings, wordBefore(line, n.Start-from)) && s.plan.prose.Judge(&s.tagger, s.src[n.Start:n.End]) <= prose.MaybeName {
		return true
	}
	if !model {
		label, _, ok := bytes.Cut(line, []byte(":"))
		model = ok && within(goods, bytes.TrimSpace(label))
	}
	if !model {
		all, common := s.plan.prose.Capitalised(&s.tagger, line)
		model = common > 2 && common*2 >= all && !bytes.ContainsAny(line, ".?!")
	}
	return model && words > 2 && !s.plan.prose.Full(&s.tagger, s.src[n.Start:n.End])
}
