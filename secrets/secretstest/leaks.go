// Package secretstest holds what every provider of secrets must pass, and finds secrets where
// they must not be.
package secretstest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
)

// Leaks returns the encodings of secret that text holds: plain, base64 (at any offset of
// three bytes), hex, URL-encoded and escaped for JSON. It is for secrets of at least 8 bytes.
func Leaks(text, secret string) []string {
	var found []string
	note := func(name string, forms ...string) {
		for _, f := range forms {
			if len(f) > 4 && strings.Contains(text, f) {
				found = append(found, name)
				return
			}
		}
	}
	note("plain", secret)
	lower := text
	text = strings.ToLower(text)
	note("hex", hex.EncodeToString([]byte(secret)))
	text = lower
	if e := url.QueryEscape(secret); e != secret {
		note("URL", e, url.PathEscape(secret))
	}
	if j, err := json.Marshal(secret); err == nil && string(j[1:len(j)-1]) != secret {
		note("JSON", string(j[1:len(j)-1]))
	}
	var forms []string
	for offset := range 3 {
		padded := append(make([]byte, offset), secret...)
		padded = padded[:len(padded)/3*3] // the rest depends on what follows
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			form := e.EncodeToString(padded)
			if offset > 0 {
				form = form[4:] // it depends on what comes before
			}
			forms = append(forms, form)
		}
	}
	note("base64", forms...)
	return found
}
