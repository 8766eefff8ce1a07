package detect

import "bytes"

// Secrets that are told in sentences: "the password for staging is …", "my pw is …",
// "… is the password", "your code is …", "log in as bob with …".

// A kind of secret says what its value looks like. linked is whether a word such as is, or
// a sign, leads to it.
type secretKind func(v []byte, linked bool) bool

// tellers are the ends of words after which secrets are told, and what looks at the place.
var tellers = func() (list []literal) {
	enter := func(own func(s *scan, start, end int) int, prior string, texts ...string) {
		for _, t := range texts {
			l := literal{text: t, prior: prior, own: own}
			if prior != "" { // a whole word
				l.own = func(s *scan, start, end int) int {
					if c := s.at(start - 1); letterByte[c] || isDigit(c) || c == '_' {
						return start
					}
					return own(s, start, end)
				}
			}
			list = append(list, l)
		}
	}
	enter((*scan).spoken, "", "assword", "ASSWORD", "asswd", "assphrase", "asscode", "asswort", "ennwort", "ot de passe", "ontraseña", "achtwoord", "requirepass")
	enter((*scan).spoken, wordStart, "pwd", "Pwd", "pw ", "pw:", "pw=", "PW ", "PW:", "PW=", "Pw ", "pass is ", "senha ", "Senha ", "clave ")
	enter((*scan).inflected, "", "ösenord", "passord", "Passord", "alasana", "hasł", "Hasł", "heslo", "Heslo", "jelszó", "Jelszó", "şifre", "Şifre", "lozink", "Lozink", "парол", "Парол")
	enter((*scan).inflected, wordStart, "parola ", "Parola ")
	enter((*scan).wideTold, "", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "암호")
	enter((*scan).keyTold, "", "pi key", "PI key", "pi-key", "ccess key", "cret key", "oken", "bearer")
	enter((*scan).codeTold, "", " code", " Code", "código", "de vérification", "OTP")
	enter((*scan).codeTold, wordStart, "PIN", "Pin", "pin is ")
	enter((*scan).codeBefore, "", " is your ", " ist Ihr ", " est votre ")
	enter((*scan).accountTold, "", "redentials", "creds", "Creds", "ugangsdaten")
	enter((*scan).accountTold, wordStart, "login ")
	enter((*scan).option, "", "enable secret ")
	enter((*scan).networkTold, "", "ifi", "i-Fi", "WIFI", "SSID", "ssid", "WLAN")
	return list
}()

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
	return s.toldBy(start, end)
}

// inflected is spoken for a word that may end in many ways.
func (s *scan) inflected(start, end int) int {
	if s.src[end-1] == ' ' {
		end--
	}
	for n := 0; n < 8 && letterByte[s.at(end)]; n++ {
		end++
	}
	if c := s.at(end); letterByte[c] || isDigit(c) || c == '_' || c == '-' || c == '(' {
		return start
	}
	return s.toldBy(start, end)
}

// toldBy looks around the word for a password that begins before src[start] and ends
// at end.
func (s *scan) toldBy(start, end int) int {
	from := start
	for from > s.floor && start-from < 16 && letterByte[s.src[from-1]] {
		from--
	}
	s.saidBefore(from)
	is := secretKind(secretive)
	if word := s.src[from:end]; within(numbered, word) {
		is = secretiveOrPIN
	}
	if c := s.at(end); c != ' ' {
		short := end-from == 2 || !secretEnd(s.src, end) // not a key of an assignment
		if short && (c == ':' || c == '=') {
			return max(s.saidAt(end+1, start, true, is), start)
		}
		return start
	}
	abrupt := end-from >= 6 || s.src[end-1] != 'd' && s.src[end-1] != 's' // a value may follow at once; not so pass, pwd
	return s.told(start, end, abrupt, is)
}

// told looks for a value of a kind in the words after src[:end]. abrupt is whether it may
// follow at once. It returns where to go on, or none.
func (s *scan) told(none, end int, abrupt bool, is secretKind) int {
	src := s.src
	const words = 6 // before what links the word to the value
	i, first := end+1, true
	for n := 0; n < words && i < len(src); n++ {
		k := i
		for k < len(src) && k-i < 40 && src[k] > ' ' {
			k++
		}
		word := src[i:k]
		if len(word) == 0 {
			return none
		}
		switch {
		case within(links, bytes.TrimSuffix(word, []byte(":"))) || isArrow(word):
			if second := s.linked(k); second > k {
				k = second
			}
			if to := s.saidAt(k, none, true, is); to > none || !s.goesOnAt(k+1) {
				return to
			}
		case first && word[0] == '(' && abrupt:
			return s.inBrackets(i, none, is)
		case first && string(word) != "code" && !within(prepositions, word):
			if abrupt {
				if to := s.saidAt(end, none, false, is); to > none {
					return to
				}
			}
			if !within(changing, word) {
				return none
			}
		case word[len(word)-1] == ':':
			return s.saidAt(k, none, true, is)
		case string(word) == "from" || string(word) == "to" || string(word) == "on":
			if to := s.saidAt(k, none, false, strong); to > none {
				return to
			}
		case string(word) == "code" || string(word) == "number":
			if to := s.saidAt(k, none, false, is); to > none {
				return to
			}
		}
		i, first = k+1, false
	}
	return none
}

