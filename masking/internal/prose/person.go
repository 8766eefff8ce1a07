package prose

// IsPerson reports whether text may be the name of a person and nothing else: two
// to five words with capitals, of which one is a given name and not all are common
// words or places, or two or three that are neither; or one that is a given name
// and neither.
func (m *Model) IsPerson(text []byte) bool {
	if len(text) > 60 {
		return false
	}
	var t Tagger
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
	case company > 0 || words == 0 || words > 5:
		return false
	case words == 1:
		return given == 1 && common == 0
	}
	return given > 0 && common < words || common == 0 && words <= 3
}
