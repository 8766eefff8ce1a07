package masking

import (
	"bytes"
	"unicode/utf8"

	"github.com/sallyport/sallyport/detect"
)

// holdsMask reports whether text holds something in a form in which values are shown that are
// found in texts. It knows forms that people do not write otherwise: asterisks around words, in
// rules and in lists are not among them.
func (v *view) holdsMask(text []byte) bool {
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '*':
			from, to := starRun(text, i)
			if v.hides(detect.Email) && starredWord(text, i) || v.hides(detect.Person) && starredName(text, i) || starredNumber(text[from:to]) || v.starredValue(text, i) {
				return true
			}
			for i < len(text) && text[i] == '*' {
				i++
			}
			continue
		case c == '[':
			if end := bytes.IndexByte(text[i:min(len(text), i+64)], ']'); end > 0 && v.redacts() && v.masker.isRedacted(text[i:i+end+1]) {
				return true
			}
		case c == tokenPrefix[0] && bytes.HasPrefix(text[i:], []byte(tokenPrefix)) && isToken(wordAround(text, i)),
			c == '-' && v.masker.isPseudonym(wordAround(text, i)):
			return true
		}
		i++
	}
	return false
}

func (v *view) hides(t detect.Type) bool { return v.transform(t) != Visible }

// redacts reports whether something that is found in texts is shown as its type.
func (v *view) redacts() bool {
	of := func(t Transform) bool { return t == Redact || t == Null }
	if v.found && of(v.with.Transform) {
		return true
	}
	for _, how := range v.types {
		if of(how.Transform) {
			return true
		}
	}
	return false
}

// wordAround returns the characters around text[i] up to spaces, quotes and brackets.
func wordAround(text []byte, i int) []byte {
	ends := func(c byte) bool { return c <= ' ' || bytes.IndexByte([]byte("\"'`<>,;()[]{}=\\"), c) >= 0 }
	from, to := i, i
	for from > 0 && !ends(text[from-1]) {
		from--
	}
	for to < len(text) && !ends(text[to]) {
		to++
	}
	return bytes.TrimRight(text[from:to], ".:!?")
}

// starredWord reports whether the word around text[i] is an e-mail address.
func starredWord(text []byte, i int) bool {
	w := bytes.TrimPrefix(wordAround(text, i), []byte("mailto:"))
	return starredEmail(w)
}

// starRun returns the bounds of the stars, digits and signs of numbers around text[i].
func starRun(text []byte, i int) (from, to int) {
	part := func(c byte) bool { return isDigit(c) || bytes.IndexByte([]byte("* -./+()"), c) >= 0 }
	from, to = i, i
	for from > 0 && part(text[from-1]) {
		from--
	}
	for to < len(text) && part(text[to]) {
		to++
	}
	for from < to && text[from] != '*' && text[from] != '+' && text[from] != '(' {
		from++
	}
	for to > from && text[to-1] != '*' && !isDigit(text[to-1]) {
		to--
	}
	return from, to
}

// starredNumber reports whether v is a number as cards, telephone numbers and numbers of
// people are shown: groups of stars, of which all but the last few digits are.
func starredNumber(v []byte) bool {
	stars, tail, groups, long, dashes := 0, 0, 0, 0, 0
	run := 0
	for _, c := range v {
		switch {
		case c == '*' && tail > 0:
			return false
		case c == '*':
			stars++
			if run++; run == 1 {
				groups++
			}
			if run == 2 {
				long++
			}
			continue
		case isDigit(c):
			tail++
		case c == '-' || c == '.' || c == '/':
			dashes++
		}
		run = 0
	}
	switch tail {
	case 0:
		return stars >= 7 && groups > 1 && long == groups && dashes > 0
	case 2, 4:
		return stars >= 7 && (groups == 1 && !bytes.ContainsAny(v, " ") || groups > 1 && long >= groups-1)
	}
	return false
}

// starredName reports whether a name of a person is at text[i], as in D**** *******.
func starredName(text []byte, i int) bool {
	if i == 0 || !isUpper(text[i-1]) || i > 1 && (isAlnum(text[i-2]) || text[i-2] >= utf8.RuneSelf) {
		return false
	}
	words, stars := 0, 0
	for k := i; ; k++ {
		run := 0
		for k < len(text) && text[k] == '*' {
			run++
			k++
		}
		stars += run
		if run > 0 {
			words++
		}
		if run == 0 || k >= len(text) || text[k] != ' ' && text[k] != '-' {
			after := k < len(text) && run > 0 && (isAlnum(text[k]) || text[k] >= utf8.RuneSelf)
			return words > 1 && stars > 3 && !after
		}
	}
}

// starredValue reports whether the stars at text[i] take the place of a value that a name
// before it calls for, as in password=******** and "ssn": "***-**-****".
func (v *view) starredValue(text []byte, i int) bool {
	if i > 0 && text[i-1] == '*' {
		return false
	}
	end := i
	for end < len(text) && text[end] == '*' {
		end++
	}
	k := i
	if k > 0 && isUpper(text[k-1]) { // of a name
		k--
	}
	quoted := k > 0 && (text[k-1] == '"' || text[k-1] == '\'')
	if quoted {
		k--
	}
	for k > 0 && text[k-1] == ' ' {
		k--
	}
	if k == 0 || text[k-1] != ':' && text[k-1] != '=' || bytes.HasPrefix(text[end:], []byte("/")) {
		return false
	}
	if string(text[i:end]) == hidden {
		return true
	}
	k--
	for k > 0 && (text[k-1] == ' ' || text[k-1] == '"' || text[k-1] == '\'') {
		k--
	}
	key := k
	for key > 0 && inKey(text[key-1]) {
		key--
	}
	_, masked := v.typeOfKey(text[key:k])
	return quoted && masked && (end == len(text) || !isAlnum(text[end]))
}

// inKey reports whether c may be in the key of a field.
func inKey(c byte) bool { return letterByte[c] || isDigit(c) || c == '_' || c == '-' || c == '.' }
