package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type part struct {
	Name string            `json:"name"`
	More map[string]string `json:"more,omitempty"`
	N    int               `json:"n"`
	At   *string           `json:"at"`
	Ok   bool              `json:"ok"`
}

var partColumns = []column[part]{
	{"NAME", false, func(p part) string { return p.Name }},
	{"OK", true, func(part) string { return "yes" }},
	{"N", false, func(part) string { return "7" }},
}

func printed(t *testing.T, o *output, items []part) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, printList(&b, o, "Part", items, partColumns...))
	return b.String()
}

func TestOutput(t *testing.T) {
	long := strings.Repeat("identifier-", 20)
	odd := []part{{Name: "a\x1b[31m\x7f\u009b <b> é 😀"}, {Name: long, More: map[string]string{"k": "true"}, N: 7, Ok: true}}
	require.Equal(t, "NAME  N\nx     7\n", printed(t, &output{format: "table"}, []part{{Name: "x"}}))
	require.Equal(t, "NAME  OK   N\nx     yes  7\n", printed(t, &output{format: "wide"}, []part{{Name: "x"}}))
	table := printed(t, &output{format: "table"}, odd)
	require.Contains(t, table, long, "an identifier is never cut")
	require.NotContains(t, table, "\x1b")

	list := decode[listed[part]](t, printed(t, &output{format: "json"}, odd))
	require.Equal(t, listed[part]{"sallyport/v1", "PartList", odd}, list)
	require.Contains(t, printed(t, &output{format: "json"}, odd), "<b>")
	require.Contains(t, printed(t, &output{format: "json"}, nil), `"items": []`)

	lines := strings.Split(strings.TrimSuffix(printed(t, &output{format: "json", stream: true}, odd), "\n"), "\n")
	require.Len(t, lines, 2)
	for i, line := range lines {
		require.True(t, strings.HasPrefix(line, `{"apiVersion":"sallyport/v1","kind":"Part","name":`), line)
		require.Equal(t, odd[i], decode[part](t, line))
	}
	require.Empty(t, printed(t, &output{format: "json", stream: true}, nil))
	require.Error(t, printList(&bytes.Buffer{}, &output{format: "table", stream: true}, "Part", odd, partColumns...))
}

// YAML says what JSON says, also of texts that would be something else without quotes.
func TestOutputYAML(t *testing.T) {
	for _, name := range []string{"plain", "true", "12", "1e3", "null", "~", "", " ", "- a", "a: b", "#", "2026-01-31", "a\nb\n", "\x1b\x7f\u009b\u2028", "é 😀", "'\"", "0x1f", "no", "<<", "=", "*a", "&a", "!a", "%a", "`a"} {
		items := []part{{Name: name, More: map[string]string{name: name}, N: -1}}
		text := printed(t, &output{format: "yaml"}, items)
		require.True(t, strings.HasPrefix(text, "apiVersion: sallyport/v1\nkind: PartList\nitems:\n  - name: "), text)
		var read any
		require.NoError(t, yaml.Unmarshal([]byte(text), &read), text)
		b, err := json.Marshal(read)
		require.NoError(t, err, text)
		require.JSONEq(t, printed(t, &output{format: "json"}, items), string(b), text)
	}
	var b bytes.Buffer
	require.NoError(t, printObject(&b, &output{format: "yaml"}, "Nothing", struct{}{}))
	require.Equal(t, "apiVersion: sallyport/v1\nkind: Nothing\n", b.String())
}

func TestListForms(t *testing.T) {
	file := configFile(t, good)
	require.Contains(t, must(t, "ls", "-c", file, "-o", "wide"), "ACCOUNTS")
	require.NotContains(t, must(t, "ls", "-c", file), "ACCOUNTS")
	require.Equal(t, 2, strings.Count(must(t, "ls", "-c", file, "-o", "json", "--stream"), "\n"))
	require.Contains(t, must(t, "ls", "-c", file, "--output=yaml"), "\nkind: ResourceList\n")
	code, out, errs := sallyport(t, "", "ls", "-c", file, "--stream")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "--stream is for --output json")
}
