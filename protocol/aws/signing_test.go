package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/sigv4"
)

func pair(cert, key []byte) (tls.Certificate, error) { return tls.X509KeyPair(cert, key) }

// signedChunks is a request with one signed chunk, which change alters afterwards.
func (r *rig) signedChunks(k sigv4.Keys, at time.Time, data string, change func(string) string) *http.Request {
	scope := sigv4.Scope{Region: country, Service: "s3", At: at}
	a := ask{
		method: "PUT", uri: "/bucket/key", word: sigv4.StreamSigned, at: at,
		headers: []string{"Content-Encoding", "aws-chunked", "X-Amz-Decoded-Content-Length", fmt.Sprint(len(data))},
	}
	_, previous, _ := strings.Cut(r.request(k, a).Header.Get("Authorization"), "Signature=")
	sign := func(data string) string {
		h := hmac.New(sha256.New, scope.Key(k.Secret))
		h.Write([]byte(strings.Join([]string{sigv4.Algorithm + "-PAYLOAD", at.UTC().Format(sigv4.TimeForm), scope.String(), previous, sigv4.Digest(nil), sigv4.Digest([]byte(data))}, "\n")))
		previous = hex.EncodeToString(h.Sum(nil))
		return previous
	}
	a.body = fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", len(data), sign(data), data) + "0;chunk-signature=" + sign("") + "\r\n\r\n"
	if change != nil {
		a.body = change(a.body)
	}
	return r.request(k, a)
}
