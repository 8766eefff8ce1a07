package mcp

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport/sallyport/protocol"
)

// TestUnambiguous: a text is read in one way, or not at all.
func TestUnambiguous(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":1,"b":[{"a":1},{"a":2}]}`:     true,
		`[]`:                                true,
		`"x"`:                               true,
		`{"a":1,"a":2}`:                     false,
		`{"a":1,"A":2}`:                     false,
		`{"sql":1,"` + "\u017f" + `ql":2}`:  false, // a long s is an s to who folds letters
		`{"k":1,"` + "\u212a" + `":2}`:      false, // as is the sign of kelvin a k
		`{"a":{"b":[{"c":1,"\u0063":2}]}}`:  false,
		`{"a\u0000":1}`:                     false,
		`{} {}`:                             false,
		`{"a"`:                              false,
		``:                                  false,
		strings.Repeat("[", maxDepth) + "1": false,
		strings.Repeat(`{"a":`, maxDepth+1): false,
		strings.Repeat("[", 40) + strings.Repeat("]", 40): false,
	} {
		require.Equal(t, want, unambiguous([]byte(text)) == nil, "%.60s", text)
	}
}

// TestToolSchemas: every tool takes an object, of known members, and its schema refers to nothing.
func TestToolSchemas(t *testing.T) {
	list := tools()
	require.Len(t, list, 6)
	for _, tool := range list {
		var schema struct {
			Type       string
			Properties map[string]any
			Additional *bool `json:"additionalProperties"`
		}
		require.NoError(t, json.Unmarshal([]byte(tool.input), &schema), tool.name)
		require.Equal(t, "object", schema.Type)
		require.False(t, *schema.Additional)
		require.NotContains(t, tool.input, "$ref")
	}
}

// TestCollectedBounds: whatever a server sends, an answer holds no more than it may.
func TestCollectedBounds(t *testing.T) {
	cancelled := 0
	c := &collected{rows: 3, room: 100, cancel: func() { cancelled++ }}
	for range 2 * maxResults {
		require.NoError(t, c.Begin([]protocol.ResultColumn{{Name: "a"}, {Name: "b"}}))
		require.NoError(t, c.Row([]protocol.Cell{{Text: []byte(strings.Repeat("x", 60)), Size: 60}, {Size: -1}}))
		require.NoError(t, c.End("SELECT 1"))
	}
	require.LessOrEqual(t, len(c.results), maxResults+1)
	kept := 0
	for _, r := range c.results {
		for _, row := range r.Rows {
			for _, v := range row {
				if v != nil {
					kept += len(*v)
				}
			}
		}
	}
	require.LessOrEqual(t, kept, 100)
	for range maxPassed {
		require.NoError(t, c.Row([]protocol.Cell{{Text: []byte("x"), Size: 1}}))
	}
	c.wait()
	require.Equal(t, 1, cancelled, "once")
	require.True(t, c.much)
}

// TestPlain: what a terminal obeys is not in a message.
func TestPlain(t *testing.T) {
	require.Equal(t, "a[2Jb\nc", plain("a\x1b[2Jb\nc\u009b"))
	require.Less(t, len(plain(strings.Repeat("x", 1<<20))), maxText+10)
	require.Equal(t, "a[31mb", shown("a\x1b[31mb\x00"))
}
