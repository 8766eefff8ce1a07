package prose

// IsPerson reports whether text may be the name of a person and nothing else: two
// to five words with capitals, of which one is a given name and not all are common
// words or places, or two or three that are neither; or one that is a given name
// and neither.
func (m *Model) IsPerson(text []byte) bool {
	var t Tagger
	return m.Named(&t, text, false)
}

// Named is IsPerson with a tagger to use again. Of what stands where only names of
// people are to be expected, any one to five words with capitals are a name.
func (m *Model) Named(t *Tagger, text []byte, expected bool) bool {
	if len(text) > 60 {
		return false
	}
	if t.read(text, 0) < len(text) {
		return false
	}
	m.look(t.tokens)
	words, given, common, company := 0, 0, 0, 0
	for i := range t.tokens {
		k := &t.tokens[i]
		switch {
		case k.flags&flagWord == 0:
			if k.hash != uint32('.')+2 && k.hash != uint32(',')+2 {
				return false
			}
			continue
		case k.flags&flagTitle != 0 && words == 0, k.flags&flagInitial != 0:
			continue
		case k.flags&flagCapital == 0:
			if k.flags&flagParticle == 0 {
				return false
			}
			continue
		}
		words++
		if k.flags&(flagCompany|flagStreet|flagCalendar) != 0 && i == len(t.tokens)-1 {
			company++
		}
		if k.flags&flagGiven != 0 && k.flags&flagPlace == 0 {
			given++
		}
		if k.flags&(flagCommon|flagPlace) != 0 {
			common++
		}
	}
	switch {
	case expected:
		return words > 0 && words <= 5
	case company > 0 || words == 0 || words > 5:
		return false
	case words == 1:
		return given == 1 && common == 0
	}
	return given > 0 && common < words || common == 0 && words <= 3 || givenAndFamily(t.tokens)
}

// Full reports whether text is a given name of a person and a further name, of
// which neither is a common word and both are in the same case.
func (m *Model) Full(t *Tagger, text []byte) bool {
	if len(text) > 60 || t.read(text, 0) < len(text) {
		return false
	}
	m.look(t.tokens)
	given, words, shouted := false, 0, 0
	for i := range t.tokens {
		k := &t.tokens[i]
		if k.flags&flagCapital == 0 || k.flags&flagInitial != 0 {
			continue
		}
		if k.flags&flagCommon != 0 {
			return false
		}
		if k.flags&flagAll != 0 {
			shouted++
		}
		given = given || k.flags&(flagGiven|flagPlace) == flagGiven
		words++
	}
	return given && words > 1 && (shouted == 0 || shouted == words)
}

// Capitalised counts the words of line, and those with a capital that are common
// words and no names.
func (m *Model) Capitalised(t *Tagger, line []byte) (words, common int) {
	t.read(line, 0)
	m.look(t.tokens)
	for i := range t.tokens {
		k := &t.tokens[i]
		if k.flags&flagWord == 0 {
			continue
		}
		words++
		if k.flags&(flagCapital|flagCommon) == flagCapital|flagCommon && k.flags&(flagGiven|flagFamily|flagTitle|flagPlace) == 0 {
			common++
		}
	}
	return words, common
}

// Symbol reports whether the last word of text is a symbol or a code such as that of an
// element, and no part of a name: two letters, a capital and a small one, that no list of
// names has, after a word with a capital that is neither a known name nor a title.
func (m *Model) Symbol(t *Tagger, text []byte) bool {
	const longest = 60
	if len(text) > longest || t.read(text, 0) < len(text) || len(t.tokens) < 2 {
		return false
	}
	m.look(t.tokens)
	before, last := &t.tokens[len(t.tokens)-2], &t.tokens[len(t.tokens)-1]
	const listed = flagGiven | flagFamily
	return last.flags&(flagWord|flagCapital|flagAll|flagDot|listed) == flagWord|flagCapital && last.length == 2 &&
		before.flags&(flagWord|flagCapital|flagInitial|flagTitle|listed) == flagWord|flagCapital && last.start == before.end+1
}
