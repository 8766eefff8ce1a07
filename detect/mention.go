package detect

import (
	"bytes"
	"slices"
	"sync"
)

// What is judged here is for those who keep texts rather than show them, such as a
// record: they leave out a whole text for a secret that may be in it. So a word by
// which a secret is given is enough, whatever follows, and what finds values comes on
// top of it.

// secretStems are parts of the names of what holds a secret, in lower case. A _ is any
// one of the signs that part words, or none.
var secretStems = [...]string{"passw", "passphrase", "pwd", "secret", "token", "api_key", "private_key"}

// secretWords are what texts have in which passwords and keys are set or given,
// in lower case. Among them are those of commands: what follows is the secret.
var secretWords = [...]string{
	"passw", "identified", "pwd=", "secret=", "secret:", "secret_access_key", "token=", "token:", "--token", "apikey", "api_key", "api-key",
	"private key", "bearer ", "authorization:", "sshpass",
}

// secretBegins has the words by their first byte, in either case.
var secretBegins = func() (t [256][]string) {
	for _, w := range secretWords {
		c := w[0]
		t[c] = append(t[c], w)
		if upper := c - 'a' + 'A'; isLower(c) {
			t[upper] = append(t[upper], w)
		}
	}
	return t
}()

// secretsOnly is the Detector of what no part may be told of.
var secretsOnly = sync.OnceValue(func() *Detector {
	without := append([]Type{Email, IP, MAC, IBAN, Crypto}, proseTypes[:]...)
	for _, r := range slices.Concat(numberRecognizers(), wordRecognizers()) {
		without = append(without, r.Type)
	}
	p, err := New(Config{Without: without})
	if err != nil {
		panic("detect: the set of secrets does not compile: " + err.Error())
	}
	return p
})

// NamesSecret reports whether a column, field or variable of that name holds a secret:
// by what names say (see [Detector.TypeOfName]), or because a word for one is anywhere
// in it. It allocates nothing.
func NamesSecret(name string) bool {
	for i := range len(name) {
		for _, stem := range secretStems {
			if stemAt(name[i:], stem) {
				return true
			}
		}
	}
	t, ok := secretsOnly().TypeOfName(name)
	return ok && t.Secret()
}

// stemAt reports whether a name begins with a stem, in any case.
func stemAt(name, stem string) bool {
	for k := 0; k < len(stem); k++ {
		switch {
		case name == "":
			return false
		case stem[k] != '_':
			if name[0]|lowerBit(name[0]) != stem[k] {
				return false
			}
		case name[0] != '_' && name[0] != '-' && name[0] != '.' && name[0] != ' ':
			continue
		}
		name = name[1:]
	}
	return true
}

// MaySetSecret reports whether a text, such as a statement or a command, may set or
// give a secret: it has a word by which that is done, or a value that is one by its
// form. Texts that only name what holds secrets, such as a table of tokens, may not. It
// takes time that is linear in the text, and allocates nothing.
func MaySetSecret(text []byte) bool {
	for i, c := range text {
		for _, w := range secretBegins[c] {
			if len(text)-i >= len(w) && text[i+1]|0x20 == w[1]|0x20 && bytes.EqualFold(text[i:i+len(w)], []byte(w)) {
				return true
			}
		}
	}
	return optionGives(text) || secretsOnly().finds(text)
}

// optionGives reports whether a command has an option that gives a password in the same
// word, or a name and a password: mysql -pSECRET, curl -u NAME:SECRET.
func optionGives(s []byte) bool {
	attached, login := attachesPassword(s), takesLogin(s)
	if !attached && !login {
		return false
	}
	for i := 0; i+2 < len(s); i++ {
		if s[i] != '-' || i > 0 && s[i-1] > ' ' && s[i-1] != '"' && s[i-1] != '\'' {
			continue
		}
		if option := s[i+1:]; attached && option[0] == 'p' && option[1] > ' ' || login && (loginFlag(option) || bytes.HasPrefix(option, []byte("-user")) && !bytes.HasPrefix(option, []byte("-user-agent"))) {
			return true
		}
	}
	return false
}

// loginFlag reports whether short options, after their dash, have -u among them: alone
// or after others that take no value.
func loginFlag(options []byte) bool {
	for _, c := range options {
		if c == 'u' {
			return true
		}
		if bytes.IndexByte([]byte("#0123469BGILNOSZfgijklnqsv"), c) < 0 {
			return false
		}
	}
	return false
}
