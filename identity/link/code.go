package link

import (
	"crypto/rand"
	"crypto/subtle"
	"strings"
)

// letters are those of codes: no vowels, so that no words come of them, and no digits, which
// look like letters.
const letters = "BCDFGHJKLMNPQRSTVWXZ"

// codeLen makes 43 bits of a code.
const codeLen = 10

// newID returns the identifier of a link: at least 128 random bits.
func newID() string { return rand.Text() }

// newCode returns a code of random letters, each as likely as any other.
func newCode() string {
	const fair = 256 / len(letters) * len(letters)
	code := make([]byte, 0, codeLen)
	for b := make([]byte, 2*codeLen); len(code) < codeLen; {
		rand.Read(b)
		for _, x := range b {
			if int(x) < fair && len(code) < codeLen {
				code = append(code, letters[int(x)%len(letters)])
			}
		}
	}
	return string(code)
}

// shown is a code as clients show it.
func shown(code string) string { return code[:codeLen/2] + "-" + code[codeLen/2:] }

// matches reports whether typed is code, in the time that any other takes.
func matches(typed, code string) bool {
	typed = strings.ToUpper(strings.NewReplacer("-", "", " ", "").Replace(typed[:min(len(typed), 4*codeLen)]))
	return subtle.ConstantTimeCompare([]byte(typed), []byte(code)) == 1
}
