package tunnel

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
)

// Token is what an agent enrols with, once. Its text is a secret, which only Text shows.
type Token struct {
	ID     string
	Secret string
	// Pin is the SHA-256 of the public key of the authority that the gateway's certificate is of:
	// the agent knows the gateway by it before it has sent anything.
	Pin [sha256.Size]byte
}

const tokenPrefix = "sallyport-agent"

// errNotToken does not show what was given: it may be a secret all the same.
var errNotToken = errors.New(`the enrolment token cannot be read: it has the form "` + tokenPrefix + `.ID.SECRET.PIN"`)

// ParseToken reads the text of a token.
func ParseToken(text string) (Token, error) {
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != tokenPrefix || parts[1] == "" || parts[2] == "" || short(parts...) != nil {
		return Token{}, errNotToken
	}
	t := Token{ID: parts[1], Secret: parts[2]}
	pin, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil || len(pin) != len(t.Pin) {
		return Token{}, errNotToken
	}
	copy(t.Pin[:], pin)
	return t, nil
}

// Text returns the token as it is given to an agent.
func (t Token) Text() string {
	return strings.Join([]string{tokenPrefix, t.ID, t.Secret, base64.RawURLEncoding.EncodeToString(t.Pin[:])}, ".")
}

// String implements fmt.Stringer, without the secret.
func (t Token) String() string { return "enrolment token " + t.ID }

// GoString implements fmt.GoStringer, without the secret.
func (t Token) GoString() string { return t.String() }

// LogValue implements slog.LogValuer, without the secret.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// PinOf returns the pin of an authority.
func PinOf(authority *x509.Certificate) [sha256.Size]byte {
	return sha256.Sum256(authority.RawSubjectPublicKeyInfo)
}
