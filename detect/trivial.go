package detect

// Trivial reports whether v, the value of a column of numbers or times whose name is
// about topics, is of such a form that [Detector.FindNamed] finds nothing in it: a number
// of a length that no shape has, or only shapes that want a word that topics are not
// about; or a time that is not midnight, which might be a date of birth.
func (p *Detector) Trivial(v []byte, topics Topics) bool {
	if len(p.customs) > 0 { // which may match anything
		return false
	}
	return p.numerals.trivial(v, topics) || topics&^(notPeople|aboutThing) == 0 && plainTime(v)
}

// numerals says in which plain numbers, of digits with a point at most, something may be
// found. It is made from the shapes of the recognizers.
type numerals struct {
	unknown bool                     // a literal may begin in the midst of a number
	sure    [longestGroup + 1]bool   // by digits of a whole number, whether it may be something by itself
	weak    [longestGroup + 1]Topics // what says so of one that is nothing by itself
	points  [longestGroup + 1]uint32 // by digits before a point, with how many after it, as bits
}

// longestGroup is how many digits of a shape stand together at most.
const longestGroup = len(shapeNode{}.next) - 1

// numeralsOf reads the tree of shapes.
func numeralsOf(nodes []shapeNode, literals []literal) (n numerals) {
	for i := range literals {
		_, _, plain := numeral([]byte(literals[i].text))
		n.unknown = n.unknown || plain
	}
	for whole, first := range nodes[0].next {
		if first == 0 {
			continue
		}
		for _, r := range nodes[first].rules {
			n.sure[whole] = n.sure[whole] || !r.weak
			n.weak[whole] |= r.context
		}
		for after, second := range nodes[first].next {
			if second == 0 {
				continue
			}
			for _, r := range nodes[second].rules {
				if r.seps[0] == '.' || r.seps[0] == '~' {
					n.points[whole] |= 1 << after
				}
			}
		}
	}
	return n
}

// numeral returns how many digits v has, before a point and after it, and whether it has
// nothing else but a minus before them.
func numeral(v []byte) (whole, after int, ok bool) {
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	whole = digitRun(v, 0)
	if whole == len(v) {
		return whole, 0, true
	}
	after = digitRun(v, whole+1)
	return whole, after, v[whole] == '.' && whole+1+after == len(v)
}

// trivial reports whether v is a plain number in which nothing is found.
func (n *numerals) trivial(v []byte, topics Topics) bool {
	const (
		short = 6 // bytes of what is never looked at
		long  = maxDigits / 2
	)
	if len(v) > long || n.unknown {
		return false
	}
	whole, after, ok := numeral(v)
	if !ok {
		return false
	}
	if len(v) > 0 && v[0] == '-' {
		v = v[1:]
	}
	switch {
	case len(v) <= short:
		return true
	case v[0] == '0' && whole > 1: // may be a prefix of telephone numbers
		return false
	case whole == len(v):
		return whole > longestGroup || !n.sure[whole] && n.weak[whole]&topics == 0
	}
	// A telephone number may have points anywhere where a word says that it is one.
	return whole > 0 && after > 0 && topics&aboutPhone == 0 && (whole > longestGroup || after > longestGroup || n.points[whole]&(1<<after) == 0)
}

// plainTime reports whether v is a time as PostgreSQL and MySQL write it, such as
// 2024-05-06 12:34:56.789+02, and neither midnight nor before our era.
func plainTime(v []byte) bool {
	const form, zone, midnight = "0000-00-00 00:00:00", "+00:00", "00:00:00"
	if len(v) < len(form) || string(v[len(form)-len(midnight):len(form)]) == midnight {
		return false
	}
	for i := range len(form) {
		if isDigit(form[i]) != isDigit(v[i]) || !isDigit(v[i]) && v[i] != form[i] {
			return false
		}
	}
	v = v[len(form):]
	if len(v) > 0 && v[0] == '.' {
		n := digitRun(v, 1)
		if n > 6 {
			return false
		}
		v = v[1+n:]
	}
	if len(v) > len(zone) {
		return false
	}
	for i, c := range v {
		if i == 0 && c != '+' && c != '-' || i > 0 && isDigit(c) != isDigit(zone[i]) || i == 3 && c != ':' {
			return false
		}
	}
	return true
}