// isArrow reports whether word is of signs that point at a value.
func isArrow(word []byte) bool {
	return len(bytes.Trim(word, "-=:>")) == 0 && (len(word) == 1 && word[0] != '-' && word[0] != '>' || len(word) > 1 && word[len(word)-1] == '>')
}

// goesOnAt reports whether the word at i goes on with how a password was changed.
func (s *scan) goesOnAt(i int) bool {
	k := i
	for k < len(s.src) && k-i < 16 && s.src[k] > ' ' {
		k++
	}
	return within(changing, s.src[min(i, len(s.src)):k]) || within(prepositions, s.src[min(i, len(s.src)):k])
}

// links are between a word for a secret and the secret, prepositions between that word
// and what it is for, and changing words between it and a link. What follows numbered words may be
// digits.
var (
	links        = wordSet("is was are be to becomes equals ist lautet war est es é è jest är er je")
	prepositions = wordSet("for of on at in to from used für zum zur der des von auf pour du de la del para do da van voor this från till för til od dla для от к на d'ordine d'accès d'accesso d'accés di")
	changing     = wordSet("changed set reset updated rotated switched will has been was now code number nueva nuevo nova novo neue nouveau nouvelle nuova nuovo current temporary here")
	numbered     = wordSet("passcode passcodes pin kode")
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

// saidAt finds a value of a kind at i, after spaces and perhaps in quotes, and returns its
// end, or none.
func (s *scan) saidAt(i, none int, linked bool, is secretKind) int {
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
	if i < s.floor || !is(v, linked) || v[0] == '-' || code(v, quote != 0) || !linked && bytes.IndexByte(bytes.TrimRight(v, "="), '=') >= 0 {
		return none
	}
	s.emit(i, to, Password, 85)
	return to
}

// inBrackets finds a value of a kind that brackets at i hold.
func (s *scan) inBrackets(i, none int, is secretKind) int {
	to := i + 1
	for to < len(s.src) && to-i < 128 && s.src[to] > ' ' {
		to++
	}
	end := to
	for end > i+1 && bytes.IndexByte([]byte(".,;:"), s.src[end-1]) >= 0 {
		end--
	}
	if s.at(end-1) != ')' || i+1 >= end-1 || i < s.floor || !is(s.src[i+1:end-1], true) {
		return none
	}
	s.emit(i+1, end-1, Password, 85)
	return end
}

// secretive reports whether v may be a password by its letters: with digits among them,
// or, where it is linked, in both cases with a sign.
func secretive(v []byte, linked bool) bool {
	shortest := 6
	if linked {
		shortest = 5
	}
	if len(v) < shortest || reference(v) || v[0] == '/' || v[0] == '~' || bytes.Contains(v, []byte("://")) || len(v) > 2 && v[1] == ':' && v[2] == '\\' {
		return false
	}
	if mixed(v) {
		return true
	}
	lower, upper, sign := false, false, false
	for _, c := range v {
		lower, upper = lower || isLower(c), upper || isUpper(c)
		sign = sign || bytes.IndexByte(passwordSigns, c) >= 0
	}
	return linked && lower && upper && sign
}

// passwordSigns are signs that words have not.
var passwordSigns = []byte("!@#$%^&*+=?~|")

// strong reports whether v looks like a password wherever it is: digits and letters, in
// both cases or with a sign.
func strong(v []byte, _ bool) bool {
	if !secretive(v, false) || bytes.IndexByte(v, '/') >= 0 {
		return false
	}
	lower, upper, sign := false, false, false
	for _, c := range v {
		lower, upper = lower || isLower(c), upper || isUpper(c)
		sign = sign || bytes.IndexByte(passwordSigns, c) >= 0
	}
	return lower && upper || sign
}

// pin reports whether v is a number of four to eight digits, perhaps in two groups.
func pin(v []byte, _ bool) bool {
	digits := 0
	for i, c := range v {
		if isDigit(c) {
			digits++
		} else if c != '-' || i == 0 || i == len(v)-1 {
			return false
		}
	}
	return digits >= 4 && digits <= 8
}

func secretiveOrPIN(v []byte, linked bool) bool { return pin(v, linked) || secretive(v, linked) }

// ofMachines reports whether v looks like a key that a machine made.
func ofMachines(v []byte, _ bool) bool {
	return random(bytes.TrimRight(v, "=")) || random(v)
}

// saidBefore finds the password in "… is the password", "… as the password" and "…, that
// password", whose last word begins at i.
func (s *scan) saidBefore(i int) {
	src := s.src
	const words = 4
	for n := 0; n < words; n++ {
		sign := false
		for i > s.floor && (src[i-1] == ' ' || src[i-1] == ',' || src[i-1] == '(') {
			i--
			sign = sign || src[i] != ' '
		}
		if sign && n > 0 {
			s.saidTo(i, strong)
			return
		}
		to := i
		for i > s.floor && to-i < 24 && letterByte[src[i-1]] {
			i--
		}
		word := src[i:to]
		switch {
		case len(word) == 0 || n == 0 && !within(owners, word):
			return
		case string(word) == "is" || string(word) == "was":
			s.saidTo(i, secretive)
			return
		case string(word) == "as" || string(word) == "for":
			s.saidTo(i, strong)
			return
		}
	}
}

// saidTo finds a value of a kind that ends before the spaces before src[i].
func (s *scan) saidTo(i int, is secretKind) {
	for i > s.floor && s.src[i-1] == ' ' {
		i--
	}
	to := i
	for i > s.floor && to-i < 128 && s.src[i-1] > ' ' && s.src[i-1] != '"' && s.src[i-1] != '\'' {
		i--
	}
	if is(s.src[i:to], true) {
		s.emit(i, to, Password, 85)
	}
}

// owners come before a word for a password that is said of something.
var owners = wordSet("the my our your his her their that this a new root admin old current temporary default wifi")

// wideTold looks at the word src[start:end] for a password, of a tongue that is written
// without spaces, or with endings.
func (s *scan) wideTold(start, end int) int {
	i := end
	for n := 0; n < 4 && i < len(s.src); n++ {
		switch c := s.src[i]; {
		case c == ' ' || c == ':' || c == '=' || c == '"':
			i++
		case wideRune(s.src, min(i+2, len(s.src)-1)) > 0, bytes.HasPrefix(s.src[i:], []byte("：")), bytes.HasPrefix(s.src[i:], []byte("＝")):
			i += 3
		}
	}
	to := i
	for to < len(s.src) && to-i < 128 && s.src[to] > ' ' && s.src[to] < 0x7f && s.src[to] != '"' && s.src[to] != '<' {
		to++
	}
	if i < s.floor || to == i || !secretive(s.src[i:to], true) {
		return start
	}
	s.emit(i, to, Password, 85)
	return to
}

// keyTold looks after a word for a key or a token, for one that a machine made.
func (s *scan) keyTold(start, end int) int {
	if s.at(end) == 's' {
		end++
	}
	if s.at(end) != ' ' {
		return start
	}
	return s.told(start, end, true, ofMachines)
}

// codeTold looks after a word for a code that is used once, or for a number that unlocks
// something. Of other codes, as of errors and countries, the word before tells.
func (s *scan) codeTold(start, end int) int {
	if s.src[end-1] == ' ' {
		return s.saidAt(end, start, true, pin)
	}
	if s.src[start] == ' ' && !s.unlocks(start) || letterByte[s.at(end)] {
		return start
	}
	switch c := s.at(end); {
	case c == ':', c == ' ' && s.at(end+1) == ':':
		return s.saidAt(bytes.IndexByte(s.src[end:], ':')+end+1, start, true, pin)
	case c == ' ':
		return s.told(start, end, true, pin)
	}
	return start
}

// unlocks reports whether the word that ends before src[i] says that a code unlocks
// something.
func (s *scan) unlocks(i int) bool {
	from := i
	for from > 0 && i-from < 20 && (letterByte[s.src[from-1]] || isDigit(s.src[from-1])) {
		from--
	}
	return within(unlocking, s.src[from:i])
}

// unlocking are words before code.
var unlocking = wordSet("verification security access login authentication confirmation time onetime 2fa mfa otp sms auth activation unlock door gate alarm pin your votre ihr su tu seu il tuo din sua sicherheits")

// codeBefore looks at src[start:end], which says what comes before it is somebody's, for a
// number before it and a word for a code after.
func (s *scan) codeBefore(start, end int) int {
	src := s.src
	i := start
	for i > s.floor && start-i < 10 && (isDigit(src[i-1]) || src[i-1] == '-') {
		i--
	}
	if !pin(src[i:start], true) || i > 0 && (isAlnum(src[i-1]) || src[i-1] == '.' || src[i-1] == ',') {
		return start
	}
	for n, k := 0, end; n < 5 && k < len(src); n++ {
		from := k
		for k < len(src) && k-from < 24 && letterByte[src[k]] {
			k++
		}
		if within(codeWords, src[from:k]) {
			s.emit(i, start, Password, 85)
			return end
		}
		for k < len(src) && (src[k] == ' ' || src[k] == '-') {
			k++
		}
	}
	return start
}

// codeWords are words for codes that unlock something.
var codeWords = wordSet("code pin otp password passcode passwort código kode")

// accountTold looks after a word for an account for its name and its password: bob / …,
// bob:…, bob and ….
func (s *scan) accountTold(start, end int) int {
	src := s.src
	word := func(i int) int {
		for i < len(src) && src[i] > ' ' && src[i] != ',' {
			i++
		}
		return i
	}
	i, named, apart := end, false, false
	if i < len(src) && (src[i] == ':' || src[i] == ' ' && s.at(i+1) == ':') {
		i++
	}
	for n := 0; n < 8 && i < len(src); n++ {
		for i < len(src) && (src[i] == ' ' || src[i] == ',' || src[i] == ':' && s.at(i+1) == ' ') {
			i++
		}
		k := word(i)
		if k == i || k-i > 64 {
			return start
		}
		w := src[i:k]
		switch {
		case within(between, bytes.TrimSuffix(w, []byte(":"))), len(w) == 1 && named && !isAlnum(w[0]):
			apart = apart || named
		case named && apart:
			return s.saidAt(i, start, false, secretive)
		case named:
			return s.saidAt(i, start, false, strong)
		case within(prepositions, w):
			return start
		default:
			if c := bytes.IndexByte(w, ':'); c > 0 && c+1 < len(w) && strong(w[c+1:], true) {
				return s.saidAt(i+c+1, start, false, strong)
			}
			if bytes.ContainsFunc(w, func(r rune) bool { return r < 0x80 && !keyByte[r] && r != '@' && r != '+' }) {
				return start
			}
			named = true
		}
		i = k
	}
	return start
}

// passFile looks at the colon at i, before the port of a line of a file of passwords as
// PostgreSQL's clients read it. It returns where to go on, or i.
func (s *scan) passFile(i int) int {
	end := i + len(":5432:")
	if s.at(i+1) == '*' {
		end = i + len(":*:")
	}
	for want := 2; want > 0; want-- { // the database and the user
		k := end
		for k-end < 64 && (keyByte[s.at(k)] || s.at(k) == '*') {
			k++
		}
		if k == end || s.at(k) != ':' {
			return i
		}
		end = k + 1
	}
	return max(s.saidAt(end, i, true, secretive), i)
}

// option looks after an option that a password follows.
func (s *scan) option(start, end int) int { return s.saidAt(end, start, false, secretive) }

// used looks at the colon at i, between a name and a password that somebody is told to use.
func (s *scan) used(i int) int {
	if i < s.floor { // what is before was found to be something else
		return i
	}
	k := i
	for k > s.floor && i-k < 32 && keyByte[s.src[k-1]] {
		k--
	}
	if i-k == len("user") && s.at(k-1) == '/' && string(s.src[k:i]) == "user" { // net use /user:bob …
		for i++; s.at(i) > ' '; i++ {
		}
		return max(s.saidAt(i, 0, false, secretive), i)
	}
	before := s.src[s.floor:k]
	for _, w := range [...]string{"use ", "Use ", "with ", "try ", "Try "} {
		if k < i && bytes.HasSuffix(before, []byte(w)) {
			return max(s.saidAt(i+1, i, false, strong), i)
		}
	}
	return i
}

// between are words around the name of an account and its password.
var between = wordSet("are is as with and user username pass password pw und et y e avec con com mit sind sont son the new")

// networkTold looks after a word for a wireless network for its key.
func (s *scan) networkTold(start, end int) int {
	const reach = 48
	line := s.src[end:min(len(s.src), end+reach)]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	for _, w := range [...]string{"key", "chlüssel", "psk", "PSK", "clé"} {
		k := bytes.Index(line, []byte(w))
		if k < 0 {
			continue
		}
		i := end + k + len(w)
		if c := s.at(i); c == ':' || c == '=' || c == ' ' && s.at(i+1) == ':' {
			return max(s.saidAt(bytes.IndexByte(s.src[i:], c)+i+1, start, true, secretive), start)
		} else if c == ' ' {
			return s.told(start, i, true, secretive)
		}
	}
	return start
}
