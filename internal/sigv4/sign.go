package sigv4

import (
	"net/http"
	"slices"
	"strings"
)

// Keys are those of an account.
type Keys struct{ ID, Secret, Token string }

// Sign signs a request with all its headers but those that ways change, and its Host. target is what it is for, payload what
// X-Amz-Content-Sha256 says; once says that the path is encoded once, as S3 wants it.
func Sign(r *http.Request, t *Target, k Keys, s Scope, once bool, payload string) {
	h := r.Header
	h.Set("X-Amz-Date", s.At.UTC().Format(TimeForm))
	if k.Token != "" {
		h.Set("X-Amz-Security-Token", k.Token)
	}
	headers := []Param{{"host", r.Host}}
	for name, values := range h {
		switch lower := strings.ToLower(name); lower {
		case "authorization", "accept-encoding", "user-agent", "connection", "expect", "transfer-encoding", "te", "trailer", "content-length":
		default:
			headers = append(headers, Param{lower, strings.Join(values, ",")})
		}
	}
	slices.SortFunc(headers, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	path := t.Encoded()
	if !once {
		path = Twice(path)
	}
	names := make([]string, 0, len(headers))
	for _, p := range headers {
		names = append(names, p.Name)
	}
	h.Set("Authorization", Algorithm+" Credential="+k.ID+"/"+s.String()+", SignedHeaders="+strings.Join(names, ";")+
		", Signature="+s.Signature(k.Secret, Canonical(r.Method, path, EncodedQuery(t.Query), headers, payload)))
}
