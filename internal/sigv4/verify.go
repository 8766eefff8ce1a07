package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signed is what a request says of its signature. Nothing of it is proven before Verify.
type Signed struct {
	Scope
	KeyID     string
	Token     string   // of temporary keys; it is signed
	Names     []string // of the signed headers, in lower case and order
	Presigned bool
	Expires   time.Duration // of a presigned address, from At
	// Payload is what the request says of its body: a digest, or one of the words; empty: nothing.
	Payload string

	value []byte
	query []Param // without the signature
}

// Errors of requests.
var (
	ErrUnsigned = errors.New("the request is not signed")
	ErrOld      = errors.New("the request is signed by an older version: use Signature Version 4 (in ~/.aws/config: s3 = {signature_version = s3v4})")
	ErrForm     = errors.New("the signature of the request cannot be read")
	ErrTwice    = errors.New("the request is signed twice, by a header and by its address")
	ErrValue    = errors.New("the signature does not match the request")
	ErrSkew     = errors.New("the request was signed more than 15 minutes ago, or is not valid yet: check the clock")
	ErrExpired  = errors.New("the presigned address has expired")
)

// Bounds of signatures.
const (
	// Skew is how far the clocks of clients may be off.
	Skew       = 15 * time.Minute
	maxExpires = 7 * 24 * time.Hour
	maxSigned  = 128
	maxAuth    = 8 << 10
	maxToken   = 16 << 10
)

// parameters of presigned addresses that belong to the signature.
var parameters = []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Signature"}

// Parse reads the signature of a request. Parameters of the target that belong to it are taken away from t.
func Parse(r *http.Request, t *Target) (*Signed, error) {
	auth := r.Header["Authorization"]
	_, presigned := t.Get("X-Amz-Signature")
	_, old := t.Get("AWSAccessKeyId")
	switch {
	case len(auth) > 1, len(auth) == 1 && (presigned > 0 || old > 0):
		return nil, ErrTwice
	case len(auth) == 0 && old > 0, len(auth) == 1 && strings.HasPrefix(auth[0], "AWS "):
		return nil, ErrOld
	case presigned > 0:
		return parseQuery(t)
	case len(auth) == 0 || auth[0] == "":
		return nil, ErrUnsigned
	}
	for _, p := range t.Query {
		if isAmz(p.Name) {
			return nil, fmt.Errorf("%w: the query has %s, which belongs into a header", ErrForm, Escape(p.Name))
		}
	}
	return parseHeader(r, t, auth[0])
}

func parseHeader(r *http.Request, t *Target, text string) (*Signed, error) {
	rest, ok := strings.CutPrefix(text, Algorithm)
	if !ok || len(text) > maxAuth || rest == "" || rest[0] != ' ' {
		return nil, ErrForm
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[name]; !ok || twice {
			return nil, ErrForm
		}
		parts[name] = value
	}
	if len(parts) != 3 {
		return nil, ErrForm
	}
	s := &Signed{query: t.Query}
	var at, token string
	for name, to := range map[string]*string{"X-Amz-Date": &at, "X-Amz-Security-Token": &token, "X-Amz-Content-Sha256": &s.Payload} {
		switch list := r.Header[name]; {
		case len(list) > 1:
			return nil, fmt.Errorf("%w: the header %s is there twice", ErrForm, name)
		case len(list) == 1:
			*to = list[0]
		}
	}
	return s, s.set(at, parts["Credential"], parts["SignedHeaders"], parts["Signature"], token)
}

func parseQuery(t *Target) (*Signed, error) {
	values := map[string]string{}
	var keep []Param
	for _, p := range t.Query {
		if !slices.Contains(parameters, p.Name) {
			keep = append(keep, p)
			continue
		}
		if _, twice := values[p.Name]; twice {
			return nil, fmt.Errorf("%w: the parameter %s is there twice", ErrForm, p.Name)
		}
		values[p.Name] = p.Value
	}
	s := &Signed{Presigned: true, Payload: values["X-Amz-Content-Sha256"]}
	for _, p := range t.Query {
		if p.Name != "X-Amz-Signature" {
			s.query = append(s.query, p)
		}
	}
	seconds, err := strconv.ParseUint(values["X-Amz-Expires"], 10, 32)
	if err != nil || seconds == 0 || values["X-Amz-Algorithm"] != Algorithm {
		return nil, ErrForm
	}
	if s.Expires = time.Duration(seconds) * time.Second; s.Expires > maxExpires {
		return nil, fmt.Errorf("%w: it is valid for longer than 7 days", ErrForm)
	}
	t.Query = keep
	return s, s.set(values["X-Amz-Date"], values["X-Amz-Credential"], values["X-Amz-SignedHeaders"], values["X-Amz-Signature"], values["X-Amz-Security-Token"])
}

