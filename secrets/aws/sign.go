package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Requests are signed by Signature Version 4: a key that is derived for a day, a region and a service signs a
// canonical form of the request.

const (
	algorithm = "AWS4-HMAC-SHA256"
	timeForm  = "20060102T150405Z"
)

// scope is what a signature is good for.
type scope struct {
	region, service string
	at              time.Time
}

func (s *scope) String() string {
	return strings.Join([]string{s.at.UTC().Format("20060102"), s.region, s.service, "aws4_request"}, "/")
}

// signature signs a canonical request.
func (s *scope) signature(secret, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{algorithm, s.at.UTC().Format(timeForm), s.String(), hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(s.String(), "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// sign signs a request with all its headers. Its path is escaped once.
func (k *Keys) sign(r *http.Request, body []byte, s scope) {
	r.Header.Set("X-Amz-Date", s.at.UTC().Format(timeForm))
	if !k.Session.Empty() {
		r.Header.Set("X-Amz-Security-Token", k.Session.Reveal())
	}
	headers := map[string]string{"host": r.URL.Host}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	names := slices.Sorted(maps.Keys(headers))
	var lines strings.Builder
	for _, name := range names {
		lines.WriteString(name + ":" + strings.TrimSpace(headers[name]) + "\n")
	}
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{r.Method, path, query(r.URL.Query()), lines.String(), signed, digest(body)}, "\n")
	r.Header.Set("Authorization", algorithm+" Credential="+k.ID+"/"+s.String()+", SignedHeaders="+signed+", Signature="+s.signature(k.Secret.Reveal(), canonical))
}

// presign returns a URL without its scheme, which is good for a time by the signature in it. payload is the digest of
// the body.
func (k *Keys) presign(host, path string, q url.Values, payload, expires string, s scope) string {
	q.Set("X-Amz-Algorithm", algorithm)
	q.Set("X-Amz-Credential", k.ID+"/"+s.String())
	q.Set("X-Amz-Date", s.at.UTC().Format(timeForm))
	q.Set("X-Amz-Expires", expires)
	q.Set("X-Amz-SignedHeaders", "host")
	if !k.Session.Empty() {
		q.Set("X-Amz-Security-Token", k.Session.Reveal())
	}
	canonical := strings.Join([]string{http.MethodGet, path, query(q), "host:" + host + "\n", "host", payload}, "\n")
	return host + path + "?" + query(q) + "&X-Amz-Signature=" + s.signature(k.Secret.Reveal(), canonical)
}

// query writes parameters in their order by name, with spaces as %20.
func query(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }
