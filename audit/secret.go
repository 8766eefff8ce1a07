package audit

import (
	"bytes"
	"strings"
)

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
		if upper := c - 'a' + 'A'; c >= 'a' && c <= 'z' {
			t[upper] = append(t[upper], w)
		}
	}
	return t
}()

// mentionsSecret reports whether a text may hold a password or a key: it has a
// word by which they are set or given.
func mentionsSecret(s []byte) bool {
	for i, c := range s {
		for _, w := range secretBegins[c] {
			if len(s)-i >= len(w) && s[i+1]|0x20 == w[1]|0x20 && bytes.EqualFold(s[i:i+len(w)], []byte(w)) {
				return true
			}
		}
	}
	return givesPassword(s)
}

// givesPassword reports whether a command of MySQL's or curl's has its password
// in the same word: mysql -pSECRET, curl -u NAME:SECRET.
func givesPassword(s []byte) bool {
	mysql := bytes.Contains(s, []byte("mysql")) || bytes.Contains(s, []byte("mariadb"))
	curl := bytes.Contains(s, []byte("curl"))
	if !mysql && !curl {
		return false
	}
	for i := bytes.IndexByte(s, '-'); i >= 0 && i+2 < len(s); {
		if (i == 0 || s[i-1] == ' ') && (mysql && s[i+1] == 'p' && s[i+2] != ' ' || curl && (s[i+1] == 'u' || bytes.HasPrefix(s[i:], []byte("--user")))) {
			return true
		}
		next := bytes.IndexByte(s[i+1:], '-')
		if next < 0 {
			return false
		}
		i += 1 + next
	}
	return false
}

// namesSecret reports whether a column or variable of this name holds a secret.
func namesSecret(name string) bool {
	name = strings.ToLower(name)
	for _, w := range []string{"passw", "pwd", "secret", "token", "apikey", "api_key", "private_key"} {
		if strings.Contains(name, w) {
			return true
		}
	}
	return false
}