// set fills in what headers and addresses have alike.
func (s *Signed) set(at, credential, names, value, token string) error {
	var err error
	if s.At, err = time.Parse(TimeForm, at); err != nil {
		return fmt.Errorf("%w: X-Amz-Date is missing, or is not a time such as 20260131T235959Z", ErrForm)
	}
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[4] != ending || parts[1] != s.At.Format(dayForm) || len(parts[0]) > 128 {
		return fmt.Errorf("%w: its scope is not KEY/DAY/REGION/SERVICE/aws4_request, with the day of X-Amz-Date", ErrForm)
	}
	s.KeyID, s.Region, s.Service = parts[0], parts[2], parts[3]
	if !Label(s.Region) || !Label(s.Service) {
		return fmt.Errorf("%w: its region or service is not lower-case letters, digits and dashes", ErrForm)
	}
	s.Names = strings.Split(names, ";")
	if len(s.Names) > maxSigned || !slices.IsSorted(s.Names) || len(slices.Compact(slices.Clone(s.Names))) != len(s.Names) || !slices.Contains(s.Names, "host") ||
		slices.ContainsFunc(s.Names, func(n string) bool { return n == "" || n != strings.ToLower(n) }) {
		return fmt.Errorf("%w: SignedHeaders are not in lower case and order, or host is missing", ErrForm)
	}
	if s.value, err = hex.DecodeString(value); err != nil || len(s.value) != 32 {
		return ErrForm
	}
	if len(token) > maxToken {
		return ErrForm
	}
	s.Token = token
	return nil
}

// Label reports whether a text can be the name of a region or a service, and a part of a host name.
func Label(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
}

func isAmz(name string) bool { return len(name) > 6 && strings.EqualFold(name[:6], "x-amz-") }

// Fresh reports whether the signature counts at a time.
func (s *Signed) Fresh(now time.Time) error {
	if s.Presigned {
		if s.At.After(now.Add(Skew)) {
			return ErrSkew
		}
		if now.After(s.At.Add(s.Expires)) {
			return ErrExpired
		}
		return nil
	}
	if d := now.Sub(s.At); d > Skew || d < -Skew {
		return ErrSkew
	}
	return nil
}

// Covered reports what of the headers must be signed, and is not: all that services read as parts of what is asked.
func (s *Signed) Covered(r *http.Request) error {
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		signed := slices.Contains(s.Names, lower)
		switch {
		case (signed || isAmz(name)) && len(values) > 1:
			return fmt.Errorf("%w: the header %s is there twice", ErrForm, name)
		case isAmz(name) && !signed:
			return fmt.Errorf("%w: the header %s is not signed", ErrForm, name)
		}
	}
	for _, name := range s.Names {
		if name == "host" || name == "content-length" {
			continue
		}
		if _, ok := r.Header[http.CanonicalHeaderKey(name)]; !ok {
			return fmt.Errorf("%w: the signed header %s is missing", ErrForm, Escape(name))
		}
	}
	return nil
}

// Verify checks the signature with the secret of its key. once says that the path is encoded once, as S3 wants it. payload is what
// the signature covers of the body. The key is that of what else is signed, such as chunks.
func (s *Signed) Verify(r *http.Request, t *Target, secret string, once bool, payload string) (key []byte, err error) {
	path := t.Encoded()
	if !once {
		path = Twice(t.Raw)
	}
	headers := make([]Param, 0, len(s.Names))
	for _, name := range s.Names {
		value := strings.Join(r.Header[http.CanonicalHeaderKey(name)], ",")
		switch {
		case name == "host":
			value = r.Host
		case name == "content-length" && value == "":
			value = strconv.FormatInt(max(r.ContentLength, 0), 10)
		}
		headers = append(headers, Param{name, value})
	}
	key = s.Key(secret)
	if !hmac.Equal(s.Sum(key, Canonical(r.Method, path, EncodedQuery(s.query), headers, payload)), s.value) {
		return nil, ErrValue
	}
	return key, nil
}

// Value is the signature, in hexadecimals.
func (s *Signed) Value() string { return hex.EncodeToString(s.value) }
