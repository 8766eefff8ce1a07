package detect

// Trivial reports whether v, the value of a column of numbers or times whose name is
// about topics, is so short or of such a form that [Detector.FindNamed] finds nothing
// in it: a number of few digits, or a time that is not midnight, which might be a date of
// birth.
func (p *Detector) Trivial(v []byte, topics Topics) bool {
	if len(p.customs) > 0 { // which may match anything
		return false
	}
	return shortNumber(v) || topics&^(notPeople|aboutThing) == 0 && plainTime(v)
}

// shortNumber reports whether v is a number of at most six digits, or five with a
// fraction.
func shortNumber(v []byte) bool {
	const most = len("-123456")
	if len(v) > most {
		return false
	}
	digits, points := 0, 0
	for i, c := range v {
		switch {
		case isDigit(c):
			digits++
		case c == '.':
			points++
		case c != '-' || i > 0:
			return false
		}
	}
	return digits+points <= 6 && points <= 1
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
