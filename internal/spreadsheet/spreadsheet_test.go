package spreadsheet

import (
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"alice":                "alice",
		"a=b":                  "a=b",
		"=1+1":                 "'=1+1",
		"+1":                   "'+1",
		"-1":                   "'-1",
		"@SUM(A1)":             "'@SUM(A1)",
		"|calc":                "'|calc",
		"%0A":                  "'%0A",
		"\t=1+1":               "' =1+1",
		"\r=1+1":               "␍=1+1",
		"  =1+1":               "'  =1+1",
		"＝1+1":                 "'＝1+1",
		"＠SUM(A1)":             "'＠SUM(A1)",
		"one\ntwo":             "one two",
		"\x1b]0;title\x07text": "␛]0;title␇text",
		"\ufeff=1+1":           "'\ufeff=1+1",
	} {
		require.Equal(t, want, Cell(in), "%q", in)
	}
}

// TestValue: a value keeps its characters, and no spreadsheet takes it for a formula.
func TestValue(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"alice":                "alice",
		"a=b":                  "a=b",
		"-1":                   "-1",
		"+1.50":                "+1.50",
		"-1.5e-10":             "-1.5e-10",
		"-1+1":                 "'-1+1",
		"-1\n":                 "'-1\n",
		"-":                    "'-",
		"=1+1":                 "'=1+1",
		"+cmd|' /C calc'!A0":   "'+cmd|' /C calc'!A0",
		"@SUM(A1)":             "'@SUM(A1)",
		"|calc":                "'|calc",
		"\t=1+1":               "'\t=1+1",
		"\r=1+1":               "'\r=1+1",
		"\n=1+1":               "'\n=1+1",
		"\ttext":               "'\ttext",
		"\rtext":               "'\rtext",
		"  =1+1":               "'  =1+1",
		"\x00=1+1":             "'\x00=1+1",
		"\ufeff=1+1":           "'\ufeff=1+1",
		"\u200b\u2066@SUM(A1)": "'\u200b\u2066@SUM(A1)",
		"＝1+1":                 "'＝1+1",
		"one\n=two":            "one\n=two",
		"\xff":                 "\xff",
	} {
		require.Equal(t, want, Value(in), "%q", in)
	}
}

func TestWriter(t *testing.T) {
	var b strings.Builder
	w := NewWriter(&b, []string{"user", "what"})
	require.NoError(t, w.Write([]string{"=alice", `say "hi", bob`}))
	require.NoError(t, w.End())
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{{"user", "what"}, {"'=alice", `say "hi", bob`}}, lines)
}

func TestValueWriter(t *testing.T) {
	var b strings.Builder
	w := NewValueWriter(&b)
	require.NoError(t, w.Write([]string{"=name", "n"}))
	require.NoError(t, w.Write([]string{"a\r\nb, \"c\"", "-5"}))
	require.NoError(t, w.End())
	require.Equal(t, "'=name,n\n\"a\r\nb, \"\"c\"\"\",-5\n", b.String())
}

type full struct{}

var errFull = errors.New("full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriterTellsOfErrors(t *testing.T) {
	w := NewWriter(full{}, []string{"a"})
	var err error
	for range 1000 {
		err = w.Write([]string{strings.Repeat("x", 100)})
	}
	require.ErrorIs(t, err, errFull)
	require.ErrorIs(t, w.End(), errFull)
}
