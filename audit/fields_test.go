package audit

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is read of an event's JSON is what a JSON decoder reads.
func TestFieldsAreJSON(t *testing.T) {
	for _, text := range []string{
		`{"i":1,"t":"2026-01-01T00:00:00.000000Z","type":"operation.start"}`,
		`{"text":"a \"quoted\\\" one\\","n":-1.5e3,"yes":true,"none":null,"last":""}`,
		`{"args":["[",null,"]}","\\"],"values":[["a","b"],[null,"c\n"]],"masked":{"email":3,"{":1},"z":"é\u2028"}`,
		`{"a":"\u001b[0m\u00e9\ufffd\\n\n\t","surrogates":"\ud83d\ude00 \ud83d","others":"\/\b\f\r\u00E9"}`,
		`{}`,
	} {
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		got := map[string]json.RawMessage{}
		fields([]byte(text), func(key, v []byte) {
			got[string(key)] = append(json.RawMessage{}, v...)
			var s string
			if json.Unmarshal(v, &s) == nil && string(v) != "null" {
				require.Equal(t, s, string(unquote(v)))
			}
		})
		require.Equal(t, want, got)
	}
	var strings []string
	eachString([]byte(`[["a","b\n"],[null,"c"]]`), func(s []byte) { strings = append(strings, string(s)) })
	require.Equal(t, []string{"a", "b\n", "c"}, strings)
}

// Whatever is said to be an event, reading it ends; and of an object that a decoder
// reads, and that is written as events are, it reads the same.
func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"a":"b","c":[1,{"d":"e"}],"f":null}`))
	f.Add([]byte(`{"a":"\\","b":"\""}`))
	f.Add([]byte(`{"values":[[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		newFacts("").event(b)
		var object map[string]json.RawMessage
		if json.Unmarshal(b, &object) != nil {
			return
		}
		b, err := json.Marshal(object)
		require.NoError(t, err)
		var compact map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(b, &compact))
		fields(b, func(key, v []byte) {
			var name string
			if json.Unmarshal([]byte(`"`+string(key)+`"`), &name) == nil {
				require.JSONEq(t, string(compact[name]), string(v))
			}
		})
	})
}
