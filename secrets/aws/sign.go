package aws

import (
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/internal/sigv4"
)

// sign signs a request with all its headers.
func (k *Keys) sign(r *http.Request, body []byte, s sigv4.Scope) error {
	t, err := sigv4.ParseTarget(r.URL.RequestURI())
	if err != nil {
		return err
	}
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	sigv4.Sign(r, t, sigv4.Keys{ID: k.ID, Secret: k.Secret.Reveal(), Token: k.Session.Reveal()}, s, false, sigv4.Digest(body))
	return nil
}

// presign returns a URL without its scheme, which is good for a time by the signature in it. payload is the digest of
// the body.
func (k *Keys) presign(host, path string, q url.Values, payload, expires string, s sigv4.Scope) string {
	list := []sigv4.Param{
		{Name: "X-Amz-Algorithm", Value: sigv4.Algorithm},
		{Name: "X-Amz-Credential", Value: k.ID + "/" + s.String()},
		{Name: "X-Amz-Date", Value: s.At.UTC().Format(sigv4.TimeForm)},
		{Name: "X-Amz-Expires", Value: expires},
		{Name: "X-Amz-SignedHeaders", Value: "host"},
	}
	if !k.Session.Empty() {
		list = append(list, sigv4.Param{Name: "X-Amz-Security-Token", Value: k.Session.Reveal()})
	}
	for name, values := range q {
		for _, v := range values {
			list = append(list, sigv4.Param{Name: name, Value: v})
		}
	}
	query := sigv4.EncodedQuery(list)
	canonical := sigv4.Canonical(http.MethodGet, path, query, []sigv4.Param{{Name: "host", Value: host}}, payload)
	return host + path + "?" + query + "&X-Amz-Signature=" + s.Signature(k.Secret.Reveal(), canonical)
}
