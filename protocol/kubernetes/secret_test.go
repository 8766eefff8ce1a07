package kubernetes

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hidden runs a text through the scanner, in pieces of n bytes.
func hidden(t *testing.T, text string, n int) string {
	t.Helper()
	s := &secrets{}
	var out []byte
	for i := 0; i < len(text); i += n {
		var err error
		out, err = s.Bytes(out, []byte(text[i:min(i+n, len(text))]))
		require.NoError(t, err)
	}
	return string(out)
}

// TestSecrets: every value is hidden in every form of answer, wherever it is cut; every other byte stays.
func TestSecrets(t *testing.T) {
	const m = `"` + MaskedValue + `"`
	for in, want := range map[string]string{
		`{"kind":"Secret","data":{"a":"c2VjcmV0","b":""}, "type":"Opaque"}`: `{"kind":"Secret","data":{"a":` + m + `,"b":` + m + `}, "type":"Opaque"}`,
		`{"d\u0061ta":{"a":"c2VjcmV0"}}`:                                    `{"d\u0061ta":{"a":` + m + `}}`,
		`{"stringData" : {"a" : "se\"cr\\et" }}`:                            `{"stringData" : {"a" : ` + m + ` }}`,
		`{"data":{"a":{"b":["x",1,true,null]}}}`:                            `{"data":{"a":{"b":[` + m + `,` + m + `,` + m + `,null]}}}`,
		`{"data":{"a":12,"b":-1e5},"n":12}`:                                 `{"data":{"a":` + m + `,"b":` + m + `},"n":12}`,
		`{"data":"c2VjcmV0"}`:                                               `{"data":` + m + `}`,
		`{"data":null}`:                                                     `{"data":null}`,
		`{"data":{"x":"1"},"data":{"x":"2"}}`:                               `{"data":{"x":` + m + `},"data":{"x":` + m + `}}`,
		`{"items":[{"data":{"a":"x"}},{"data":{"a":"y"}}]}`:                 `{"items":[{"data":{"a":` + m + `}},{"data":{"a":` + m + `}}]}`,
		"{\"type\":\"ADDED\",\"object\":{\"data\":{\"a\":\"x\"}}}\n{\"type\":\"DELETED\",\"object\":{\"data\":{\"a\":\"x\"}}}\n":                                            "{\"type\":\"ADDED\",\"object\":{\"data\":{\"a\":" + m + "}}}\n{\"type\":\"DELETED\",\"object\":{\"data\":{\"a\":" + m + "}}}\n",
		`{"rows":[{"cells":["db","Opaque",1],"object":{"data":{"a":"x"}}}]}`:                                                                                                `{"rows":[{"cells":["db","Opaque",1],"object":{"data":{"a":` + m + `}}}]}`,
		`{"metadata":{"name":"data","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"x\"}}","data":"kept"},"labels":{"data":"kept"}}}`: `{"metadata":{"name":"data","annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","data":"kept"},"labels":{"data":"kept"}}}`,
		// Other tools keep copies under names of their own.
		`{"metadata":{"annotations":{"kapp.k14s.io/original":"{\"data\":{\"a\":\"x\"}}","b":"kept"}}}`:           `{"metadata":{"annotations":{"kapp.k14s.io/original":"********","b":"kept"}}}`,
		`{"metadata":{"annotations":{"a":" \u007b\"stringData\":1}","b":"[{\"x\":1}]","c":"H4sIAAAA"}}}`:         `{"metadata":{"annotations":{"a":"********","b":"********","c":"********"}}}`,
		`{"metadata":{"annotations":{"a":"kind: Secret\ndata: {a: x}","b":"k\u0065pt \"so\"","c":"","d":null}}}`: `{"metadata":{"annotations":{"a":"********","b":"k\u0065pt \"so\"","c":"","d":null}}}`,
		`{"rows":[{"object":{"metadata":{"annotations":{"a":"{}"}}}}]}`:                                          `{"rows":[{"object":{"metadata":{"annotations":{"a":"********"}}}}]}`,
	} {
		for n := 1; n <= len(in); n++ {
			require.Equal(t, want, hidden(t, in, n), "in pieces of %d", n)
		}
		if !strings.Contains(in, "\n") {
			require.True(t, json.Valid([]byte(want)))
		}
	}
	for _, bad := range []string{`{"a" "b"}`, `}`, `[}`, `{1:2}`, strings.Repeat("[", 200), `{"` + strings.Repeat("k", 5000) + `":1}`, `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", maxNote) + `"}}}`} {
		_, err := (&secrets{}).Bytes(nil, []byte(bad))
		require.ErrorIs(t, err, errSecret, "%.40s", bad)
	}
}

// FuzzSecrets: the scanner never panics, and of JSON that it takes no value of data is left.
func FuzzSecrets(f *testing.F) {
	f.Add(secretJSON, 3)
	f.Add(`{"data":{"a":"x"}}`, 1)
	f.Fuzz(func(t *testing.T, in string, n int) {
		s := &secrets{}
		if n < 1 {
			n = 1
		}
		var out []byte
		for i := 0; i < len(in); i += n {
			var err error
			if out, err = s.Bytes(out, []byte(in[i:min(i+n, len(in))])); err != nil {
				return
			}
		}
		var object struct{ Data map[string]string }
		if json.Valid([]byte(in)) && json.Unmarshal(out, &object) == nil {
			for _, v := range object.Data {
				require.Contains(t, []string{MaskedValue, ""}, v)
			}
		}
	})
}
