package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/sigv4"
	"github.com/sallyport/sallyport/protocol/internal/relay"
)

// maxProblem bounds what is looked at of an answer that is an error.
const maxProblem = 64 << 10

// keyCodes are the codes of errors about the keys that a request is signed with.
var keyCodes = []string{
	"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidSignatureException", "IncompleteSignature",
	"IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "ExpiredToken", "ExpiredTokenException", "InvalidToken",
	"TokenRefreshRequired", "AuthFailure",
}

// ours withholds an error about the account's keys, which are read anew: its text is about them.
func (x *exchange) ours(res *http.Response, keys sigv4.Keys) error {
	if encoded := res.Header.Get("Content-Encoding"); encoded != "" && encoded != "identity" {
		return relay.Withheld("it is an error in an encoding that the gateway does not read")
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxProblem+1))
	if err != nil || len(b) > maxProblem {
		return relay.Withheld("it is an error that is too long to be looked at")
	}
	if slices.ContainsFunc(codesOf(res.Header, b), func(code string) bool { return slices.Contains(keyCodes, code) }) {
		x.visit.Refused()
		return relay.Withheld("the account does not take the gateway's keys; the operator finds out why")
	}
	for _, own := range []string{keys.ID, keys.Secret, keys.Token} {
		if own == "" || !bytes.Contains(b, []byte(own)) {
			continue
		}
		b = bytes.ReplaceAll(b, []byte(own), []byte("GATEWAY"))
		delete(res.Header, "Content-Length")
		res.ContentLength = int64(len(b))
		delete(res.Header, "X-Amz-Crc32")
	}
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(b))
	return nil
}

// codesOf are the codes of an error: that of its header, and that of its body, in JSON or XML. Texts in it, such as messages and names of
// objects, are not codes: clients choose them.
func codesOf(h http.Header, body []byte) (codes []string) {
	add := func(text string) {
		text, _, _ = strings.Cut(text, ":") // an address follows it
		if text = strings.TrimSpace(text[strings.LastIndexByte(text, '#')+1:]); text != "" {
			codes = append(codes, text)
		}
	}
	add(h.Get("X-Amzn-Errortype"))
	if start := bytes.TrimSpace(body); len(start) == 0 || start[0] != '{' {
		add(xmlCode(body))
		return codes
	}
	var in map[string]json.RawMessage
	if json.Unmarshal(body, &in) != nil {
		return codes
	}
	for _, name := range []string{"__type", "code", "Code"} {
		var text string
		if json.Unmarshal(in[name], &text) == nil {
			add(text)
		}
	}
	return codes
}

// xmlCode is the text of the first Code in an Error; empty where an Error with a Code was not found.
func xmlCode(body []byte) string {
	d := xml.NewDecoder(bytes.NewReader(body))
	var path []string
	var text strings.Builder
	inside := func() bool {
		n := len(path)
		return n > 1 && path[n-1] == "Code" && path[n-2] == "Error"
	}
	for {
		t, err := d.Token()
		if err != nil {
			return "" // it has ended, or is not XML
		}
		switch t := t.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
		case xml.CharData:
			if inside() {
				text.Write(t)
			}
		case xml.EndElement:
			if inside() {
				return text.String()
			}
			path = path[:len(path)-1]
		}
	}
}
