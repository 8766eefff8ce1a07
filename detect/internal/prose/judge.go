package prose

// Likeness says how much a text is like the name of a person.
type Likeness uint8

// What a text may be.
const (
	NoName    Likeness = iota
	MaybeName          // if something else says so: no word of it is known
	PartName           // one word that is a given or a family name, and not a common word
	FullName           // a given name and another, or two that are known
)

// mostWords is how many words a name has, at most.
const mostWords = 6

// Judge says how much text is like the name of a person, and nothing else.
func (m *Model) Judge(t *Tagger, text []byte) Likeness {
	if len(text) < 2 || len(text) > 60 || t.read(text, 0) < len(text) {
		return NoName
	}
	m.look(t.tokens)
	return judge(t.tokens)
}

func judge(tokens []token) Likeness {
	words, given, family, common, places, listed := 0, 0, 0, 0, 0, 0
	for i := range tokens {
		k := &tokens[i]
		switch {
		case k.flags&flagWord == 0:
			if k.hash != uint32('.')+2 && k.hash != uint32(',')+2 {
				return NoName
			}
			continue
		case k.flags&flagTitle != 0 && words == 0, k.flags&flagInitial != 0:
			continue
		case k.flags&flagTaken != 0 && k.flags&(flagGiven|flagFamily) == 0, k.flags&(flagCompany|flagStreet|flagCalendar) != 0 && k.flags&(flagGiven|flagFamily) == 0:
			return NoName
		case k.flags&flagCapital == 0:
			if k.flags&flagParticle == 0 {
				return NoName
			}
			continue
		}
		words++
		if k.flags&(flagPlace|flagBrand) != 0 {
			places++
		}
		if k.flags&(flagGiven|flagFamily) != 0 {
			listed++
		}
		switch {
		case k.flags&flagCommon != 0:
			common++
		case k.flags&(flagPlace|flagBrand) != 0 && k.flags&(flagGiven|flagFamily) == 0:
			common++
		case k.flags&flagGiven != 0:
			given++
		case k.flags&flagFamily != 0:
			family++
		}
	}
	switch {
	case givenAndFamily(tokens):
		return FullName
	case words == 1 && listed == 1 && common+places > 0: // Stone, Hampton
		return MaybeName
	case words == 0 || words > mostWords || common == words || places == words:
		return NoName
	case words == 1 && given+family == 1:
		return PartName
	case words > 1 && given > 0 && (common == 0 || family > 0 && common == 1), words > 1 && given+family == words:
		return FullName
	case common > 1 || common == 1 && given+family == 0:
		return NoName
	}
	return MaybeName
}

// givenAndFamily reports whether tokens are a given name, which may be a common word, and a
// family name, which may be a place. San and Santa begin places.
func givenAndFamily(tokens []token) bool {
	if len(tokens) != 2 {
		return false
	}
	a, b := &tokens[0], &tokens[1]
	return a.flags&(flagGiven|flagCapital) == flagGiven|flagCapital && b.flags&(flagFamily|flagCommon|flagCapital) == flagFamily|flagCapital && !saints[a.hash]
}

// saints are words that places begin with.
var saints = map[uint32]bool{hashOf("san"): true, hashOf("santa"): true, hashOf("sao"): true, hashOf("saint"): true, hashOf("st"): true, hashOf("los"): true, hashOf("las"): true, hashOf("el"): true, hashOf("la"): true, hashOf("new"): true}

// NameAt reads the name of a person that begins at text[i], with a capital, and returns
// its end, or i. Its words are parted by single spaces. told is whether a word before it
// says that a person follows; then names that no list has count, too.
func (m *Model) NameAt(t *Tagger, text []byte, i int, told bool) int {
	const longest = 64
	window := text[i:min(len(text), i+longest)]
	t.read(window, 0)
	m.look(t.tokens)
	// The words with capitals, single spaces between them.
	n, last := 0, 0
	for n < len(t.tokens) && n < 2*mostWords {
		k := &t.tokens[n]
		if n > 0 && k.start > t.tokens[n-1].end+1 {
			break
		}
		if k.flags&flagWord == 0 {
			if k.hash != uint32('.')+2 || n == 0 || t.tokens[n-1].flags&flagInitial == 0 {
				break
			}
		} else if k.flags&flagCapital == 0 && (k.flags&flagParticle == 0 || n == 0) {
			break
		}
		n++
		if k.flags&flagCapital != 0 {
			last = n
		}
	}
	// After the name a label or a common word in capitals may follow: take the longest
	// that is like a name.
	for ; last > 1 || last == 1 && told; last-- {
		k := &t.tokens[last-1]
		if k.flags&flagCapital == 0 || i+k.end < len(text) && i+longest == i+k.end {
			continue
		}
		switch l := judge(t.tokens[:last]); {
		case l == FullName && !m.mixedCase(t.tokens[:last]), told && (l == MaybeName && last > 1 || l == PartName):
			return i + k.end
		}
	}
	return i
}

// mixedCase reports whether one of the words is of capitals only, and another is not.
func (m *Model) mixedCase(tokens []token) bool {
	all, some := false, false
	for i := range tokens {
		switch k := &tokens[i]; {
		case k.flags&flagAll != 0:
			all = true
		case k.flags&flagCapital != 0 && k.flags&flagInitial == 0:
			some = true
		}
	}
	return all && some
}

// Listed reports whether a word of text is in the gazetteers of places or organisations,
// or says that it is of an organisation.
func (m *Model) Listed(t *Tagger, text []byte) bool {
	t.read(text, 0)
	m.look(t.tokens)
	for i := range t.tokens {
		if t.tokens[i].flags&(flagPlace|flagBrand|flagCompany) != 0 {
			return true
		}
	}
	return false
}

// Next returns where the next word of text after from begins that may begin a name, or
// -1.
func (m *Model) Next(text []byte, from int) int { return m.candidate(text, from) }

// Prose reports whether line is one that [Model.Find] looks at.
func Prose(line []byte) bool { return promising(line) }
