package detect

import "bytes"

// Secrets that are told in sentences: "the password for staging is …", "my pw is …",
// "… is the password".

// spokenWords are the ends of words for passwords, where sentences are looked at.
var spokenWords = [...]literal{
	{text: "assword"},
	{text: "ASSWORD"},
	{text: "asswd"},
	{text: "assphrase"},
	{text: "asscode"},
	{text: "asswort"},
	{text: "ennwort"},
	{text: "ot de passe"},
	{text: "ontraseña"},
	{text: "achtwoord"},
	{text: "requirepass"},
	{text: "pwd", prior: wordStart},
	{text: "Pwd", prior: wordStart},
	{text: "pw ", prior: wordStart},
	{text: "pw:", prior: wordStart},
	{text: "pw=", prior: wordStart},
	{text: "PW ", prior: wordStart},
	{text: "PW:", prior: wordStart},
	{text: "PW=", prior: wordStart},
	{text: "Pw ", prior: wordStart},
	{text: "pass is ", prior: wordStart},
}

// wordStart are the bytes before a word.
const wordStart = "\x00 \n\t\"'(,.:/"

// spoken looks at the word for a password that src[start:end] ends, and at the
// sentence around it. It returns where to go on, or start.
func (s *scan) spoken(start, end int) int {
	src := s.src
	for k := start; k < end && src[start] != 'o'; k++ { // of "pass is", the word
		if c := src[k]; c == ' ' || c == ':' || c == '=' {
			end = k
		}
	}
	if s.at(end) == 's' {
		end++
	}
	if c := s.at(end); letterByte[c] || isDigit(c) || c == '_' || c == '-' || c == '(' {
		return start
	}
	from := start
	for from > s.floor && start-from < 16 && letterByte[src[from-1]] {
		from--
	}
	s.saidBefore(from)
	if c := s.at(end); c != ' ' {
		if end-from == 2 && (c == ':' || c == '=') { // too short for a key
			return max(s.saidAt(end+1, start, true), start)
		}
		return start
	}
	const words = 6 // before what links the word to the value
	i, first := end+1, true
	for n := 0; n < words && i < len(src); n++ {
		k := i
		for k < len(src) && k-i < 40 && src[k] > ' ' {
			k++
		}
		word := src[i:k]
		if len(word) == 0 {
			return start
		}
		switch {
		case within(links, bytes.TrimSuffix(word, []byte(":"))), len(word) == 1 && (word[0] == '=' || word[0] == ':'):
			if second := s.linked(k); second > k {
				k = second
			}
			return max(s.saidAt(k, start, true), start)
		case first && !within(prepositions, word):
			if end-from < 6 || src[end-1] == 'd' && end-from == 3 { // pass, pwd
				return start
			}
			return max(s.saidAt(end, start, false), start)
		case word[len(word)-1] == ':':
			return max(s.saidAt(k, start, true), start)
		}
		i, first = k+1, false
	}
	return start
}

// links are between a word for a password and the password, and prepositions between
// that word and what it is for.
var (
	links        = wordSet("is was are to becomes equals ist lautet war est es é è jest")
	prepositions = wordSet("for of on at in to from used für zum zur der des von auf pour du de la del para do da van voor this")
)

// linked returns the end of a second link after the first, as in "password is:" and
// "is now".
func (s *scan) linked(i int) int {
	for _, word := range [...]string{" now", " :", " =", " still", " set to"} {
		if end := i + len(word); end < len(s.src) && string(s.src[i:end]) == word && s.src[end] == ' ' {
			return end
		}
	}
	return i
}

// saidAt finds the password at i, after spaces and perhaps in quotes, and returns its
// end, or none. What is linked may be of letters and signs; else digits must be
// among its letters.
func (s *scan) saidAt(i, none int, linked bool) int {
	src := s.src
	for n := 0; n < 3 && s.at(i) == ' '; n++ {
		i++
	}
	quote := s.at(i)
	if quote != '"' && quote != '\'' && quote != '`' {
		quote = 0
	} else {
		i++
	}
	to := i
	for to < len(src) && to-i < 128 && src[to] != '"' && src[to] != '`' && (src[to] > ' ' && src[to] != '<' || quote != 0 && src[to] != '\n') {
		if quote == '\'' && src[to] == quote {
			break
		}
		to++
	}
	if quote != 0 && s.at(to) != quote {
		return none
	}
	for quote == 0 && to > i && bytes.IndexByte([]byte(".,;')"), src[to-1]) >= 0 {
		to--
	}
	v := src[i:to]
	if i < s.floor || !secretive(v, linked) || bytes.HasPrefix(v, []byte("-")) || code(v, quote != 0) || !linked && bytes.IndexByte(v, '=') >= 0 {
		return none
	}
	s.emit(i, to, Password, 85)
	return to
}

// secretive reports whether v may be a password by its letters: with digits among them,
// or in both cases with a sign.
func secretive(v []byte, signs bool) bool {
	if len(v) < 6 || reference(v) || v[0] == '/' || v[0] == '~' || bytes.Contains(v, []byte("://")) || len(v) > 2 && v[1] == ':' && v[2] == '\\' {
		return false
	}
	if mixed(v) {
		return true
	}
	lower, upper, sign := false, false, false
	for _, c := range v {
		lower, upper = lower || isLower(c), upper || isUpper(c)
		sign = sign || bytes.IndexByte([]byte("!@#$%^&*+=?~|"), c) >= 0
	}
	return signs && lower && upper && sign
}

// saidBefore finds the password in "… is the password", whose last word begins at i.
func (s *scan) saidBefore(i int) {
	src := s.src
	const words = 4
	for n := 0; n < words; n++ {
		for i > s.floor && src[i-1] == ' ' {
			i--
		}
		to := i
		for i > s.floor && to-i < 24 && letterByte[src[i-1]] {
			i--
		}
		if word := src[i:to]; len(word) == 0 || n == 0 && !within(owners, word) {
			return
		} else if string(word) != "is" && string(word) != "was" {
			continue
		}
		for i > s.floor && src[i-1] == ' ' {
			i--
		}
		for to = i; i > s.floor && to-i < 128 && src[i-1] > ' ' && src[i-1] != '"' && src[i-1] != '\''; {
			i--
		}
		if secretive(src[i:to], true) {
			s.emit(i, to, Password, 85)
		}
		return
	}
}

// owners come before a word for a password that is said of something.
var owners = wordSet("the my our your his her their new root admin old current temporary default wifi")
