package aws

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"

	"github.com/sallyport/sallyport/protocol/internal/relay"
)

// Concealed is what answers have in the place of a secret.
const Concealed = "[concealed by the gateway]"

// maxSecrets bounds an answer that holds secrets.
const maxSecrets = 8 << 20

// conceals reports whether answers to the call may hold values of secrets.
func (c *call) conceals() bool {
	return c.service == "secretsmanager" || c.service == "ssm" // whatever the action: a server may read its name in another way
}

// conceal withholds the values of secrets. Everything else of the answer stays.
func (x *exchange) conceal(res *http.Response) error {
	if x.settings.RevealSecrets || !x.call.conceals() || res.Body == nil || res.Body == http.NoBody {
		return nil
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return relay.Withheld("it holds secrets, and is encoded in a way that the gateway does not read")
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxSecrets+1))
	res.Body.Close()
	if err != nil || len(b) > maxSecrets {
		return relay.Withheld("it holds secrets, and is too long to be looked at")
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if len(bytes.TrimSpace(b)) > 0 {
		if checkJSON(b) != nil || d.Decode(&v) != nil {
			return relay.Withheld("it holds secrets, and is not JSON")
		}
		hide(v)
		if b, err = json.Marshal(v); err != nil {
			return relay.Withheld("it holds secrets, and cannot be written anew")
		}
	}
	delete(res.Header, "X-Amz-Crc32")
	delete(res.Header, "Content-Length")
	res.ContentLength = int64(len(b))
	res.Body = io.NopCloser(bytes.NewReader(b))
	return nil
}

// hide replaces values of secrets, and of parameters that are encrypted.
func hide(v any) {
	switch v := v.(type) {
	case map[string]any:
		sealed := v["Type"] == "SecureString"
		for name, x := range v {
			switch {
			case name == "SecretString" || name == "RandomPassword" || sealed && name == "Value":
				v[name] = Concealed
			case name == "SecretBinary":
				v[name] = "" // it is base64
			default:
				hide(x)
			}
		}
	case []any:
		for _, x := range v {
			hide(x)
		}
	}
}
