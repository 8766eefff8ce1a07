package aws

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/protocol/internal/relay"
	"github.com/sallyport/sallyport/proxy"
)

var errSecretsRoom = relay.Withheld("it holds secrets, and too many long ones are being looked at: try again in a minute")

// Concealed is what answers have in the place of a secret.
const Concealed = "[concealed by the gateway]"

// maxSecrets bounds an answer that holds secrets.
const maxSecrets = 8 << 20

// conceals reports whether answers to the call may hold values of secrets.
func (c *call) conceals() bool {
	return c.service == "secretsmanager" || c.service == "ssm" // whatever the action: a server may read its name in another way
}

// conceal withholds the values of secrets, unless the settings reveal them, and asks about each that the request has not named. Everything
// else of the answer stays.
func (x *exchange) conceal(res *http.Response) error {
	if !x.call.conceals() || res.Body == nil || res.Body == http.NoBody {
		return nil
	}
	if coding := res.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return relay.Withheld("it holds secrets, and is encoded in a way that the gateway does not read")
	}
	n := res.ContentLength
	if n < 0 || n > maxSecrets {
		n = maxSecrets
	}
	if !x.holds(n) {
		return errSecretsRoom
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxSecrets+1))
	res.Body.Close()
	if err != nil || len(b) > maxSecrets {
		return relay.Withheld("it holds secrets, and is too long to be looked at")
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if !x.holds(valuesOf(b) * valueSize) {
		return errSecretsRoom
	}
	if len(bytes.TrimSpace(b)) > 0 {
		if checkJSON(b) != nil || d.Decode(&v) != nil {
			return relay.Withheld("it holds secrets, and is not JSON")
		}
		if err := x.askAnswer(v); err != nil {
			return err
		}
		if !x.settings.RevealSecrets {
			hide(v)
		}
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

// byName is how a secret, or a parameter, is asked for by its name.
var byName = map[string]string{"secretsmanager": "GetSecretValue", "ssm": "GetParameter"}

// askAnswer asks about what an answer holds the values of, and the request has not named, such as all parameters below a path: a rule about one
// of them counts however it is asked for.
func (x *exchange) askAnswer(v any) error {
	names := map[string]bool{}
	valued(v, names)
	if len(names) > maxParts {
		return relay.Withheld("it holds more than 1000 secrets: ask for fewer")
	}
	s, c, action := x.visit.Session(), x.call, byName[x.call.service]
	for _, given := range slices.Sorted(maps.Keys(names)) {
		name := c.named([]string{given})[0]
		if c.names[name] {
			continue
		}
		op := c.request(part{c.method, c.service + ":" + action, "/" + action + "/" + name}, "for="+c.action+" "+c.path, nil)
		if v := s.Ask(s.Context(), op); v.Refuses() {
			return &proxy.RefusedError{Verdict: *v}
		}
		s.Done(op, &proxy.Outcome{})
	}
	return nil
}

// valued collects the names of what has a value.
func valued(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		name, named := v["Name"].(string)
		_, value := v["Value"]
		_, text := v["SecretString"]
		_, binary := v["SecretBinary"]
		if named && (value || text || binary) {
			names[name] = true
		}
		for _, x := range v {
			valued(x, names)
		}
	case []any:
		for _, x := range v {
			valued(x, names)
		}
	}
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
