// Package sigv4 signs requests by AWS Signature Version 4, and checks such signatures of others: a key that is derived for a day,
// a region and a service signs a canonical form of the request. It knows headers, presigned addresses, and bodies that are signed
// in chunks.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

const (
	// Algorithm is the only one.
	Algorithm = "AWS4-HMAC-SHA256"
	// TimeForm is how times are written.
	TimeForm = "20060102T150405Z"
	dayForm  = "20060102"
	ending   = "aws4_request"
)

// What X-Amz-Content-Sha256 says besides the digest of a body.
const (
	Unsigned              = "UNSIGNED-PAYLOAD"
	StreamSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Scope is what a signature is good for.
type Scope struct {
	Region, Service string
	At              time.Time
}

// String is the scope as requests name it.
func (s Scope) String() string {
	return strings.Join([]string{s.At.UTC().Format(dayForm), s.Region, s.Service, ending}, "/")
}

// Key derives the scope's key from a secret.
func (s Scope) Key(secret string) []byte {
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(s.String(), "/") {
		key = mac(key, part)
	}
	return key
}

// Sum signs a canonical request with the scope's key.
func (s Scope) Sum(key []byte, canonical string) []byte {
	return mac(key, strings.Join([]string{Algorithm, s.At.UTC().Format(TimeForm), s.String(), Digest([]byte(canonical))}, "\n"))
}

// Signature is Sum in hexadecimals, with the key of a secret.
func (s Scope) Signature(secret, canonical string) string {
	return hex.EncodeToString(s.Sum(s.Key(secret), canonical))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// Digest is the SHA-256 of a body in hexadecimals.
func Digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Canonical puts the parts of a request together. The path and the query are in canonical form already.
func Canonical(method, path, query string, headers []Param, payload string) string {
	var lines, names strings.Builder
	for i, h := range headers {
		if i > 0 {
			names.WriteByte(';')
		}
		names.WriteString(h.Name)
		lines.WriteString(h.Name + ":" + squeeze(h.Value) + "\n")
	}
	return strings.Join([]string{method, path, query, lines.String(), names.String(), payload}, "\n")
}

// squeeze is a value of a header without the white space around it, and with one space for several.
func squeeze(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' }), " ")
}
